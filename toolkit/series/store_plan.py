"""How a prepared series is cut into arrays, shards and chunks, and which part of a tile it covers."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from odc.geo.geobox import GeoBox

from toolkit.ground.errors import ProductError
from toolkit.ground.grid import Block, aligned_blocks
from toolkit.products.handles import close_rasters, open_raster
from toolkit.products.raster import grid_of
from toolkit.series.prepared import VALIDITY, Sides
from toolkit.series.timeseries import TileSeries

STRIP_CHUNK = 16, 128
"""Rows and columns of a chunk of what is on the tile's grid, unpacked a strip of rows at a time: what a chunk is packed
into, and what comes out of it, fit a core's own cache together."""
COARSE_CHUNK = 64
"""Rows and columns of a chunk of a coarser band, in pixels of the tile's grid. A part of a block is read with a ring of
20 m pixels around it, and whole chunks are unpacked for it: larger ones cost more there, smaller ones everywhere."""
MARGIN = 64
"""Pixels beyond an area of interest that are prepared too, for what looks beyond the edge of a block."""
SHARD_BYTES = 64 * 2**20
"""Size of a shard in memory, about; it has the files' own tiles whole."""
MOST_SHARD_BYTES = 4 * SHARD_BYTES
"""Size of a shard in memory above which the files' tiles are rather cut, and decoded more than once."""
SHARD_COPIES = 4
"""Memory of a worker over that of its shard, which is there as values, cut into chunks, and packed (3.6 measured)."""


@dataclass(frozen=True)
class ArrayPlan:
    """An array that is to be written."""

    name: str
    ratio: int
    """Pixels of the grid for one of its own, along each axis."""
    shape: tuple[int, int]
    shard: tuple[int, int]
    bytes: int
    """Of a pixel on one date."""

    @property
    def chunk(self) -> tuple[int, int]:
        """Rows and columns of a chunk, in its own pixels."""
        return _chunk(self.ratio)

    def blocks(self) -> list[Block]:
        """Its shards, in its own pixels."""
        return list(aligned_blocks(self.shape, self.shard, (0, 0)))


