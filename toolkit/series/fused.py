"""From a cloudy series to the matrix that a network eats, in one pass: gap-filling by neighbours, indices, layout.

The kernel walks once forward over the dates, keeping the last usable value of every pixel and band by a bitwise
select (no branches, so the compiler makes vector instructions of it), and takes a snapshot at each output date. Then
it walks backward keeping the next usable value, and at each output date blends the two, computes what the program
asks for from the bands of that date, standardises, and writes the rows of the matrix. It works on short runs of
pixels, so its state stays in the processor's cache, and nothing is read from memory again.

It is one long function on purpose: each call of another one with arrays doubles the time of compilation, which the
first person to call it waits for. What is not asked for (None) is not compiled.
"""

from __future__ import annotations

import math
import threading

import numpy as np
from numba import njit

import toolkit.series.compiling  # noqa: F401
from toolkit.series.arithmetic import DIFFERENCE_LEAST, DIFFERENCE_SCALE, RUN, Program, run_steps
from toolkit.series.matrix import rounded_bits

LINEAR, NEAREST, PREVIOUS = None, np.float32(0.5), np.float32(0.99999)
"""How the values before and after an output date become one: by the share of the later, from 0 to 1; or the later one
alone where its share is larger than this. (The share of a day before the later one is at most 1 - 1/32767.)"""

EXACT = {"contract", "nsz"}
"""What the compiler may change in arithmetic; not divisions, so that a value half-way between two is exactly that."""
PIXELS = np.uint64(RUN)
"""As an index without a sign: numba need not ask whether it counts from the end."""
NEVER_BEFORE = np.int16(-32768)
NEVER_AFTER = np.int16(32767)


class _Snapshots(threading.local):
    """Room for what was seen before each output date, kept by each thread: fresh pages cost a small block 5 %."""

    _kept = np.empty(0, np.int16)

    def room(self, shape: tuple[int, ...]) -> np.ndarray:
        """An int16 array of this shape, filled with what was there before; until the thread asks again."""
        size = math.prod(shape)
        if self._kept.size < size:
            self._kept = np.empty(size, np.int16)
        return self._kept[:size].reshape(shape)


_SNAPSHOTS = _Snapshots()


def fuse(
    values: np.ndarray,
    validity: np.ndarray,
    days: np.ndarray,
    output_days: np.ndarray,
    program: Program,
    rows: np.ndarray | None,
    scaling: tuple[np.ndarray, np.ndarray] | None,
    out: np.ndarray,
    *,
    way: np.float32 | None = LINEAR,
    whole: bool = False,
    max_gap_days: int | None = None,
) -> np.ndarray:
    """Fill the gaps of a series and compute from it.

    Args:
        values, validity, days, output_days: as in `FlatSeries`.
        program: what is computed from the bands of each output date.
        rows: (output date, band or result) int64, the row of `out` for each; -1 where it is not wanted. None
            for the bands alone as they are, date after date, in float32.
        scaling: see `MatrixForm.scaling`; None where `rows` is.
        out: (feature, pixel) to write into, float32, or uint16 for the bits of bfloat16; C-contiguous.
        way: `LINEAR`, `NEAREST` or `PREVIOUS`.
        whole: linear, cut to whole numbers towards zero, exactly: what is a whole number stays it.
        max_gap_days: see `GapParams`.

    Returns:
        (pixel,) uint16, number of usable dates; 0 too where no output date is left by `max_gap_days`.
    """
    pixels = values.shape[2]
    wide = max(pixels, RUN)
    target = out if pixels == wide else np.empty((len(out), wide), out.dtype)
    clear, kept = np.zeros(wide, np.uint16), np.zeros(wide, np.bool_)
    bands, outputs = values.shape[1], len(output_days)
    tile = np.zeros((program.registers, RUN), np.float32)
    _fuse(
        padded(values),
        padded(validity),
        days,
        output_days,
        np.searchsorted(days, output_days, side="right"),
        way,
        True if whole else None,
        max_gap_days,
        None if rows is None else True,
        program.norm,
        program.differences,
        program.steps,
        None if program.steps is None else program.numbers,
        rows,
        *(scaling or (None, None)),
        True if out.dtype == np.uint16 else None,
        np.empty((bands + 2, RUN), np.int16),
        _SNAPSHOTS.room((outputs, bands + 1, RUN)),
        np.empty((3, RUN), np.float32),
        target if rows is None else tile,
        tile,
        target,
        clear,
        None if max_gap_days is None else kept,
    )
    if max_gap_days is not None:
        clear[~kept] = 0
    if target is not out:
        out[...] = target[:, :pixels]
    return clear[:pixels]


