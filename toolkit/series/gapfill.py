"""Gap-filling: from irregular, cloudy dates to a regular grid of days. Pure arrays.

Linear interpolation in time between the nearest usable dates before and after; the ends are held; a pixel that is
never usable is 0 everywhere and has no clear date. These are the semantics of the Orfeo ToolBox's temporal
gap-filling that iota2 uses (Inglada et al. 2017, Remote Sensing 9(1), 95), with true day counts.

The kernel walks once forward over the dates, keeping the last usable value of every pixel and band by a bitwise
select (no branches, so the compiler makes vector instructions of it), takes a snapshot at each output date, then
walks backward keeping the next usable value and blends the two. It works on short runs of pixels, so its state stays
in the processor's cache.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

RUN = 512
"""Pixels a run: 37 snapshots of 10 bands take 380 kB."""


def fill_gaps(
    values: np.ndarray, validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """Fill the gaps of a series onto other dates.

    Args:
        values: (date, band, …) int16; the trailing axes (y, x or pixel) are any.
        validity: (date, …) bool or uint8, 1 where all bands are usable.
        dates: (date,) acquisition days in ascending order, datetime64[D]; a day may stand twice.
        output_dates: (output date,) ascending, datetime64[D].
        out: (output date, band, …) float32, C-contiguous, to write into.

    Returns:
        (output date, band, …) float32; 0 where a pixel has no usable date.

    Raises:
        ValueError: shapes that do not fit, or dates not in order.
    """
    _check(values, validity, dates, output_dates)
    pixels = values.shape[2:]
    shape = (len(output_dates), values.shape[1], *pixels)
    if out is None:
        out = np.empty(shape, dtype=np.float32)
    elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} {out.shape}; C-contiguous float32 {shape} is needed")
    origin = min(dates[0], output_dates[0]) if len(dates) else output_dates[0]
    days, output_days = _days(dates, origin), _days(output_dates, origin)
    count = math.prod(pixels)
    _scan(
        np.ascontiguousarray(values).reshape(len(dates), values.shape[1], count),
        np.ascontiguousarray(validity).view(np.uint8).reshape(len(dates), count),
        days,
        output_days,
        np.searchsorted(days, output_days, side="right"),
        out.reshape(*shape[:2], count),
    )
    return out


def count_clear(validity: np.ndarray) -> np.ndarray:
    """Number of usable dates of each pixel, uint16, from a validity of shape (date, …)."""
    return validity.astype(bool).sum(axis=0, dtype=np.uint16)


def _check(values: np.ndarray, validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray) -> None:
    if values.dtype != np.int16:
        raise ValueError(f"values are {values.dtype}; int16 is needed")
    if values.shape[:1] + values.shape[2:] != validity.shape or len(dates) != len(values):
        raise ValueError(f"values {values.shape}, validity {validity.shape} and {len(dates)} dates do not fit")
    for name, series in (("dates", dates), ("output_dates", output_dates)):
        if np.any(np.diff(series.astype("datetime64[D]")) < np.timedelta64(0)):
            raise ValueError(f"{name} must ascend")


def _days(dates: np.ndarray, origin: np.datetime64) -> np.ndarray:
    """True days since `origin` (leap years count), int16: selected by bits, like the values; 89 years at most."""
    return (dates.astype("datetime64[D]") - origin.astype("datetime64[D]")).astype(np.int16)


EXACT = {"contract", "nsz"}
"""What the compiler may change in arithmetic; not divisions, so that a value half-way between two is exactly that."""
NEVER_BEFORE = np.int16(-32768)
NEVER_AFTER = np.int16(32767)


@njit(nogil=True, cache=True, fastmath=EXACT)
def _scan(values, validity, days, output_days, seen, out):  # type: ignore[no-untyped-def]
    """`seen[d]` is the number of acquisitions on or before output date d."""
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
                _weigh(before_day[d], last_day, output_days[d], weight)
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


@njit(nogil=True, cache=True, fastmath=EXACT, inline="always")
def _weigh(before, after, day, weight):  # type: ignore[no-untyped-def]
    """Share of the later value. Ends are held; a pixel never seen has both values 0."""
    for j in range(weight.size):
        since = np.float32(np.int32(day) - np.int32(before[j]))
        gap = np.float32(max(np.int32(after[j]) - np.int32(before[j]), np.int32(1)))
        share = np.float32(1) if before[j] == NEVER_BEFORE else since / gap
        weight[j] = np.float32(0) if after[j] == NEVER_AFTER else share
