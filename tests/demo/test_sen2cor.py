"""The demo as ESA delivers it: the same landscape, read by the toolkit and by GDAL's own reader of such products."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from toolkit.demo import Scene, write_demo
from toolkit.demo.sen2cor import scene_classification, write_safe
from toolkit.demo.theia import write_product
from toolkit.demo.tiles import TILES
from toolkit.ground.bands import BANDS
from toolkit.ground.errors import ParameterError
from toolkit.products.catalog import Catalog
from toolkit.products.handles import close_rasters
from toolkit.products.product import BandFile, Product
from toolkit.products.raster import read_window
from toolkit.products.sen2cor import find_sen2cor
from toolkit.products.theia import find_theia


@pytest.fixture(scope="module")
def both(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Product], list[Product]]:
    """The products of tile 31TCK, which has two of one day, as Theia and as ESA delivers them."""
    root = tmp_path_factory.mktemp("both")
    for one in scene.products["31TCK"]:
        image, grid = scene.render(one), scene.layout.tile(one.tile)
        write_product(root / "theia", one, image, grid)
        write_safe(root / "sen2cor", one, image, grid)
    return find_theia(root / "theia"), find_sen2cor(root / "sen2cor")


def reflectance(band: BandFile) -> np.ndarray:
    with rasterio.open(band.path) as file:
        return band.to_reflectance(file.read(1))


def test_every_product_is_found_and_is_one_of_two_baselines(both: tuple[list[Product], list[Product]]) -> None:
    theia, sen2cor = both
    assert [(one.date, one.platform) for one in sen2cor] == [(one.date, one.platform) for one in theia]
    assert {one.properties["version"] for one in sen2cor} == {"02.07", "05.00"}
    assert all(set(one.bands) == set(BANDS) and set(one.masks) == {"SCL"} for one in sen2cor)


def test_both_formats_have_the_same_reflectances(both: tuple[list[Product], list[Product]]) -> None:
    """But for what is darker than black after the atmosphere is corrected: old products have no room for it."""
    for theia, sen2cor in zip(*both, strict=True):
        least = -10000 if sen2cor.properties["version"] == "05.00" else 1
        for band in BANDS:
            expected, found = reflectance(theia.bands[band]), reflectance(sen2cor.bands[band])
            expected = np.where(expected == -10000, -10000, np.maximum(expected, least))
            assert np.array_equal(found, expected), (sen2cor.name, band)


def test_both_formats_say_the_same_of_clouds(both: tuple[list[Product], list[Product]]) -> None:
    close_rasters()
    for theia, sen2cor in zip(*both, strict=True):
        (classes,) = sen2cor.masks.values()
        clear = np.ones((30, 30), dtype=bool)
        for kind in ("CLM", "EDG"):
            mask = theia.masks[kind]
            clear &= mask.is_clear(read_window(mask.path, 0, 0, 60, 60, fill=0))[::2, ::2]
        for kind, pixels in (("SAT_R1", 60), ("SAT_R2", 30)):
            mask, side = theia.masks[kind], pixels // 30
            usable = mask.is_clear(read_window(mask.path, 0, 0, pixels, pixels, fill=0))
            clear &= usable.reshape(30, side, 30, side).all(axis=(1, 3))
        assert np.array_equal(classes.is_clear(read_window(classes.path, 0, 0, 30, 30, fill=0)), clear), sen2cor.name


def test_classes_of_the_ground_are_told_apart(scene: Scene) -> None:
    seen = set()
    for one in scene.products["31TCJ"]:
        seen |= set(np.unique(scene_classification(scene.render(one))).tolist())
    assert {0, 3, 4, 5, 9} <= seen <= {0, 1, 3, 4, 5, 6, 8, 9, 10, 11}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_gdal_takes_it_for_a_true_product(both: tuple[list[Product], list[Product]]) -> None:
    """GDAL's driver goes by the two XML files alone: names, places, sizes, grid."""
    _, sen2cor = both
    for product in sen2cor[:4]:
        with rasterio.open(str(product.metadata)) as whole:
            assert whole.driver == "SENTINEL2"
            assert whole.tags()["PROCESSING_BASELINE"] == product.properties["version"]
            assert whole.tags()["PRODUCT_URI"] == f"{product.name}.SAFE"
            fine = next(one for one in whole.subdatasets if ":10m:" in one)
        with rasterio.open(fine) as image, rasterio.open(product.bands["B4"].path) as band:
            assert image.descriptions[0].startswith("B4")
            assert (image.crs, image.transform, image.shape) == (band.crs, band.transform, band.shape)
            assert np.array_equal(image.read(1), band.read(1))


def test_metadata_tell_the_shares_of_the_classes(both: tuple[list[Product], list[Product]]) -> None:
    for product in both[1]:
        with rasterio.open(product.masks["SCL"].path) as file:
            classes = file.read(1)
        cloudy = 100 * np.isin(classes, (8, 9, 10)).sum() / max(1, (classes > 0).sum())
        assert float(product.properties["cloud_percent"]) == pytest.approx(cloudy, abs=1e-5)


def test_a_demo_of_safe_folders(tmp_path: Path) -> None:
    folder = write_demo(tmp_path / "demo", seed=1, size=40, dates=2, format="sen2cor")
    catalog = Catalog.load(folder / "data_catalog.yml")
    assert catalog.tiles("s2_demo") == list(TILES)
    assert not (folder / "theia").exists()
    again = write_demo(tmp_path / "again", seed=1, size=40, dates=2, format="sen2cor", workers=1)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    for name in files:
        assert (folder / name).read_bytes() == (again / name).read_bytes(), name


def test_a_demo_of_the_other_format_takes_its_place(tmp_path: Path) -> None:
    folder = write_demo(tmp_path / "demo", seed=1, size=40, dates=2)
    before = json.loads((folder / "demo.json").read_text())
    write_demo(folder, seed=1, size=40, dates=2, format="sen2cor")
    assert json.loads((folder / "demo.json").read_text()) == {**before, "format": "sen2cor"}
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["sen2cor"]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="format = 'sen2' is not known; did you mean 'sen2cor'"):
        write_demo(tmp_path / "demo", format="sen2")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
