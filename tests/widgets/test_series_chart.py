"""What the series chart sends: light, in one message, and complete."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.series.curve import COLOURS, Curve, coloured, plain_range
from toolkit.widgets.series_chart import SeriesChart


def curve(name: str = "one", count: int = 70, colour: str | None = None, seed: int = 0) -> Curve:
    rng = np.random.default_rng(seed)
    days = np.datetime64("2018-01-01") + np.sort(rng.integers(0, 360, count)).astype("timedelta64[D]")
    values = rng.random(count).astype(np.float32)
    grid = np.arange(np.datetime64("2018-01-01"), np.datetime64("2018-12-27"), 10)
    return Curve(name, days, values, rng.random(count) > 0.4, grid, rng.random(len(grid)), colour)


class Recorded(SeriesChart):
    """A chart that notes each message to the browser."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        super().__init__()
        self.sent.clear()

    def _send(self, msg: Any, buffers: Any = None) -> None:
        self.sent.append(len(json.dumps(msg)) + sum(len(one) for one in buffers or []))


def read(chart: SeriesChart) -> dict[str, list[tuple[np.ndarray, ...]]]:
    """The curves of each panel as the browser takes them apart."""
    numbers, at, found = np.frombuffer(chart.data, "<f4"), 0, {}
    for panel in chart.panels:
        curves = []
        for one in panel["curves"]:
            parts = []
            for count in (one["points"],) * 3 + (one["line"],) * 2:
                parts.append(numbers[at : at + count])
                at += count
            curves.append(tuple(parts))
        found[panel["title"]] = curves
    assert at == len(numbers)
    return found


def test_every_number_arrives() -> None:
    first, second = curve("one", 40, seed=1), curve("two", 7, seed=2)
    chart = SeriesChart({"NDVI": [first, second], "B4": [second]})
    got = read(chart)
    for expected, parts in zip((first, second, second), [*got["NDVI"], *got["B4"]], strict=True):
        days, values, clear, line_days, line = parts
        np.testing.assert_array_equal(days.astype("datetime64[D]"), expected.days)
        np.testing.assert_array_equal(values, expected.values)
        np.testing.assert_array_equal(clear, expected.valid)
        np.testing.assert_array_equal(line_days.astype("datetime64[D]"), expected.line_days)
        np.testing.assert_allclose(line, expected.line_values, rtol=1e-6)


def test_five_pixels_three_bands_and_seventy_dates_are_light_and_one_message() -> None:
    chart = Recorded()
    chart.show({title: [curve(str(i), seed=i) for i in range(5)] for title in ("NDVI", "B4", "B8")})
    assert len(chart.sent) == 1
    assert chart.sent[0] < 50_000


def test_the_same_curves_are_not_sent_again() -> None:
    chart, panels = Recorded(), {"NDVI": [curve()]}
    chart.show(panels)
    chart.show(panels)
    assert len(chart.sent) == 1


def test_clouds_do_not_stretch_the_scale() -> None:
    one = curve()
    values = one.values.copy()
    values[~one.valid] = 50
    cloudy = Curve(one.name, one.days, values, one.valid, one.line_days, one.line_values)
    assert plain_range([cloudy]) == plain_range([one])
    assert plain_range([one])[1] < 1.2


@given(
    st.lists(st.floats(-1e4, 1e4, width=32), max_size=20),
    st.lists(st.floats(-1e4, 1e4, width=32), max_size=20),
)
def test_the_scale_holds_every_clear_value_and_has_a_height(points: list[float], line: list[float]) -> None:
    days = np.arange(len(points)).astype("datetime64[D]")
    line_days = np.arange(len(line)).astype("datetime64[D]")
    one = Curve("one", days, np.array(points), np.ones(len(points), bool), line_days, np.array(line))
    low, high = plain_range([one])
    assert low < high
    assert all(low <= value <= high for value in [*points, *line])


def test_colours_of_its_own_are_kept_and_the_others_differ() -> None:
    given = [curve("a"), curve("b", colour=COLOURS[0]), curve("c"), curve("d", colour="#123456")]
    assert coloured(given) == [COLOURS[1], COLOURS[0], COLOURS[2], "#123456"]
    assert len(set(coloured([curve(str(i)) for i in range(8)]))) == 8


def test_shapes_that_do_not_fit_are_refused() -> None:
    one = curve()
    with pytest.raises(ValueError, match=r"one: days .* of the points do not fit"):
        Curve("one", one.days[:-1], one.values, one.valid, one.line_days, one.line_values)
    with pytest.raises(ValueError, match="of the line do not fit"):
        Curve("one", one.days, one.values, one.valid, one.line_days[:-1], one.line_values)
    with pytest.raises(ValueError, match="valid"):
        Curve("one", one.days, one.values, one.valid[:-1], one.line_days, one.line_values)
