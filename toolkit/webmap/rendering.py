"""A layer as a picture in the projection of web maps: one view, or one of the squares a web map is made of.

Classes keep their exact colours and true values: the nearest pixel of the file or of its overviews, never a mixture.
Other values are averaged where several fall on a pixel of the picture; where the picture is finer than the file, the
file's own pixels are shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import rasterio
from affine import Affine
from PIL import Image
from rasterio.dtypes import in_dtype_range
from rasterio.enums import Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from toolkit.ground.errors import ProductError
from toolkit.webmap.layers import RasterLayer
from toolkit.webmap.painting import as_png, painted
from toolkit.webmap.sources import WEB_MERCATOR, Rectangle, Source, reduction, source_of

try:
    from rasterio._err import CPLE_BaseError
except ImportError:  # its place is not promised; GDAL's failures to warp would then be shown as defects
    CPLE_BaseError = RasterioError

SQUARE = 256
"""Pixels across a square."""
FINEST = 24
"""The deepest zoom there are squares for."""
LARGEST = 4096
"""Width and height of a picture at most."""
CACHE = 256 * 2**20
"""Bytes that GDAL keeps of blocks read, over all threads."""

_EDGE = math.pi * 6378137
"""Half the width of the world, metres of `WEB_MERCATOR`."""

Bounds = tuple[tuple[float, float], tuple[float, float]]
"""South-west and north-east corner, each (latitude, longitude), degrees."""

Layers = RasterLayer | Sequence[RasterLayer]
"""One layer, or several one over another, the lowest first."""


def bounds_of(layers: Layers) -> Bounds:
    """Where layers lie.

    Raises:
        ProductError: a file of a layer is absent or cannot be read.
    """
    rectangles = []
    for layer in _several(layers):
        with _explained(layer):
            rectangles += [source_of(file).bounds for file in layer.files]
    west, south, east, north = transform_bounds(WEB_MERCATOR, "EPSG:4326", *_around(rectangles))
    return (south, west), (north, east)


def square(layers: Layers, z: int, x: int, y: int) -> bytes | None:
    """The picture (PNG) of a square of 256 x 256 pixels; None where it shows nothing, or there is no such square.

    Args:
        z, x, y: zoom, column from the west and row from the north, as web maps count them.

    Raises:
        ProductError: a file of the layer is absent or cannot be read.
    """
    if not (0 <= z <= FINEST and 0 <= x < 2**z and 0 <= y < 2**z):
        return None
    size = 2 * _EDGE / 2**z
    west, north = x * size - _EDGE, _EDGE - y * size
    return render(layers, (west, north - size, west + size, north), SQUARE, SQUARE)


def render(layers: Layers, bounds3857: Rectangle, width: int, height: int) -> bytes | None:
    """The picture (PNG) of a view; None where it shows nothing of the layers.

    Args:
        bounds3857: west, south, east and north, metres of `WEB_MERCATOR`.
        width, height: pixels, 1 to `LARGEST`.

    Raises:
        ProductError: a file of a layer is absent or cannot be read.
    """
    west, south, east, north = bounds3857
    if not (west < east and south < north and 0 < width <= LARGEST and 0 < height <= LARGEST):
        raise ValueError(f"no view: {bounds3857}, {width} x {height} pixels (at most {LARGEST})")
    view = View(bounds3857, width, height)
    pictures = [_picture(layer, view) for layer in _several(layers)]
    return as_png([picture for picture in pictures if picture is not None])


@dataclass(frozen=True)
class View:
    """A part of the web map in pixels."""

    bounds: Rectangle
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        west, south, east, north = self.bounds
        return Affine((east - west) / self.width, 0, west, 0, (south - north) / self.height, north)


def _picture(layer: RasterLayer, view: View) -> Image.Image | None:
    """A layer in its colours; None where none of it is in view."""
    with _explained(layer), rasterio.Env(GDAL_CACHEMAX=CACHE):
        sources = [source_of(file) for file in layer.files]
        if not all(_meet(source.bounds, view.bounds) for source in sources):
            return None
        bands = [_warped(source, layer, view) for source in sources]
    visible = np.logical_and.reduce([seen for _, seen in bands])
    return painted(layer.style, [values for values, _ in bands], visible) if visible.any() else None


def _warped(source: Source, layer: RasterLayer, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Values and whether there are any, each (y, x)."""
    nodata = _nodata(source, layer)
    wanted = view.transform.a / source.pixel
    dataset = reduction(source, wanted, nodata, layer.averaged)
    options = {"crs": WEB_MERCATOR, "transform": view.transform, "width": view.width, "height": view.height}
    resampling = Resampling.bilinear if layer.averaged and wanted > 1 else Resampling.nearest
    with WarpedVRT(dataset, src_nodata=nodata, add_alpha=True, resampling=resampling, **options) as warped:
        values, alpha = warped.read([1, warped.count], window=Window(0, 0, view.width, view.height))
    return values, (alpha > 0) & np.isfinite(values)


def _nodata(source: Source, layer: RasterLayer) -> float | None:
    """The value that means "no data" in this file; None where no pixel can have it."""
    value = source.nodata if layer.nodata is None else layer.nodata
    if np.dtype(source.dtype).kind == "f":
        return float("nan") if value is None else value
    return value if value is not None and in_dtype_range(value, source.dtype) else None


@contextmanager
def _explained(layer: RasterLayer) -> Iterator[None]:
    try:
        yield
    except (RasterioError, CRSError, CPLE_BaseError) as error:
        names = ", ".join(map(str, layer.files))
        raise ProductError(f"{names} cannot be read ({error}); make it again, or take its layer away") from error


def _several(layers: Layers) -> Sequence[RasterLayer]:
    return [layers] if isinstance(layers, RasterLayer) else layers


def _meet(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _around(rectangles: list[Rectangle]) -> Rectangle:
    west, south, east, north = zip(*rectangles, strict=True)
    return min(west), min(south), max(east), max(north)
