"""The usable dates of one pixel, as a curve through them needs it."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def collect_knots(values, validity, days, pixel, x, weight, y):  # type: ignore[no-untyped-def]
    """Write the usable days of a pixel, one after the other; those of one day become their mean.

    Args:
        values, validity, days: as in `FlatSeries`.
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
                y[n - 1, b] += (values[t, b, pixel] - y[n - 1, b]) / weight[n - 1]
        else:
            x[n], weight[n] = np.float64(days[t]), 1.0
            for b in range(y.shape[1]):
                y[n, b] = values[t, b, pixel]
            n += 1
    return n
