"""Bring a coarser band onto a finer grid: nearest, bilinear or cubic, aware of nodata.

Positions are pixel centres: with a ratio of 2, the fine pixels of coarse pixel i lie at i - 0.25 and i + 0.25.
Weights of pixels without data are given to the others, and a fine pixel whose own coarse pixel has no data has
none either. Cubic is the convolution of Keys (1981), IEEE ASSP 29, with a = -0.5.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numba import njit

Method = Literal["nearest", "bilinear", "cubic"]
REACH = {"nearest": 0, "bilinear": 1, "cubic": 2}
"""Coarse pixels needed beyond the window on each side."""


def upsample_dates(
    coarse: np.ndarray,
    ratio: int,
    skip: tuple[int, int],
    method: Method,
    nodata: int,
    fine: np.ndarray,
    band: int,
    holes: np.ndarray | None = None,
) -> None:
    """Fine pixels of a band on every date.

    Args:
        coarse: (date, y, x) int16, with `REACH[method]` pixels more than needed on each side.
        ratio: fine pixels a coarse pixel, along each axis.
        skip: fine rows and columns between the first inner coarse pixel's edge and the first fine pixel wanted.
        fine: (date, band, y, x) int16, C-contiguous; one of its bands is written.
        holes: what `find_holes` says of `coarse`, where that is known.
    """
    height, width = fine.shape[2:]
    row_first, row_weights, own_row = _taps(ratio, skip[0], height, method)
    col_first, col_weights, own_col = _taps(ratio, skip[1], width, method)
    if method == "nearest":
        fine[:, band] = coarse[:, row_first[:, None], col_first]
        return
    coarse = np.ascontiguousarray(coarse)
    if method == "bilinear" and ratio == 2:
        _double(coarse, skip[0], skip[1], fine, band)
    else:
        _blend_dates(coarse, row_first, row_weights, col_first, col_weights, fine, band)
    # Only where a tap meets it: the two sums round differently, and a gap elsewhere must not change a pixel.
    holes = find_holes(coarse, nodata) if holes is None else holes
    if holes.any():
        _mend_dates(coarse, row_first, row_weights, col_first, col_weights, own_row, own_col, nodata, fine, band, holes)


def find_holes(coarse: np.ndarray, nodata: int) -> np.ndarray:
    """Where pixels of each row of a band (date, y, x) have no data: (date, y, 4) int32.

    How many at its beginning; from which one on, and up to which, there are some amid it; how many at its end. All are
    0 in a row that has none. At the edge of an image each row has one: only these are looked at then.
    """
    found = np.zeros((*coarse.shape[:2], 4), np.int32)
    _find_holes(np.ascontiguousarray(coarse), nodata, found)
    return found


@lru_cache(64)
def _taps(ratio: int, skip: int, length: int, method: Method) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every fine position along an axis: first coarse index, weights, and the index of the coarse pixel around it.

    Weights come from the place within the coarse pixel alone, so they are the same bits wherever a window starts.

    Returns:
        (fine,) int64, (fine, tap) float32, (fine,) int64; not to be written into.
    """
    own, place = np.divmod(skip + np.arange(length), ratio)
    reach = REACH[method]
    if method == "nearest":
        return own, np.ones((length, 1), dtype=np.float32), own
    centre = (place + 0.5) / ratio - 0.5
    first = np.floor(centre).astype(np.int64) - (reach - 1)
    distance = np.abs(centre[:, None] - (first[:, None] + np.arange(2 * reach)))
    weights = np.maximum(0, 1 - distance) if method == "bilinear" else _keys(distance)
    return own + reach + first, weights.astype(np.float32), own + reach


def _keys(distance: np.ndarray) -> np.ndarray:
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


