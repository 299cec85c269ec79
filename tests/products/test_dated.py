"""Dated rasters: images of any sensor found by the names of their files, and held as what they measure."""

from __future__ import annotations

import logging
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from toolkit.ground.bands import NODATA, SENTINEL2
from toolkit.ground.errors import CatalogError, ParameterError, ProductError
from toolkit.ground.params import build
from toolkit.products.catalog import Catalog
from toolkit.products.dated import DatedRasters
from toolkit.products.presets import PRESETS
from toolkit.products.product import BandFile

RADAR: dict[str, Any] = {"file": "*_{tile}_{band}_{date}t*.tif", "bands": {"VV": {"file": "vv"}, "VH": {"file": "vh"}}}


def driver(**content: Any) -> DatedRasters:
    return build(DatedRasters, {"name": "dated_rasters", **content}, "catalog.yml, here, driver")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write(path: Path, *bands: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = bands[0].shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=len(bands), dtype=bands[0].dtype,
        crs="EPSG:32631", transform=Affine(30, 0, 399960, 0, -30, 4900020),
    ) as file:  # fmt: skip
        file.write(np.stack(bands))


def test_files_that_differ_by_the_band_are_one_image(tmp_path: Path) -> None:
    names = [f"s1a_31TCJ_{band}_2018011{day}t0558.tif" for day in (7, 1) for band in ("vv", "vh")]
    touch(tmp_path, *names, "s1b_31TCJ_vv_20180111t1754.tif", "s1a_31TCJ_vv_20180111t0558.tif.aux.xml", "readme.txt")
    first, late, last = driver(**RADAR, unit="power", nodata=0).find(tmp_path, "31TCJ")
    assert [str(one.date) for one in (first, late, last)] == ["2018-01-11", "2018-01-11", "2018-01-17"]
    assert (first.name, first.tile, first.cloud_mask, first.masks) == ("s1a_31TCJ_20180111t0558", "31TCJ", "", {})
    assert list(first.bands) == ["VV", "VH"] and list(late.bands) == ["VV"], "what was not delivered is absent"
    assert first.bands["VH"].path == tmp_path / "s1a_31TCJ_vh_20180111t0558.tif"
    assert (first.bands["VH"].per_unit, first.bands["VH"].nodata) == (10000, 0)


def test_several_bands_in_a_file_are_told_by_their_order(tmp_path: Path) -> None:
    touch(tmp_path, "31TCJ/2018-01-11.tif", "31TDJ/2018-01-21.tif")
    found = driver(file="{date}.tif", bands=["VV", "VH"], unit="dB", nodata=-99)
    products = found.find(tmp_path, None)
    assert [one.tile for one in products] == ["31TCJ", "31TDJ"], "the folder tells the tile"
    assert {name: one.number for name, one in products[0].bands.items()} == {"VV": 1, "VH": 2}
    assert [one.tile for one in found.find(tmp_path / "31TCJ", "31TCJ")] == ["31TCJ"]
    assert found.measured()[1].per_unit == 100 and found.measured()[1].unit == "dB"


def test_images_without_a_tile_serve_any(tmp_path: Path) -> None:
    touch(tmp_path, "2018-01-11.tif")
    found = driver(file="{date}.tif", bands=["VV"], unit="power", nodata=0)
    assert found.find(tmp_path, None) == []
    assert [one.tile for name in ("31TCJ", "31TDJ") for one in found.find(tmp_path, name)] == ["31TCJ", "31TDJ"]


def test_landsat_as_it_is_delivered(tmp_path: Path) -> None:
    scene = "LC08_L2SP_199030_20180111_20200902_02_T1"
    other = "LC09_L2SP_198030_20180111_20230902_02_T1"
    for one in (scene, other):
        names = ["SR_B4", "SR_B5", "ST_B10", "QA_PIXEL", "QA_RADSAT", "SR_QA_AEROSOL"]
        touch(tmp_path / "31TCJ" / one, *[f"{one}_{name}.TIF" for name in names], f"{one}_MTL.xml")
    first, second = driver(preset="landsat_c2_l2").find(tmp_path, None)
    assert (first.name, first.platform, list(first.bands)) == (scene, "Landsat 8/9", ["SR_B4", "SR_B5"])
    assert second.masks["MASK"].path.name == f"{other}_QA_PIXEL.TIF"
    flags = np.array([21824, 1, 21826, 21828, 22280, 23888, 21888, 30048], np.uint16)  # as in the product guide
    assert first.masks["MASK"].is_clear(flags).tolist() == [True, False, False, False, False, False, True, True]
    values = first.bands["SR_B4"].to_reflectance(np.array([0, 1, 7273, 43636, 65535], np.uint16))
    assert values.tolist() == [NODATA, -2000, 0, 10000, 16022]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_stands_by_itself_and_gives_way(name: str) -> None:
    whole = driver(preset=name)
    assert all(band.like in {"", *(one.name for one in SENTINEL2)} for band in whole.measured())
    band = next(iter(PRESETS[name]["bands"]))
    cut = driver(preset=name, bands=[band], nodata=-1)
    assert list(cut.bands) == [band] and cut.bands[band] == whole.bands[band] and cut.nodata == -1


