"""Gap-filling by Akima's spline: smooth through the usable dates, without the swings of a cubic spline.

Akima, H. (1970), A new method of interpolation and smooth curve fitting based on local procedures, Journal of the ACM
17(4), 589-602. The slope at a date is the mean of the slopes of the two neighbouring pieces, each weighted by how
little the slope changes on its own side; so a single outlier bends the curve over two pieces to each side only.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit

from toolkit.ground.params import param
from toolkit.series.flat_series import FlatSeries
from toolkit.series.gaps import GapParams
from toolkit.series.knots import BEYOND, LANES, collect_knots, collect_values, evaluate, find_pieces


class AkimaParams(GapParams):
    """Akima's spline through the clear dates."""

    method: Literal["akima"] = param("akima", "Akima's spline through the clear dates.")


def fill_akima(
    values: np.ndarray, validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """As `fill_gaps`, by Akima's spline; ends are held.

    Usable dates of one day count as their mean. With two usable days the spline is a line, with one a constant.
    """
    flat = FlatSeries.of(values, validity, dates, output_dates, out)
    twice = bool((flat.days[1:] == flat.days[:-1]).any())
    _akima(flat.values, flat.validity, flat.days, flat.output_days, twice, flat.out)
    return flat.result


@njit(nogil=True, cache=True, error_model="numpy")
def _akima(values, validity, days, output_days, twice, out):  # type: ignore[no-untyped-def]
    dates, bands, pixels = values.shape
    outputs, knots = output_days.size, dates + BEYOND
    x, weight, y = np.zeros((knots, LANES)), np.zeros((knots, LANES)), np.zeros((knots, LANES))
    piece, slope = np.zeros((knots + 3, LANES)), np.zeros((knots, LANES))
    slot, places = np.zeros((dates, LANES), np.uint64), np.zeros((outputs, LANES), np.uint64)
    share, gap, parts = np.zeros((outputs, LANES)), np.zeros((outputs, LANES)), np.zeros((4, outputs, LANES))
    count = np.zeros(LANES, np.int64)
    flat, flat_weight, flat_slope = y.ravel(), weight.ravel(), slope.ravel()
    for start in range(0, pixels, LANES):
        size = min(LANES, pixels - start)
        most = collect_knots(validity, days, start, size, x, weight, count, slot)
        find_pieces(x, count, size, output_days, places, share, gap)
        for d in range(outputs):  # Hermite's cubics
            for j in range(size):
                s = share[d, j]
                parts[1, d, j] = s * s * (3 - 2 * s)
                parts[0, d, j] = 1 - parts[1, d, j]
                parts[2, d, j] = gap[d, j] * s * (1 - s) * (1 - s)
                parts[3, d, j] = gap[d, j] * s * s * (s - 1)
        for b in range(bands):
            collect_values(values, validity, b, start, size, slot, twice, flat, flat_weight)
            _slopes(x, y, count, most, size, piece, slope)
            evaluate(flat, flat_slope, places, parts, count, b, start, size, out)


@njit(nogil=True, cache=True, error_model="numpy")
def _slopes(x, y, count, most, size, piece, slope):  # type: ignore[no-untyped-def]
    """Slope at each knot. `piece[i + 2]` is that between the knots i and i + 1, two more at each end by Akima."""
    for i in range(most):
        for j in range(size):
            piece[i + 2, j] = (y[i + 1, j] - y[i, j]) / (x[i + 1, j] - x[i, j])
    for j in range(size):
        end = count[j]  # piece[end] is the last between two knots
        if end < 2:
            continue
        inner = piece[3, j] if end > 2 else piece[2, j]
        piece[1, j] = 2 * piece[2, j] - inner
        piece[0, j] = 2 * piece[1, j] - piece[2, j]
        inner = piece[end - 1, j] if end > 2 else piece[end, j]
        piece[end + 1, j] = 2 * piece[end, j] - inner
        piece[end + 2, j] = 2 * piece[end + 1, j] - piece[end, j]
    for i in range(most):
        for j in range(size):
            left, right = abs(piece[i + 1, j] - piece[i, j]), abs(piece[i + 3, j] - piece[i + 2, j])
            both = left + right
            bent = (right * piece[i + 1, j] + left * piece[i + 2, j]) / (both if both > 0 else 1.0)
            slope[i, j] = bent if both > 0 else (piece[i + 1, j] + piece[i + 2, j]) / 2
