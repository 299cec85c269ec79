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

import numpy as np
from numba import njit

from toolkit.series.arithmetic import DIFFERENCE_LEAST, DIFFERENCE_SCALE, RUN, Program, run_steps
from toolkit.series.matrix import rounded_bits

LINEAR, NEAREST, PREVIOUS = None, np.float32(0.5), np.float32(0.99999)
"""How the values before and after an output date become one: by the share of the later, from 0 to 1; or the later one
alone where its share is larger than this. (The share of a day before the later one is at most 1 - 1/32767.)"""

EXACT = {"contract", "nsz"}
"""What the compiler may change in arithmetic; not divisions, so that a value half-way between two is exactly that."""
NEVER_BEFORE = np.int16(-32768)
NEVER_AFTER = np.int16(32767)


def fuse(
    values: np.ndarray,
    validity: np.ndarray,
    days: np.ndarray,
    output_days: np.ndarray,
    program: Program,
    rows: np.ndarray,
    scaling: tuple[np.ndarray, np.ndarray],
    out: np.ndarray,
    *,
    way: np.float32 | None = LINEAR,
    whole: bool = False,
    max_gap_days: int | None = None,
    count: bool = True,
) -> np.ndarray:
    """Fill the gaps of a series and compute from it.

    Args:
        values, validity, days, output_days: as in `FlatSeries`.
        program: what is computed from the bands of each output date.
        rows: (output date, band or result) int64, the row of `out` for each; -1 where it is not wanted.
        scaling: see `MatrixForm.scaling`.
        out: (feature, pixel) to write into, float32, or uint16 for the bits of bfloat16; C-contiguous.
        way: `LINEAR`, `NEAREST` or `PREVIOUS`.
        whole: linear, cut to whole numbers towards zero, exactly: what is a whole number stays it.
        max_gap_days: see `GapParams`.
        count: whether usable dates are counted.

    Returns:
        (pixel,) uint16, number of usable dates; 0 too where no output date is left by `max_gap_days`.
    """
    pixels = values.shape[2]
    wide = max(pixels, RUN)
    target = out if pixels == wide else np.empty((len(out), wide), out.dtype)
    clear = np.empty(wide, np.uint16)
    (dates, bands), outputs = values.shape[:2], len(output_days)
    _fuse(
        padded(values),
        padded(validity),
        days,
        output_days,
        np.searchsorted(days, output_days, side="right"),
        way,
        True if whole else None,
        max_gap_days,
        True if program.results else None,
        program.norm,
        program.differences,
        program.steps,
        program.numbers,
        rows,
        *scaling,
        True if out.dtype == np.uint16 else None,
        np.empty((dates, RUN), np.int16),
        np.empty((bands + 1, RUN), np.int16),
        np.empty((outputs, bands + 1, RUN), np.int16),
        np.empty((4, RUN), np.float32),
        np.zeros((program.registers, RUN), np.float32),
        np.empty(RUN, out.dtype),
        target,
        clear if count else None,
    )
    if target is not out:
        out[...] = target[:, :pixels]
    return clear[:pixels]


def padded(array: np.ndarray) -> np.ndarray:
    """An array (…, pixel) with at least as many pixels as a run; those added are 0."""
    missing = RUN - array.shape[-1]
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)]) if missing > 0 else array