def test_a_mask_with_fewer_signs_is_found_by_tile_and_day(tmp_path: Path) -> None:
    names = [
        f"{tile}/x_{day}_{word}.tif" for tile in ("31TCJ", "31TDJ") for day in (20180111, 20180121) for word in "ab"
    ]
    touch(tmp_path, *names, "31TCJ/20180111_cloud.tif", "31TDJ/20180111_cloud.tif")
    found = driver(
        file="*_{date}_{band}.tif", bands=["a", "b"], nodata=0, mask={"file": "{date}_cloud.tif", "values": [1, 3]}
    )
    products = found.find(tmp_path, None)
    masks = [(one.tile, str(one.date), [mask.path.parent.name for mask in one.masks.values()]) for one in products]
    assert masks == [
        ("31TCJ", "2018-01-11", ["31TCJ"]), ("31TDJ", "2018-01-11", ["31TDJ"]),
        ("31TCJ", "2018-01-21", []), ("31TDJ", "2018-01-21", []),
    ]  # fmt: skip
    assert products[0].cloud_mask == "MASK"
    assert products[0].masks["MASK"].is_clear(np.arange(5, dtype=np.uint8)).tolist() == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"preset": "lansat", **RADAR}, "driver.preset = 'lansat' is not known; did you mean 'landsat_c2_l2'"),
        ({**RADAR}, "nodata is missing"),
        ({"file": "x.tif", "bands": ["a"], "nodata": 0}, r"\{date\} is missing"),
        ({"file": "{date}.tif", "bands": [], "nodata": 0}, "bands"),
        ({"file": "{date}.tif", "bands": ["4th"], "nodata": 0}, "'4th' is no name of a band"),
        ({"file": "{date}.tif", "bands": ["valid"], "nodata": 0}, "day and valid have a meaning"),
        ({"file": "{date}.tif", "bands": {"a": {"file": "b"}}, "nodata": 0}, r"has no \{band\}"),
        ({"file": "{date}_{band}.tif", "bands": {"a": {}, "b": {"file": "a"}}, "nodata": 0}, "two bands have 'a'"),
        ({"file": "{date}.tif", "bands": {"a": {"like": "B44"}}, "nodata": 0}, "did you mean 'B4'"),
        ({**RADAR, "nodata": 0, "unit": "m"}, "no usual step; give `step`"),
        ({**RADAR, "nodata": 0, "mask": {"file": "{date}_{band}"}}, r"without \{band\}"),
        ({**RADAR, "nodata": 0, "mask": {"file": "{date}"}}, "either `bits` or `values`"),
        ({**RADAR, "nodata": 0, "mask": {"file": "{date}", "bits": [16]}}, "from 0 to 15"),
        ({**RADAR, "nodata": 0, "scale_": 1}, "did you mean 'scale'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_when_the_catalog_is_read(content: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words) as caught:
        driver(**content)
    assert "catalog.yml, here, driver" in str(caught.value)


def test_where_nothing_fits_the_names_that_were_seen_are_told(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match="holds no files; mend the `uri`"):
        driver(**RADAR, nodata=0).find(tmp_path, "31TCJ")
    touch(tmp_path, *[f"S1A_31TCJ_VV_2018010{day}.tif" for day in range(1, 8)])
    with pytest.raises(
        ProductError, match=r"called .* with vv or vh for \{band\}; there are .*_20180105.tif and 2 more"
    ):
        driver(**RADAR, nodata=0).find(tmp_path, "31TCJ")


def test_one_band_twice_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/x_20180111_vv.tif", "b/x_20180111_vv.tif")
    with pytest.raises(ProductError, match=r"the same by their names \(band vv of 2018-01-11\)"):
        driver(file="*_{date}_{band}.tif", bands=["vv"], nodata=0).find(tmp_path, "31TCJ")
    touch(tmp_path, "c/1_20180111.msk", "c/2_20180111.msk")
    (tmp_path / "b" / "x_20180111_vv.tif").unlink()
    mask = {"file": "?_{date}.msk", "bits": [0]}
    with pytest.raises(ProductError, match="are masks of one image"):
        driver(file="x_{date}_{band}.tif", bands=["vv"], nodata=0, mask=mask).find(tmp_path, "31TCJ")


@given(st.lists(st.floats(width=32), min_size=1), st.sampled_from([(1.0, 0.0, 10000), (1.0, 0.0, 100), (0.5, 3.0, 1)]))
def test_a_value_is_held_to_half_a_step_or_at_the_end(stored: list[float], way: tuple[float, float, float]) -> None:
    scale, offset, per_unit = way
    file = BandFile(Path("x.tif"), scale, offset, nodata=7.0, per_unit=per_unit, any_number=True)
    values = np.array(stored, np.float32)
    held = file.to_reflectance(values)
    measured = np.isfinite(values) & (values != 7)
    assert held.dtype == np.int16 and np.array_equal(held == NODATA, ~measured)
    wanted = (values[measured].astype(np.float64) * scale + offset) * per_unit
    near = np.abs(held[measured] - np.clip(wanted, -32768, 32767))
    assert (near <= np.where(np.round(wanted) == NODATA, 1.51, 0.51) + np.abs(wanted) * 1e-6).all()


def test_many_values_beyond_the_ends_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = BandFile(tmp_path / "x.tif", 1.0, nodata=0, any_number=True)  # decibels, taken for reflectances
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert file.to_reflectance(np.full(50, -12.5, np.float32)).tolist() == [-32768] * 50
    (record,) = caplog.records
    assert "beyond -3.2768 to 3.2767" in record.getMessage() and "larger `step`" in record.getMessage()


def test_a_catalog_holds_such_sources(tmp_path: Path) -> None:
    write(tmp_path / "s1" / "31TCJ" / "20180111.tif", np.ones((4, 4), np.float32))
    catalog = tmp_path / "catalog.yml"
    catalog.write_text(
        "radar:\n  data_type: RasterDataset\n  uri: s1/{tile}\n"
        "  driver: {name: dated_rasters, file: '{date}.tif', bands: [VV], unit: power, nodata: 0}\n"
        "  metadata: {license: CC0-1.0, reference: here}\n"
    )
    loaded = Catalog.load(catalog)
    assert loaded.tiles("radar") == ["31TCJ"] and [one.name for one in loaded.bands("radar")] == ["VV"]
    (product,) = loaded.products("radar", "31TCJ")
    assert product.bands["VV"].path.exists() and loaded.products("radar", "31TCJ") == [product]
    catalog.write_text(catalog.read_text().replace("'{date}.tif'", "'{date}.tiff'"))
    with pytest.raises(ProductError, match=r"source 'radar' of .*catalog.yml: no file below .* 20180111.tif; mend"):
        Catalog.load(catalog).products("radar", "31TCJ")
    catalog.write_text(catalog.read_text().replace("{date}", "{day}"))
    with pytest.raises(CatalogError, match=r"radar: driver.file.*\{day\} is no placeholder"):
        Catalog.load(catalog)


def test_the_example_of_the_documentation_is_a_catalog(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8")
    example = page[page.index("    # data_catalog.yml\n    s1:") :].partition("\n| of the driver")[0]
    (tmp_path / "catalog.yml").write_text(textwrap.dedent(example), encoding="utf-8")
    touch(tmp_path / "s1tiling" / "31TCJ", "s1a_31TCJ_vv_DES_037_20180111t055813.tif")
    catalog = Catalog.load(tmp_path / "catalog.yml")
    (product,) = catalog.products("s1", "31TCJ")
    assert list(product.bands) == ["VV"] and [one.name for one in catalog.bands("s1")] == ["VV", "VH"]
    assert catalog.bands("l8")[4].like == "B8A"
    for name in PRESETS:
        assert f"`{name}`" in page


def test_the_catalog_of_the_notebooks_names_the_demo() -> None:
    catalog = Catalog.load(Path(__file__).parents[2] / "data_catalog.yml")
    assert [one.name for one in catalog.bands("s1_demo")] == ["VV", "VH"]
