"""A class map as a picture over a web map: warped to its projection, in the exact colours of the nomenclature."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform

from toolkit.ground.errors import ProductError
from toolkit.ground.nomenclature import Nomenclature

WEB_MERCATOR = "EPSG:3857"
"""The projection of web maps; a picture in it lies true between its corners."""

MOST_PIXELS = 2000
"""Width and height of a picture at most."""

GREY = (128, 128, 128, 255)
"""Colour of a code that is not in the nomenclature."""

Bounds = tuple[tuple[float, float], tuple[float, float]]
"""South-west and north-east corner, each (latitude, longitude), degrees."""


@dataclass(frozen=True)
class Picture:
    """A picture that lies on a web map."""

    png: bytes
    """Paletted PNG; transparent where the map has no class."""
    bounds: Bounds
    reduced: float
    """Width of a pixel of the picture in pixels of the map: 1, or more where the map is larger than the picture."""

    @property
    def url(self) -> str:
        """The picture as a data URL, so that no second port is needed."""
        return "data:image/png;base64," + b64encode(self.png).decode("ascii")


def picture_of(path: Path, nomenclature: Nomenclature, most_pixels: int = MOST_PIXELS) -> Picture:
    """A class map as a picture, nearest pixels only.

    Args:
        path: class codes, uint8, of any projection.
        most_pixels: width and height of the picture at most.

    Raises:
        ProductError: the map is absent or cannot be read.
    """
    try:
        with rasterio.open(path) as dataset:
            transform, width, height, reduced = _web_grid(dataset, most_pixels)
            options = {"crs": WEB_MERCATOR, "transform": transform, "width": width, "height": height, "nodata": 0}
            with WarpedVRT(dataset, src_nodata=dataset.nodata, resampling=Resampling.nearest, **options) as warped:
                codes = warped.read(1)
    except RasterioError as error:
        raise ProductError(f"the class map {path} cannot be read ({error}); make it again") from error
    return Picture(_png(codes, transform, nomenclature), _corners(transform, width, height), reduced)


def around(bounds: Iterable[Bounds]) -> Bounds:
    """The bounds that hold all of these."""
    corners = np.array(list(bounds))
    (south, west), (north, east) = corners[:, 0].min(axis=0), corners[:, 1].max(axis=0)
    return (float(south), float(west)), (float(north), float(east))


def view_of(bounds: Bounds, width: float, height: float) -> tuple[tuple[float, float], int]:
    """Centre and zoom of a web map of this size, pixels, that shows all of the bounds."""
    (south, west), (north, east) = bounds
    low, high = _mercator(south), _mercator(north)
    across = max((east - west) / 360 * 256, 1e-9)
    along = max((high - low) / (2 * math.pi) * 256, 1e-9)
    zoom = math.floor(math.log2(min(width / across, height / along)))
    middle = math.degrees(math.atan(math.sinh((low + high) / 2)))
    return (middle, (west + east) / 2), min(max(zoom, 0), 18)


def _web_grid(dataset: DatasetReader, most_pixels: int) -> tuple[Affine, int, int, float]:
    """Transform, width and height of the picture, and its pixel in pixels of the map."""
    transform, width, height = calculate_default_transform(
        dataset.crs, WEB_MERCATOR, dataset.width, dataset.height, *dataset.bounds
    )
    reduced = max(1.0, max(width, height) / most_pixels)
    smaller_width, smaller_height = max(1, round(width / reduced)), max(1, round(height / reduced))
    scale = Affine.scale(width / smaller_width, height / smaller_height)
    return transform * scale, smaller_width, smaller_height, reduced


def _png(codes: np.ndarray, transform: Affine, nomenclature: Nomenclature) -> bytes:
    colours = dict.fromkeys(np.unique(codes).tolist(), GREY) | nomenclature.colour_table()
    profile = {
        "driver": "PNG",
        "width": codes.shape[1],
        "height": codes.shape[0],
        "count": 1,
        "dtype": "uint8",
        "transform": transform,
    }
    with MemoryFile(ext=".png") as file:
        with file.open(**profile) as target:
            target.write(codes, 1)
            target.write_colormap(1, colours)
        return bytes(file.getbuffer())


def _corners(transform: Affine, width: int, height: int) -> Bounds:
    to_degrees = Transformer.from_crs(WEB_MERCATOR, "EPSG:4326", always_xy=True)
    west, south = to_degrees.transform(*(transform * (0, height)))
    east, north = to_degrees.transform(*(transform * (width, 0)))
    return (south, west), (north, east)


def _mercator(latitude: float) -> float:
    return math.asinh(math.tan(math.radians(latitude)))
