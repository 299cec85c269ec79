"""What the header of a TIFF says: how large it is, and where its tiles or strips lie.

Only of the first image, of little-endian numbers, and of one band; nothing is believed that does not fit the file.

Sources: TIFF 6.0 (Adobe, 1992), BigTIFF (Aware Systems).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import FileIO

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

NOTHING = np.empty(0, np.int64)
MOST_TAGS, MOST_TILES = 4096, 2**22
"""Of a file; nobody writes more."""


@dataclass(frozen=True, eq=False)
class TiffHeader:
    """What a file says of itself."""

    layout: FileLayout
    strips: bool
    offsets: np.ndarray
    """Bytes, int64, of each tile or strip in its order."""
    sizes: np.ndarray
    compression: int
    predictor: int


def read_header(file: FileIO, size: int) -> TiffHeader:
    """The header of a file of so many bytes.

    Raises:
        ValueError, struct.error: it is no such TIFF, is cut short, or has tiles that were never written.
        OSError: it cannot be read now.
    """
    tags = _tags(file, size)
    if _one(tags, SAMPLES, 1) != 1 or _one(tags, FILL_ORDER, 1) != 1:
        raise ValueError("several bands, or bits in another order")
    layout, strips = _layout(tags)
    offsets, sizes = _places(tags, layout, strips, size)
    return TiffHeader(layout, strips, offsets, sizes, _one(tags, COMPRESSION, 1), _one(tags, PREDICTOR, 1))


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
    read_bytes(file, offset, found)
    return found.tobytes()


def read_bytes(file: FileIO, offset: int, out: np.ndarray) -> None:
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
