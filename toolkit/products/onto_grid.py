"""Any raster, such as an elevation model, on the pixel grid of a tile.

A value is computed for the middle of each pixel from the grid of the whole tile, so that a block gives the same bits as
the whole. (A warp of a block by GDAL does not: its places come from the block's own corner.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from toolkit.ground.grid import Block
from toolkit.products.handles import open_raster
from toolkit.products.raster import grid_of, read_window


def read_onto_grid(path: Path, grid: GeoBox, block: Block) -> np.ndarray:
    """Band 1 of a raster over a block of a grid, by bilinear interpolation between the middles of its pixels.

    Args:
        path: in any coordinate system, of any pixel size.
        block: may reach beyond the grid.

    Returns:
        float32 (y, x); NaN where the raster ends, or one of the pixels around has no value.

    Raises:
        ProductError: the raster is absent, cannot be read, or has no coordinate system.
    """
    source = grid_of(path)
    rows, cols = _places(source, grid, block)
    inside = (rows >= -0.5) & (rows <= source.shape[0] - 0.5) & (cols >= -0.5) & (cols <= source.shape[1] - 0.5)
    if not inside.any():
        return np.full(inside.shape, np.nan, dtype=np.float32)
    # The outermost half pixel has the value of its own pixel.
    rows = np.clip(rows, 0, source.shape[0] - 1)
    cols = np.clip(cols, 0, source.shape[1] - 1)
    top, left = (np.floor(axis).astype(np.int64) for axis in (rows, cols))
    first = int(top[inside].min()), int(left[inside].min())
    size = int(top[inside].max()) - first[0] + 2, int(left[inside].max()) - first[1] + 2
    values = _read(path, *first, *size)
    row, col = np.where(inside, top - first[0], 0), np.where(inside, left - first[1], 0)
    down, right = rows - top, cols - left
    corners = ((row, col, (1 - down) * (1 - right)), (row, col + 1, (1 - down) * right),
               (row + 1, col, down * (1 - right)), (row + 1, col + 1, down * right))  # fmt: skip
    result = sum(np.where(weight > 0, values[at_row, at_col] * weight, 0) for at_row, at_col, weight in corners)
    return np.where(inside, result, np.nan).astype(np.float32)


def read_nearest(path: Path, grid: GeoBox, block: Block) -> np.ndarray:
    """Band 1 of a raster over a block of a grid, of the pixel that holds each middle: for codes and masks.

    Args, Raises: as `read_onto_grid`.

    Returns:
        float64 (y, x); NaN where the raster ends or has no value.
    """
    source = grid_of(path)
    rows, cols = (np.floor(axis + 0.5).astype(np.int64) for axis in _places(source, grid, block))
    inside = (rows >= 0) & (rows < source.shape[0]) & (cols >= 0) & (cols < source.shape[1])
    if not inside.any():
        return np.full(inside.shape, np.nan)
    first = int(rows[inside].min()), int(cols[inside].min())
    size = int(rows[inside].max()) - first[0] + 1, int(cols[inside].max()) - first[1] + 1
    values = _read(path, *first, *size)
    return np.where(inside, values[np.where(inside, rows - first[0], 0), np.where(inside, cols - first[1], 0)], np.nan)


def _places(source: GeoBox, grid: GeoBox, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """Row and column in the source of the middle of each pixel of a block; 0 is the middle of the first pixel."""
    col, row = np.meshgrid(np.arange(block.width) + block.col + 0.5, np.arange(block.height) + block.row + 0.5)
    x, y = grid.affine * (col, row)
    if source.crs != grid.crs:
        x, y = Transformer.from_crs(str(grid.crs), str(source.crs), always_xy=True).transform(x, y)
    cols, rows = ~source.affine * (x, y)
    return np.asarray(rows) - 0.5, np.asarray(cols) - 0.5


def _read(path: Path, row: int, col: int, height: int, width: int) -> np.ndarray:
    """A window in float64, NaN where there is no value."""
    dataset = open_raster(path)
    fill = dataset.nodata if dataset.nodata is not None else 0
    values = read_window(path, row, col, height, width, fill=fill)
    found = values.astype(np.float64)
    if dataset.nodata is not None:
        found[values == dataset.nodata] = np.nan
    return found
