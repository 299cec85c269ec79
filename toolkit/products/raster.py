"""Read windows of raster files, whatever product they belong to.

Files stay open between blocks (each thread has its own handles, for GDAL's are not shared), up to a bound.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from toolkit.ground.errors import ProductError

OPEN_FILES = 2000
"""Handles that a thread keeps open."""

_open = threading.local()


def open_raster(path: Path) -> DatasetReader:
    """A handle of this thread on the file, kept open for the next block.

    Raises:
        ProductError: absent, or not a raster that can be read.
    """
    if not hasattr(_open, "files"):
        _open.files = OrderedDict()
    files: OrderedDict[Path, DatasetReader] = _open.files
    if path in files:
        files.move_to_end(path)
        return files[path]
    try:
        dataset = rasterio.open(path)
    except RasterioError as error:
        raise ProductError(_unreadable(path, error)) from None
    files[path] = dataset
    if len(files) > OPEN_FILES:
        files.popitem(last=False)[1].close()
    return dataset


def close_rasters() -> None:
    """Close this thread's handles."""
    while getattr(_open, "files", None):
        _open.files.popitem()[1].close()


def grid_of(path: Path) -> GeoBox:
    """The pixel grid of a raster.

    Raises:
        ProductError: the file is absent, unreadable or without CRS.
    """
    dataset = open_raster(path)
    if dataset.crs is None:
        raise ProductError(f"{path} has no coordinate reference system; set it with `gdal_edit.py -a_srs`")
    return GeoBox(dataset.shape, dataset.transform, dataset.crs)


def read_window(path: Path, row: int, col: int, height: int, width: int, fill: float) -> np.ndarray:
    """Band 1 over a window in the file's own pixels, shape (height, width); `fill` beyond the file's edges.

    Raises:
        ProductError: the file cannot be read there, most often because it is cut short.
    """
    dataset = open_raster(path)
    rows = slice(max(row, 0), min(row + height, dataset.height))
    cols = slice(max(col, 0), min(col + width, dataset.width))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return np.full((height, width), fill, dtype=dataset.dtypes[0])
    try:
        inside = dataset.read(1, window=Window.from_slices(rows, cols))
    except RasterioError as error:
        raise ProductError(_unreadable(path, error)) from None
    if inside.shape == (height, width):
        return inside
    array = np.full((height, width), fill, dtype=inside.dtype)
    array[rows.start - row : rows.stop - row, cols.start - col : cols.stop - col] = inside
    return array


def check_whole(path: Path) -> None:
    """Notice a GeoTIFF that is shorter than its own directory says, without reading its pixels.

    Raises:
        ProductError: the file is cut short.
    """
    dataset = open_raster(path)
    if dataset.driver != "GTiff":
        return
    height, width = dataset.block_shapes[0]
    last = f"{-(-dataset.width // width) - 1}_{-(-dataset.height // height) - 1}"
    start = dataset.get_tag_item(f"BLOCK_OFFSET_{last}", "TIFF", bidx=1)
    length = dataset.get_tag_item(f"BLOCK_SIZE_{last}", "TIFF", bidx=1)
    if start and length and int(start) + int(length) > path.stat().st_size:
        raise ProductError(_unreadable(path, "it is cut short"))


def _unreadable(path: Path, reason: object) -> str:
    if not path.exists():
        return f"{path} does not exist; deliver the file again, or take its product folder away"
    size = path.stat().st_size
    return f"{path} cannot be read ({reason}; {size:,} bytes); fetch the file again, or take its product folder away"