def padded(array: np.ndarray) -> np.ndarray:
    """An array (…, pixel) with at least as many pixels as a run; those added are 0."""
    missing = RUN - array.shape[-1]
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)]) if missing > 0 else array


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy", no_cfunc_wrapper=True)
def _fuse(  # type: ignore[no-untyped-def]
    values, validity, days, output_days, seen, threshold, whole, max_gap, matrix, norm, differences, steps, numbers,
    rows, mean, inverse, narrow, last, before, share, filled, tile, out, clear, kept,
):  # fmt: skip
    """`seen[d]` is the number of acquisitions on or before output date d.

    The rows of `last` are the bands, the day, and a mask that is -1 where a date is not usable.
    """
    dates, bands, pixels = values.shape
    outputs = output_days.size
    weight, gap, alive = share[0], share[1], share[2]
    last_day, keep = last[bands], last[bands + 1]
    for place in range(0, pixels, RUN):
        first_pixel = place if place + RUN <= pixels else pixels - RUN
        end = first_pixel + RUN
        start = np.uint64(first_pixel)
        count = clear[first_pixel:end]
        for backward in range(2):
            for b in range(bands + 1):
                nothing = np.int16(0) if b < bands else NEVER_AFTER if backward else NEVER_BEFORE
                for j in range(PIXELS):
                    last[b, j] = nothing
            d = outputs - 1 if backward else 0
            for step in range(dates + 1):
                t = dates - step if backward else step
                while 0 <= d < outputs and seen[d] == t:
                    if not backward:
                        for b in range(bands + 1):
                            for j in range(PIXELS):
                                before[d, b, j] = last[b, j]
                        d += 1
                        continue
                    # The share of the later value. Ends are held; a pixel never seen has both values 0.
                    day = np.int32(output_days[d])
                    for j in range(PIXELS):
                        first, second = before[d, bands, j], last_day[j]
                        since = np.float32(day - np.int32(first))
                        length = np.float32(np.int32(second) - np.int32(first))
                        length = np.float32(1) if length < np.float32(1) else length
                        since = length if first == NEVER_BEFORE else since
                        since = np.float32(0) if second == NEVER_AFTER else since
                        weight[j] = since / length
                        if threshold is not None:
                            weight[j] = np.float32(weight[j] > threshold)
                        if whole is not None:
                            weight[j], gap[j] = since, length
                        if norm is not None:
                            tile[norm, j] = np.float32(0)
                    if max_gap is not None:
                        _find_alive(before[d, bands], last_day, output_days, day, max_gap, alive, kept[start:])
                    first_row, at = (d * bands, first_pixel) if matrix is None else (0, 0)
                    for b in range(bands):
                        target = filled[first_row + b, at : at + RUN]
                        for j in range(RUN):
                            first, second = np.float32(before[d, b, j]), np.float32(last[b, j])
                            if whole is None:
                                value = first + weight[j] * (second - first)
                            else:
                                value = _whole(first, second, weight[j], gap[j])
                            if max_gap is not None:
                                value *= alive[j]
                            target[j] = value
                            if norm is not None:
                                tile[norm, j] += value * value
                    if matrix is not None:
                        for k in range(differences.shape[0]):
                            c, a, b = differences[k, 0], differences[k, 1], differences[k, 2]
                            for j in range(PIXELS):
                                total = tile[a, j] + tile[b, j]
                                fine = abs(total) >= DIFFERENCE_LEAST
                                total = total if fine else np.float32(1)
                                value = DIFFERENCE_SCALE * (tile[a, j] - tile[b, j]) / total
                                tile[c, j] = value if fine else np.float32(0)
                        if norm is not None:
                            for j in range(PIXELS):
                                tile[norm, j] = np.sqrt(tile[norm, j])
                        if steps is not None:
                            run_steps(steps, numbers, tile)
                        for i in range(rows.shape[1]):
                            row = rows[d, i]
                            if row >= 0:
                                shift, scale = mean[row], inverse[row]
                                for j in range(PIXELS):
                                    value = (tile[i, j] - shift) * scale
                                    if narrow is None:
                                        out[row, start + j] = value
                                    else:
                                        out[row, start + j] = rounded_bits(value)
                    d -= 1
                if step < dates:
                    t = t - 1 if backward else t
                    today = days[t]
                    usable, before_it = validity[t, first_pixel:end], np.int16(step > 0)
                    for j in range(RUN):
                        mask = np.int16(usable[j] != 0) - np.int16(1)
                        keep[j] = mask
                        last_day[j] = (last_day[j] & mask) | (today & ~mask)
                        count[j] = count[j] * before_it + np.int16(1) + mask
                    for b in range(bands):
                        new = values[t, b, first_pixel:end]
                        for j in range(RUN):
                            last[b, j] = (last[b, j] & keep[j]) | (new[j] & ~keep[j])


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _whole(first, second, since, length):  # type: ignore[no-untyped-def]
    """The value between two, cut to a whole number.

    Exact: float64 holds numerator and denominator, so that a quotient that is a whole number comes out as it, and
    another is further from one than rounding reaches.
    """
    early, late = np.float64(length - since), np.float64(since)
    return np.float32(np.trunc((np.float64(first) * early + np.float64(second) * late) / np.float64(length)))


@njit(nogil=True, cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _find_alive(before, after, output_days, day, max_gap, alive, kept):  # type: ignore[no-untyped-def]
    """1 where the gap around a day is not too long, else 0; `kept` becomes 1 where a pixel has such a day."""
    for j in range(RUN):
        first, second = np.int32(before[j]), np.int32(after[j])
        known = first != NEVER_BEFORE or second != NEVER_AFTER
        on_the_day = first == day
        first = np.int32(output_days[0]) if first == NEVER_BEFORE else first
        second = np.int32(output_days[-1]) if second == NEVER_AFTER else second
        alive[j] = np.float32(on_the_day or second - first <= max_gap)
        kept[j] |= known and alive[j] > 0
