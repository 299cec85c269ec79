"""Rasters in UTM as the toolkit writes them, the place of squares, and pictures read back."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from PIL import Image
from rasterio.transform import from_origin

from toolkit.ground.nomenclature import Nomenclature
from toolkit.mapping.rasters import map_writer, to_cog
from toolkit.webmap.layers import Indexed, RasterLayer

LEFT, TOP = 300_000, 4_900_020
PIXEL = 10
EDGE = math.pi * 6378137


def patches(size: int, seed: int = 0, patch: int = 16) -> np.ndarray:
    """Codes 1 to 23 (y, x) in patches, with single pixels of other classes in them, and a corner without data."""
    rng = np.random.default_rng(seed)
    small = rng.integers(1, 24, (-(-size // patch), -(-size // patch)))
    codes = np.repeat(np.repeat(small, patch, 0), patch, 1)[:size, :size]
    single = rng.random(codes.shape) < 0.05
    codes[single] = rng.integers(1, 24, int(single.sum()))
    codes[: size // 8, : size // 8] = 0
    return codes.astype(np.uint8)


def write_strips(path: Path, values: np.ndarray, crs: str = "EPSG:32631", left: float = LEFT, **tags: object) -> Path:
    """A GeoTIFF in strips without overviews, as a band is delivered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "crs": crs, "compress": "deflate", **tags}
    shape = {"height": values.shape[0], "width": values.shape[1], "transform": from_origin(left, TOP, PIXEL, PIXEL)}
    with rasterio.open(path, "w", **profile, **shape) as target:
        target.write(values, 1)
    return path


def write_classes(path: Path, codes: np.ndarray, names: Nomenclature) -> Path:
    """A class map as `classify` and `mosaic` leave it: cloud-optimised, with overviews of the most frequent class."""
    grid = GeoBox(codes.shape, from_origin(LEFT, TOP, PIXEL, PIXEL), "EPSG:32631")
    with map_writer(path.with_suffix(".part.tif"), grid, "uint8", nodata=0, nomenclature=names) as target:
        target.write(codes, 1)
    to_cog(path.with_suffix(".part.tif"), path, categorical=True, nomenclature=names)
    return path


def square_at(longitude: float, latitude: float, zoom: int) -> tuple[int, int]:
    """Column and row of the square that holds a place."""
    across = (longitude + 180) / 360
    down = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2
    return int(across * 2**zoom), int(down * 2**zoom)


def centres(zoom: int, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """Place of each pixel's centre of a square in web mercator, metres, each (y, x)."""
    size = 2 * EDGE / 2**zoom
    steps = (np.arange(256) + 0.5) / 256 * size
    return np.broadcast_arrays(x * size - EDGE + steps, (EDGE - y * size - steps)[:, None])


def pixels(png: bytes | None) -> np.ndarray:
    """Red, green, blue and alpha of a picture, uint8 (y, x, 4)."""
    assert png is not None
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGBA"))


def colours(seen: np.ndarray) -> set[tuple[int, ...]]:
    """Colours that are not clear, of pixels (…, 4)."""
    packed = np.unique(np.ascontiguousarray(seen).reshape(-1, 4).view(np.uint32))
    return {tuple(colour) for colour in packed.view(np.uint8).reshape(-1, 4).tolist() if colour[3]}


@pytest.fixture(scope="session")
def names() -> Nomenclature:
    return Nomenclature.load("oso_23")


@pytest.fixture(scope="session")
def codes() -> np.ndarray:
    """Codes of a class map, uint8 (y, x)."""
    return patches(2300)


@pytest.fixture(scope="session")
def class_map(codes: np.ndarray, names: Nomenclature, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """These codes as a file; do not change it."""
    return write_classes(tmp_path_factory.mktemp("classes") / "classes.tif", codes, names)


@pytest.fixture(scope="session")
def class_layer(class_map: Path, names: Nomenclature) -> RasterLayer:
    return RasterLayer((class_map,), Indexed(names.colour_table()), 0)
