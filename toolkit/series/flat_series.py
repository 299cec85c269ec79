"""A series as the kernels of gap-filling take it: checked, its pixels in one axis, its days as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class FlatSeries:
    """Arrays of a series, C-contiguous."""

    values: np.ndarray
    """(date, band, pixel) int16."""
    validity: np.ndarray
    """(date, pixel) uint8, not 0 where all bands are usable."""
    days: np.ndarray
    """(date,) int16, ascending."""
    output_days: np.ndarray
    """(output date,) int16, ascending, from the same day on."""
    out: np.ndarray
    """(output date, band, pixel) float32 to write into: another view of `result`."""
    result: np.ndarray
    """(output date, band, …) float32, with the pixel axes of the series."""

    @classmethod
    def of(
        cls,
        values: np.ndarray,
        validity: np.ndarray,
        dates: np.ndarray,
        output_dates: np.ndarray,
        out: np.ndarray | None = None,
    ) -> FlatSeries:
        """Check what a method of gap-filling is given, and bring it into this form; copies only where it must.

        Raises:
            ValueError: shapes that do not fit, or dates not in order.
        """
        _check(values, validity, dates, output_dates)
        pixels = values.shape[2:]
        shape = (len(output_dates), values.shape[1], *pixels)
        if out is None:
            out = np.empty(shape, dtype=np.float32)
        elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.dtype} {out.shape}; C-contiguous float32 {shape} is needed")
        origin = min(dates[0], output_dates[0]) if len(dates) else output_dates[0]
        count = math.prod(pixels)
        return cls(
            np.ascontiguousarray(values).reshape(len(dates), values.shape[1], count),
            flat_validity(validity),
            numbered_days(dates, origin),
            numbered_days(output_dates, origin),
            out.reshape(*shape[:2], count),
            out,
        )


def flat_validity(validity: np.ndarray) -> np.ndarray:
    """Validity (date, …), bool or uint8, as uint8 (date, pixel)."""
    return np.ascontiguousarray(validity).view(np.uint8).reshape(len(validity), math.prod(validity.shape[1:]))


def numbered_days(dates: np.ndarray, origin: np.datetime64) -> np.ndarray:
    """True days since `origin` (leap years count), int16: selected by bits, like the values; 89 years at most."""
    return (dates.astype("datetime64[D]") - origin.astype("datetime64[D]")).astype(np.int16)


def _check(values: np.ndarray, validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray) -> None:
    if values.dtype != np.int16:
        raise ValueError(f"values are {values.dtype}; int16 is needed")
    if values.shape[:1] + values.shape[2:] != validity.shape or len(dates) != len(values):
        raise ValueError(f"values {values.shape}, validity {validity.shape} and {len(dates)} dates do not fit")
    for name, series in (("dates", dates), ("output_dates", output_dates)):
        if np.any(np.diff(series.astype("datetime64[D]")) < np.timedelta64(0)):
            raise ValueError(f"{name} must ascend")
