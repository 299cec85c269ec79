"""The usable dates of some pixels at once, as a curve through them needs them: knot by knot, the pixels side by side.

What is computed of a knot is one loop over the pixels, which the compiler makes vector instructions of. Pixels have
different numbers of knots: beyond its last one a pixel has more, a day apart, so that all that is computed is finite;
it is not used.
"""

from __future__ import annotations

import numpy as np
from numba import njit

LANES = 128
"""Pixels at once: 70 dates of one band take 72 kB."""
ROW = np.uint64(LANES)
BEYOND = 3
"""Knots that a pixel has at least beyond its own."""


@njit(nogil=True, cache=True)
def collect_knots(validity, days, start, size, x, weight, count, slot):  # type: ignore[no-untyped-def]
    """Write the usable days of `size` pixels from `start` on; two dates of one day are one knot.

    Args:
        validity, days: as in `FlatSeries`.
        x: (date + BEYOND, LANES) float64, receives the days.
        weight: the same shape, receives how many dates each day has.
        count: (LANES,) int64, receives the number of knots.
        slot: (date, LANES) uint64, receives the place of each date, knot x LANES + pixel: of one that is not usable
            that of the next knot, whose value comes later.

    Returns:
        The largest number of knots.
    """
    most = 0
    for j in range(size):
        n = 0
        for t in range(days.size):
            usable, day = validity[t, start + j] != 0, np.float64(days[t])
            if usable and n > 0 and x[n - 1, j] == day:
                weight[n - 1, j] += 1
                slot[t, j] = (n - 1) * LANES + j
                continue
            slot[t, j], x[n, j], weight[n, j] = n * LANES + j, day, 1.0
            n += usable
        count[j], most = n, max(most, n)
        last = x[n - 1, j] if n > 0 else 0.0
        for k in range(n, x.shape[0]):
            last += 1
            x[k, j], weight[k, j] = last, 1.0
    return most


@njit(nogil=True, cache=True)
def collect_values(values, validity, b, start, size, slot, twice, y, added):  # type: ignore[no-untyped-def]
    """Write the values of a band at the knots into `y`; of one day, their mean.

    Args:
        twice: whether any day has two dates.
        y: (date + BEYOND) x LANES float64, flat.
        added: the same, for the number of values of each knot.
    """
    if twice:
        added[:] = 0
    for t in range(values.shape[0]):
        value, usable, place = values[t, b, start : start + size], validity[t, start : start + size], slot[t]
        if not twice:
            for j in range(size):
                y[place[j]] = value[j]
            continue
        for j in range(size):
            if usable[j] != 0:
                k = place[j]
                added[k] += 1
                y[k] = value[j] if added[k] == 1 else y[k] + (value[j] - y[k]) / added[k]


@njit(nogil=True, cache=True)
def find_pieces(x, count, size, output_days, piece, share, gap):  # type: ignore[no-untyped-def]
    """The knot before each output day, the share of the one after it; the first or last alone where ends are held.

    Args:
        piece: (output date, LANES) uint64, receives the place of the knot.
        share, gap: (output date, LANES) float64; the gap is in days.
    """
    for j in range(size):
        k, n = 0, count[j]
        for d in range(output_days.size):
            day = np.float64(output_days[d])
            while k < n - 1 and x[k + 1, j] <= day:
                k += 1
            piece[d, j], gap[d, j] = k * LANES + j, x[k + 1, j] - x[k, j]
            inside = n > 0 and x[0, j] < day < x[n - 1, j]
            share[d, j] = (day - x[k, j]) / gap[d, j] if inside else 0.0


@njit(nogil=True, cache=True)
def evaluate(y, bend, piece, parts, count, b, start, size, out):  # type: ignore[no-untyped-def]
    """Write a band of the output dates: a sum of what is known of the knots before and after each.

    Args:
        y, bend: (date + BEYOND) x LANES float64, flat: the value at each knot, and how the curve bends or slopes.
        parts: (4, output date, LANES) float64: of the value before and after, of the bend before and after.
    """
    for d in range(piece.shape[0]):
        target, place = out[d, b, start : start + size], piece[d]
        of_y, of_next, of_bend, of_next_bend = parts[0, d], parts[1, d], parts[2, d], parts[3, d]
        for j in range(size):
            k = place[j]
            after = k + ROW
            value = of_y[j] * y[k] + of_next[j] * y[after] + of_bend[j] * bend[k] + of_next_bend[j] * bend[after]
            target[j] = value if count[j] > 0 else 0.0
