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
from toolkit.series.knots import FEW, collect_knots, find_pieces, gather, scatter


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
    _akima(flat.values, flat.validity, flat.days, flat.output_days, flat.out)
    return flat.result


@njit(nogil=True, cache=True, error_model="numpy")
def _akima(values, validity, days, output_days, out):  # type: ignore[no-untyped-def]
    dates, bands, pixels = values.shape
    x, weight, y = np.empty(dates), np.empty(dates), np.empty((dates, bands))
    piece, slope = np.empty((dates + 3, bands)), np.empty((dates, bands))
    pieces, some = np.empty(output_days.size, np.int64), np.empty((FEW, dates, bands), np.int16)
    result = np.empty((FEW, output_days.size, bands), np.float32)
    for start in range(0, pixels, FEW):
        few = min(FEW, pixels - start)
        gather(values, start, few, some)
        for j in range(few):
            n = collect_knots(some[j], validity, days, start + j, x, weight, y)
            if n > 1:
                _slopes(x, y, n, piece, slope)
            if n > 0:
                find_pieces(x, n, output_days, pieces)
            _evaluate(x, y, slope, n, output_days, pieces, result[j])
        scatter(result, start, few, out)


@njit(nogil=True, cache=True, error_model="numpy")
def _evaluate(x, y, slope, n, output_days, pieces, out):  # type: ignore[no-untyped-def]
    for d in range(output_days.size):
        k = pieces[d]
        if n == 0 or k < 0 or k == n:
            for b in range(y.shape[1]):
                out[d, b] = 0 if n == 0 else y[0 if k < 0 else n - 1, b]
            continue
        gap, u = x[k + 1] - x[k], output_days[d] - x[k]
        for b in range(y.shape[1]):
            rise = (y[k + 1, b] - y[k, b]) / gap
            square = (3 * rise - 2 * slope[k, b] - slope[k + 1, b]) / gap
            cube = (slope[k, b] + slope[k + 1, b] - 2 * rise) / (gap * gap)
            out[d, b] = y[k, b] + u * (slope[k, b] + u * (square + u * cube))


@njit(nogil=True, cache=True, error_model="numpy")
def _slopes(x, y, n, piece, slope):  # type: ignore[no-untyped-def]
    """Slope at each of n knots. `piece[i + 2]` is that between the knots i and i + 1, two more at each end by Akima."""
    for b in range(y.shape[1]):
        for i in range(n - 1):
            piece[i + 2, b] = (y[i + 1, b] - y[i, b]) / (x[i + 1] - x[i])
        end = n  # piece[end] is the last between two knots
        inner = piece[3, b] if n > 2 else piece[2, b]
        piece[1, b] = 2 * piece[2, b] - inner
        piece[0, b] = 2 * piece[1, b] - piece[2, b]
        inner = piece[end - 1, b] if n > 2 else piece[end, b]
        piece[end + 1, b] = 2 * piece[end, b] - inner
        piece[end + 2, b] = 2 * piece[end + 1, b] - piece[end, b]
        for i in range(n):
            left, right = abs(piece[i + 1, b] - piece[i, b]), abs(piece[i + 3, b] - piece[i + 2, b])
            if left + right == 0:
                slope[i, b] = (piece[i + 1, b] + piece[i + 2, b]) / 2
            else:
                slope[i, b] = (right * piece[i + 1, b] + left * piece[i + 2, b]) / (left + right)
