"""Bring a coarser band onto a finer grid: nearest, bilinear or cubic, aware of nodata.

Positions are pixel centres: with a ratio of 2, the fine pixels of coarse pixel i lie at i - 0.25 and i + 0.25.
Weights of pixels without data are given to the others, and a fine pixel whose own coarse pixel has no data has
none either. Cubic is the convolution of Keys (1981), IEEE ASSP 29, with a = -0.5.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit

Method = Literal["nearest", "bilinear", "cubic"]
REACH = {"nearest": 0, "bilinear": 1, "cubic": 2}
"""Coarse pixels needed beyond the window on each side."""


def upsample(
    coarse: np.ndarray, ratio: int, skip: tuple[int, int], shape: tuple[int, int], method: Method, nodata: int
) -> np.ndarray:
    """Fine pixels out of a coarse window.

    Args:
        coarse: (y, x) int16, with `REACH[method]` pixels more than needed on each side.
        ratio: fine pixels a coarse pixel, along each axis.
        skip: fine rows and columns between the first inner coarse pixel's edge and the first fine pixel wanted.
        shape: fine rows and columns wanted.

    Returns:
        (y, x) int16.
    """
    reach = REACH[method]
    row_first, row_weights = _taps(ratio, skip[0], shape[0], method, reach)
    col_first, col_weights = _taps(ratio, skip[1], shape[1], method, reach)
    if method == "nearest":
        return coarse[np.ix_(row_first, col_first)]
    own_row = (skip[0] + np.arange(shape[0])) // ratio + reach
    own_col = (skip[1] + np.arange(shape[1])) // ratio + reach
    fine = np.empty(shape, dtype=np.int16)
    _blend(coarse, row_first, row_weights, col_first, col_weights, fine)
    if np.any(coarse == nodata):
        # Only where a tap meets it: the two sums round differently, and a gap elsewhere must not change a pixel.
        _mend_around_nodata(coarse, row_first, row_weights, col_first, col_weights, own_row, own_col, nodata, fine)
    return fine


def _taps(ratio: int, skip: int, length: int, method: Method, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """First coarse index and weights of every fine position along an axis: (fine,) int64, (fine, tap) float32.

    Weights come from the place within the coarse pixel alone, so they are the same bits wherever a window starts.
    """
    own, place = np.divmod(skip + np.arange(length), ratio)
    if method == "nearest":
        return own + reach, np.ones((length, 1), dtype=np.float32)
    centre = (place + 0.5) / ratio - 0.5
    first = np.floor(centre).astype(np.int64) - (reach - 1)
    distance = np.abs(centre[:, None] - (first[:, None] + np.arange(2 * reach)))
    weights = np.maximum(0, 1 - distance) if method == "bilinear" else _keys(distance)
    return own + reach + first, weights.astype(np.float32)


def _keys(distance: np.ndarray) -> np.ndarray:
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


@njit(nogil=True, cache=True)
def _rounded(value):  # type: ignore[no-untyped-def]
    """Nearest int16; cubic weights overshoot beside bright clouds."""
    return np.int16(min(max(np.floor(value + np.float32(0.5)), np.float32(-32768)), np.float32(32767)))


@njit(nogil=True, cache=True)
def _meets(coarse, row, col, taps, nodata):  # type: ignore[no-untyped-def]
    """Whether one of the taps has no data."""
    for i in range(row, row + taps):
        for j in range(col, col + taps):
            if coarse[i, j] == nodata:
                return True
    return False


@njit(nogil=True, cache=True)
def _blend(coarse, row_first, row_weights, col_first, col_weights, fine):  # type: ignore[no-untyped-def]
    """Separable: blend whole coarse rows first, then along the row."""
    taps = row_weights.shape[1]
    line = np.empty(coarse.shape[1], np.float32)
    for y in range(fine.shape[0]):
        line[:] = np.float32(0)
        for k in range(taps):
            weight, source = row_weights[y, k], coarse[row_first[y] + k]
            for x in range(line.size):
                line[x] += weight * np.float32(source[x])
        for x in range(fine.shape[1]):
            total = np.float32(0)
            for k in range(taps):
                total += col_weights[x, k] * line[col_first[x] + k]
            fine[y, x] = _rounded(total)


@njit(nogil=True, cache=True)
def _mend_around_nodata(coarse, row_first, row_weights, col_first, col_weights, own_row, own_col, nodata, fine):  # type: ignore[no-untyped-def]
    """Blend again, without them, the pixels that coarse pixels without data went into."""
    taps = row_weights.shape[1]
    for y in range(fine.shape[0]):
        for x in range(fine.shape[1]):
            if coarse[own_row[y], own_col[x]] == nodata:
                fine[y, x] = nodata
                continue
            if not _meets(coarse, row_first[y], col_first[x], taps, nodata):
                continue
            total, weight = np.float32(0), np.float32(0)
            for i in range(taps):
                for j in range(taps):
                    value = coarse[row_first[y] + i, col_first[x] + j]
                    if value != nodata:
                        share = row_weights[y, i] * col_weights[x, j]
                        total += share * np.float32(value)
                        weight += share
            fine[y, x] = _rounded(total / weight)
