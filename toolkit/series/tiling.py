"""How the files of a series are stored, and blocks that fit: a tile of a file is decoded whole or not at all.

A block that ends amid a file's tile has that tile decoded again for its neighbour. Sentinel-2 has bands of 10 and of
20 m: where both are stored in tiles of 512 x 512 pixels, only blocks of 1024 x 1024 pixels (of 10 m) decode each tile
once; blocks of 512 decode those of 20 m four times, blocks of 256 everything four to sixteen times.

JPEG 2000 from ESA has tiles of 1024 x 1024 pixels at 10 m and of 640 x 640, 1280 pixels of 10 m, at 20 m. They end
together every 5120 pixels only: whatever the block, some are decoded more than once, and blocks go by the 10 m bands.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from toolkit.ground.grid import Block, aligned_blocks
from toolkit.ground.parts import SMALLEST_PART, halved
from toolkit.products.handles import close_rasters
from toolkit.products.layout import TIFF
from toolkit.products.raster import layout_of
from toolkit.series.placed import PlacedFile
from toolkit.series.resampling import REACH
from toolkit.series.timeseries import TileSeries

BLOCK_PIXELS = 1024 * 1024
"""Pixels of a block, about: a few seconds of work, 121 blocks a Sentinel-2 tile."""
PREPARED_WIDTH = 512
"""Columns worked on at once of a prepared series, at most: a strip has all rows of its chunks then."""

ENDLESS = 1 << 20, 1 << 20
"""A block beside which what lies at its edges is nothing."""
CHUNKS = "chunks"
"""Who decodes a prepared series."""


@dataclass(frozen=True)
class StoredFile:
    """How one file is stored, in pixels of the tile's grid."""

    rows: int
    """Rows of one of its tiles (or strips)."""
    cols: int
    tile_bytes: int
    """Bytes of a tile in memory."""
    ring: int = 0
    """Pixels beyond a block that its resampling needs."""
    keeps_lines: bool = False
    """Whether the lines at the edges of its tiles are kept for the blocks around: see `products/edges.py`."""
    decoder: str = TIFF
    """As of `FileLayout`, or `CHUNKS`."""
    tiles: int = 1
    """How many it has."""

    def within(self, height: int, width: int) -> int:
        """Bytes decoded for a grid of this size at once."""
        return math.ceil(height / self.rows) * math.ceil(width / self.cols) * self.tile_bytes

    def decoded(self, height: int, width: int) -> float:
        """Bytes decoded for a block of this size, on average over blocks side by side."""
        count = tiles_met(height, self.rows, self.ring) * tiles_met(width, self.cols, self.ring)
        if self.keeps_lines:  # its own tiles, and each tile of the file once more for its lines
            own = tiles_met(height, self.rows) * tiles_met(width, self.cols)
            count = min(count, own + height * width / (self.rows * self.cols))
        return count * self.tile_bytes


