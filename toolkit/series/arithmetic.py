"""Arithmetic on the bands of a date, as a program that a machine runs over a short run of pixels.

The registers are runs of pixels: first the bands, then the results, then what is needed in between. Each instruction
is one loop over a run, which stays in the processor's cache, so a program costs little more than compiled code, and
the machine is compiled once for all programs. Two instructions of iota2's indices have forms of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numba import njit

from toolkit.ground.bands import REFLECTANCE_SCALE

RUN = 512
"""Pixels of a run. All runs have this length, which the compiler knows: loops without remainders are quicker, and
quicker to compile. The last run begins so that it ends with the pixels; fewer than a run are padded."""

DIFFERENCE_SCALE, DIFFERENCE_LEAST = np.float32(1000), np.float32(1e-5)
"""A normalised difference is stored x 1000, and 0 where the sum is less than this."""
SMALLEST = np.float32(1e-9)
"""A smaller divisor of a reflectance from 0 to 1 is zero: as 1e-5 in reflectance x 10000, iota2's."""


class Code(IntEnum):
    """What an instruction of a step does with the registers `first` and `second`, into the register `target`."""

    BAND = 0
    """Reflectance from 0 to 1 of a band."""
    NUMBER = 1
    ADD = 2
    SUBTRACT = 3
    MULTIPLY = 4
    DIVIDE = 5
    POWER = 6
    SQUARE = 7
    NEGATE = 8
    SQRT = 9
    ABS = 10
    EXP = 11
    LOG = 12
    MIN = 13
    MAX = 14
    RESULT = 15
    """The number times a value; 0 where there is none, as after a division by zero, or more than float32 holds."""


# Numba takes module constants, not members of an enumeration.
(BAND, NUMBER, ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, SQUARE, NEGATE, SQRT, ABS, EXP, LOG, MIN, MAX, RESULT) = map(
    int, Code
)


@dataclass(frozen=True, eq=False)
class Program:
    """What is computed from the bands of a date, which are reflectance x 10000."""

    bands: int
    results: int
    """Results stand in the registers after the bands."""
    differences: np.ndarray
    """(difference, 3) int64: the result, and the bands a and b of 1000 (a - b) / (a + b)."""
    norm: int | None
    """The result that is the root of the sum of squares of all bands, reflectance x 10000; None for none."""
    steps: np.ndarray | None
    """(step, 4) int64: code, target, first, second; None for none. No step has its
    target among its values."""
    numbers: np.ndarray
    """(step,) float32."""
    registers: int

    @classmethod
    def nothing(cls, bands: int) -> Program:
        """No results."""
        return cls(bands, 0, np.empty((0, 3), np.int64), None, None, np.empty(0, np.float32), bands)


@njit(nogil=True, cache=True, error_model="numpy", no_cfunc_wrapper=True)
def run_steps(steps, numbers, tile):  # type: ignore[no-untyped-def]
    """Run the steps of a program on `tile`, its registers: float32 (register, RUN)."""
    nan = np.float32(np.nan)
    for k in range(steps.shape[0]):
        code, number = steps[k, 0], numbers[k]
        target, a, b = tile[steps[k, 1]], tile[steps[k, 2]], tile[steps[k, 3]]
        if code == NUMBER:
            for j in range(RUN):
                target[j] = number
        elif code == BAND:
            for j in range(RUN):
                target[j] = a[j] / np.float32(REFLECTANCE_SCALE)
        elif code in (ADD, SUBTRACT):
            sign = np.float32(1) if code == ADD else np.float32(-1)
            for j in range(RUN):
                target[j] = a[j] + sign * b[j]
        elif code in (MULTIPLY, SQUARE):
            b = b if code == MULTIPLY else a
            for j in range(RUN):
                target[j] = a[j] * b[j]
        elif code == DIVIDE:
            for j in range(RUN):
                target[j] = a[j] / (b[j] if abs(b[j]) >= SMALLEST else nan)
        elif code == RESULT:
            for j in range(RUN):
                value = a[j] * number
                target[j] = value if abs(value) < np.float32(np.inf) else np.float32(0)  # false for nan too
        elif code in (MIN, MAX):
            sign = np.float32(1) if code == MAX else np.float32(-1)
            for j in range(RUN):
                first, second = sign * a[j], sign * b[j]
                target[j] = sign * (first if first > second else second) if a[j] == a[j] else nan
        elif code == POWER:
            for j in range(RUN):
                target[j] = a[j] ** b[j]
        else:
            for j in range(RUN):
                if code == NEGATE:
                    target[j] = -a[j]
                elif code == SQRT:
                    target[j] = np.sqrt(a[j])
                elif code == ABS:
                    target[j] = abs(a[j])
                elif code == EXP:
                    target[j] = np.exp(a[j])
                else:
                    target[j] = np.log(a[j] if a[j] > np.float32(0) else nan)
