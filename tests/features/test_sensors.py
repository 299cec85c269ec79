"""The stack of several sensors: names, order, sizes and definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toolkit.features.parameters import FeatureParams
from toolkit.features.stack import FeatureStack
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import build
from toolkit.ground.raw_rows import RawRow
from toolkit.ground.sensor_names import named_of, sensor_of
from toolkit.series.timeseries import SeriesParams

RADAR = {"name": "radar", "source": "s1", "bands": ["B4", "B8"], "indices": ["ndvi"], "start": "2018-01-03"}
LANDSAT = {"name": "landsat", "source": "l8", "step_days": 40, "gap_filling": {"method": "nearest"}}


def stack(*sensors: dict[str, Any], **features: Any) -> FeatureStack:
    series = {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-03-11", "bands": ["B3", "B8"]}
    made = build(SeriesParams, {**series, "sensors": sensors}, "test")
    return FeatureStack.of(made, build(FeatureParams, {"indices": [], **features}, "test"))


def test_names_tell_the_sensor_and_what_it_calls_them() -> None:
    assert named_of("radar", ["VV_20180101"]) == ("radar/VV_20180101",)
    assert sensor_of("radar/VV_20180101") == ("radar", "VV_20180101")
    assert sensor_of("VV_20180101") == ("", "VV_20180101")


def test_the_first_sensor_stands_first_and_as_if_it_were_alone() -> None:
    alone, both = stack(), stack(RADAR, LANDSAT)
    assert both.alone == alone and both.names[: len(alone)] == alone.names
    assert both.names[len(alone)] == "radar/B4_20180103" and both.names[-1] == "landsat/B8_20180210"
    assert len(both) == len(both.names) == 7 * 2 + 7 * 3 + 2 * 2
    assert both.width(5) == len(both) and both.held(5) >= 2 * (len(both) - len(alone)) + len(alone)
    assert np.array_equal(both.days, alone.days)


def test_in_raw_rows_dates_stay_the_last() -> None:
    both = stack(RADAR, representation="raw")
    assert both.names[0] == "radar/B4_20180103" and both.names[-2:] == ("day_*", "valid_*")
    row = RawRow.of(both.names)
    assert row is not None and (row.static, row.each) == (21, 4) and both.width(5) == 21 + 20


def test_each_selects_among_its_own() -> None:
    chosen = stack({**RADAR, "select": ["ndvi_*"]}, select=["B3_*"])
    assert {name.partition("_")[0] for name in chosen.names} == {"B3", "radar/NDVI"}
    with pytest.raises(ParameterError, match=r"series\.sensors, radar: .*'B3_\*' matches none"):
        stack({**RADAR, "select": ["B3_*"]}).names  # noqa: B018


def test_what_is_computed_otherwise_is_told_by_sensor() -> None:
    found = stack(RADAR, LANDSAT).definitions
    assert found["radar/series"] == found["series"] != found["landsat/series"]
    assert "nearest" in found["landsat/series"] and "NDVI" not in found and "radar/NDVI" in found


def test_one_series_makes_no_features_of_several_sensors() -> None:
    values, validity = np.zeros((1, 2, 3), np.int16), np.ones((1, 3), bool)
    dates = np.array(["2018-01-01"], "M8[D]")
    with pytest.raises(AssertionError, match="the series of one sensor"):
        stack(RADAR).compute(values, validity, dates)
    assert stack(RADAR).alone.compute(values, validity, dates)[0].shape == (14, 3)
