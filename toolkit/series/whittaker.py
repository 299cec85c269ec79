"""Smoothing after Whittaker: as near the clear dates as it can be while bending as little as it must.

Eilers, P. H. C. (2003), A perfect smoother, Analytical Chemistry 75(14), 3631-3636. On the grid of all days, the
smooth series z minimises

    sum over clear dates of (y - z)²  +  smoothing x sum over all days of (z[i - 1] - 2 z[i] + z[i + 1])²

Nothing is gained by solving for all days, for between two clear dates the minimum is a cubic: its fourth differences
are 0. What is left is a system in the second differences at the clear dates, five diagonals wide, as Reinsch's for
smoothing splines (1967, Numerische Mathematik 10, 177-183) but with sums over days where his has integrals. Its
solution is the one on the grid of days, whatever the grid that is asked for.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit

from toolkit.ground.params import param
from toolkit.series.flat_series import FlatSeries
from toolkit.series.gaps import GapParams
from toolkit.series.knots import FEW, collect_knots, find_pieces, gather, scatter


class WhittakerParams(GapParams):
    """Whittaker's smoother on the grid of all days."""

    method: Literal["whittaker"] = param("whittaker", "Whittaker's smoother on the grid of all days.")
    smoothing: float = param(
        100.0,
        "How smooth. With 100 and a clear date every eight days, waves of 33 days keep half of their height; 16 times "
        "as much doubles that time.",
        gt=0,
        le=1e9,
        log=(1, 1e6),
    )


def fill_whittaker(
    values: np.ndarray,
    validity: np.ndarray,
    dates: np.ndarray,
    output_dates: np.ndarray,
    out: np.ndarray | None = None,
    *,
    smoothing: float = 100.0,
) -> np.ndarray:
    """As `fill_gaps`, by Whittaker's smoother with second differences; ends are held.

    Args:
        smoothing: the weight of the bends (Eilers's lambda), for days as unit of time; above 0.
    """
    if not smoothing > 0:
        raise ValueError(f"smoothing is {smoothing}; it must be above 0")
    flat = FlatSeries.of(values, validity, dates, output_dates, out)
    _whittaker(flat.values, flat.validity, flat.days, flat.output_days, float(smoothing), flat.out)
    return flat.result


@njit(nogil=True, cache=True, error_model="numpy")
def _whittaker(values, validity, days, output_days, smoothing, out):  # type: ignore[no-untyped-def]
    dates, bands, pixels = values.shape
    x, weight, y = np.empty(dates), np.empty(dates), np.empty((dates, bands))
    bend = np.zeros((dates, bands))
    column, factor = np.empty((dates, 3)), np.empty((dates, 3))
    pieces, some = np.empty(output_days.size, np.int64), np.empty((FEW, dates, bands), np.int16)
    result = np.empty((FEW, output_days.size, bands), np.float32)
    for start in range(0, pixels, FEW):
        few = min(FEW, pixels - start)
        gather(values, start, few, some)
        for j in range(few):
            n = collect_knots(some[j], validity, days, start + j, x, weight, y)
            if n > 0:
                bend[0] = 0
                bend[n - 1] = 0
                find_pieces(x, n, output_days, pieces)
            if n > 2:
                _factorise(x, weight, n, smoothing, column, factor)
                _bends(x, y, n, factor, bend)
                _smooth(weight, n, smoothing, column, bend, y)
            _evaluate(x, y, bend, n, output_days, pieces, result[j])
        scatter(result, start, few, out)


@njit(nogil=True, cache=True, error_model="numpy")
def _factorise(x, weight, n, smoothing, column, factor):  # type: ignore[no-untyped-def]
    """L D L' of the system, for the inner knots: `factor` holds D and the two diagonals of L below it.

    `column[k]` is the second difference at knot k, in terms of the knots k - 1, k and k + 1.
    """
    for k in range(1, n - 1):
        before, after = x[k] - x[k - 1], x[k + 1] - x[k]
        column[k, 0], column[k, 1], column[k, 2] = 1 / before, -1 / before - 1 / after, 1 / after
    for k in range(1, n - 1):
        before, after = x[k] - x[k - 1], x[k + 1] - x[k]
        # Sums over days of the products of two hat functions.
        first, second, third = (before + after) / 3 + (1 / before + 1 / after) / 6, 0.0, 0.0
        for i in range(3):
            first += smoothing * column[k, i] ** 2 / weight[k - 1 + i]
        if k < n - 2:
            second = (after - 1 / after) / 6
            second += smoothing * column[k, 1] * column[k + 1, 0] / weight[k]
            second += smoothing * column[k, 2] * column[k + 1, 1] / weight[k + 1]
        if k < n - 3:
            third = smoothing * column[k, 2] * column[k + 2, 0] / weight[k + 1]
        if k > 1:
            first -= factor[k - 1, 1] ** 2 * factor[k - 1, 0]
            second -= factor[k - 1, 1] * factor[k - 1, 2] * factor[k - 1, 0]
        if k > 2:
            first -= factor[k - 2, 2] ** 2 * factor[k - 2, 0]
        factor[k, 0], factor[k, 1], factor[k, 2] = first, second / first, third / first


@njit(nogil=True, cache=True, error_model="numpy")
def _bends(x, y, n, factor, bend):  # type: ignore[no-untyped-def]
    """Second differences of the smooth series at the knots."""
    bands = y.shape[1]
    for k in range(1, n - 1):
        before, after = x[k] - x[k - 1], x[k + 1] - x[k]
        for b in range(bands):
            value = (y[k + 1, b] - y[k, b]) / after - (y[k, b] - y[k - 1, b]) / before
            if k > 1:
                value -= factor[k - 1, 1] * bend[k - 1, b]
            if k > 2:
                value -= factor[k - 2, 2] * bend[k - 2, b]
            bend[k, b] = value
    for k in range(n - 2, 0, -1):
        for b in range(bands):
            value = bend[k, b] / factor[k, 0]
            if k < n - 2:
                value -= factor[k, 1] * bend[k + 1, b]
            if k < n - 3:
                value -= factor[k, 2] * bend[k + 2, b]
            bend[k, b] = value


@njit(nogil=True, cache=True, error_model="numpy")
def _smooth(weight, n, smoothing, column, bend, y):  # type: ignore[no-untyped-def]
    """From the measured values at the knots to the smooth ones, in place."""
    for k in range(1, n - 1):
        for i in range(3):
            share = smoothing * column[k, i] / weight[k - 1 + i]
            for b in range(y.shape[1]):
                y[k - 1 + i, b] -= share * bend[k, b]


@njit(nogil=True, cache=True, error_model="numpy")
def _evaluate(x, y, bend, n, output_days, pieces, out):  # type: ignore[no-untyped-def]
    for d in range(output_days.size):
        k = pieces[d]
        if n == 0 or k < 0 or k == n:
            for b in range(y.shape[1]):
                out[d, b] = 0 if n == 0 else y[0 if k < 0 else n - 1, b]
            continue
        gap, since = x[k + 1] - x[k], output_days[d] - x[k]
        share, curve = since / gap, since * (gap - since) / 6
        for b in range(y.shape[1]):
            line = y[k, b] + share * (y[k + 1, b] - y[k, b])
            out[d, b] = line - curve * ((2 - share) * bend[k, b] + (1 + share) * bend[k + 1, b])
