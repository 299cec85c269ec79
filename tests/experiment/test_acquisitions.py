"""What a source holds: its tiles, and the dates of each with their clear share, by the rules of the series."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.experiment.acquisitions import acquisitions, available_tiles, longest_gap, reasons_against
from toolkit.experiment.config import Experiment, ExperimentParams
from toolkit.experiment.tiles import open_series
from toolkit.ground.errors import CatalogError, ProductError
from toolkit.ground.grid import Block, outline
from toolkit.products.masks import MaskFile
from toolkit.products.product import BandFile, Product
from toolkit.series.delivered import in_period
from toolkit.series.timeseries import SeriesParams

BANDS = ("B2", "B5")
DATES = ("2018-01-01", "2018-02-10", "2018-03-01", "2018-07-01")


@pytest.fixture
def experiment(tmp_path: Path, theia: Callable[..., Path]) -> Experiment:
    """Two tiles; 31TCJ has four dates: all clear, half cloudy, nothing measured on the left half, nothing at all."""
    cloud = np.zeros((20, 20), dtype=np.uint8)
    cloud[:10] = 3
    left = np.full((20, 20), 1000)
    left[:, :10] = -10000
    values: list[dict[str, Any]] = [{}, {"cloud": cloud}, {"value": left, "cloud": cloud}, {"value": -10000}]
    for date, more in zip(DATES, values, strict=True):
        theia(tmp_path / "images" / "31TCJ", date, bands=BANDS, **more)
    theia(tmp_path / "images" / "31TDK", DATES[0], tile="31TDK", bands=BANDS, corner=(400000, 4800000))
    (tmp_path / "data_catalog.yml").write_text(
        "s2: {data_type: RasterDataset, uri: 'images/{tile}', driver: {name: theia},\n"
        "     metadata: {license: none, reference: none}}\n"
    )
    series = {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-06-30", "bands": BANDS}
    params = ExperimentParams(name="trial", series=series, ground_truth={"source": "polygons"})  # type: ignore[arg-type]
    return Experiment(params, tmp_path / "experiment.yml")


def product_folder(experiment: Experiment, date: str) -> Path:
    (found,) = (experiment.path.parent / "images" / "31TCJ").glob(f"*_{date.replace('-', '')}-*")
    return found


def test_available_tiles_are_those_of_the_source_not_of_the_experiment(experiment: Experiment) -> None:
    grids = available_tiles(experiment)
    assert list(grids) == ["31TCJ", "31TDK"]
    assert grids["31TCJ"].shape == (20, 20)
    assert grids["31TDK"].boundingbox.left == 400000


def test_a_tile_whose_images_cannot_be_read_is_left_out(experiment: Experiment) -> None:
    for path in (experiment.path.parent / "images" / "31TDK").rglob("*.tif"):
        path.write_bytes(b"nothing")
    assert list(available_tiles(experiment)) == ["31TCJ"]


def test_no_source_is_an_error_in_words(experiment: Experiment) -> None:
    experiment.set({"series.source": "s3"})
    with pytest.raises(CatalogError, match="'s3' is not in"):
        available_tiles(experiment)


def test_shares_are_of_what_was_measured(experiment: Experiment) -> None:
    found = acquisitions(experiment, "31TCJ")
    assert found["date"].dt.strftime("%Y-%m-%d").tolist() == list(DATES)
    assert found["data_share"].tolist() == [1, 1, 0.5, 0]
    np.testing.assert_array_equal(found["clear_share"], [1, 0.5, 0.5, np.nan])
    assert found["used"].all() and (found["why"] == "").all()
    assert set(found["platform"]) == {"SENTINEL2A"}


def test_the_swath_is_no_cloud(experiment: Experiment) -> None:
    folder = product_folder(experiment, DATES[0])
    edge = folder / "MASKS" / f"{folder.name}_EDG_R1.tif"
    with rasterio.open(edge, "r+") as mask:
        outside = np.zeros((20, 20), dtype=np.uint8)
        outside[:, :16] = 1
        mask.write(outside, 1)
    first = acquisitions(experiment, "31TCJ").iloc[0]
    assert (first["data_share"], first["clear_share"]) == (0.2, 1)


def test_shares_are_those_of_the_series(tiny_demo: Path) -> None:
    """Over whole tiles that are not thinned out: the mean of the validity that the series reads."""
    experiment = Experiment.load(tiny_demo)
    for series in open_series(experiment, tiles=["31TCJ"]):
        found = acquisitions(experiment, series.tile)
        _, validity = series.read(Block(0, 0, *series.grid.shape))
        expected = validity.mean(axis=(1, 2))
        shares = (found["data_share"] * found["clear_share"].fillna(0)).to_numpy()
        assert len(expected) == found["used"].sum()
        np.testing.assert_allclose(shares[found["used"]], expected, atol=0.02)


def test_an_area_of_interest_is_what_counts(experiment: Experiment) -> None:
    west, south, east, north = outline(available_tiles(experiment)["31TCJ"], "EPSG:4326").bounds
    experiment.set({"series.area": (west, south, east, south + (north - south) / 3)})
    assert acquisitions(experiment, "31TCJ")["clear_share"].iloc[1] == 1, "the clouds are in the north"
    experiment.set({"series.area": (10, 40, 11, 41)})
    assert (acquisitions(experiment, "31TCJ")["data_share"] == 0).all()


def test_what_was_looked_at_is_known(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    assert acquisitions(experiment, "31TCJ", measure=False)["clear_share"].isna().all()
    told = []
    before = acquisitions(experiment, "31TCJ", progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    monkeypatch.setattr("toolkit.experiment.acquisitions.read_thinned", lambda *_, **__: pytest.fail("read again"))
    assert acquisitions(experiment, "31TCJ").equals(before)
    assert acquisitions(experiment, "31TCJ", measure=False).equals(before)


def test_a_file_that_changed_is_looked_at_again(experiment: Experiment, theia: Callable[..., Path]) -> None:
    acquisitions(experiment, "31TCJ")
    theia(experiment.path.parent / "images" / "31TCJ", DATES[0], bands=BANDS, cloud=np.full((20, 20), 3))
    assert acquisitions(experiment, "31TCJ")["clear_share"].iloc[0] == 0


def test_an_image_that_cannot_be_read_is_told_in_its_row(experiment: Experiment) -> None:
    folder = product_folder(experiment, DATES[1])
    (folder / "MASKS" / f"{folder.name}_CLM_R1.tif").write_bytes(b"nothing")
    found = acquisitions(experiment, "31TCJ")
    assert found["used"].tolist() == [True, False, True, True]
    assert "CLM_R1.tif cannot be read" in found["why"].iloc[1]


def test_days_outside_and_what_was_not_delivered(experiment: Experiment) -> None:
    experiment.set({"series.end": "2018-03-31", "series.missing_band": "skip", "series.missing_mask": "skip"})
    folder = product_folder(experiment, DATES[1])
    (folder / f"{folder.name}_FRE_B5.tif").unlink()
    folder = product_folder(experiment, DATES[2])
    (folder / "MASKS" / f"{folder.name}_EDG_R1.tif").unlink()
    found = acquisitions(experiment, "31TCJ")
    assert found["why"].tolist() == ["", "band B5 not delivered", "mask EDG not delivered", "outside of the period"]
    assert found["used"].tolist() == [True, False, False, False]


PRODUCTS = st.lists(
    st.tuples(
        st.integers(0, 60),
        st.sets(st.sampled_from(["B2", "B3", "B5"])),
        st.sets(st.sampled_from(["CLM", "EDG", "SAT_R1", "SAT_R2"])),
    ),
    max_size=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PRODUCTS, st.sampled_from(["skip", "accept"]))
def test_used_is_what_the_series_takes(made: list[tuple[int, set[str], set[str]]], missing_mask: str) -> None:
    days = np.datetime64("2018-01-01", "s") + np.timedelta64(1, "D") * np.arange(61)
    products = [
        Product(
            f"{i}",
            "31TCJ",
            days[day],
            "S2A",
            {band: BandFile(Path(band)) for band in bands},
            {mask: MaskFile(Path(mask)) for mask in masks},
        )
        for i, (day, bands, masks) in enumerate(made)
    ]
    params = SeriesParams(
        source="s2", tiles=("31TCJ",), start="2018-01-20", end="2018-02-10", margin_days=5, bands=("B2", "B5"),
        missing_band="skip", missing_mask=missing_mask,
    )  # type: ignore[arg-type]  # fmt: skip
    taken = [one for one, why in zip(products, reasons_against(products, params), strict=True) if not why]
    try:
        expected = in_period("31TCJ", products, params)
    except ProductError:
        expected = []
    assert taken == expected


def test_longest_gap_is_between_clear_dates_that_are_used(experiment: Experiment) -> None:
    found, params = acquisitions(experiment, "31TCJ"), experiment.series
    assert longest_gap(found, params) == 40
    assert longest_gap(found, params, least=0.25) == 40
    assert longest_gap(found.assign(used=[True, False, True, True]), params, least=0.25) == 59
    assert longest_gap(found, params, least=1) is None


def test_real_images_have_dates_without_anything(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "data_catalog.yml").write_text(
        f"meta: {{root: {real_data / 'theia_maja_T31UFQ_fordead'}}}\n"
        "real: {data_type: RasterDataset, uri: SENTINEL, driver: {name: theia},"
        " metadata: {license: Etalab-2.0, reference: fordead}}\n"
    )
    bands = ["B2", "B3", "B4", "B8A", "B11", "B12"]
    series = {"source": "real", "tiles": ["31UFQ"], "start": "2015-12-03", "end": "2020-06-24", "bands": bands}
    params = ExperimentParams(name="real", series=series, ground_truth={"source": "none"})  # type: ignore[arg-type]
    experiment = Experiment(params, tmp_path / "experiment.yml")
    assert {tile: grid.shape for tile, grid in available_tiles(experiment).items()} == {"31UFQ": (80, 80)}
    found = acquisitions(experiment, "31UFQ")
    assert len(found) == 187 and found["used"].all()
    assert (found["data_share"] == 0).sum() == 90
    assert found["clear_share"].isna().sum() == 90
