"""A file of a product on the grid of its tile, and windows of that grid read from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.ground.bands import NODATA
from toolkit.ground.grid import Block
from toolkit.products.edges import EdgeStore
from toolkit.products.masks import MaskFile
from toolkit.products.product import BandFile
from toolkit.products.raster import held, read_into
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.resampling import REACH, Method, upsample_dates


@dataclass(frozen=True)
class PlacedFile:
    """A raster file placed on the grid of its tile, in whole pixels."""

    path: Path
    row: int
    """Grid row of the file's first row."""
    col: int
    scale: float
    """Grid pixels for one pixel of the file: 1, 2 (20 m on 10 m), or 0.5 (10 m on 20 m)."""


@dataclass(frozen=True)
class CoarseWindow:
    """The pixels of a band coarser than the grid that a block of the grid is made of."""

    around: Block
    """In the band's own pixels, with those around that interpolation looks at."""
    ratio: int
    """Pixels of the grid for one of them along each axis."""
    reach: int
    """How many are around on each side."""
    skip: tuple[int, int]
    """Rows and columns of the grid between the edge of the first that is not around, and the block."""

    @classmethod
    def of(cls, block: Block, ratio: int, method: Method) -> CoarseWindow:
        """That of a block which is counted from the band's first pixel on."""
        top, height = coarse_span(block.row, block.height, ratio)
        left, width = coarse_span(block.col, block.width, ratio)
        reach, skip = REACH[method], (block.row - top * ratio, block.col - left * ratio)
        return cls(Block(top, left, height, width).padded(reach), ratio, reach, skip)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, those around included."""
        return self.around.height, self.around.width


def coarse_window(placed: PlacedFile, block: Block, method: Method) -> CoarseWindow:
    """The pixels of a file coarser than the grid that a block is made of."""
    from_file = Block(block.row - placed.row, block.col - placed.col, block.height, block.width)
    return CoarseWindow.of(from_file, int(placed.scale), method)


def read_band(
    band: BandFile, placed: PlacedFile, block: Block, method: Method, out: np.ndarray, edges: EdgeStore | None = None
) -> None:
    """Read a band over a block of the grid into int16 (y, x), C-contiguous."""
    if placed.scale == 1:
        with _stored(band, placed, out) as stored:
            read_into(stored, placed.path, block.row - placed.row, block.col - placed.col, band.nodata, band.number)
        return
    window = coarse_window(placed, block, method)
    coarse = np.empty(window.shape, np.int16)
    read_coarse(band, placed, window, coarse, edges)
    upsample_dates(coarse[None], window.ratio, window.skip, method, NODATA, out[None, None], 0)


def read_coarse(
    band: BandFile, placed: PlacedFile, window: CoarseWindow, out: np.ndarray, edges: EdgeStore | None = None
) -> None:
    """Read a band that is coarser than the grid into int16 of the window's shape, in its own pixels."""
    row, col = window.around.row, window.around.col
    with _stored(band, placed, out) as stored:
        if edges is not None and window.reach == 1 and band.number == 1:
            edges.read_into(stored, placed.path, row + 1, col + 1, band.nodata)
        else:
            read_into(stored, placed.path, row, col, band.nodata, band.number)


@contextmanager
def _stored(band: BandFile, placed: PlacedFile, out: np.ndarray) -> Iterator[np.ndarray]:
    """Room for what a file holds: `out` itself where that is reflectance already, else brought into it afterwards."""
    with held(placed.path) as layout:
        stored = out
        if layout.dtype != out.dtype or not band.is_reflectance:
            stored = np.empty(out.shape, layout.dtype)
        yield stored
    if stored is not out:
        out[...] = band.to_reflectance(stored)


def read_native(band: BandFile, placed: PlacedFile, window: Block) -> np.ndarray:
    """A band over a window in the file's own pixels, int16 (y, x); `NODATA` beyond its edges."""
    with held(placed.path) as layout:
        stored = np.empty((window.height, window.width), layout.dtype)
        read_into(stored, placed.path, window.row, window.col, band.nodata, band.number)
    return band.to_reflectance(stored)


def read_mask(mask: MaskFile, placed: PlacedFile, block: Block, buffer: SeriesBuffer | None = None) -> np.ndarray:
    """Usable pixels of a mask over a block of the grid, bool (y, x); beyond the mask's edge all are usable.

    Args:
        buffer: memory to use; what is returned may lie in it, until the next mask is read.
    """
    row, col = block.row - placed.row, block.col - placed.col
    if placed.scale < 1:
        return _read_finer_mask(mask, placed, block, buffer)
    ratio = int(placed.scale)
    (top, height), (left, width) = coarse_span(row, block.height, ratio), coarse_span(col, block.width, ratio)
    clear = _usable(mask, placed, Block(top, left, height, width), buffer)
    rows, cols = row - top * ratio, col - left * ratio
    fine = clear.repeat(ratio, axis=0).repeat(ratio, axis=1) if ratio > 1 else clear
    return fine[rows : rows + block.height, cols : cols + block.width]


def _read_finer_mask(mask: MaskFile, placed: PlacedFile, block: Block, buffer: SeriesBuffer | None) -> np.ndarray:
    """A pixel of the grid is usable where every pixel of the finer mask in it is."""
    ratio = round(1 / placed.scale)
    row, col = (block.row - placed.row) * ratio, (block.col - placed.col) * ratio
    fine = _usable(mask, placed, Block(row, col, block.height * ratio, block.width * ratio), buffer)
    return np.asarray(fine.reshape(block.height, ratio, block.width, ratio).all(axis=(1, 3)))


def _usable(mask: MaskFile, placed: PlacedFile, window: Block, buffer: SeriesBuffer | None) -> np.ndarray:
    """Usable pixels of a mask over a window in the file's own pixels."""
    room, shape = SeriesBuffer() if buffer is None else buffer, (window.height, window.width)
    with held(placed.path) as layout:
        stored = room.array("mask", shape, layout.dtype)
        read_into(stored, placed.path, window.row, window.col, fill=0)
    return mask.is_clear(stored, out=room.array("usable", shape, bool))


def coarse_span(start: int, length: int, ratio: int) -> tuple[int, int]:
    """First coarse pixel, and how many, that cover these fine pixels."""
    first = start // ratio
    return first, -(-(start + length) // ratio) - first
