"""Read windows of raster files, whatever product they belong to.

The images of a series are read by `read_into`: most of them without GDAL (see `tiff.py`). All else, and what is read of
a file once, goes through GDAL's handles (see `handles.py`).
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from toolkit.ground.errors import ProductError
from toolkit.ground.grid import crop, offset, project_bounds
from toolkit.products.handles import open_raster, shared_raster, unreadable
from toolkit.products.layout import GDAL, JPEG_2000, FileLayout
from toolkit.products.tiff import PROBLEMS, DamagedTile, tiff_tiles

LOG = logging.getLogger(__name__)

Area = tuple[float, float, float, float] | None
"""West, south, east, north in degrees; None for all there is."""


def grid_of(path: Path) -> GeoBox:
    """The pixel grid of a raster.

    Raises:
        ProductError: the file is absent, unreadable or without CRS.
    """
    dataset = open_raster(path)
    if dataset.crs is None:
        raise ProductError(f"{path} has no coordinate reference system; set it with `gdal_edit.py -a_srs`")
    return GeoBox.from_rio(dataset)


def read_window(
    path: Path, row: int, col: int, height: int, width: int, fill: float, *, all_bands: bool = False, number: int = 1
) -> np.ndarray:
    """A band over a window in the file's own pixels, shape (height, width); `fill` beyond the file's edges.

    Args:
        all_bands: every band instead, shape (band, height, width).
        number: which band, from 1 on.

    Raises:
        ProductError: the file cannot be read there, most often because it is cut short.
    """
    dataset = open_raster(path)
    shape = (dataset.count, height, width) if all_bands else (height, width)
    array = np.empty(shape, dtype=dataset.dtypes[0])
    _read(dataset, array, path, row, col, fill, number)
    return array


def layout_of(path: Path) -> FileLayout:
    """How a file is laid out.

    Raises:
        ProductError: absent, or not a raster that can be read.
    """
    with held(path) as layout:
        return layout


@contextmanager
def held(path: Path) -> Iterator[FileLayout]:
    """How a file is laid out, which is then read several times; a handle of GDAL's stays this thread's meanwhile.

    Raises:
        ProductError: absent, or not a raster that can be read.
    """
    if (tiles := tiff_tiles(path)) is not None:
        yield tiles.layout
        return
    with shared_raster(path) as dataset:
        yield _layout(dataset)


def _layout(dataset: DatasetReader) -> FileLayout:
    (rows, cols), dtype = dataset.block_shapes[0], np.dtype(dataset.dtypes[0])
    decoder = JPEG_2000 if dataset.driver.startswith("JP2") else GDAL
    return FileLayout(dataset.height, dataset.width, rows, cols, dtype, decoder)


def read_into(out: np.ndarray, path: Path, row: int, col: int, fill: float, number: int = 1) -> None:
    """As `read_window`, into an array or a view of one, by whoever decodes the file fastest.

    Args:
        out: (y, x), of the file's own type.

    Raises:
        ProductError: as of `read_window`.
    """
    tiles = tiff_tiles(path)
    if tiles is not None and number == 1:
        try:
            tiles.read(out, row, col, fill)
            return
        except DamagedTile as error:
            raise ProductError(unreadable(path, error)) from None
        except PROBLEMS as error:
            LOG.debug("%s: %s; GDAL reads it", path, error)
    with shared_raster(path) as dataset:
        _read(dataset, out, path, row, col, fill, number)


def _read(dataset: DatasetReader, out: np.ndarray, path: Path, row: int, col: int, fill: float, number: int) -> None:
    inside, rows, cols = _layout(dataset).inside(out, row, col, fill)
    if not inside.size:
        return
    try:
        dataset.read(number if out.ndim == 2 else None, window=Window.from_slices(rows, cols), out=inside)
    except RasterioError as error:
        raise ProductError(unreadable(path, error.__cause__ or error)) from None


def read_thinned(
    path: Path,
    most: int,
    area: Area = None,
    *,
    like: tuple[int, int] | None = None,
    number: int = 1,
    codes: bool = False,
) -> np.ndarray:
    """A band, or its part in an area, thinned out by leaving pixels out, (y, x); empty where the area is elsewhere.

    Args:
        most: rows and columns at most.
        like: the shape to give instead, of another file of the same ground.
        number: which band, from 1 on.
        codes: whether values are codes: those that the file holds reduced are not looked at then, which in JPEG 2000
            are means.

    Raises:
        ProductError: the file cannot be read.
    """
    dataset, grid = open_raster(path), grid_of(path)
    part = crop(grid, project_bounds(area, "EPSG:4326", grid.crs)) if area else grid
    if part is None:
        return np.empty((0, 0), dtype=dataset.dtypes[0])
    row, col = offset(part, grid)
    height, width = part.shape
    window, shape = Window(round(col), round(row), width, height), like or (min(most, height), min(most, width))
    try:
        if not codes:
            return dataset.read(number, window=window, out_shape=shape)
        with rasterio.open(path, OVERVIEW_LEVEL="NONE") as whole:
            return whole.read(number, window=window, out_shape=shape)
    except RasterioError as error:
        raise ProductError(unreadable(path, error.__cause__ or error)) from None


def check_integer(path: Path) -> None:
    """Refuse a band or mask of decimal numbers, of which whole numbers would leave nothing.

    Raises:
        ProductError: the file holds floating-point values.
    """
    kind = np.dtype(open_raster(path).dtypes[0])
    if kind.kind not in "iu":
        raise ProductError(
            f"{path} holds {kind} values; whole numbers are needed (reflectance x 10000); fetch the file again, or "
            "convert it with gdal_translate -ot Int16 -scale 0 1 0 10000"
        )


def check_band(path: Path, number: int, nodata: float) -> None:
    """Refuse a file that has fewer bands than are read of it, or that cannot hold the value for no data.

    Raises:
        ProductError: with how many it has, or its type.
    """
    dataset = open_raster(path)
    count, kind = dataset.count, np.dtype(dataset.dtypes[0])
    if kind.kind in "iu" and not (np.iinfo(kind).min <= nodata <= np.iinfo(kind).max and nodata == int(nodata)):
        raise ProductError(
            f"{path} holds {kind} values, which {nodata:g} is none of; mend `nodata` of its source in the data catalog"
        )
    if count < number:
        raise ProductError(
            f"{path} has {count} band{'s' * (count > 1)}, and band {number} is wanted of it; mend `bands` of its "
            "source in the data catalog, or fetch the file again"
        )


def check_whole(path: Path) -> None:
    """Notice a GeoTIFF or JPEG 2000 that is shorter than it says of itself, without reading its pixels.

    Raises:
        ProductError: the file is cut short.
    """
    dataset = open_raster(path)
    if dataset.driver.startswith("JP2") and _ends_amid_a_box(path):
        raise ProductError(unreadable(path, "it is cut short"))
    if dataset.driver != "GTiff":
        return
    height, width = dataset.block_shapes[0]
    last = f"{-(-dataset.width // width) - 1}_{-(-dataset.height // height) - 1}"
    start = dataset.get_tag_item(f"BLOCK_OFFSET_{last}", "TIFF", bidx=1)
    length = dataset.get_tag_item(f"BLOCK_SIZE_{last}", "TIFF", bidx=1)
    if start and length and int(start) + int(length) > path.stat().st_size:
        raise ProductError(unreadable(path, "it is cut short"))


def _ends_amid_a_box(path: Path) -> bool:
    """Whether a JPEG 2000 file, boxes one after the other, ends before its last box does (ISO 15444-1, annex I)."""
    at, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            length, kind = struct.unpack(">I4s", file.read(8))
            if at == 0 and kind != b"jP  ":  # the bare code stream
                return False
            if length == 0:  # to the end of the file, where a code stream has its last marker
                file.seek(-2, os.SEEK_END)
                return bool(kind == b"jp2c" and file.read(2) != b"\xff\xd9")
            at += struct.unpack(">Q", file.read(8))[0] if length == 1 else max(length, 8)
    return at > size
