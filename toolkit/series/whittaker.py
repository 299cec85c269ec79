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
from toolkit.series.knots import BEYOND, LANES, collect_knots, collect_values, evaluate, find_pieces


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
    twice = bool((flat.days[1:] == flat.days[:-1]).any())
    _whittaker(flat.values, flat.validity, flat.days, flat.output_days, twice, float(smoothing), flat.out)
    return flat.result


@njit(nogil=True, cache=True, error_model="numpy")
def _whittaker(values, validity, days, output_days, twice, smoothing, out):  # type: ignore[no-untyped-def]
    dates, bands, pixels = values.shape
    outputs, knots = output_days.size, dates + BEYOND
    x, weight, y = np.zeros((knots, LANES)), np.zeros((knots, LANES)), np.zeros((knots, LANES))
    bend, added = np.zeros((knots, LANES)), np.zeros(knots * LANES)
    column, factor = np.zeros((3, knots, LANES)), np.zeros((3, knots, LANES))
    slot, places = np.zeros((dates, LANES), np.uint64), np.zeros((outputs, LANES), np.uint64)
    share, gap, parts = np.zeros((outputs, LANES)), np.zeros((outputs, LANES)), np.zeros((4, outputs, LANES))
    count = np.zeros(LANES, np.int64)
    flat, flat_bend = y.ravel(), bend.ravel()
    for start in range(0, pixels, LANES):
        size = min(LANES, pixels - start)
        most = collect_knots(validity, days, start, size, x, weight, count, slot)
        find_pieces(x, count, size, output_days, places, share, gap)
        for d in range(outputs):
            for j in range(size):
                s = share[d, j]
                curve = gap[d, j] * gap[d, j] * s * (1 - s) / 6
                parts[0, d, j], parts[1, d, j] = 1 - s, s
                parts[2, d, j], parts[3, d, j] = -curve * (2 - s), -curve * (1 + s)
        _factorise(x, weight, count, most, size, smoothing, column, factor)
        for b in range(bands):
            collect_values(values, validity, b, start, size, slot, twice, flat, added)
            bend[:] = 0
            _bends(y, count, most, size, column, factor, bend)
            _smooth(weight, most, size, column, bend, y)
            evaluate(flat, flat_bend, places, parts, count, b, start, size, out)


@njit(nogil=True, cache=True, error_model="numpy")
def _factorise(x, weight, count, most, size, smoothing, column, factor):  # type: ignore[no-untyped-def]
    """L D L' of the system, for the inner knots: `factor` holds 1 / D and the two diagonals of L below it.

    `column[:, k]` is the second difference at knot k, in terms of the knots k - 1, k and k + 1. `weight` becomes
    smoothing / weight.
    """
    for k in range(weight.shape[0]):
        for j in range(size):
            weight[k, j] = smoothing / weight[k, j]
    for k in range(1, most + 1):
        for j in range(size):
            column[0, k, j] = 1 / (x[k, j] - x[k - 1, j])
            column[2, k, j] = 1 / (x[k + 1, j] - x[k, j])
            column[1, k, j] = -column[0, k, j] - column[2, k, j]
    for k in range(1, most - 1):
        far = k - 2 if k > 1 else 0  # what stands at knot 0 is 0
        for j in range(size):
            before, after = x[k, j] - x[k - 1, j], x[k + 1, j] - x[k, j]
            left, middle, right = column[0, k, j], column[1, k, j], column[2, k, j]
            # Sums over days of the products of two hat functions.
            first = (before + after) / 3 + (left + right) / 6
            first += left * left * weight[k - 1, j] + middle * middle * weight[k, j] + right * right * weight[k + 1, j]
            second = (after - right) / 6
            second += middle * column[0, k + 1, j] * weight[k, j] + right * column[1, k + 1, j] * weight[k + 1, j]
            third = right * column[0, k + 2, j] * weight[k + 1, j]
            one, two = factor[1, k - 1, j], factor[2, k - 1, j]
            first -= one * one / factor[0, k - 1, j] if k > 1 else 0.0
            first -= factor[2, far, j] * factor[2, far, j] / factor[0, far, j] if k > 2 else 0.0
            second -= one * two / factor[0, k - 1, j] if k > 1 else 0.0
            inverse = 1 / first
            factor[0, k, j] = inverse
            factor[1, k, j] = second * inverse if k < count[j] - 2 else 0.0
            factor[2, k, j] = third * inverse if k < count[j] - 3 else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _bends(y, count, most, size, column, factor, bend):  # type: ignore[no-untyped-def]
    """Second differences of the smooth series at the knots; 0 at the ends and beyond."""
    for k in range(1, most - 1):
        far = k - 2 if k > 1 else 0
        # Two loops: of one with more arrays the compiler makes no vector instructions.
        for j in range(size):
            bend[k, j] = (y[k + 1, j] - y[k, j]) * column[2, k, j] - (y[k, j] - y[k - 1, j]) * column[0, k, j]
        for j in range(size):
            value = bend[k, j] - factor[1, k - 1, j] * bend[k - 1, j] - factor[2, far, j] * bend[far, j]
            bend[k, j] = value if k < count[j] - 1 else 0.0
    for k in range(most - 2, 0, -1):
        for j in range(size):
            value = bend[k, j] * factor[0, k, j]
            bend[k, j] = value - factor[1, k, j] * bend[k + 1, j] - factor[2, k, j] * bend[k + 2, j]


@njit(nogil=True, cache=True, error_model="numpy")
def _smooth(weight, most, size, column, bend, y):  # type: ignore[no-untyped-def]
    """From the measured values at the knots to the smooth ones, in place."""
    for k in range(most):
        left = k - 1 if k > 0 else 0  # the bend at knot 0 is 0
        for j in range(size):
            pull = column[2, left, j] * bend[left, j] + column[1, k, j] * bend[k, j]
            y[k, j] -= weight[k, j] * (pull + column[0, k + 1, j] * bend[k + 1, j])
