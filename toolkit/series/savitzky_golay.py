"""Smoothing after Savitzky and Golay: at each day of the grid, the value of a polynomial through the days around it.

Savitzky, A. and Golay, M. J. E. (1964), Smoothing and differentiation of data by simplified least squares procedures,
Analytical Chemistry 36(8), 1627-1639. Gaps are filled linearly first, as by Chen et al. (2004), A simple method for
reconstructing a high-quality NDVI time-series data set based on the Savitzky-Golay filter, Remote Sensing of
Environment 91, 332-344. Their iteration towards the upper envelope is not done: it is meant for NDVI, and these are
reflectances.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit
from pydantic import field_validator, model_validator

from toolkit.ground.params import param
from toolkit.series.arithmetic import RUN
from toolkit.series.flat_series import FlatSeries
from toolkit.series.fused import LINEAR
from toolkit.series.gapfill import scan
from toolkit.series.gaps import GapParams

PART = RUN
"""Pixels filled at once before they are smoothed: 41 days of 10 bands take 840 kB."""


class SavitzkyGolayParams(GapParams):
    """A moving polynomial over the linearly filled grid."""

    method: Literal["savitzky_golay"] = param("savitzky_golay", "A moving polynomial over the linearly filled grid.")
    window: int = param(5, "Days of the grid that each polynomial is fitted to, an odd number.", ge=3, le=365)
    order: int = param(2, "Degree of the polynomial, less than the window.", ge=0, le=6)

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError(f"an odd number is needed, such as {window + 1}")
        return window

    @model_validator(mode="after")
    def _fits(self) -> SavitzkyGolayParams:
        if self.order >= self.window:
            raise ValueError(f"series.gap_filling.order = {self.order} must be less than window = {self.window}")
        return self


def fill_savitzky_golay(
    values: np.ndarray,
    validity: np.ndarray,
    dates: np.ndarray,
    output_dates: np.ndarray,
    out: np.ndarray | None = None,
    *,
    window: int = 5,
    order: int = 2,
) -> np.ndarray:
    """As `fill_gaps`, smoothed by a moving polynomial.

    The grid is filled on beyond its ends by half a window, from dates outside the period where there are any, else
    held; so the polynomials at the ends are those of everywhere.

    Args:
        output_dates: (output date,) datetime64[D], in equal steps.
        window: days of the grid that each polynomial is fitted to, odd.
        order: degree of the polynomial, less than `window`.

    Raises:
        ValueError: as `fill_gaps`, or the output dates are not in equal steps.
    """
    longer = _lengthened(output_dates, window // 2)
    flat = FlatSeries.of(values, validity, dates, output_dates, out)
    share = coefficients(window, order).astype(np.float32)
    days = flat.output_days[0] + (longer - output_dates[0].astype("datetime64[D]")).astype(np.int16)
    filled = np.empty((len(longer), values.shape[1], PART), dtype=np.float32)
    for start in range(0, flat.values.shape[2], PART):
        part = slice(start, min(start + PART, flat.values.shape[2]))
        some, valid = np.ascontiguousarray(flat.values[:, :, part]), np.ascontiguousarray(flat.validity[:, part])
        target = filled if some.shape[2] == PART else np.empty((*filled.shape[:2], some.shape[2]), np.float32)
        scan(some, valid, flat.days, days, LINEAR, target)
        _weigh(target, share, start, flat.out)
    return flat.result


def coefficients(window: int, order: int) -> np.ndarray:
    """Weight of each value of a window in the middle value of the polynomial of least squares, (window,) float64."""
    place = np.arange(window, dtype=float) - window // 2
    return np.asarray(np.linalg.pinv(np.vander(place / max(window // 2, 1), order + 1, increasing=True))[0])


def _lengthened(output_dates: np.ndarray, steps: int) -> np.ndarray:
    days = output_dates.astype("datetime64[D]")
    step = days[1] - days[0] if len(days) > 1 else np.timedelta64(1, "D")
    if np.any(np.diff(days) != step) or step <= np.timedelta64(0):
        raise ValueError("the output dates must be in equal steps to be smoothed by a moving polynomial")
    return days[0] + step * np.arange(-steps, len(days) + steps)


@njit(nogil=True, cache=True)
def _weigh(filled, share, start, out):  # type: ignore[no-untyped-def]
    for d in range(out.shape[0]):
        for b in range(out.shape[1]):
            target = out[d, b, start : start + filled.shape[2]]
            target[:] = np.float32(0)
            for i in range(share.size):
                source = filled[d + i, b]
                for j in range(target.size):
                    target[j] += share[i] * source[j]
