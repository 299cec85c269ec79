"""The usable dates of one pixel, as a curve through them needs it; a few pixels at once, one after the other."""

from __future__ import annotations

import numpy as np
from numba import njit

FEW = 64
"""Pixels at once: 70 dates of 10 bands take 90 kB, 37 output dates 95 kB."""


@njit(nogil=True, cache=True)
def gather(values, start, n, some):  # type: ignore[no-untyped-def]
    """Copy n pixels from `start` on, (date, band, pixel), into `some`, (pixel, date, band)."""
    for t in range(values.shape[0]):
        for b in range(values.shape[1]):
            for j in range(n):
                some[j, t, b] = values[t, b, start + j]


@njit(nogil=True, cache=True)
def scatter(some, start, n, out):  # type: ignore[no-untyped-def]
    """The way back."""
    for d in range(out.shape[0]):
        for b in range(out.shape[1]):
            for j in range(n):
                out[d, b, start + j] = some[j, d, b]


@njit(nogil=True, cache=True)
def find_pieces(x, n, output_days, pieces):  # type: ignore[no-untyped-def]
    """The knot before each output day; -1 on or before the first knot, n on or after the last."""
    k = 0
    for d in range(output_days.size):
        day = np.float64(output_days[d])
        while k < n - 2 and x[k + 1] <= day:
            k += 1
        pieces[d] = -1 if day <= x[0] else n if day >= x[n - 1] else k


@njit(nogil=True, cache=True)
def collect_knots(values, validity, days, pixel, x, weight, y):  # type: ignore[no-untyped-def]
    """Write the usable days of a pixel, one after the other; those of one day become their mean.

    Args:
        values: (date, band) int16 of the pixel.
        validity, days: as in `FlatSeries`.
        x: (date,) float64, receives the days.
        weight: (date,) float64, receives how many dates each day has.
        y: (date, band) float64, receives the values.

    Returns:
        Number of days written.
    """
    n = 0
    for t in range(days.size):
        if validity[t, pixel] == 0:
            continue
        if n > 0 and x[n - 1] == days[t]:
            weight[n - 1] += 1
            for b in range(y.shape[1]):
                y[n - 1, b] += (values[t, b] - y[n - 1, b]) / weight[n - 1]
        else:
            x[n], weight[n] = np.float64(days[t]), 1.0
            for b in range(y.shape[1]):
                y[n, b] = values[t, b]
            n += 1
    return n
