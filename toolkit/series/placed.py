"""A file of a product on the grid of its tile, and windows of that grid read from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.ground.bands import NODATA
from toolkit.ground.grid import Block
from toolkit.products.edges import EdgeStore
from toolkit.products.masks import MaskFile
from toolkit.products.product import BandFile
from toolkit.products.raster import read_window
from toolkit.series.resampling import REACH, Method, upsample


@dataclass(frozen=True)
class PlacedFile:
    """A raster file placed on the grid of its tile, in whole pixels."""

    path: Path
    row: int
    """Grid row of the file's first row."""
    col: int
    scale: float
    """Grid pixels for one pixel of the file: 1, 2 (20 m on 10 m), or 0.5 (10 m on 20 m)."""


def read_band(
    band: BandFile, placed: PlacedFile, block: Block, method: Method, edges: EdgeStore | None = None
) -> np.ndarray:
    """A band over a block of the grid, int16 (y, x)."""
    row, col = block.row - placed.row, block.col - placed.col
    if placed.scale == 1:
        return band.to_reflectance(read_window(placed.path, row, col, block.height, block.width, band.nodata))
    ratio, reach = int(placed.scale), REACH[method]
    (top, height), (left, width) = coarse_span(row, block.height, ratio), coarse_span(col, block.width, ratio)
    window = (top - reach, left - reach, height + 2 * reach, width + 2 * reach)
    if edges is not None and reach == 1:
        read = edges.read(placed.path, top, left, height, width, band.nodata)
    else:
        read = read_window(placed.path, *window, fill=band.nodata)
    coarse = band.to_reflectance(read)
    skip = (row - top * ratio, col - left * ratio)
    return upsample(coarse, ratio, skip, (block.height, block.width), method, NODATA)


def read_native(band: BandFile, placed: PlacedFile, window: Block) -> np.ndarray:
    """A band over a window in the file's own pixels, int16 (y, x); `NODATA` beyond its edges."""
    return band.to_reflectance(
        read_window(placed.path, window.row, window.col, window.height, window.width, band.nodata)
    )


def read_mask(mask: MaskFile, placed: PlacedFile, block: Block) -> np.ndarray:
    """Usable pixels of a mask over a block of the grid, bool (y, x); beyond the mask's edge all are usable."""
    row, col = block.row - placed.row, block.col - placed.col
    if placed.scale < 1:
        return _read_finer_mask(mask, placed, block)
    ratio = int(placed.scale)
    (top, height), (left, width) = coarse_span(row, block.height, ratio), coarse_span(col, block.width, ratio)
    clear = mask.is_clear(read_window(placed.path, top, left, height, width, fill=0))
    rows, cols = row - top * ratio, col - left * ratio
    fine = clear.repeat(ratio, axis=0).repeat(ratio, axis=1) if ratio > 1 else clear
    return fine[rows : rows + block.height, cols : cols + block.width]


def _read_finer_mask(mask: MaskFile, placed: PlacedFile, block: Block) -> np.ndarray:
    """A pixel of the grid is usable where every pixel of the finer mask in it is."""
    ratio = round(1 / placed.scale)
    row, col = (block.row - placed.row) * ratio, (block.col - placed.col) * ratio
    fine = mask.is_clear(read_window(placed.path, row, col, block.height * ratio, block.width * ratio, fill=0))
    return np.asarray(fine.reshape(block.height, ratio, block.width, ratio).all(axis=(1, 3)))


def coarse_span(start: int, length: int, ratio: int) -> tuple[int, int]:
    """First coarse pixel, and how many, that cover these fine pixels."""
    first = start // ratio
    return first, -(-(start + length) // ratio) - first