def tiles_met(length: int, tile: int, ring: int = 0) -> float:
    """How many tiles a piece of a line meets that is cut into such pieces, and so many pixels beyond its ends.

    Where neither fits into the other, on average; else, and for pieces of less than half a tile, that of the first.
    """
    fits = length % tile == 0 or tile % length == 0 or 2 * length < tile
    starts = range(0, 1 if fits else math.lcm(length, tile), length)
    return sum((start + length + ring - 1) // tile - (start - ring) // tile + 1 for start in starts) / len(starts)


@dataclass(frozen=True)
class FileTiling:
    """How the files of a series are stored: those of its first date, which stand for all."""

    files: tuple[StoredFile, ...]
    """Bands and masks of one date."""
    dates: int
    shape: tuple[int, int]
    """Of the tile's grid."""
    start: tuple[int, int]
    """Row and column of the grid at which the files begin; negative in an area cut out of a tile."""
    chunks: tuple[StoredFile, ...] = ()
    """Those of a prepared series, where one is read. Blocks go by the files all the same, so that a run that was begun
    with the one goes on with the other."""
    others: tuple[FileTiling, ...] = ()
    """Of the further sensors, whose files are read in the blocks of the first one's."""

    @classmethod
    def of(cls, series: TileSeries) -> FileTiling:
        """Look at the files of the first date.

        Raises:
            ProductError: one cannot be read.
        """
        bands = [one for _, one in series.acquisitions[0].bands]
        placed = [*bands, *(one for _, one in series.acquisitions[0].masks)]
        reach = REACH[series.resampling]
        try:
            files = tuple(_stored(one, reach if one in bands and one.scale > 1 else 0) for one in placed)
        finally:
            close_rasters()
        height, width = series.grid.shape
        start, others = (placed[0].row, placed[0].col), tuple(map(cls.of, series.others))
        return cls(files, len(series.acquisitions), (height, width), start, tuple(_chunks(series)), others)

    @cached_property
    def block_size(self) -> tuple[int, int]:
        """Rows and columns of blocks: a multiple of the files' tiles, of a million pixels about.

        Of the largest tiles; where the others do not fit into these, of those by which the least is decoded.
        """
        largest = max(one.rows for one in self.files), max(one.cols for one in self.files)
        sizes = [self._blocks_of(*one) for one in (largest, *((file.rows, file.cols) for file in self.files))]
        return min(sizes, key=lambda one: round(sum(file.decoded(*one) for file in self.files) / (one[0] * one[1]), 6))

    def _blocks_of(self, rows: int, cols: int) -> tuple[int, int]:
        """Multiples of a tile of a million pixels about, as far as the grid reaches."""
        period = min(rows, self.shape[0]), min(cols, self.shape[1])
        size = list(period)
        while size[0] * size[1] < BLOCK_PIXELS and tuple(size) != self.shape:
            side = min((0, 1), key=lambda axis: (size[axis] == self.shape[axis], size[axis]))
            size[side] = min(size[side] + period[side], self.shape[side])
        return size[0], size[1]

    def cover(self) -> list[Block]:
        """The blocks of the tile: the same whatever the memory and the number of workers."""
        return list(aligned_blocks(self.shape, self.block_size, self.start))

    @property
    def finest(self) -> tuple[int, int]:
        """Rows and columns that are kept whole while there is another way to make parts smaller: of the smallest tile.

        Chunks of a prepared series are so small that squares come first.
        """
        if self.chunks:
            return self.shape
        return min(one.rows for one in self.files), min(one.cols for one in self.files)

    def part_sizes(self) -> Iterator[tuple[int, int]]:
        """Ever smaller parts of a block, the whole of it first where files are read."""
        size = self.block_size
        while self.chunks and size[1] > PREPARED_WIDTH:
            size = size[0], -(-size[1] // 2)
        yield size
        while size[0] * size[1] > SMALLEST_PART:
            size = halved(size, self.finest)
            yield size

    def decoded_bytes(self, size: tuple[int, int]) -> float:
        """Bytes decoded for a pixel, in blocks of this size."""
        return sum(self.decoded_by(size).values())

    def decoded_by(self, size: tuple[int, int]) -> dict[str, float]:
        """The same by the decoder."""
        found: dict[str, float] = defaultdict(float)
        for one in self.chunks or self.files:
            count = one.within(*size) if self._is_whole(size) else one.decoded(*size)
            found[one.decoder] += self.dates * count / (size[0] * size[1])
        for other in self.others:
            for decoder, count in other.decoded_by(size).items():
                found[decoder] += count
        return found

    def times_decoded(self, size: tuple[int, int]) -> float:
        """How often a tile of a file is decoded in blocks of this size, by the bytes that come of it."""
        return 1.0 if self._is_whole(size) else self.decoded_bytes(size) / self.decoded_bytes(ENDLESS)

    def _is_whole(self, size: tuple[int, int]) -> bool:
        """Whether a block of this size is the whole grid, so that nothing lies beyond it."""
        return size == self.shape

    @property
    def open_bytes(self) -> int:
        """Memory of all files while they stay open.

        GDAL keeps the last tile of each of its own, and what the codec needs: 1 time the tile measured of deflate, 2.5
        times of zstd, which is what is counted for all.
        """
        own = self.dates * sum(FILE_BYTES + 5 * one.tile_bytes // 2 for one in self._opened)
        return own + sum(one.open_bytes for one in self.others)

    @property
    def index_bytes(self) -> int:
        """Memory of where each tile lies in those files that are decoded without GDAL; of strips they are many."""
        ours = [] if self.chunks else [one for one in self.files if one.decoder == TIFF]
        own = self.dates * sum(INDEX_FILE_BYTES + INDEX_BYTES * one.tiles for one in ours)
        return own + sum(one.index_bytes for one in self.others)

    @property
    def opened_count(self) -> int:
        """Files that GDAL opens for a block."""
        return self.dates * len(self._opened) + sum(one.opened_count for one in self.others)

    @property
    def _opened(self) -> list[StoredFile]:
        """Those of a date that GDAL opens."""
        return [] if self.chunks else [one for one in self.files if one.decoder != TIFF]


INDEX_BYTES, INDEX_FILE_BYTES = 16, 2_000
"""Memory of a tile's place in its file, and of the file's other words."""
FILE_BYTES = 40_000
"""Memory of an open file besides its tiles (29 kB measured)."""


def _chunks(series: TileSeries) -> Iterator[StoredFile]:
    """The chunks of the prepared series that is read, if any: with all dates, of which a StoredFile counts one."""
    if series.prepared is None:
        return
    bands = [series.prepared.bands[name] for name in series.bands]
    for ratio, array in [*bands, (1, series.prepared.validity)]:
        rows, cols = (side * ratio for side in array.chunk)
        ring = REACH[series.resampling] * ratio if ratio > 1 else 0
        yield StoredFile(rows, cols, array.scratch_bytes // len(series.acquisitions), ring, decoder=CHUNKS)


def _stored(placed: PlacedFile, reach: int) -> StoredFile:
    layout, scale = layout_of(placed.path), placed.scale
    return StoredFile(
        max(1, round(layout.rows * scale)),
        max(1, round(layout.cols * scale)),
        layout.rows * layout.cols * layout.dtype.itemsize,
        round(reach * scale),
        reach == 1,
        layout.decoder,
        layout.count,
    )
