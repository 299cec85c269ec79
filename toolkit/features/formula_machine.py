"""The stack machine that computes formulas over many pixels.

Each instruction is a loop over a run of pixels that stays in the processor's cache, so that a formula costs little more
than compiled code; the machine itself is compiled once, for all formulas.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from toolkit.features.formula import Code, Formula
from toolkit.ground.bands import REFLECTANCE_SCALE

RUN = 1024
"""Pixels at once: 8 values on the stack take 32 kB."""

SMALLEST = np.float32(1e-9)
"""A smaller divisor is zero: as 1e-5 in reflectance x 10000, iota2's."""

# Numba takes module constants, not members of an enumeration.
BAND, NUMBER, ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, SQUARE, NEGATE, SQRT, ABS, EXP, LOG, MIN, MAX = map(int, Code)


def compute_formula(formula: Formula, series: np.ndarray, bands: Sequence[str], scale: float, out: np.ndarray) -> None:
    """Compute a formula of reflectances from 0 to 1.

    Where it has no value (a division by zero, the root of a negative number), or more than float32 holds, it is 0.

    Args:
        series: (date, band, pixel) float32, reflectance x 10000.
        bands: name of each band; those of the formula are among them.
        scale: the result is multiplied by this.
        out: (date, pixel) float32 to write into.
    """
    places = {band: position for position, band in enumerate(bands)}
    codes = np.array([step.code for step in formula.steps], dtype=np.int32)
    places_of = np.array([places.get(step.band, 0) for step in formula.steps], dtype=np.int32)
    numbers = np.array([step.number for step in formula.steps], dtype=np.float32)
    _compute(codes, places_of, numbers, formula.depth, series, np.float32(scale), out)


@njit(nogil=True, cache=True, error_model="numpy")
def _compute(codes, places, numbers, depth, series, scale, out):  # type: ignore[no-untyped-def]
    stack = np.empty((depth, RUN), np.float32)
    for d in range(out.shape[0]):
        for start in range(0, out.shape[1], RUN):
            n = min(RUN, out.shape[1] - start)
            top = -1
            for k in range(codes.size):
                code = codes[k]
                if code == BAND:
                    top += 1
                    band = series[d, places[k], start : start + n]
                    _load(band, stack[top])
                elif code == NUMBER:
                    top += 1
                    stack[top, :n] = numbers[k]
                elif code in (ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, MIN, MAX):
                    top -= 1
                    _two(code, stack[top], stack[top + 1], n)
                else:
                    _one(code, stack[top], n)
            _store(stack[0], scale, out[d, start : start + n])


@njit(nogil=True, cache=True, error_model="numpy")
def _load(band, target):  # type: ignore[no-untyped-def]
    for j in range(band.size):
        target[j] = band[j] / np.float32(REFLECTANCE_SCALE)


@njit(nogil=True, cache=True, error_model="numpy")
def _store(values, scale, out):  # type: ignore[no-untyped-def]
    for j in range(out.size):
        value = values[j] * scale
        out[j] = value if abs(value) < np.float32(np.inf) else np.float32(0)  # false for nan too


@njit(nogil=True, cache=True, error_model="numpy")
def _two(code, a, b, n):  # type: ignore[no-untyped-def]
    """a = a `code` b, for the first n pixels."""
    nan = np.float32(np.nan)
    if code == ADD:
        for j in range(n):
            a[j] += b[j]
    elif code == SUBTRACT:
        for j in range(n):
            a[j] -= b[j]
    elif code == MULTIPLY:
        for j in range(n):
            a[j] *= b[j]
    elif code == DIVIDE:
        for j in range(n):
            a[j] = a[j] / (b[j] if abs(b[j]) >= SMALLEST else nan)
    elif code == POWER:
        for j in range(n):
            a[j] = a[j] ** b[j]
    elif code == MIN:
        for j in range(n):
            least = a[j] if a[j] < b[j] else b[j]
            a[j] = least if a[j] == a[j] else nan
    else:
        for j in range(n):
            most = a[j] if a[j] > b[j] else b[j]
            a[j] = most if a[j] == a[j] else nan


@njit(nogil=True, cache=True, error_model="numpy")
def _one(code, a, n):  # type: ignore[no-untyped-def]
    nan = np.float32(np.nan)
    if code == SQUARE:
        for j in range(n):
            a[j] *= a[j]
    elif code == NEGATE:
        for j in range(n):
            a[j] = -a[j]
    elif code == SQRT:
        for j in range(n):
            a[j] = np.sqrt(a[j])
    elif code == ABS:
        for j in range(n):
            a[j] = abs(a[j])
    elif code == EXP:
        for j in range(n):
            a[j] = np.exp(a[j])
    else:
        for j in range(n):
            a[j] = np.log(a[j] if a[j] > np.float32(0) else nan)