@njit(nogil=True, cache=True, fastmath=EXACT, error_model="numpy", no_cfunc_wrapper=True)
def _fuse(  # type: ignore[no-untyped-def]
    values, validity, days, output_days, seen, threshold, whole, max_gap, results, norm, differences, steps, numbers,
    rows, mean, inverse, narrow, keep, last, before, scratch, tile, spare, out, clear,
):  # fmt: skip
    """`seen[d]` is the number of acquisitions on or before output date d. The last row of `last` is the day."""
    dates, bands, pixels = values.shape
    outputs, slots = rows.shape
    weight, gap, alive, kept = scratch[0], scratch[1], scratch[2], scratch[3]
    for place in range(0, pixels, RUN):
        start = min(place, pixels - RUN)
        end = start + RUN
        for t in range(dates):
            usable = validity[t, start:end]
            for j in range(RUN):
                keep[t, j] = np.int16(usable[j] != 0) - np.int16(1)
        if clear is not None:
            count = clear[start:end]
            for j in range(RUN):
                count[j] = dates
                kept[j] = 0
            for t in range(dates):
                for j in range(RUN):
                    count[j] += keep[t, j]
        for backward in range(2):
            for b in range(bands + 1):
                nothing = np.int16(0) if b < bands else NEVER_AFTER if backward else NEVER_BEFORE
                for j in range(RUN):
                    last[b, j] = nothing
            d = outputs - 1 if backward else 0
            for step in range(dates + 1):
                t = dates - step if backward else step
                while 0 <= d < outputs and seen[d] == t:
                    if not backward:
                        for b in range(bands + 1):
                            for j in range(RUN):
                                before[d, b, j] = last[b, j]
                        d += 1
                        continue
                    # The share of the later value. Ends are held; a pixel never seen has both values 0.
                    day = np.int32(output_days[d])
                    for j in range(RUN):
                        first, second = before[d, bands, j], last[bands, j]
                        since = np.float32(day - np.int32(first))
                        length = np.float32(max(np.int32(second) - np.int32(first), np.int32(1)))
                        since = length if first == NEVER_BEFORE else since
                        since = np.float32(0) if second == NEVER_AFTER else since
                        weight[j] = since / length
                        if threshold is not None:
                            weight[j] = np.float32(weight[j] > threshold)
                        if whole is not None:
                            weight[j], gap[j] = since, length
                    if max_gap is not None:
                        for j in range(RUN):
                            first, second = np.int32(before[d, bands, j]), np.int32(last[bands, j])
                            known = first != NEVER_BEFORE or second != NEVER_AFTER
                            on_the_day = first == day
                            first = np.int32(output_days[0]) if first == NEVER_BEFORE else first
                            second = np.int32(output_days[outputs - 1]) if second == NEVER_AFTER else second
                            alive[j] = np.float32(on_the_day or second - first <= max_gap)
                            kept[j] = max(kept[j], alive[j] * np.float32(known))
                    if norm is not None:
                        for j in range(RUN):
                            tile[norm, j] = np.float32(0)
                    for b in range(bands):
                        row = rows[d, b]
                        target = out[row, start:end] if row >= 0 else spare
                        shift, scale = (mean[row], inverse[row]) if row >= 0 else (np.float32(0), np.float32(0))
                        for j in range(RUN):
                            first, second = np.float32(before[d, b, j]), np.float32(last[b, j])
                            if whole is None:
                                value = first + weight[j] * (second - first)
                            else:
                                # Exact: float64 holds numerator and denominator, so that a quotient that is a whole
                                # number comes out as it, and another is further from one than rounding reaches.
                                early, late = np.float64(gap[j] - weight[j]), np.float64(weight[j])
                                exact = (np.float64(first) * early + np.float64(second) * late) / np.float64(gap[j])
                                value = np.float32(np.trunc(exact))
                            if max_gap is not None:
                                value *= alive[j]
                            if results is not None:
                                tile[b, j] = value
                            if norm is not None:
                                tile[norm, j] += value * value
                            value = (value - shift) * scale
                            if narrow is None:
                                target[j] = value
                            else:
                                target[j] = rounded_bits(value)
                    if results is not None:
                        for k in range(differences.shape[0]):
                            target, a, b_ = tile[differences[k, 0]], tile[differences[k, 1]], tile[differences[k, 2]]
                            for j in range(RUN):
                                total = a[j] + b_[j]
                                fine = abs(total) >= DIFFERENCE_LEAST
                                value = DIFFERENCE_SCALE * (a[j] - b_[j]) / (total if fine else np.float32(1))
                                target[j] = value if fine else np.float32(0)
                        if norm is not None:
                            for j in range(RUN):
                                tile[norm, j] = np.sqrt(tile[norm, j])
                        if steps is not None:
                            run_steps(steps, numbers, tile)
                        for i in range(bands, slots):
                            row = rows[d, i]
                            if row < 0:
                                continue
                            target = out[row, start:end]
                            shift, scale = mean[row], inverse[row]
                            for j in range(RUN):
                                value = (tile[i, j] - shift) * scale
                                if narrow is None:
                                    target[j] = value
                                else:
                                    target[j] = rounded_bits(value)
                    d -= 1
                if step < dates:
                    t = t - 1 if backward else t
                    today = days[t]
                    for j in range(RUN):
                        last[bands, j] = (last[bands, j] & keep[t, j]) | (today & ~keep[t, j])
                    for b in range(bands):
                        new = values[t, b, start:end]
                        for j in range(RUN):
                            last[b, j] = (last[b, j] & keep[t, j]) | (new[j] & ~keep[t, j])
        if clear is not None and max_gap is not None:
            for j in range(RUN):
                count[j] *= np.uint16(kept[j])
