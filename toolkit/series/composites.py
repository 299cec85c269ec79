"""Period composites: of the clear dates between a day of the grid and the next, one value.

    mean, median    of each band by itself
    medoid          the date whose spectrum is nearest to all others, a real one: Flood, N. (2013), Seasonal composite
                    Landsat TM/ETM+ images using the medoid, Remote Sensing 5(12), 6481-6500
    max_ndvi        the date of the highest NDVI: Holben, B. N. (1986), Characteristics of maximum-value composite
                    images from temporal AVHRR data, International Journal of Remote Sensing 7(11), 1417-1434

A period ends the day before the next one begins; the last is as long as the one before it. A period without a clear
date is filled linearly between the composites before and after it, each standing on the first day of its period.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numba import njit

from toolkit.ground.errors import ParameterError
from toolkit.ground.params import param
from toolkit.series.flat_series import FlatSeries
from toolkit.series.gaps import GapParams

Statistic = Literal["median", "mean", "medoid", "max_ndvi"]
STATISTICS: tuple[Statistic, ...] = ("median", "mean", "medoid", "max_ndvi")
MEDIAN, MEAN, MEDOID, MAX_NDVI = range(4)


class CompositeParams(GapParams):
    """One value of the clear dates between a day of the grid and the next."""

    method: Literal["composite"] = param(
        "composite", "One value of the clear dates from a day of the grid to the next."
    )
    statistic: Statistic = param(
        "median",
        "Of the clear dates of each period: median or mean, band by band; medoid, the date most like all others; "
        "max_ndvi, the date of the highest NDVI.",
    )


def fill_composite(
    values: np.ndarray,
    validity: np.ndarray,
    dates: np.ndarray,
    output_dates: np.ndarray,
    out: np.ndarray | None = None,
    *,
    statistic: Statistic = "median",
    red: int = 0,
    nir: int = 0,
) -> np.ndarray:
    """As `fill_gaps`, by one value of the usable dates of each period. Of two dates as good, the earlier is taken.

    Args:
        red, nir: positions of the bands of the NDVI, for `max_ndvi`.
    """
    flat = FlatSeries.of(values, validity, dates, output_dates, out)
    seen = np.empty((len(output_dates), flat.values.shape[2]), dtype=np.uint8)
    edges = _edges(dates, output_dates)
    _compose(flat.values, flat.validity, edges, STATISTICS.index(statistic), red, nir, flat.out, seen)
    _bridge(seen, flat.output_days, flat.out)
    return flat.result


def seen_periods(validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray) -> np.ndarray:
    """Whether each period has a usable date, bool (output date, …), from a validity of shape (date, …)."""
    edges = _edges(dates, output_dates)
    return np.stack([validity[a:b].astype(bool).any(axis=0) for a, b in pairwise(edges)])


def ndvi_bands(bands: Sequence[str]) -> tuple[int, int]:
    """Positions of red and near infrared.

    Raises:
        ParameterError: one is not there.
    """
    nir = next((band for band in ("B8", "B8A") if band in bands), None)
    if nir is None or "B4" not in bands:
        raise ParameterError(
            "series.gap_filling.statistic = max_ndvi needs B4, and B8 or B8A, which are not all in series.bands = "
            f"{', '.join(bands)}; add the band, or take another statistic"
        )
    return list(bands).index("B4"), list(bands).index(nir)


def _edges(dates: np.ndarray, output_dates: np.ndarray) -> np.ndarray:
    """Period d holds the dates from `edges[d]` to before `edges[d + 1]`; all from the first day on if it is alone."""
    days = output_dates.astype("datetime64[D]")
    edges = np.searchsorted(dates.astype("datetime64[D]"), days, side="left")
    end = (
        np.searchsorted(dates.astype("datetime64[D]"), days[-1] + (days[-1] - days[-2]))
        if len(days) > 1
        else len(dates)
    )
    return np.append(edges, end)


@njit(nogil=True, cache=True)
def _compose(values, validity, edges, statistic, red, nir, out, seen):  # type: ignore[no-untyped-def]
    dates, bands, pixels = values.shape
    usable, sorted_values = np.empty(dates, np.int64), np.empty(dates, np.int16)
    for d in range(out.shape[0]):
        for p in range(pixels):
            n = 0
            for t in range(edges[d], edges[d + 1]):
                if validity[t, p] != 0:
                    usable[n] = t
                    n += 1
            seen[d, p] = n > 0
            if n == 0:
                continue
            if statistic in (MEDOID, MAX_NDVI):
                t = _medoid(values, usable, n, p) if statistic == MEDOID else _greenest(values, usable, n, p, red, nir)
                for b in range(bands):
                    out[d, b, p] = values[t, b, p]
            elif statistic == MEAN:
                for b in range(bands):
                    total = 0
                    for i in range(n):
                        total += values[usable[i], b, p]
                    out[d, b, p] = total / n
            else:
                for b in range(bands):
                    out[d, b, p] = _median(values, usable, n, p, b, sorted_values)


@njit(nogil=True, cache=True)
def _median(values, usable, n, p, b, sorted_values):  # type: ignore[no-untyped-def]
    for i in range(n):
        value, k = values[usable[i], b, p], i
        while k > 0 and sorted_values[k - 1] > value:
            sorted_values[k] = sorted_values[k - 1]
            k -= 1
        sorted_values[k] = value
    return (np.float64(sorted_values[(n - 1) // 2]) + np.float64(sorted_values[n // 2])) / 2


@njit(nogil=True, cache=True)
def _medoid(values, usable, n, p):  # type: ignore[no-untyped-def]
    """The date with the least sum of Euclidean distances to the others."""
    best, least = usable[0], np.inf
    for i in range(n):
        total = 0.0
        for k in range(n):
            square = 0.0
            for b in range(values.shape[1]):
                square += (np.float64(values[usable[i], b, p]) - np.float64(values[usable[k], b, p])) ** 2
            total += np.sqrt(square)
        if total < least:
            best, least = usable[i], total
    return best


@njit(nogil=True, cache=True)
def _greenest(values, usable, n, p, red, nir):  # type: ignore[no-untyped-def]
    """The date of the highest NDVI; where both reflectances cancel out, it is 0."""
    best, highest = usable[0], -np.inf
    for i in range(n):
        a, b = np.float64(values[usable[i], nir, p]), np.float64(values[usable[i], red, p])
        ndvi = (a - b) / (a + b) if a + b != 0 else 0.0
        if ndvi > highest:
            best, highest = usable[i], ndvi
    return best


@njit(nogil=True, cache=True)
def _bridge(seen, output_days, out):  # type: ignore[no-untyped-def]
    """Fill the periods that have no composite between those that have one; 0 where none has."""
    outputs, bands, pixels = out.shape
    for p in range(pixels):
        before, after = -1, -1
        for d in range(outputs):
            if seen[d, p] != 0:
                before = d
                continue
            if after < d:
                after = d + 1
                while after < outputs and seen[after, p] == 0:
                    after += 1
            share = 0.0
            if before >= 0 and after < outputs:
                share = np.float64(output_days[d] - output_days[before]) / (output_days[after] - output_days[before])
            first = before if before >= 0 else after
            second = after if after < outputs else before
            for b in range(bands):
                if first >= outputs or second < 0:
                    out[d, b, p] = np.float32(0)
                else:
                    low, high = np.float64(out[first, b, p]), np.float64(out[second, b, p])
                    out[d, b, p] = low + share * (high - low)
