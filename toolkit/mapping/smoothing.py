"""Bayesian smoothing of probabilities: each pixel's evidence weighed against that of its neighbourhood.

Camara, Assunção, Carvalho, Simões, Souza, Carlos, Souza, Rorato and Dal'Asta 2024, "Bayesian inference for
post-processing of remote-sensing image classification", Remote Sensing 16(23), 4572. For each class, with x the logit
of a pixel's probability and m, s² mean and variance (of a sample: n - 1) of the logits in its neighbourhood,

    (s² x + σ² m) / (s² + σ²)

is the smoothed logit; the class with the largest is the pixel's. The neighbourhood is the share of the square window
where the class is most probable, so that a border does not blur. σ² is the smoothness: the larger, the more the
neighbours count.

Logits are kept as whole numbers of 1/65536 and summed as such, so that a sum does not depend on the order of its terms
and blocks give the same bits as the whole. The window moves along a row with a histogram of its values; the value that
divides its upper share from the rest moves along with it (as the median does in Huang, Yang and Tang 1979, IEEE
Transactions on Acoustics, Speech, and Signal Processing 27(1), 13-18).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from toolkit.mapping.rasters import NO_CLASS

UNIT = 1 << 16
"""Logits are held in this part of one."""
LARGEST_WINDOW = 51
"""Pixels a side, up to which the sums fit into 64 bits."""


def smooth(
    probabilities: np.ndarray,
    codes: np.ndarray,
    *,
    window: int = 9,
    share: float = 0.5,
    smoothness: np.ndarray | float = 20.0,
    full: int = 100,
) -> np.ndarray:
    """The class of each pixel after smoothing.

    Args:
        probabilities: uint8 (class, y, x); a pixel where all are 0 was never seen, and takes no part.
        codes: class codes, (class,).
        window: side of the square window, pixels, odd.
        share: of the window's pixels, those where the class is most probable, above 0 to 1.
        smoothness: σ², of all classes or of each, (class,); above 0.
        full: the value that means a probability of 1.

    Returns:
        uint8 (y, x); 0 where a pixel was never seen. A pixel depends on those within `window // 2` alone.

    Raises:
        ValueError: an even or too large window, or a value above `full`.
    """
    if window % 2 == 0 or not 1 <= window <= LARGEST_WINDOW:
        raise ValueError(f"window = {window}; an odd number of pixels up to {LARGEST_WINDOW} is needed")
    if probabilities.size and int(probabilities.max()) > full:
        raise ValueError(f"a probability is {probabilities.max()}, but {full} means 1")
    radius = window // 2
    padded = np.pad(probabilities, ((0, 0), (radius, radius), (radius, radius)))
    seen = np.asarray(padded.any(axis=0))
    height, width = probabilities.shape[1:]
    best, found = np.full((height, width), -np.inf), np.zeros((height, width), dtype=np.int64)
    variance = np.broadcast_to(np.asarray(smoothness, dtype=np.float64), (len(codes),)) * UNIT**2
    table = logits(full)
    for index, layer in enumerate(padded):
        _smooth_class(layer, seen, window, share, variance[index], table, index, best, found)
    own = seen[radius : radius + height, radius : radius + width]
    return np.where(own, np.asarray(codes, dtype=np.uint8)[found], NO_CLASS).astype(np.uint8)


def logits(full: int) -> np.ndarray:
    """The logit of each value from 0 to `full` in `UNIT`s, int64; 0 and 1 stand half a step inside."""
    share = np.clip(np.arange(full + 1), 0.5, full - 0.5) / full
    return np.array([round(math.log(one / (1 - one)) * UNIT) for one in share.tolist()], dtype=np.int64)


@njit(nogil=True, cache=True)
def _smooth_class(layer, seen, window, share, variance, table, index, best, found):  # type: ignore[no-untyped-def]
    """Take the class where its smoothed logit is above the best so far."""
    height, width = best.shape
    radius = window // 2
    counts = np.empty(table.size, np.int64)
    for y in range(height):
        counts[:] = 0
        pixels, limit = 0, table.size - 1
        above = (0, 0, 0)  # of the values above the dividing one, `limit`: pixels, sum, sum of squares
        for x in range(window):
            pixels, above = _move(layer, seen, y, x, window, 1, table, counts, pixels, limit, above)
        for x in range(width):
            if seen[y + radius, x + radius]:
                wanted = np.int64(np.ceil(share * pixels))
                limit, above = _divide(wanted, table, counts, limit, above)
                logit = table[layer[y + radius, x + radius]]
                value = _posterior(logit, variance, wanted, table[limit], above)
                if value > best[y, x]:
                    best[y, x] = value
                    found[y, x] = index
            if x + 1 < width:
                pixels, above = _move(layer, seen, y, x, window, -1, table, counts, pixels, limit, above)
                pixels, above = _move(layer, seen, y, x + window, window, 1, table, counts, pixels, limit, above)


@njit(nogil=True, cache=True)
def _move(layer, seen, y, x, window, sign, table, counts, pixels, limit, above):  # type: ignore[no-untyped-def]
    """Add (1) or take away (-1) a column of the window."""
    number, total, squares = above
    for row in range(y, y + window):
        if seen[row, x]:
            value = layer[row, x]
            counts[value] += sign
            pixels += sign
            if value > limit:
                number += sign
                total += sign * table[value]
                squares += sign * table[value] * table[value]
    return pixels, (number, total, squares)


@njit(nogil=True, cache=True)
def _divide(wanted, table, counts, limit, above):  # type: ignore[no-untyped-def]
    """Move the dividing value to where fewer than `wanted` pixels are above it, and with its own as many or more."""
    number, total, squares = above
    while number >= wanted:
        limit += 1
        number -= counts[limit]
        total -= counts[limit] * table[limit]
        squares -= counts[limit] * table[limit] * table[limit]
    while number + counts[limit] < wanted:
        number += counts[limit]
        total += counts[limit] * table[limit]
        squares += counts[limit] * table[limit] * table[limit]
        limit -= 1
    return limit, (number, total, squares)


@njit(nogil=True, cache=True)
def _posterior(logit, variance, wanted, limit, above):  # type: ignore[no-untyped-def]
    """The smoothed logit of a pixel, from the `wanted` largest logits around it; `limit` is the least of these."""
    number, total, squares = above
    total += (wanted - number) * limit
    squares += (wanted - number) * limit * limit
    mean = total / wanted
    if wanted < 2:
        return mean
    spread = (wanted * squares - total * total) / (wanted * (wanted - 1))
    return (spread * logit + variance * mean) / (spread + variance)
