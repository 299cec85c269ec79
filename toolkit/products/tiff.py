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
NUMBERS = {1: "u1", 3: "<u2", 4: "<u4", 16: "<u8"}
"""Types of a tag's values."""
DTYPES = {(8, 1): "u1", (8, 2): "i1", (16, 1): "<u2", (16, 2): "<i2", (32, 3): "<f4"}
"""Bits and format of a pixel."""

Codec = Callable[..., Any]
CODECS: dict[int, Codec | None] = {
    1: None,
    5: imagecodecs.lzw_decode,
    8: imagecodecs.deflate_decode,
    32946: imagecodecs.deflate_decode,
    50000: imagecodecs.zstd_decode,
}
NOTHING = np.empty(0, np.int64)
PLAIN, DIFFERENCES, FLOAT_BYTES = 1, 2, 3
"""Predictors."""

LARGEST_TILE = 2**26
"""Bytes of a tile; larger ones would take the memory that nobody has counted."""
MOST_FILES = 8192
"""Files whose tiles' places are remembered."""
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
    """Whether all pixels lie in the file as in an array, row after row."""

    def read(self, out: np.ndarray, row: int, col: int, fill: float) -> None:
        """Pixels of a window (y, x) that begins at a row and column; `fill` beyond the file.

        Raises:
            one of `PROBLEMS`: the file is damaged, or has tiles that were never written.
        """
        inside, rows, cols = self.layout.inside(out, row, col, fill)
        if not inside.size:
            return
        with self.path.open("rb", buffering=0) as file:
            if self.as_array:
                inside[...] = self._rows(file, self.offsets[0], rows, self.layout.width)[:, cols]
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
        offset, size = self.offsets[i * across + j], int(self.sizes[i * across + j])
        if not size:
            raise ValueError("a tile that was never written")
        if self.codec is None:
            target[...] = self._rows(file, offset, rows, self.layout.cols)[:, cols]
            return
        stored = self.layout.tile(i, j)[2] if self.strips else self.layout.rows
        packed = _ROOM.packed(size)
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

    def _rows(self, file: FileIO, offset: int, rows: slice, width: int) -> np.ndarray:
        """Rows of an array that lies in the file as it is, from an offset on."""
        found = _ROOM.tile((rows.stop - rows.start) * width, self.layout.dtype)
        _read(file, int(offset) + rows.start * width * self.layout.dtype.itemsize, found.view(np.uint8))
        return found.reshape(-1, width)


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
_known: OrderedDict[Path, tuple[tuple[int, int], TiffTiles | None]] = OrderedDict()
_lock = threading.Lock()


def tiff_tiles(path: Path) -> TiffTiles | None:
    """The tiles of a file; None where it is not such a GeoTIFF, or cannot be read.

    They are remembered until the file changes.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    stamp = status.st_mtime_ns, status.st_size
    with _lock:
        if path in _known and _known[path][0] == stamp:
            _known.move_to_end(path)
            return _known[path][1]
    try:
        with path.open("rb", buffering=0) as file:
            found = _parse(path, file, status.st_size)
    except PROBLEMS:
        found = None
    with _lock:
        _known[path] = stamp, found
        while len(_known) > MOST_FILES:
            _known.popitem(last=False)
    return found


def _parse(path: Path, file: FileIO, size: int) -> TiffTiles | None:
    tags = _tags(file, size)
    dtype = DTYPES.get((_one(tags, BITS, 1), _one(tags, FORMAT, 1)))
    compression, predictor = _one(tags, COMPRESSION, 1), _one(tags, PREDICTOR, PLAIN)
    fits = {PLAIN, FLOAT_BYTES if dtype == "<f4" else DIFFERENCES}
    if dtype is None or compression not in CODECS or predictor not in fits:
        return None
    if (_one(tags, SAMPLES, 1), _one(tags, FILL_ORDER, 1)) != (1, 1):
        return None
    layout, strips = _layout(tags, np.dtype(dtype))
    offsets, sizes = (tags.get(tag, NOTHING) for tag in (STRIPS if strips else TILES))
    stored, count = layout.rows * layout.cols * layout.dtype.itemsize, layout.count
    if not (len(offsets) == len(sizes) == count) or max(sizes.max(), stored) > LARGEST_TILE:
        return None
    codec = CODECS[compression]
    if codec is None and (sizes[: count - strips] != stored).any():
        return None
    as_array = codec is None and strips and bool((np.diff(offsets) == stored).all())
    return TiffTiles(path, layout, offsets, sizes, codec, predictor, strips, as_array)


def _layout(tags: dict[int, np.ndarray], dtype: np.dtype) -> tuple[FileLayout, bool]:
    """How a file is laid out, and whether in strips.

    Raises:
        ValueError: it has no size.
    """
    height, width, strips = _one(tags, HEIGHT), _one(tags, WIDTH), TILE_WIDTH not in tags
    tile = (
        (min(_one(tags, STRIP_ROWS, height), height), width)
        if strips
        else (_one(tags, TILE_HEIGHT), _one(tags, TILE_WIDTH))
    )
    if 0 in (height, width, *tile):
        raise ValueError("no size")
    return FileLayout(height, width, *tile, dtype), strips


def _tags(file: FileIO, size: int) -> dict[int, np.ndarray]:
    """The values of the tags of a file's first image, int64; only of whole numbers.

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
    length = struct.calcsize(entry) + inline
    listed = _bytes(file, at + struct.calcsize(counted), number * length, size)
    found = {}
    for start in range(0, number * length, length):
        tag, kind, count = struct.unpack_from(entry, listed, start)
        if kind not in NUMBERS:
            continue
        value = listed[start + length - inline : start + length]
        room = count * np.dtype(NUMBERS[kind]).itemsize
        if room > inline:
            value = _bytes(file, int.from_bytes(value, "little"), room, size)
        found[tag] = np.frombuffer(value, NUMBERS[kind], count).astype(np.int64)
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
