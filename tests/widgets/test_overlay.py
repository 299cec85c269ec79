"""The picture of a class map over a web map: exact colours, true place, bounded size."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer
from rasterio.transform import from_origin

from toolkit.ground.errors import ProductError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.widgets.overlay import around, picture_of, view_of

LEFT, TOP = 300_000, 4_900_000


def write_map(path: Path, codes: np.ndarray, crs: str = "EPSG:32631") -> Path:
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": 0, "crs": crs}
    shape = {"height": codes.shape[0], "width": codes.shape[1], "transform": from_origin(LEFT, TOP, 10, 10)}
    with rasterio.open(path, "w", **profile, **shape) as target:
        target.write(codes.astype(np.uint8), 1)
    return path


def rgba(png: bytes) -> np.ndarray:
    """(y, x, 4) uint8 of a paletted PNG."""
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.mode == "P"
        return np.asarray(picture.convert("RGBA"))


@pytest.fixture
def names() -> Nomenclature:
    return Nomenclature.load("oso_23")


def test_every_class_has_its_exact_colour_and_no_data_is_transparent(tmp_path: Path, names: Nomenclature) -> None:
    codes = np.repeat(np.repeat(np.arange(24).reshape(4, 6), 20, axis=0), 20, axis=1)
    picture = rgba(picture_of(write_map(tmp_path / "classes.tif", codes), names).png)
    opaque = {tuple(one) for one in picture.reshape(-1, 4).tolist() if one[3]}
    assert opaque == {(*bytes.fromhex(one.colour[1:]), 255) for one in names.classes}
    assert set(np.unique(picture[..., 3]).tolist()) == {0, 255}


def test_code_outside_the_nomenclature_is_grey(tmp_path: Path, names: Nomenclature) -> None:
    picture = rgba(picture_of(write_map(tmp_path / "classes.tif", np.full((30, 30), 99)), names).png)
    assert {tuple(one) for one in picture.reshape(-1, 4).tolist() if one[3]} == {(128, 128, 128, 255)}


def test_each_pixel_lies_where_it_lies_on_the_ground(tmp_path: Path, names: Nomenclature) -> None:
    rng = np.random.default_rng(3)
    codes = np.repeat(np.repeat(rng.integers(1, 24, (12, 15)), 10, axis=0), 10, axis=1)
    shown = picture_of(write_map(tmp_path / "classes.tif", codes), names)
    picture, (south_west, north_east) = rgba(shown.png), shown.bounds
    to_web = Transformer.from_crs("EPSG:4326", 3857, always_xy=True)
    (west, south), (east, north) = (to_web.transform(lon, lat) for lat, lon in (south_west, north_east))
    for block_row, block_col in [(0, 0), (0, 14), (11, 0), (11, 14), (5, 7)]:
        x, y = LEFT + 100 * block_col + 50, TOP - 100 * block_row - 50
        across, along = Transformer.from_crs(32631, 3857, always_xy=True).transform(x, y)
        height, width = picture.shape[:2]
        seen = picture[int((north - along) / (north - south) * height), int((across - west) / (east - west) * width)]
        colour = names.colour(codes[10 * block_row + 5, 10 * block_col + 5])
        assert tuple(seen[:3]) == tuple(bytes.fromhex(colour[1:]))


def test_large_map_is_reduced_without_mixing_classes(tmp_path: Path, names: Nomenclature) -> None:
    codes = np.random.default_rng(0).integers(1, 24, (500, 400))
    path = write_map(tmp_path / "classes.tif", codes)
    shown = picture_of(path, names, most_pixels=120)
    picture = rgba(shown.png)
    assert max(picture.shape[:2]) == 120
    assert shown.reduced > 4
    exact = {(*bytes.fromhex(one.colour[1:]), 255) for one in names.classes}
    assert {tuple(one) for one in picture.reshape(-1, 4).tolist() if one[3]} <= exact
    assert shown.bounds == pytest.approx(np.array(picture_of(path, names).bounds), abs=2e-3)


def test_picture_is_a_data_url(tmp_path: Path, names: Nomenclature) -> None:
    assert picture_of(write_map(tmp_path / "c.tif", np.ones((9, 9))), names).url.startswith(
        "data:image/png;base64,iVBOR"
    )


def test_unreadable_map_is_told_by_name(tmp_path: Path, names: Nomenclature) -> None:
    (tmp_path / "classes.tif").write_bytes(b"not a tiff")
    with pytest.raises(ProductError, match=r"classes\.tif cannot be read"):
        picture_of(tmp_path / "classes.tif", names)


def test_view_holds_the_bounds_and_is_not_too_far() -> None:
    bounds = ((44.17, 1.77), (44.23, 1.85))
    (latitude, longitude), zoom = view_of(bounds, 700, 520)
    assert (latitude, longitude) == pytest.approx((44.2, 1.81), abs=1e-3)
    pixels = (1.85 - 1.77) / 360 * 256 * 2**zoom
    assert 700 / 4 < pixels <= 700


def test_bounds_around_several() -> None:
    assert around([((1, 2), (3, 4)), ((0, 3), (2, 9))]) == ((0, 2), (3, 9))
