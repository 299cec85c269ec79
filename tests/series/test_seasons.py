"""Several seasons in one period: their days, the acquisitions that serve them, and gaps filled in each by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toolkit.features.parameters import FeatureParams
from toolkit.features.stack import FeatureStack
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import build
from toolkit.series.methods import METHODS
from toolkit.series.timeseries import SeriesParams

SPRING = {"start": "2018-03-01", "end": "2018-05-31"}
AUTUMN = {"start": "2018-09-01", "end": "2018-11-15", "step_days": 15}
NEXT_SPRING = {"start": "2019-03-01", "end": "2019-05-31"}


def series(*seasons: dict[str, Any], **more: Any) -> SeriesParams:
    given = {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2019-12-31", "seasons": seasons}
    return build(SeriesParams, {**given, **more}, "experiment.yml")


def test_the_days_of_seasons_stand_one_after_the_other() -> None:
    days = series(SPRING, AUTUMN, NEXT_SPRING).days
    expected = [f"2018-{day}" for day in ("09-01", "09-16", "10-01", "10-16", "10-31", "11-15")]
    assert [str(day) for day in days if "2018-09" <= str(day) < "2019"] == expected
    assert str(days[0]) == "2018-03-01" and str(days[9]) == "2018-05-30" and str(days[-1]) == "2019-05-30"
    assert (np.diff(days) > np.timedelta64(0)).all() and len(days) == 10 + 6 + 10
    assert len(series().days) == 73


@pytest.mark.parametrize(
    ("seasons", "words"),
    [
        ([AUTUMN, SPRING], "2018-03-01 to 2018-05-31 begins before 2018-09-01 to 2018-11-15 every 15 days has ended"),
        ([SPRING, {"start": "2018-05-31", "end": "2018-06-30"}], "none over another"),
        ([{"start": "2018-05-31", "end": "2018-03-01"}], "ends before it starts"),
        ([{"start": "2017-12-31", "end": "2018-03-01"}], "is not within series.start = 2018-01-01"),
        ([{"start": "2019-03-01", "end": "2020-03-01"}], "and series.end = 2019-12-31"),
        ([{**SPRING, "step_days": 0}], "greater than or equal to 1"),
        ([{"start": "2018-03-01"}], "end is missing"),
    ],
)
def test_seasons_that_cannot_be_are_refused(seasons: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        series(*seasons)


def test_only_acquisitions_near_a_season_serve() -> None:
    days = np.array(["2018-01-28", "2018-01-30", "2018-06-30", "2018-07-01", "2018-08-02"], dtype="datetime64[D]")
    assert series(SPRING, AUTUMN).serve(days).tolist() == [False, True, True, False, True]
    assert series(SPRING, margin_days=0).serve(days).tolist() == [False] * 5
    assert series().serve(days).all()


@pytest.mark.parametrize("method", METHODS)
def test_each_season_is_filled_as_if_it_were_alone(method: str) -> None:
    rng = np.random.default_rng(3)
    dates = np.datetime64("2018-01-20") + np.sort(rng.integers(0, 500, 60)).astype("timedelta64[D]")
    values, validity = rng.integers(0, 3000, (60, 10, 40)).astype(np.int16), rng.random((60, 40)) > 0.4
    filling = {"method": method, "max_gap_days": 25}
    both = FeatureStack.of(series(SPRING, AUTUMN, gap_filling=filling), FeatureParams(indices=("ndvi",)))
    features, clear = both.compute(values, validity, dates)
    parts = []
    for one in (SPRING, AUTUMN):
        alone = FeatureStack.of(series(one, gap_filling=filling), FeatureParams(indices=("ndvi",)))
        found, seen = alone.compute(values, validity, dates)
        parts.append((alone, found, seen))
    places = {name: place for place, name in enumerate(both.names)}
    for alone, found, seen in parts:
        known = seen > 0
        rows = [places[name] for name in alone.names]
        np.testing.assert_array_equal(features[rows][:, known], found[:, known])
    assert len(both) == sum(len(alone) for alone, _, _ in parts) == len(set(both.names))
    np.testing.assert_array_equal(clear > 0, (parts[0][2] > 0) | (parts[1][2] > 0))
    gaps = [alone.longest_gap(validity, dates) for alone, _, _ in parts]
    np.testing.assert_array_equal(both.longest_gap(validity, dates), np.maximum(*gaps))


def test_a_model_knows_of_the_seasons() -> None:
    whole, seasons = (FeatureStack.of(series(*one), FeatureParams()) for one in ([], [SPRING, AUTUMN]))
    assert "seasons" not in whole.definitions["series"]
    assert "in seasons of 10, 6 days" in seasons.definitions["series"]
