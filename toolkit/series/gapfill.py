"""Gap-filling between neighbours: linear, nearest, previous. From irregular, cloudy dates to a regular grid of days.

Linear interpolation in time between the nearest usable dates before and after; the ends are held; a pixel that is
never usable is 0 everywhere and has no clear date. These are the semantics of the Orfeo ToolBox's temporal
gap-filling that iota2 uses (Inglada et al. 2017, Remote Sensing 9(1), 95), with true day counts. Nearest and previous
are the same walk with weights of 0 and 1.

The kernel walks once forward over the dates, keeping the last usable value of every pixel and band by a bitwise
select (no branches, so the compiler makes vector instructions of it), takes a snapshot at each output date, then
walks backward keeping the next usable value and blends the two. It works on short runs of pixels, so its state stays
in the processor's cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from toolkit.series.flat_series import FlatSeries

RUN = 512
"""Pixels a run: 37 snapshots of 10 bands take 380 kB."""

LINEAR, NEAREST, PREVIOUS, WHOLE = range(4)
"""How the values before and after an output date become one; `WHOLE` is linear, cut to whole numbers."""


def fill_gaps(
    values: np.ndarray,
    validity: np.ndarray,
    dates: np.ndarray,
    output_dates: np.ndarray,
    out: np.ndarray | None = None,
    *,
    whole: bool = False,
) -> np.ndarray:
    """Fill the gaps of a series onto other dates, linearly.

    Args:
        values: (date, band, …) int16; the trailing axes (y, x or pixel) are any.
        validity: (date, …) bool or uint8, 1 where all bands are usable.
        dates: (date,) acquisition days in ascending order, datetime64[D]; a day may stand twice.
        output_dates: (output date,) ascending, datetime64[D].
        out: (output date, band, …) float32, C-contiguous, to write into.
        whole: cut decimals towards zero, exactly: what is a whole number stays it, over gaps of any length.

    Returns:
        (output date, band, …) float32; 0 where a pixel has no usable date.

    Raises:
        ValueError: shapes that do not fit, or dates not in order.
    """
    return _fill(FlatSeries.of(values, validity, dates, output_dates, out), WHOLE if whole else LINEAR)


def fill_nearest(
    values: np.ndarray, validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """As `fill_gaps`, by the usable date that is nearest in time; of two as near, the earlier."""
    return _fill(FlatSeries.of(values, validity, dates, output_dates, out), NEAREST)


def fill_previous(
    values: np.ndarray, validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """As `fill_gaps`, by the last usable date on or before; before the first one, by the first."""
    return _fill(FlatSeries.of(values, validity, dates, output_dates, out), PREVIOUS)


def _fill(series: FlatSeries, way: int) -> np.ndarray:
    seen = np.searchsorted(series.days, series.output_days, side="right")
    scan(series.values, series.validity, series.days, series.output_days, seen, way, series.out)
    return series.result


EXACT = {"contract", "nsz"}
"""What the compiler may change in arithmetic; not divisions, so that a value half-way between two is exactly that."""
NEVER_BEFORE = np.int16(-32768)
NEVER_AFTER = np.int16(32767)


@njit(nogil=True, cache=True, fastmath=EXACT)
def scan(values, validity, days, output_days, seen, way, out):  # type: ignore[no-untyped-def]
    """`seen[d]` is the number of acquisitions on or before output date d; the rest is as in `FlatSeries`."""
    dates, bands, pixels = values.shape
    outputs = output_days.size
    last = np.empty((bands, RUN), np.int16)
    last_day = np.empty(RUN, np.int16)
    before = np.empty((outputs, bands, RUN), np.int16)
    before_day = np.empty((outputs, RUN), np.int16)
    keep = np.empty((dates, RUN), np.int16)
    weight = np.empty(RUN, np.float32)
    for start in range(0, pixels, RUN):
        n = min(RUN, pixels - start)
        for t in range(dates):
            for j in range(n):
                keep[t, j] = np.int16(validity[t, start + j] != 0) - np.int16(1)
        last[:] = 0
        last_day[:] = NEVER_BEFORE
        d = 0
        for t in range(dates + 1):
            while d < outputs and seen[d] == t:
                before[d] = last
                before_day[d] = last_day
                d += 1
            if t < dates:
                _take(values[t], keep[t], days[t], start, n, last, last_day)
        last[:] = 0
        last_day[:] = NEVER_AFTER
        d = outputs - 1
        for t in range(dates, -1, -1):
            while d >= 0 and seen[d] == t:
                if way == WHOLE:
                    _blend_whole(before[d], last, before_day[d], last_day, output_days[d], start, n, out[d])
                else:
                    _weigh(before_day[d], last_day, output_days[d], way, weight)
                    for b in range(bands):
                        first, second, target = before[d, b], last[b], out[d, b, start : start + n]
                        for j in range(n):
                            a = np.float32(first[j])
                            target[j] = a + weight[j] * (np.float32(second[j]) - a)
                d -= 1
            if t > 0:
                _take(values[t - 1], keep[t - 1], days[t - 1], start, n, last, last_day)


@njit(nogil=True, cache=True, fastmath=EXACT, inline="always")
def _take(values, keep, day, start, n, last, last_day):  # type: ignore[no-untyped-def]
    """Where a pixel is usable on this date, its values and day become the last seen."""
    for j in range(n):
        last_day[j] = (last_day[j] & keep[j]) | (day & ~keep[j])
    for b in range(last.shape[0]):
        new, old = values[b, start : start + n], last[b]
        for j in range(n):
            old[j] = (old[j] & keep[j]) | (new[j] & ~keep[j])


@njit(nogil=True, cache=True, fastmath=EXACT)
def _weigh(before, after, day, way, weight):  # type: ignore[no-untyped-def]
    """Share of the later value. Ends are held; a pixel never seen has both values 0."""
    for j in range(weight.size):
        since = np.float32(np.int32(day) - np.int32(before[j]))
        gap = np.float32(max(np.int32(after[j]) - np.int32(before[j]), np.int32(1)))
        share = np.float32(1) if before[j] == NEVER_BEFORE else since / gap
        weight[j] = np.float32(0) if after[j] == NEVER_AFTER else share
    if way == NEAREST:
        for j in range(weight.size):
            weight[j] = np.float32(weight[j] > np.float32(0.5))
    elif way == PREVIOUS:
        for j in range(weight.size):
            weight[j] = np.float32(weight[j] == np.float32(1))


@njit(nogil=True, cache=True)
def _blend_whole(first, second, before, after, day, start, n, out):  # type: ignore[no-untyped-def]
    """Linear, cut to whole numbers towards zero.

    Exact: numerator and denominator are whole numbers that float64 holds, so a quotient that is a whole number comes
    out as it, and one that is not is further from it than rounding reaches.
    """
    for b in range(first.shape[0]):
        for j in range(n):
            if before[j] == NEVER_BEFORE:
                out[b, start + j] = second[b, j]
            elif after[j] == NEVER_AFTER:
                out[b, start + j] = first[b, j]
            else:
                since, until = np.float64(day) - before[j], np.float64(after[j]) - day
                out[b, start + j] = np.trunc((first[b, j] * until + second[b, j] * since) / (since + until))
