"""Raw dates as features: as acquired, masked, with their day."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.features.parameters import FeatureParams
from toolkit.features.reading import TileFeatures
from toolkit.features.stack import FeatureStack
from toolkit.ground.errors import ParameterError
from toolkit.ground.grid import Block
from toolkit.ground.params import build
from toolkit.ground.raw_rows import RawRow
from toolkit.products.theia import find_theia
from toolkit.series.timeseries import SeriesParams, TileSeries

BANDS = ("B4", "B8", "B11")
DATES = np.array(["2018-01-05", "2018-03-01", "2018-03-01", "2019-01-02"], dtype="datetime64[D]")


def stack_of(**features: object) -> FeatureStack:
    series = SeriesParams(source="s2", tiles=("31TCJ",), start="2018-01-01", end="2018-12-27", bands=BANDS)
    return FeatureStack.of(series, FeatureParams(representation="raw", **{"indices": ("ndvi",), **features}))


def made(pixels: tuple[int, ...] = (5,)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    values = rng.integers(100, 6000, (len(DATES), len(BANDS), *pixels)).astype(np.int16)
    validity = rng.random((len(DATES), *pixels)) > 0.4
    values[~np.broadcast_to(validity[:, None], values.shape)] = -10000
    return values, validity


def test_each_date_stands_as_it_was_acquired_with_its_day_and_validity() -> None:
    stack = stack_of()
    assert stack.names == ("B4_*", "B8_*", "B11_*", "NDVI_*", "day_*", "valid_*")
    assert len(stack) == 6 and stack.width(4) == 24
    values, validity = made((2, 3))
    features, clear = stack.compute(values, validity, DATES)
    assert features.dtype == np.float32 and features.shape == (24, 2, 3)
    dated = features.reshape(4, 6, 2, 3)
    red, nir = values[:, 0].astype(np.float32), values[:, 1].astype(np.float32)
    expected = np.where(validity, 1000 * (nir - red) / (nir + red), 0)
    assert np.allclose(dated[:, 3], expected, rtol=1e-5)
    assert np.array_equal(dated[:, :3], np.where(validity[:, None], values, 0))
    assert np.array_equal(dated[:, 4], np.broadcast_to(np.array([4, 59, 59, 366])[:, None, None], (4, 2, 3)))
    assert np.array_equal(dated[:, 5], validity)
    assert np.array_equal(clear, validity.sum(axis=0))


def test_an_index_that_is_not_zero_of_zeros_is_zero_where_the_date_is_not_valid() -> None:
    stack = stack_of(indices=("mine = (B8 - B4 + 0.1) / (B8 + B4 + 0.5)",))
    values, validity = made()
    dated = stack.compute(values, validity, DATES)[0].reshape(4, 6, 5)
    assert np.all(dated[:, 3][~validity] == 0) and np.all(dated[:, 3][validity] != 0)


def test_a_selection_keeps_day_and_validity() -> None:
    stack, whole = stack_of(select=("b8_*", "NDVI_*")), stack_of()
    assert stack.names == ("B8_*", "NDVI_*", "day_*", "valid_*") and stack.width(4) == 16
    values, validity = made()
    expected = whole.compute(values, validity, DATES)[0].reshape(4, 6, 5)[:, [1, 3, 4, 5]]
    assert np.array_equal(stack.compute(values, validity, DATES)[0].reshape(4, 4, 5), expected)
    with pytest.raises(ParameterError, match=r"'ndvi_2018\*' matches none of the 6 features; near: NDVI_\*"):
        _ = stack_of(select=("ndvi_2018*",)).names
    with pytest.raises(ParameterError, match="keeps no band and no index"):
        _ = stack_of(select=("day_*",)).names


def test_external_features_come_first_and_have_no_dates(tmp_path: Path, theia: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    for date in ("2018-01-01", "2018-05-01", "2018-12-27"):
        cloud = (rng.random((20, 20)) < 0.3).astype(np.uint8)
        theia(tmp_path, date, value=rng.integers(500, 4000, (20, 20)), cloud=cloud)
    params = SeriesParams(
        source="s2", tiles=("31TCJ",), start="2018-01-01", end="2018-12-27", step_days=90, bands=BANDS
    )
    texture = {"name": "texture", "params": {"day": "2018-06-30", "radius": 2}}
    external = (texture, "phenology")
    series = TileSeries.open("31TCJ", find_theia(tmp_path), params)
    raw = FeatureStack.of(params, FeatureParams(representation="raw", indices=("ndvi",), external=external))
    regular = FeatureStack.of(params, FeatureParams(indices=("ndvi",), external=external))
    assert raw.names[:2] == ("texture_B8_20180630_2", "peak_day_NDVI") and raw.names[-1] == "valid_*"
    block = Block(3, 5, 11, 9)
    found, clear = TileFeatures(series, raw).read(block)
    filled, _ = TileFeatures(series, regular).read(block)
    assert found.shape == (raw.width(3), 11, 9) and raw.padding == 2
    assert np.array_equal(found[:4], filled[-4:])
    validity = series.read(block)[1]
    assert np.array_equal(found[4:].reshape(3, 6, 11, 9)[:, 5], validity)
    assert np.array_equal(clear, validity.sum(axis=0))
    one = TileFeatures(series, raw).read_pixels(np.array([4, 9]), np.array([6, 7]))[0]
    assert np.array_equal(one, found[:, [1, 6], [1, 2]])
    chosen = FeatureStack.of(
        params, FeatureParams(representation="raw", indices=("ndvi",), external=external, select=("tex*", "b4_*"))
    )
    assert chosen.names == ("texture_B8_20180630_2", "B4_*", "day_*", "valid_*")
    few, _ = TileFeatures(series, chosen).read(block)
    each = found[4:].reshape(3, 6, 11, 9)[:, [0, 4, 5]].reshape(9, 11, 9)
    assert np.array_equal(few, np.concatenate([found[:1], each]))
    assert raw.held(3) > regular.held(3) and raw.held(30) - raw.held(3) == 27 * 6


def test_two_acquisitions_of_a_day_stay_two_dates(tmp_path: Path, theia: Callable[..., Path]) -> None:
    theia(tmp_path, "2018-05-01", value=1000, time="105824-462")
    theia(tmp_path, "2018-05-01", value=2000, time="110824-462")
    params = SeriesParams(source="s2", tiles=("31TCJ",), start="2018-01-01", end="2018-12-27", bands=("B4",))
    series = TileSeries.open("31TCJ", find_theia(tmp_path), params)
    stack = FeatureStack.of(params, FeatureParams(representation="raw", indices=()))
    features, clear = TileFeatures(series, stack).read(Block(0, 0, 4, 4))
    assert features[:, 0, 0].tolist() == [1020, 120, 1, 2020, 120, 1] and clear[0, 0] == 2


def test_the_same_dates_of_another_year_give_the_same_features() -> None:
    series = SeriesParams(source="s2", tiles=("31TCJ",), start="2019-01-01", end="2019-12-27", bands=BANDS)
    later = FeatureStack.of(series, FeatureParams(representation="raw", indices=("ndvi",)))
    assert later.names == stack_of().names and later.definitions == stack_of().definitions
    values, validity = made()
    wanted, _ = stack_of().compute(values, validity, DATES)
    assert np.array_equal(later.compute(values, validity, DATES + np.timedelta64(365, "D"))[0], wanted)


def test_what_cannot_go_together_is_refused_in_words() -> None:
    with pytest.raises(ParameterError, match=r"compatibility = iota2 .* features.representation = raw .* one or the"):
        build(FeatureParams, {"representation": "raw", "compatibility": "iota2"}, "experiment.yml, features")


def test_definitions_tell_raw_dates_from_filled_ones() -> None:
    raw = stack_of()
    assert raw.definitions["series"] == "reflectance x 10000 of each date as it was acquired, 0 where not valid"
    assert "NDVI" in raw.definitions and "NDVI" not in stack_of(select=("B8_*",)).definitions


def test_layout_of_a_row() -> None:
    row = RawRow.of(["slope", "B8_*", "day_*", "valid_*"])
    assert row == RawRow(1, 3) and row.width(2) == 7
    assert row.fits(7) and row.fits(4) and not row.fits(6) and not row.fits(1)
    assert [row.name_place(column) for column in range(7)] == [0, 1, 2, 3, 1, 2, 3]
    assert row.dated(np.arange(14).reshape(2, 7)).tolist() == [[[1, 2, 3], [4, 5, 6]], [[8, 9, 10], [11, 12, 13]]]
    assert row.dated(np.empty((0, 7))).shape == (0, 2, 3)
    assert RawRow.of(["slope", "B8_20180101"]) is None
