"""iota2's exact numbers: the published values, and rational arithmetic on random ones."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.features.compatibility import fill_as_iota2, indices_as_iota2
from toolkit.features.stack import FeatureStack
from toolkit.ground.bands import BAND_NAMES

NAMES = ("ndvi", "ndwi", "brightness")


def fill(values: list[int], masked: list[int], dates: list[str], outputs: list[str]) -> list[int]:
    """One pixel, one band, through the stack; `masked` is 1 where a date is not usable."""
    series = np.array(values, dtype=np.int16)[:, None, None]
    stack = FeatureStack(("B4",), tuple(outputs), (), "iota2")
    features, _ = stack.compute(series, ~np.array(masked, dtype=bool)[:, None], np.array(dates, dtype="datetime64[D]"))
    return features[:, 0].tolist()


def january(*days: int) -> list[str]:
    """Days from 2018-01-01 on."""
    return [str(np.datetime64("2018-01-01") + day) for day in days]


def indices(values: list[int], bands: tuple[str, ...] = BAND_NAMES) -> list[float]:
    out = np.empty((3, 1, 1), dtype=np.float32)
    indices_as_iota2(np.array(values, dtype=np.float32)[None, :, None], bands, NAMES, out)
    return out[:, 0, 0].tolist()


def spectrum(**bands: int) -> list[int]:
    return [bands.get(band, 0) for band in BAND_NAMES]


def test_published_series() -> None:
    """Appendix B of the reference, items 5 to 8, and the vectors of the public gap-filling, cut to whole numbers."""
    every = january(0, 5, 10, 15, 20, 25, 30)
    assert fill([100, 200, 300, 400], [0, 1, 1, 0], january(0, 10, 20, 30), every) == [
        100,
        150,
        200,
        250,
        300,
        350,
        400,
    ]
    assert fill([50, 80], [0, 0], january(10, 20), january(0, 10, 15, 30)) == [50, 50, 65, 80]
    assert fill([5, 6, 7], [1, 1, 1], january(0, 10, 20), january(0, 5, 30)) == [0, 0, 0]
    assert fill([5, 6, 7], [1, 0, 1], january(0, 10, 20), january(0, 5, 30)) == [6, 6, 6]
    dates, values, only = january(0, 10, 20, 25, 40, 50, 60), [1, 1, 1, 0, 4, 1, 1], [0, 0, 0, 1, 0, 0, 0]
    assert fill(values, only, dates, january(25, 30, 37)) == [1, 2, 3]  # 1.75, 2.5, 3.55
    assert fill([-v for v in values], only, dates, january(25, 30, 37)) == [-1, -2, -3]
    assert fill([0, 1, 2, 4, 5, 6], [0] * 6, january(0, 10, 20, 40, 50, 60), january(30)) == [3]
    assert fill([3, -7, 9], [0] * 3, january(0, 4, 9), january(0, 4, 9)) == [3, -7, 9]


def test_published_indices() -> None:
    """Appendix B of the reference, items 1 to 4."""
    assert indices([500, 700, 600, 1200, 2500, 3000, 3200, 3400, 1800, 1000]) == [684, -280, 6620]
    assert indices([10500] * 10)[2] == 32767
    assert indices(spectrum(B8=300, B4=411))[0] == -156
    assert indices(spectrum(B8=300, B4=412))[0] == -157
    assert indices(spectrum(B8=500, B4=-500))[0] == 0
    assert indices(spectrum(B8=500, B4=200, B12=-10000)) == [-10000] * 3


def test_published_order_and_sign() -> None:
    """All bands of a date, date by date, then each index over all dates; NDWI is short-wave minus near infrared."""
    stack = FeatureStack(BAND_NAMES, ("2018-01-01", "2018-01-11"), NAMES, "iota2")
    values = np.array([[spectrum(B8=3000, B11=1000, B4=1000)], [spectrum(B8=1000, B11=3000, B4=3000)]], dtype=np.int16)
    dates = np.array(["2018-01-01", "2018-01-11"], dtype="datetime64[D]")
    features, _ = stack.compute(values.transpose(0, 2, 1), np.ones((2, 1), bool), dates)
    brightness = int(math.sqrt(11) * 1000), int(math.sqrt(19) * 1000)
    assert features[:, 0].tolist() == [*values[0, 0], *values[1, 0], 500, -500, -500, 500, *brightness]


def test_pixel_never_clear_is_zero_in_every_feature() -> None:
    stack = FeatureStack(BAND_NAMES, ("2018-01-01", "2018-01-11"), NAMES, "iota2")
    values = np.full((2, 10, 1), 900, dtype=np.int16)
    features, clear = stack.compute(values, np.zeros((2, 1), bool), np.array(january(0, 9), dtype="datetime64[D]"))
    assert not features.any() and clear[0] == 0


def test_years_have_365_days() -> None:
    """2020 has a day 366, which counts as the first day of 2021: from 2020-12-15 to 2021-01-15 there are 30 days."""
    assert fill([0, 3100], [0, 0], ["2020-12-15", "2021-01-15"], ["2021-01-01"]) == [1653]  # 3100 x 16 / 30
    assert fill([0, 3000], [0, 0], ["2020-12-15", "2021-01-14"], ["2020-12-31", "2021-01-01"]) == [1655, 1655]
    assert fill([0, 300], [0, 0], ["2020-02-28", "2020-03-02"], ["2020-02-29"]) == [100]
    plain = FeatureStack(("B4",), ("2021-01-01",), ())
    values = np.array([0, 3000], dtype=np.int16)[:, None, None]
    dates = np.array(["2020-12-15", "2021-01-14"], dtype="datetime64[D]")
    assert plain.compute(values, np.ones((2, 1), bool), dates)[0][0, 0] == pytest.approx(1700)


WHOLE = st.integers(-32768, 32767)


@settings(max_examples=300, deadline=None)
@given(WHOLE, WHOLE, st.integers(1, 3000), st.data())
def test_interpolation_is_exact(first: int, second: int, gap: int, data: st.DataObject) -> None:
    day = data.draw(st.integers(0, gap - 1))
    out = np.empty((1, 1, 1), dtype=np.float32)
    start = np.datetime64("1970-01-01")
    dates = np.array([start, start + _leap_free(gap)])
    values = np.array([first, second], dtype=np.int16)[:, None, None]
    fill_as_iota2(values, np.ones((2, 1), bool), dates, np.array([start + _leap_free(day)]), out)
    assert out[0, 0, 0] == math.trunc(first + Fraction(day, gap) * (second - first))


def _leap_free(days: int) -> np.timedelta64:
    """True days to the day of the calendar without leap years that is so many days after 1970-01-01."""
    year = np.datetime64(f"{1970 + days // 365:04d}-01-01")
    return (year - np.datetime64("1970-01-01")) + np.timedelta64(days % 365, "D")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-9999, 32767), min_size=10, max_size=10))
def test_indices_are_exact(values: list[int]) -> None:
    red, nir, swir = (values[BAND_NAMES.index(band)] for band in ("B4", "B8", "B11"))

    def difference(plus: int, minus: int) -> int:
        exact = Fraction(1000 * (plus - minus), plus + minus) if plus + minus else Fraction(0)
        return math.trunc(max(Fraction(-32768), min(Fraction(32767), exact)))

    brightness = min(math.isqrt(sum(value * value for value in values)), 32767)
    assert indices(values) == [difference(nir, red), difference(swir, nir), brightness]
