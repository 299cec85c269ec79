"""The tiles of a GeoTIFF, read and decoded straight into place.

GDAL decodes such a file at a third to a half of the speed of its codec: it copies each tile several times, undoes the
differences pixel by pixel, and keeps a tile of each open file in memory, which for a year of images is a gigabyte.
Here is what most images are: one band of whole numbers or float32, uncompressed, Deflate, LZW or Zstandard. All other
files, and those with anything amiss, are GDAL's, which also has the words for what is wrong with them.

Sources: TIFF 6.0 (Adobe, 1992); TIFF technical note 3 for the predictor of floating point numbers.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from toolkit.products.layout import FileLayout
from toolkit.products.tiff_header import NOTHING, read_bytes, read_header

Codec = Callable[..., Any]
CODECS: dict[int, Codec | None] = {1: None}
if imagecodecs.LZW.available:
    CODECS[5] = imagecodecs.lzw_decode
if imagecodecs.DEFLATE.available:
    CODECS[8] = CODECS[32946] = imagecodecs.deflate_decode
if imagecodecs.ZSTD.available:
    CODECS[50000] = imagecodecs.zstd_decode
PLAIN, DIFFERENCES, FLOAT_BYTES = 1, 2, 3
"""Predictors."""

LARGEST_TILE = 2**23
"""Bytes of a tile; a thread keeps room for one as it is stored and as it is decoded."""
READ_AT_ONCE = 2**20
"""Bytes of a file that is not compressed."""
MOST_KNOWN, MOST_FILES = 2**24, 2**14
"""Tiles, and files, whose places are remembered."""
PROBLEMS = (OSError, ValueError, RuntimeError, struct.error)
"""What reading a damaged file may raise here; GDAL then says what is wrong."""


class DamagedTile(Exception):
    """What is stored of a tile has not the checksum that Deflate gave it, at which GDAL does not look."""


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
            DamagedTile: a tile is.
            one of `PROBLEMS`: there is something else amiss.
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
        read_bytes(file, offset, packed)
        tile = _ROOM.tile(stored * self.layout.cols, self.layout.dtype).reshape(stored, self.layout.cols)
        try:
            given = len(self.codec(packed, out=tile.reshape(-1).view(np.uint8)))
        except RuntimeError:
            if self.codec is imagecodecs.deflate_decode and not _has_its_checksum(packed, 2 * LARGEST_TILE):
                raise DamagedTile(f"the tile in row {i}, column {j} is damaged") from None
            raise
        if given != tile.nbytes:
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
            read_bytes(file, int(offset) + start * row_bytes, found.view(np.uint8))
            target[start - rows.start : stop - rows.start] = found.reshape(-1, width)[:, cols]


def _has_its_checksum(packed: np.ndarray, most: int) -> bool:
    """Whether Deflate's bytes are whole, of more pixels than were expected; beyond so many bytes nobody looks."""
    try:
        zlib.decompressobj().decompress(packed.data, most)
    except zlib.error:
        return False
    return True


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
    header = read_header(file, size)
    layout, tile = header.layout, header.layout.rows * header.layout.cols * header.layout.dtype.itemsize
    fits = PLAIN, FLOAT_BYTES if layout.dtype.kind == "f" else DIFFERENCES
    if header.compression not in CODECS or header.predictor not in fits:
        raise ValueError("coded otherwise")
    codec = CODECS[header.compression]
    if codec is not None:
        if max(int(header.sizes.max()), tile) > LARGEST_TILE:
            raise ValueError("large tiles")
        return TiffTiles(path, layout, header.offsets, header.sizes, codec, header.predictor, header.strips, False)
    if tile > size:
        raise ValueError("it is cut short")
    least = np.full(layout.count, tile)
    if header.strips:
        least[-1] -= (layout.count * layout.rows - layout.height) * layout.cols * layout.dtype.itemsize
    if (header.sizes < least).any():
        raise ValueError("tiles of too few pixels")
    as_array = header.strips and bool((np.diff(header.offsets) == tile).all())
    offsets = header.offsets[:1].copy() if as_array else header.offsets
    return TiffTiles(path, layout, offsets, NOTHING, None, PLAIN, header.strips, as_array)
