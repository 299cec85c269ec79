"""The tiles of a GeoTIFF, read and decoded straight into place.

GDAL decodes such a file at a third to a half of the speed of its codec: it copies each tile several times, undoes the
differences pixel by pixel, and keeps a tile of each open file in memory, which for a year of images is a gigabyte.
Here is what most images are: one band of whole numbers or float32, uncompressed, Deflate, LZW or Zstandard. All other
files, and those with anything amiss, are GDAL's, which also has the words for what is wrong with them.

Sources: TIFF 6.0 (Adobe, 1992), BigTIFF (Aware Systems), TIFF technical note 3 for the floating point predictor.
"""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from toolkit.products.layout import FileLayout

WIDTH, HEIGHT, BITS, COMPRESSION, FILL_ORDER, SAMPLES = 256, 257, 258, 259, 266, 277
STRIP_ROWS, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, FORMAT = 278, 317, 322, 323, 339
STRIPS, TILES = (273, 279), (324, 325)
"""Tags; of strips and of tiles where each begins in the file, and how many bytes it has."""
WANTED = {WIDTH, HEIGHT, BITS, COMPRESSION, FILL_ORDER, SAMPLES, STRIP_ROWS, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, FORMAT}
WANTED |= {*STRIPS, *TILES}
NUMBERS = {1: "u1", 3: "<u2", 4: "<u4", 16: "<u8"}
"""Types of a tag's values."""
DTYPES = {(8, 1): "u1", (8, 2): "i1", (16, 1): "<u2", (16, 2): "<i2", (32, 3): "<f4"}
"""Bits and format of a pixel."""

Codec = Callable[..., Any]
CODECS: dict[int, Codec | None] = {1: None}
if imagecodecs.LZW.available:
    CODECS[5] = imagecodecs.lzw_decode
if imagecodecs.DEFLATE.available:
    CODECS[8] = CODECS[32946] = imagecodecs.deflate_decode
if imagecodecs.ZSTD.available:
    CODECS[50000] = imagecodecs.zstd_decode
NOTHING = np.empty(0, np.int64)
PLAIN, DIFFERENCES, FLOAT_BYTES = 1, 2, 3
"""Predictors."""

LARGEST_TILE = 2**23
"""Bytes of a tile; a thread keeps room for one as it is stored and as it is decoded."""
READ_AT_ONCE = 2**20
"""Bytes of a file that is not compressed."""
MOST_TAGS, MOST_TILES = 4096, 2**22
"""Of a file; nobody writes more."""
MOST_KNOWN, MOST_FILES = 2**24, 2**14
"""Tiles, and files, whose places are remembered."""
PROBLEMS = (OSError, ValueError, RuntimeError, struct.error)
"""What reading a damaged file may raise here; GDAL then says what is wrong."""


