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
from toolkit.series.arithmetic import RUN
from toolkit.series.flat_series import FlatSeries
from toolkit.series.gaps import GapParams

Statistic = Literal["median", "mean", "medoid", "max_ndvi"]
STATISTICS: tuple[Statistic, ...] = ("median", "mean", "medoid", "max_ndvi")
MEDIAN, MEAN, MEDOID, MAX_NDVI = range(4)
MOST = np.int16(32767)


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
    seen = np.empty((len(output_dates), flat.values.shape[2]), dtype=np.uint16)
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


@njit(nogil=True, cache=True, error_model="numpy")
def _compose(values, validity, edges, statistic, red, nir, out, seen):  # type: ignore[no-untyped-def]
    """The composite of each period that has a usable date, run by run of pixels; 0 where it has none."""
    bands, pixels = values.shape[1:]
    most = max(1, (edges[1:] - edges[:-1]).max())
    ordered, total, least = np.empty((most, RUN), np.int16), np.empty((most, RUN)), np.empty(RUN)
    better = np.empty(RUN, np.bool_)
    for start in range(0, pixels, RUN):
        end = min(start + RUN, pixels)
        for d in range(out.shape[0]):
            first, last = edges[d], edges[d + 1]
            count = seen[d, start:end]
            for j in range(count.size):
                count[j] = 0
            for t in range(first, last):
                usable = validity[t, start:end]
                for j in range(count.size):
                    count[j] += usable[j] != 0
            if statistic in (MEDOID, MAX_NDVI):
                if statistic == MEDOID:
                    _distances(values, validity, first, last, start, count.size, total)
                else:
                    _minus_ndvi(values, first, last, start, count.size, red, nir, total)
                for b in range(bands):
                    out[d, b, start:end] = 0
                for j in range(count.size):
                    least[j] = np.inf
                for t in range(first, last):
                    usable, cost = validity[t, start:end], total[t - first]
                    for j in range(count.size):
                        better[j] = (usable[j] != 0) & (cost[j] < least[j])
                        least[j] = cost[j] if better[j] else least[j]
                    for b in range(bands):
                        target, value = out[d, b, start:end], values[t, b, start:end]
                        for j in range(count.size):
                            target[j] = np.float32(value[j]) if better[j] else target[j]
            else:
                for b in range(bands):
                    if statistic == MEAN:
                        _mean(values, validity, first, last, b, start, count, least, out[d, b, start:end])
                    else:
                        _median(values, validity, first, last, b, start, count, ordered, out[d, b, start:end])


@njit(nogil=True, cache=True, error_model="numpy")
def _mean(values, validity, first, last, b, start, count, total, out):  # type: ignore[no-untyped-def]
    for j in range(out.size):
        total[j] = 0
    for t in range(first, last):
        usable, value = validity[t, start : start + out.size], values[t, b, start : start + out.size]
        for j in range(out.size):
            total[j] += np.float64(value[j]) if usable[j] != 0 else 0.0
    for j in range(out.size):
        out[j] = total[j] / np.float64(count[j]) if count[j] > 0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _median(values, validity, first, last, b, start, count, ordered, out):  # type: ignore[no-untyped-def]
    """Each date is put in order among those before it; those that are not usable come last."""
    for t in range(first, last):
        usable, value = validity[t, start : start + out.size], values[t, b, start : start + out.size]
        place = ordered[t - first]
        for j in range(out.size):
            place[j] = value[j] if usable[j] != 0 else MOST
        for k in range(t - first):
            other = ordered[k]
            for j in range(out.size):
                low, high = min(other[j], place[j]), max(other[j], place[j])
                other[j], place[j] = low, high
    for j in range(out.size):
        n = count[j]
        low, high = (ordered[(n - 1) // 2, j], ordered[n // 2, j]) if n > 0 else (np.int16(0), np.int16(0))
        out[j] = (np.float64(low) + np.float64(high)) / 2


@njit(nogil=True, cache=True, error_model="numpy")
def _distances(values, validity, first, last, start, size, total):  # type: ignore[no-untyped-def]
    """The sum of Euclidean distances of each date to the other usable ones."""
    square = np.empty(RUN)
    for t in range(first, last):
        total[t - first, :size] = 0
    for t in range(first, last):
        for u in range(first, t):
            square[:size] = 0
            for b in range(values.shape[1]):
                one, other = values[t, b, start : start + size], values[u, b, start : start + size]
                for j in range(size):
                    apart = np.float64(one[j]) - np.float64(other[j])
                    square[j] += apart * apart
            mine, its = total[t - first], total[u - first]
            i_see, it_sees = validity[t, start : start + size], validity[u, start : start + size]
            for j in range(size):
                distance = np.sqrt(square[j])
                mine[j] += distance if it_sees[j] != 0 else 0.0
                its[j] += distance if i_see[j] != 0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _minus_ndvi(values, first, last, start, size, red, nir, cost):  # type: ignore[no-untyped-def]
    """Minus the NDVI of each date; where both reflectances cancel out, it is 0."""
    for t in range(first, last):
        here, a, b = cost[t - first], values[t, nir, start : start + size], values[t, red, start : start + size]
        for j in range(size):
            high, low = np.float64(a[j]), np.float64(b[j])
            both = high + low
            here[j] = (low - high) / both if both != 0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _bridge(seen, output_days, out):  # type: ignore[no-untyped-def]
    """Fill the periods that have no composite between those that have one; 0 where none has.

    Once forward, which holds the composite before, and once backward, which moves it towards the one after.
    """
    outputs, bands, pixels = out.shape
    held, day_held = np.empty((bands, RUN), np.float32), np.empty(RUN)
    since, share = np.empty((outputs, RUN)), np.empty(RUN)
    for start in range(0, pixels, RUN):
        end = min(start + RUN, pixels)
        for backward in range(2):
            held[:] = 0
            day_held[:] = np.inf if backward else -np.inf
            for step in range(outputs):
                d = outputs - 1 - step if backward else step
                day, here, before = np.float64(output_days[d]), seen[d, start:end], since[d]
                for j in range(here.size):
                    day_held[j] = day if here[j] != 0 else day_held[j]
                    if not backward:
                        before[j] = day_held[j]
                    elif day_held[j] == np.inf:
                        share[j] = 0.0
                    else:
                        share[j] = (day - before[j]) / (day_held[j] - before[j]) if before[j] > -np.inf else 1.0
                for b in range(bands):
                    value, last = out[d, b, start:end], held[b]
                    for j in range(here.size):
                        last[j] = value[j] if here[j] != 0 else last[j]
                        if not backward:
                            value[j] = last[j]
                        else:
                            low, high = np.float64(value[j]), np.float64(last[j])
                            value[j] = value[j] if here[j] != 0 else low + share[j] * (high - low)