@dataclass(frozen=True)
class StorePlan:
    """What will be written for a tile, and where it lies."""

    row: int
    """Row of the series' grid at which that of the store begins."""
    col: int
    grid: GeoBox
    open_sides: Sides
    arrays: tuple[ArrayPlan, ...]
    dates: int
    share: float
    """Of the ground that the products cover."""

    @classmethod
    def of(cls, series: TileSeries) -> StorePlan:
        """Look at the header of every file.

        Raises:
            ProductError: a file cannot be read, products of one name, or a band that is not stored alike on all dates.
        """
        names = [one.product.name for one in series.acquisitions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ProductError(f"tile {series.tile}: two products are called {twice[0]}; take one of the folders away")
        extents = _extents(series)
        rows, cols = (_span(series, extents, axis) for axis in (0, 1))
        start, stop = (rows[0], cols[0]), (rows[1], cols[1])
        sides = (rows[2], cols[2], rows[3], cols[3])
        grid = Block(*start, stop[0] - start[0], stop[1] - start[1]).of(series.grid)
        arrays = [_plan_band(series, band, start, grid) for band in range(len(series.bands))]
        masks = [one for _, one in series.acquisitions[0].masks]
        like = next((one for one in masks if one.scale == 1), series.acquisitions[0].bands[0][1])
        arrays.append(_plan_array(VALIDITY, 1, 1, like.path, grid, len(names)))
        whole = [max(one[axis][1] for one in extents) - min(one[axis][0] for one in extents) for axis in (0, 1)]
        share = min(1.0, grid.shape[0] * grid.shape[1] / (whole[0] * whole[1]))
        return cls(*start, grid, sides, tuple(arrays), len(names), share)

    @property
    def worker_bytes(self) -> int:
        """Memory of one who reads, packs and writes a shard."""
        largest = max(one.bytes * one.shard[0] * one.shard[1] for one in self.arrays)
        return SHARD_COPIES * self.dates * largest

    @property
    def bytes(self) -> int:
        """Of all values, not compressed."""
        return self.dates * sum(one.bytes * one.shape[0] * one.shape[1] for one in self.arrays)


Extent = tuple[tuple[int, int], tuple[int, int]]
"""First row and the one after the last; the same of columns: in pixels of the series' grid."""


def _extents(series: TileSeries) -> list[Extent]:
    """What every file of a band covers."""
    placed = [one for acquisition in series.acquisitions for _, one in acquisition.bands]

    def shape(path: Path) -> tuple[int, int]:
        try:
            return grid_of(path).shape
        finally:
            close_rasters()

    with ThreadPoolExecutor(8) as pool:
        shapes = list(pool.map(shape, (one.path for one in placed)))
    return [
        ((one.row, one.row + round(height * one.scale)), (one.col, one.col + round(width * one.scale)))
        for one, (height, width) in zip(placed, shapes, strict=True)
    ]


def _span(series: TileSeries, extents: list[Extent], axis: int) -> tuple[int, int, bool, bool]:
    """First row or column of the store and the one after its last, and whether there is nothing beyond either."""
    first, last = min(one[axis][0] for one in extents), max(one[axis][1] for one in extents)
    # Chunks begin where the coarsest file does, so that their lines are lines of its tiles.
    step = math.lcm(COARSE_CHUNK, STRIP_CHUNK[axis])
    coarsest = max((one for _, one in series.acquisitions[0].bands), key=lambda one: one.scale)
    origin = (coarsest.row, coarsest.col)[axis]
    start = origin + (max(first, -MARGIN) - origin) // step * step
    stop = min(last, start + _rounded_up(series.grid.shape[axis] + MARGIN - start, step))
    return start, stop, start <= first, stop >= last


def _plan_band(series: TileSeries, band: int, start: tuple[int, int], grid: GeoBox) -> ArrayPlan:
    """How a band is written, which is stored alike on all dates."""
    placed = [one.bands[band][1] for one in series.acquisitions]
    ratio, name = int(placed[0].scale), series.bands[band]
    for one in placed:
        apart = (one.row - start[0]) % ratio or (one.col - start[1]) % ratio
        if one.scale != ratio or apart or COARSE_CHUNK % ratio:
            raise ProductError(
                f"{one.path.name} cannot be prepared together with {placed[0].path.name}: the pixels of {name} are "
                "of another size, or between those of the other; leave one of the dates out, or read the images"
            )
    return _plan_array(name, ratio, 2, placed[0].path, grid, len(placed))


def _plan_array(name: str, ratio: int, size: int, like: Path, grid: GeoBox, dates: int) -> ArrayPlan:
    """An array in shards that hold the tiles of a file like this one whole, where that is possible."""
    shape = (-(-grid.shape[0] // ratio), -(-grid.shape[1] // ratio))
    try:
        tile = open_raster(like).block_shapes[0]
    finally:
        close_rasters()
    rows, cols = chunk = _chunk(ratio)
    most = [_rounded_up(length, side) for length, side in zip(shape, chunk, strict=True)]
    whole = [_rounded_up(length, side) for length, side in zip(tile, chunk, strict=True)]
    base = [min(one, limit) for one, limit in zip(whole, most, strict=True)]
    height, width = _grown(base, most, SHARD_BYTES // (size * dates))
    while height * width * size * dates > MOST_SHARD_BYTES and (height, width) != chunk:
        if height > rows and (height >= width or width == cols):
            height = _rounded_up(-(-height // 2), rows)
        else:
            width = _rounded_up(-(-width // 2), cols)
    return ArrayPlan(name, ratio, shape, (height, width), size)


def _chunk(ratio: int) -> tuple[int, int]:
    """Rows and columns of a chunk of a band by its ratio, in its own pixels."""
    return STRIP_CHUNK if ratio == 1 else (COARSE_CHUNK // ratio, COARSE_CHUNK // ratio)


def _grown(base: list[int], most: list[int], pixels: int) -> tuple[int, int]:
    """A multiple of a size, near to a square of so many pixels as far as there is room."""
    size = list(base)
    while size[0] * size[1] < pixels and size != most:
        axis = min((0, 1), key=lambda one: (size[one] == most[one], size[one]))
        size[axis] = min(size[axis] + base[axis], most[axis])
    return size[0], size[1]


def _rounded_up(length: int, step: int) -> int:
    return -(-length // step) * step