@dataclass(frozen=True, eq=False)
class TiffTiles:
    """Where the tiles of a file lie in it, and how they are decoded."""

    path: Path
    layout: FileLayout
    offsets: np.ndarray
    """Bytes, of each tile or strip in its order."""
    sizes: np.ndarray
    codec: Codec | None
    predictor: int
    strips: bool
    as_array: bool
    """Whether all pixels lie in the file as in an array, row after row, from the one offset on."""

    def read(self, out: np.ndarray, row: int, col: int, fill: float) -> None:
        """Pixels of a window (y, x) that begins at a row and column; `fill` beyond the file.

        Raises:
            one of `PROBLEMS`: the file is damaged.
        """
        inside, rows, cols = self.layout.inside(out, row, col, fill)
        if not inside.size:
            return
        with self.path.open("rb", buffering=0) as file:
            if self.as_array:
                self._copy(file, self.offsets[0], self.layout.width, rows, cols, inside)
                return
            for i, j in self.layout.tiles(rows.start, cols.start, *inside.shape):
                top, left, tall, wide = self.layout.tile(i, j)
                own_rows = slice(max(rows.start - top, 0), min(rows.stop - top, tall))
                own_cols = slice(max(cols.start - left, 0), min(cols.stop - left, wide))
                y, x = max(top - rows.start, 0), max(left - cols.start, 0)
                target = inside[y : y + own_rows.stop - own_rows.start, x : x + own_cols.stop - own_cols.start]
                self._lay(file, i, j, own_rows, own_cols, target)

    def _lay(self, file: FileIO, i: int, j: int, rows: slice, cols: slice, target: np.ndarray) -> None:
        """Some rows and columns of a tile into an array of their size."""
        across = -(-self.layout.width // self.layout.cols)
        offset = self.offsets[i * across + j]
        if self.codec is None:
            self._copy(file, offset, self.layout.cols, rows, cols, target)
            return
        stored = self.layout.tile(i, j)[2] if self.strips else self.layout.rows
        packed = _ROOM.packed(int(self.sizes[i * across + j]))
        _read(file, offset, packed)
        tile = _ROOM.tile(stored * self.layout.cols, self.layout.dtype).reshape(stored, self.layout.cols)
        if len(self.codec(packed, out=tile.reshape(-1).view(np.uint8))) != tile.nbytes:
            raise ValueError("a tile of too few pixels")
        if self.predictor == FLOAT_BYTES:
            tile = imagecodecs.floatpred_decode(tile, axis=-1)
        elif self.predictor == DIFFERENCES:
            tile = tile[rows, : cols.stop]
            whole = tile.shape == target.shape
            imagecodecs.delta_decode(tile, axis=-1, out=target if whole else tile)
            if whole:
                return
            rows = slice(None)
        target[...] = tile[rows, cols]

    def _copy(self, file: FileIO, offset: int, width: int, rows: slice, cols: slice, target: np.ndarray) -> None:
        """Some rows and columns of an array that lies in the file as it is, from an offset on."""
        row_bytes = width * self.layout.dtype.itemsize
        step = max(1, READ_AT_ONCE // row_bytes)
        for start in range(rows.start, rows.stop, step):
            stop = min(start + step, rows.stop)
            found = _ROOM.tile((stop - start) * width, self.layout.dtype)
            _read(file, int(offset) + start * row_bytes, found.view(np.uint8))
            target[start - rows.start : stop - rows.start] = found.reshape(-1, width)[:, cols]


class _Room(threading.local):
    """Memory of a thread for a tile as it is stored and as it is decoded: fresh pages cost as much as decoding."""

    _packed = _tile = np.empty(0, np.uint8)

    def packed(self, size: int) -> np.ndarray:
        """So many bytes."""
        if self._packed.size < size:
            self._packed = np.empty(size, np.uint8)
        return self._packed[:size]

    def tile(self, pixels: int, dtype: np.dtype) -> np.ndarray:
        """So many pixels."""
        size = pixels * dtype.itemsize
        if self._tile.size < size:
            self._tile = np.empty(size, np.uint8)
        return self._tile[:size].view(dtype)


_ROOM = _Room()


class _Index:
    """Where the tiles of files lie, as long as the files are as they were; those not asked for longest go first."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, tuple[tuple[int, ...], TiffTiles | None]] = OrderedDict()
        self._count, self._lock = 0, threading.Lock()

    def of(self, path: Path) -> TiffTiles | None:
        """The tiles of a file.

        Raises:
            OSError: it cannot be read now.
        """
        status = path.stat()
        stamp = status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
        with self._lock:
            if path in self._files and self._files[path][0] == stamp:
                self._files.move_to_end(path)
                return self._files[path][1]
        with path.open("rb", buffering=0) as file:
            try:
                found: TiffTiles | None = _parse(path, file, status.st_size)
            except (ValueError, struct.error):
                found = None
        self._keep(path, stamp, found)
        return found

    def _keep(self, path: Path, stamp: tuple[int, ...], found: TiffTiles | None) -> None:
        with self._lock:
            self._drop(*self._files.pop(path, (stamp, None)))
            self._files[path] = stamp, found
            self._count += len(found.offsets) if found else 0
            while self._count > MOST_KNOWN or len(self._files) > MOST_FILES:
                self._drop(*self._files.popitem(last=False)[1])

    def _drop(self, _: tuple[int, ...], found: TiffTiles | None) -> None:
        self._count -= len(found.offsets) if found else 0


_INDEX = _Index()


def tiff_tiles(path: Path) -> TiffTiles | None:
    """The tiles of a file; None where it is not such a GeoTIFF, or cannot be read."""
    try:
        return _INDEX.of(path)
    except OSError:
        return None


def _parse(path: Path, file: FileIO, size: int) -> TiffTiles:
    """What a file of so many bytes holds.

    Raises:
        ValueError, struct.error: it is not one of ours. OSError: it cannot be read now.
    """
    tags = _tags(file, size)
    layout, strips = _layout(tags)
    compression, predictor = _one(tags, COMPRESSION, 1), _one(tags, PREDICTOR, PLAIN)
    fits = PLAIN, FLOAT_BYTES if layout.dtype.kind == "f" else DIFFERENCES
    if (
        compression not in CODECS
        or predictor not in fits
        or _one(tags, SAMPLES, 1) != 1
        or _one(tags, FILL_ORDER, 1) != 1
    ):
        raise ValueError("coded otherwise")
    codec, (offsets, sizes) = CODECS[compression], _places(tags, layout, strips, size)
    tile = layout.rows * layout.cols * layout.dtype.itemsize
    if codec is not None:
        if max(int(sizes.max()), tile) > LARGEST_TILE:
            raise ValueError("large tiles")
        return TiffTiles(path, layout, offsets, sizes, codec, predictor, strips, as_array=False)
    most = np.full(layout.count, tile)
    if strips:
        most[-1] -= (layout.count * layout.rows - layout.height) * layout.cols * layout.dtype.itemsize
    if (sizes < most).any():
        raise ValueError("tiles of too few pixels")
    as_array = strips and bool((np.diff(offsets) == tile).all())
    return TiffTiles(path, layout, offsets[:1].copy() if as_array else offsets, NOTHING, None, PLAIN, strips, as_array)


def _layout(tags: dict[int, np.ndarray]) -> tuple[FileLayout, bool]:
    """How a file is laid out, and whether in strips.

    Raises:
        ValueError: it has no size, or numbers of another type.
    """
    height, width, strips = _one(tags, HEIGHT), _one(tags, WIDTH), TILE_WIDTH not in tags
    rows = min(_one(tags, STRIP_ROWS, height), height) if strips else _one(tags, TILE_HEIGHT)
    cols = width if strips else _one(tags, TILE_WIDTH)
    dtype = DTYPES.get((_one(tags, BITS, 1), _one(tags, FORMAT, 1)))
    if min(height, width, rows, cols) < 1 or dtype is None:
        raise ValueError("no size, or numbers of another type")
    return FileLayout(height, width, rows, cols, np.dtype(dtype)), strips


def _places(tags: dict[int, np.ndarray], layout: FileLayout, strips: bool, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each tile begins in a file of so many bytes, and its bytes.

    Raises:
        ValueError: one lies beyond the file, or was never written.
    """
    offsets, sizes = (tags.get(tag, NOTHING) for tag in (STRIPS if strips else TILES))
    if not len(offsets) == len(sizes) == layout.count or min(offsets.min(), sizes.min()) < 1:
        raise ValueError("tiles are lacking")
    if max(offsets.max(), sizes.max()) > size or (offsets + sizes).max() > size:
        raise ValueError("it is cut short")
    return offsets, sizes


def _tags(file: FileIO, size: int) -> dict[int, np.ndarray]:
    """The values of those tags of a file's first image that say where its pixels are and what they mean, int64.

    Raises:
        ValueError: it is no TIFF, or one of big-endian numbers, which hardly anyone writes.
    """
    head = file.read(16)
    if head[:4] == b"II*\0":
        at, counted, entry, inline = struct.unpack_from("<I", head, 4)[0], "<H", "<HHI", 4
    elif head[:8] == b"II+\0\x08\0\0\0":
        at, counted, entry, inline = struct.unpack_from("<Q", head, 8)[0], "<Q", "<HHQ", 8
    else:
        raise ValueError("no TIFF of little-endian numbers")
    number = struct.unpack(counted, _bytes(file, at, struct.calcsize(counted), size))[0]
    if number > MOST_TAGS:
        raise ValueError("too many tags")
    length = struct.calcsize(entry) + inline
    listed = _bytes(file, at + struct.calcsize(counted), number * length, size)
    found: dict[int, np.ndarray] = {}
    for start in range(0, number * length, length):
        tag, kind, count = struct.unpack_from(entry, listed, start)
        if tag not in WANTED or tag in found:  # GDAL too goes by the first of two
            continue
        if kind not in NUMBERS or count > MOST_TILES:
            raise ValueError(f"tag {tag} is of another kind")
        value, size_of = listed[start + length - inline : start + length], np.dtype(NUMBERS[kind]).itemsize
        kept = count if tag in (*STRIPS, *TILES) else min(count, 1)
        if count * size_of > inline:
            value = _bytes(file, int.from_bytes(value, "little"), kept * size_of, size)
        found[tag] = np.frombuffer(value, NUMBERS[kind], kept).astype(np.int64)
    return found


def _one(tags: dict[int, np.ndarray], tag: int, usual: int = 0) -> int:
    return int(tags[tag][0]) if tag in tags and tags[tag].size else usual


def _bytes(file: FileIO, offset: int, length: int, size: int) -> bytes:
    if offset + length > size:
        raise ValueError("it is cut short")
    found = np.empty(length, np.uint8)
    _read(file, offset, found)
    return found.tobytes()


def _read(file: FileIO, offset: int, out: np.ndarray) -> None:
    """Fill an array of bytes.

    Raises:
        ValueError: the file ends before.
    """
    file.seek(int(offset))
    room = out.data
    while room.nbytes:
        count = file.readinto(room)
        if not count:
            raise ValueError("it is cut short")
        room = room[count:]
