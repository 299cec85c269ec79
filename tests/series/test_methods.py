"""Every method of gap-filling against an obvious, slow one on random series; blocks and layouts; what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.series import obvious
from toolkit.ground.errors import ParameterError
from toolkit.series.akima import fill_akima
from toolkit.series.composites import fill_composite, ndvi_bands
from toolkit.series.gapfill import fill_gaps, fill_nearest, fill_previous
from toolkit.series.gaps import longest_gap
from toolkit.series.methods import GapFilling, LinearParams, fill_series
from toolkit.series.savitzky_golay import SavitzkyGolayParams, coefficients, fill_savitzky_golay
from toolkit.series.whittaker import fill_whittaker

EPOCH = np.datetime64("2018-01-01")
CHOICES = (
    {"method": "linear"},
    {"method": "nearest"},
    {"method": "previous"},
    {"method": "akima"},
    {"method": "whittaker", "smoothing": 300.0},
    {"method": "savitzky_golay", "window": 5, "order": 2},
    *({"method": "composite", "statistic": one} for one in ("median", "mean", "medoid", "max_ndvi")),
)
BANDS = ("B4", "B8")


def chosen(**values: Any) -> Any:
    return TypeAdapter(GapFilling).validate_python(values)


def days(values: Any) -> np.ndarray:
    return EPOCH + np.asarray(values, dtype="timedelta64[D]")


@st.composite
def series(draw: st.DrawFn, regular: bool = False, most: int = 12) -> tuple:
    """Dates (some twice, one, none), outputs, values (date, band, pixel), validity."""
    dates = np.array(sorted(draw(st.lists(st.integers(0, 200), max_size=most))), dtype=int)
    if regular or draw(st.booleans()):
        outputs = draw(st.integers(-20, 150)) + draw(st.integers(1, 30)) * np.arange(draw(st.integers(1, 12)))
    else:
        outputs = np.array(sorted(draw(st.sets(st.integers(-20, 220), min_size=1, max_size=12))))
    pixels, bands = draw(st.integers(1, 4)), draw(st.integers(2, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    low, high = draw(st.sampled_from([(0, 6000), (-10000, 30000), (0, 3)]))
    values = rng.integers(low, high, (len(dates), bands, pixels)).astype(np.int16)
    return dates, outputs, values, rng.random((len(dates), pixels)) < draw(st.floats(0, 1))


def assert_equals(filled: np.ndarray, case: tuple, wanted: Any, allowed: float = 1e-2) -> None:
    """`wanted` takes dates, values and validity of a pixel and band, and the output days."""
    dates, outputs, values, validity = case
    assert filled.dtype == np.float32 and filled.shape == (len(outputs), *values.shape[1:])
    for pixel in range(values.shape[2]):
        for band in range(values.shape[1]):
            truth = wanted(dates, values[:, band, pixel], validity[:, pixel], outputs)
            assert np.abs(filled[:, band, pixel] - truth).max() < allowed


def by(fill: Any, case: tuple, **settings: Any) -> np.ndarray:
    dates, outputs, values, validity = case
    return fill(values, validity, days(dates), days(outputs), **settings)


@settings(max_examples=100, deadline=None)
@given(series())
def test_nearest_and_previous_equal_their_definitions(case: tuple) -> None:
    assert_equals(by(fill_nearest, case), case, obvious.nearest, 1e-9)
    assert_equals(by(fill_previous, case), case, obvious.previous, 1e-9)


@settings(max_examples=100, deadline=None)
@given(series())
def test_akima_equals_its_definition(case: tuple) -> None:
    assert_equals(by(fill_akima, case), case, obvious.akima)


@settings(max_examples=100, deadline=None)
@given(series(), st.sampled_from([0.01, 1.0, 100.0, 1e5]))
def test_whittaker_equals_the_system_of_all_days(case: tuple, smoothing: float) -> None:
    assert_equals(
        by(fill_whittaker, case, smoothing=smoothing),
        case,
        lambda *given: obvious.whittaker(*given, smoothing=smoothing),
        0.05,  # the dense system is the less exact of the two
    )


@settings(max_examples=60, deadline=None)
@given(series(regular=True), st.sampled_from([(3, 0), (3, 1), (5, 2), (7, 3), (9, 4)]))
def test_savitzky_golay_equals_the_fitted_polynomials(case: tuple, shape: tuple[int, int]) -> None:
    window, order = shape
    assert_equals(
        by(fill_savitzky_golay, case, window=window, order=order),
        case,
        lambda *given: obvious.savitzky_golay(*given, window=window, order=order),
        0.03,
    )


@settings(max_examples=100, deadline=None)
@given(series(most=30))
def test_mean_and_median_equal_numpy_s(case: tuple) -> None:
    def composite(reduce: Any) -> Any:
        def wanted(dates: np.ndarray, values: np.ndarray, valid: np.ndarray, outputs: np.ndarray) -> np.ndarray:
            found = [float(reduce(values[i])) if len(i) else None for i in obvious.periods(dates, valid, outputs)]
            return obvious.bridged(found, outputs)

        return wanted

    assert_equals(by(fill_composite, case, statistic="mean"), case, composite(np.mean))
    assert_equals(by(fill_composite, case, statistic="median"), case, composite(np.median))


@settings(max_examples=100, deadline=None)
@given(series(most=30))
def test_medoid_and_max_ndvi_are_real_dates_that_no_other_is_better_than(case: tuple) -> None:
    dates, outputs, values, validity = case
    medoid = by(fill_composite, case, statistic="medoid")
    greenest = by(fill_composite, case, statistic="max_ndvi", red=0, nir=1)
    for pixel in range(values.shape[2]):
        for d, found in enumerate(obvious.periods(dates, validity[:, pixel], outputs)):
            if not len(found):
                continue
            spectra = values[found, :, pixel].astype(float)
            distances = np.linalg.norm(spectra[:, None] - spectra[None], axis=2).sum(axis=1)
            total = spectra[:, 1] + spectra[:, 0]
            ndvi = np.divide(spectra[:, 1] - spectra[:, 0], total, out=np.zeros(len(total)), where=total != 0)
            for result, cost in ((medoid, distances), (greenest, -ndvi)):
                same = (spectra == result[d, :, pixel]).all(axis=1)
                assert same.any() and cost[same].min() <= cost.min() + 1e-6


@settings(max_examples=60, deadline=None)
@given(series(regular=True), st.sampled_from(CHOICES), st.none() | st.integers(1, 60), st.integers(1, 3))
def test_any_cut_into_blocks_has_the_same_bits(case: tuple, choice: dict, longest: int | None, size: int) -> None:
    dates, outputs, values, validity = case
    values, validity = np.tile(values, 5), np.tile(validity, 5)
    rest = (days(dates), days(outputs))
    params = chosen(**choice, max_gap_days=longest)
    bands = ("B4", "B8", "B2")[: values.shape[1]]
    whole, kept = fill_series(params, bands, values, validity, *rest)
    for start in range(0, values.shape[2], size):
        part = slice(start, start + size)
        some, some_kept = fill_series(params, bands, values[:, :, part], validity[:, part], *rest)
        assert np.array_equal(some, whole[:, :, part])
        assert (kept is None) == (some_kept is None)
        assert kept is None or np.array_equal(some_kept, kept[part])


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_block_of_rows_and_columns_is_as_pixels_in_a_line(choice: dict) -> None:
    """Large enough to cross the runs and parts of the kernels."""
    rng = np.random.default_rng(1)
    values = rng.integers(0, 9000, (25, 2, 27, 41)).astype(np.int16)
    validity = rng.random((25, 27, 41)) < 0.5
    rest = (days(np.sort(rng.integers(0, 200, 25))), days(np.arange(0, 200, 10)))
    block, _ = fill_series(chosen(**choice), BANDS, values, validity, *rest)
    line, _ = fill_series(chosen(**choice), BANDS, values.reshape(25, 2, -1), validity.reshape(25, -1), *rest)
    assert np.array_equal(block.reshape(line.shape), line)
    few = np.array([0, 511, 512, 700, 1106])
    some, _ = fill_series(
        chosen(**choice), BANDS, values.reshape(25, 2, -1)[..., few], validity.reshape(25, -1)[:, few], *rest
    )
    assert np.array_equal(line[..., few], some)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_one_date_is_constant_and_none_is_zero(choice: dict) -> None:
    values = np.array([[[70, 70]], [[90, 90]]], dtype=np.int16).repeat(2, axis=1)
    validity = np.array([[False, False], [True, False]])
    filled, _ = fill_series(chosen(**choice), BANDS, values, validity, days([5, 9]), days([0, 10, 20]))
    assert filled[:, :, 0] == pytest.approx(90, abs=1e-3)
    assert not filled[:, :, 1].any()


@settings(max_examples=150, deadline=None)
@given(series(), st.integers(1, 120))
def test_days_in_a_gap_too_long_are_zero_and_the_others_as_without(case: tuple, longest: int) -> None:
    dates, outputs, values, validity = case
    plain = by(fill_gaps, case)
    filled, kept = fill_series(LinearParams(max_gap_days=longest), BANDS, values, validity, days(dates), days(outputs))
    assert kept is not None
    for pixel in range(values.shape[2]):
        valid = validity[:, pixel]
        gaps = [obvious.gap_at(dates, valid, day, outputs[0], outputs[-1]) for day in outputs]
        empty = np.array(gaps) > longest
        assert not filled[empty, :, pixel].any()
        assert np.array_equal(filled[~empty, :, pixel], plain[~empty, :, pixel])
        assert kept[pixel] == (valid.any() and not empty.all())


def test_a_composite_stands_for_its_whole_period() -> None:
    """Seen on day 8 only: the period from day 0 has a value, however strict the longest gap."""
    values = np.full((1, 2, 1), 50, dtype=np.int16)
    params = chosen(method="composite", max_gap_days=5)
    filled, kept = fill_series(params, BANDS, values, np.ones((1, 1), bool), days([8]), days([0, 10, 20]))
    assert filled[:, 0, 0].tolist() == [50, 0, 0] and kept is not None and kept.all()


@settings(max_examples=150, deadline=None)
@given(series(), st.integers(-20, 100), st.integers(1, 150))
def test_longest_gap_is_the_longest_of_every_day_s(case: tuple, first: int, length: int) -> None:
    dates, _, values, validity = case
    found = longest_gap(validity, days(dates), EPOCH + first, EPOCH + first + length)
    assert found.dtype == np.uint16 and found.shape == (values.shape[2],)
    for pixel in range(values.shape[2]):
        x = sorted(set(dates[validity[:, pixel]].tolist()))
        last = first + length
        posts = [*([first] if not any(day <= first for day in x) else []), *x]
        posts += [last] if not any(day >= last for day in x) else []
        wanted = max([b - a for a, b in pairwise(posts) if a < last and b > first], default=0)
        assert found[pixel] == wanted


def test_longest_gap_of_a_block() -> None:
    validity = np.array([[[1, 0]], [[1, 0]]], dtype=bool)
    gap = longest_gap(validity, days([10, 60]), EPOCH, EPOCH + 364)
    assert gap.tolist() == [[304, 364]]
    assert longest_gap(validity[:0], days([]), EPOCH, EPOCH + 9).tolist() == [[9, 9]]


def test_coefficients_are_the_published_ones() -> None:
    """Savitzky and Golay 1964, table I: quadratic or cubic, 5 and 7 points."""
    assert coefficients(5, 2) == pytest.approx(np.array([-3, 12, 17, 12, -3]) / 35)
    assert coefficients(7, 3) == pytest.approx(np.array([-2, 3, 6, 7, 6, 3, -2]) / 21)


def test_smoothing_keeps_a_line_and_loses_noise() -> None:
    dates = np.arange(0, 200, 5)
    line = np.array(1000 + 10 * dates, dtype=np.int16)[:, None, None]
    noisy = line + np.array([200, -200] * 20, dtype=np.int16)[:, None, None]
    outputs = days(np.arange(20, 180, 5))
    wanted = 1000 + 10 * np.arange(20, 180, 5)
    for fill in (fill_whittaker, fill_savitzky_golay):
        valid = np.ones((40, 1), bool)
        assert fill(line, valid, days(dates), outputs)[:, 0, 0] == pytest.approx(wanted, abs=0.01)
        assert np.abs(fill(noisy, valid, days(dates), outputs)[:, 0, 0] - wanted).max() < 150


def test_what_does_not_fit_a_method_is_refused() -> None:
    values, validity = np.zeros((2, 2, 1), dtype=np.int16), np.ones((2, 1), bool)
    with pytest.raises(ValueError, match="equal steps"):
        fill_savitzky_golay(values, validity, days([0, 1]), days([0, 10, 30]))
    with pytest.raises(ValueError, match="above 0"):
        fill_whittaker(values, validity, days([0, 1]), days([0]), smoothing=0)
    with pytest.raises(ValueError, match="odd number is needed, such as 5"):
        SavitzkyGolayParams(window=4)
    with pytest.raises(ValueError, match="must be less than window"):
        SavitzkyGolayParams(window=3, order=3)
    with pytest.raises(ParameterError, match="max_ndvi needs B4, and B8 or B8A"):
        ndvi_bands(("B2", "B8"))
    assert ndvi_bands(("B2", "B4", "B8A")) == (1, 2)
