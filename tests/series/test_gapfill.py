"""Gap-filling against the published values of the reference, and against an obvious, slow implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.series.gapfill import fill_gaps
from toolkit.series.gaps import count_clear

EPOCH = np.datetime64("2018-01-01")


def days(*values: float) -> np.ndarray:
    return EPOCH + np.array(values, dtype="timedelta64[D]")


def fill(values: list[float], masked: list[int], dates: list[int], outputs: list[int]) -> list[float]:
    """One pixel, one band; `masked` is 1 where a date is not usable."""
    series = np.array(values, dtype=np.int16)[:, None, None]
    validity = ~np.array(masked, dtype=bool)[:, None]
    return fill_gaps(series, validity, days(*dates), days(*outputs))[:, 0, 0].tolist()


def obvious(values: np.ndarray, valid: np.ndarray, dates: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """One pixel and band in float64, straight from the definition."""
    values = values.astype(float)
    result = []
    for day in outputs:
        before = [(t, v) for t, v, ok in zip(dates, values, valid, strict=True) if ok and t <= day]
        after = [(t, v) for t, v, ok in zip(dates, values, valid, strict=True) if ok and t > day]
        if before and after:
            (t0, v0), (t1, v1) = before[-1], after[0]
            result.append(v0 + (v1 - v0) * (day - t0) / (t1 - t0))
        else:
            result.append(float(before[-1][1] if before else after[0][1] if after else 0))
    return np.array(result)


def test_published_values() -> None:
    # Appendix B of the reference: items 5, 6, 7 and 8.
    filled = fill([100, 200, 300, 400], [0, 1, 1, 0], [0, 10, 20, 30], [0, 5, 10, 15, 20, 25, 30])
    assert filled == [100, 150, 200, 250, 300, 350, 400]
    assert fill([50, 80], [0, 0], [10, 20], [0, 10, 15, 30]) == [50, 50, 65, 80]
    assert fill([5, 6, 7], [1, 1, 1], [0, 10, 20], [0, 5, 30]) == [0, 0, 0]
    assert fill([5, 6, 7], [1, 0, 1], [0, 10, 20], [0, 5, 30]) == [6, 6, 6]


def test_vectors_of_the_public_gap_filling() -> None:
    """Dates scaled by ten, since ours are whole days: t = 2.5 becomes day 25."""
    dates, values = [0, 10, 20, 25, 40, 50, 60], [1, 1, 1, 0, 4, 1, 1]
    only = [0, 0, 0, 1, 0, 0, 0]
    assert fill(values, only, dates, [25]) == pytest.approx([1.75])
    assert fill(values, only, dates, [30]) == pytest.approx([2.5])
    assert fill(values, only, dates, [37]) == pytest.approx([3.55])
    regular = [0, 10, 20, 30, 40, 50, 60]
    assert fill([0, 1, 2, 4, 5, 6], [0] * 6, [0, 10, 20, 40, 50, 60], regular) == pytest.approx([0, 1, 2, 3, 4, 5, 6])


def test_no_gaps_and_same_dates_change_nothing() -> None:
    assert fill([3, -7, 9], [0, 0, 0], [0, 4, 9], [0, 4, 9]) == [3, -7, 9]


def test_leap_years_count() -> None:
    dates = np.array(["2020-02-28", "2020-03-01"], dtype="datetime64[D]")
    series = np.array([0, 100], dtype=np.int16)[:, None, None]
    middle = np.array(["2020-02-29"], dtype="datetime64[D]")
    assert fill_gaps(series, np.ones((2, 1), bool), dates, middle)[0, 0, 0] == 50


def test_of_two_acquisitions_on_a_day_the_later_counts_on_that_day() -> None:
    assert fill([10, 20, 40], [0, 0, 0], [5, 5, 10], [5, 0, 10][1:]) == [10, 40]
    assert fill([10, 20, 40], [0, 0, 0], [5, 5, 9], [5, 7]) == [20, 30]


@st.composite
def series(draw: st.DrawFn) -> tuple:
    count = draw(st.integers(0, 12))
    dates = sorted(draw(st.lists(st.integers(0, 400), min_size=count, max_size=count)))
    outputs = sorted(draw(st.sets(st.integers(-20, 420), min_size=1, max_size=15)))
    pixels, bands = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = rng.integers(-10000, 30000, (count, bands, pixels)).astype(np.int16)
    validity = rng.random((count, pixels)) < draw(st.floats(0, 1))
    return dates, outputs, values, validity


@settings(max_examples=150, deadline=None)
@given(series())
def test_equals_the_definition(case: tuple) -> None:
    dates, outputs, values, validity = case
    filled = fill_gaps(values, validity, days(*dates), days(*outputs))
    for pixel in range(values.shape[2]):
        for band in range(values.shape[1]):
            wanted = obvious(values[:, band, pixel], validity[:, pixel], np.array(dates), np.array(outputs))
            assert np.abs(filled[:, band, pixel] - wanted).max() < 1e-2


def test_many_pixels_cross_the_runs_of_the_kernel() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 10000, (20, 2, 31, 47)).astype(np.int16)
    validity = rng.random((20, 31, 47)) < 0.6
    dates, outputs = days(*range(0, 200, 10)), days(*range(0, 200, 7))
    whole = fill_gaps(values, validity, dates, outputs)
    alone = fill_gaps(values[:, :, 30:, 40:41], validity[:, 30:, 40:41], dates, outputs)
    assert np.array_equal(whole[:, :, 30:, 40:41], alone)
    wanted = obvious(values[:, 1, 20, 5], validity[:, 20, 5], np.arange(0, 200, 10), np.arange(0, 200, 7))
    assert np.abs(whole[:, 1, 20, 5] - wanted).max() < 1e-2


def test_writes_into_the_array_given() -> None:
    out = np.empty((2, 1, 1), dtype=np.float32)
    series = np.array([0, 100], dtype=np.int16)[:, None, None]
    assert fill_gaps(series, np.ones((2, 1), bool), days(0, 10), days(0, 5), out) is out
    assert out[1, 0, 0] == 50


def test_arrays_that_do_not_fit_are_refused() -> None:
    values, validity = np.zeros((3, 2, 4), dtype=np.int16), np.ones((3, 4), dtype=bool)
    with pytest.raises(ValueError, match="int16"):
        fill_gaps(values.astype(float), validity, days(0, 1, 2), days(0))
    with pytest.raises(ValueError, match="do not fit"):
        fill_gaps(values, validity[:2], days(0, 1, 2), days(0))
    with pytest.raises(ValueError, match="must ascend"):
        fill_gaps(values, validity, days(2, 1, 0), days(0))
    with pytest.raises(ValueError, match="C-contiguous"):
        fill_gaps(values, validity, days(0, 1, 2), days(0), np.empty((1, 2, 3), dtype=np.float32))


def test_count_of_clear_dates() -> None:
    assert count_clear(np.array([[1, 0], [1, 0], [0, 0]], dtype=bool)).tolist() == [2, 0]