@njit(nogil=True, cache=True)
def _double(coarse, skip_rows, skip_cols, fine, band):  # type: ignore[no-untyped-def]
    """Bilinear from 20 to 10 m, in whole numbers: weights are quarters, so that `_blend` too has no rounding but the
    last, and both give the same bits. It is done some ten times as fast."""
    dates, _, height, _ = fine.shape
    mixed = np.empty(coarse.shape[2], np.int32)
    for t in range(dates):
        for y in range(height):
            row, lower = divmod(skip_rows + y, 2)
            near, far = coarse[t, row + 1], coarse[t, row + 2 * lower]
            for x in range(mixed.size):
                mixed[x] = 3 * np.int32(near[x]) + np.int32(far[x])
            line = fine[t, band, y]
            first, right = divmod(skip_cols, 2)
            if right:
                line[0] = (3 * mixed[first + 1] + mixed[first + 2] + 8) >> 4
            before, own, after = mixed[first + right :], mixed[first + right + 1 :], mixed[first + right + 2 :]
            pairs = line[right:]
            for x in range(pairs.size // 2):
                pairs[2 * x] = (3 * own[x] + before[x] + 8) >> 4
                pairs[2 * x + 1] = (3 * own[x] + after[x] + 8) >> 4
            if pairs.size % 2:
                x = pairs.size // 2
                pairs[2 * x] = (3 * own[x] + before[x] + 8) >> 4


@njit(nogil=True, cache=True)
def _blend_dates(coarse, row_first, row_weights, col_first, col_weights, fine, band):  # type: ignore[no-untyped-def]
    for t in range(fine.shape[0]):
        _blend(coarse[t], row_first, row_weights, col_first, col_weights, fine[t, band])


@njit(nogil=True, cache=True)
def _find_holes(coarse, nodata, found):  # type: ignore[no-untyped-def]
    for t in range(found.shape[0]):
        for y in range(found.shape[1]):
            row = coarse[t, y]
            if not _any_of(row, nodata):
                continue
            start, stop = 0, row.size
            while start < stop and row[start] == nodata:
                start += 1
            while stop > start and row[stop - 1] == nodata:
                stop -= 1
            found[t, y, 0], found[t, y, 3] = start, row.size - stop
            if _any_of(row[start:stop], nodata):
                while row[start] != nodata:
                    start += 1
                while row[stop - 1] != nodata:
                    stop -= 1
                found[t, y, 1], found[t, y, 2] = start, stop


@njit(nogil=True, cache=True)
def _mend_dates(coarse, row_first, row_weights, col_first, col_weights, own_row, own_col, nodata, fine, band, holes):  # type: ignore[no-untyped-def]
    first, end = row_first[0], row_first[-1] + row_weights.shape[1]
    for t in range(fine.shape[0]):
        if holes[t, first:end].any():
            _mend_around_nodata(
                coarse[t], row_first, row_weights, col_first, col_weights, own_row, own_col, nodata, fine[t, band],
                holes[t],
            )  # fmt: skip


@njit(nogil=True, cache=True)
def _any_of(values, value):  # type: ignore[no-untyped-def]
    """Whether a value is among these (1-D); all are counted, which is sooner done than to stop at the first."""
    found = 0
    for i in range(values.size):
        found += values[i] == value
    return found > 0


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
def _mend_around_nodata(  # type: ignore[no-untyped-def]
    coarse, row_first, row_weights, col_first, col_weights, own_row, own_col, nodata, fine, holes
):
    """Blend again, without them, the pixels that coarse pixels without data went into."""
    taps = row_weights.shape[1]
    reach = taps // 2
    for y in range(fine.shape[0]):
        top = row_first[y]
        beside = coarse[top : top + taps]
        begin, first, end, last, done = 0, coarse.shape[1], 0, coarse.shape[1], 0
        for leading, start, stop, trailing in holes[top : top + taps]:
            begin, last = max(begin, leading), min(last, coarse.shape[1] - trailing)
            if stop > start:
                first, end = min(first, start), max(end, stop)
        for left, right in ((0, begin), (max(first, begin), end), (max(last, begin, end), coarse.shape[1])):
            for j in range(left, right):
                if not _any_of(beside[:, j], nodata):
                    continue
                # The fine pixels that this column of coarse ones goes into, those before aside.
                start = max(done, np.searchsorted(own_col, j - reach))
                done = max(done, np.searchsorted(own_col, j + reach, "right"))
                for x in range(start, done):
                    if coarse[own_row[y], own_col[x]] == nodata:
                        fine[y, x] = nodata
                    elif _meets(coarse, row_first[y], col_first[x], taps, nodata):
                        fine[y, x] = _without_nodata(beside, col_first[x], row_weights[y], col_weights[x], nodata)


@njit(nogil=True, cache=True)
def _without_nodata(beside, col, row_weights, col_weights, nodata):  # type: ignore[no-untyped-def]
    """A fine pixel out of the taps that have data."""
    total, weight = np.float32(0), np.float32(0)
    for i in range(row_weights.size):
        for j in range(col_weights.size):
            value = beside[i, col + j]
            if value != nodata:
                share = row_weights[i] * col_weights[j]
                total += share * np.float32(value)
                weight += share
    return _rounded(total / weight)
