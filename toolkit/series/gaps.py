"""How well a pixel was seen: its number of clear dates, its longest gap; and what becomes of gaps too long to fill."""

from __future__ import annotations

import numpy as np
from numba import njit

from toolkit.ground.params import Params, param
from toolkit.series.flat_series import flat_validity, numbered_days


class GapParams(Params):
    """What every method of gap-filling has."""

    method: str = param(..., "How the grid of days is filled.")
    max_gap_days: int | None = param(
        None,
        "Longest time between two clear dates that is filled. Days within a longer one are 0 in every band, as those "
        "of a pixel that was never seen. Empty: all gaps are filled.",
        unit="days",
        ge=1,
        le=3660,
    )


def count_clear(validity: np.ndarray) -> np.ndarray:
    """Number of usable dates of each pixel, uint16, from a validity of shape (date, …)."""
    return validity.astype(bool).sum(axis=0, dtype=np.uint16)


def longest_gap(validity: np.ndarray, dates: np.ndarray, first: np.datetime64, last: np.datetime64) -> np.ndarray:
    """The longest time of the period without a usable date, in days.

    A gap that reaches over an end of the period counts whole where there is a usable date beyond; else it begins or
    ends with the period. A pixel that was never seen has the whole period.

    Args:
        validity: (date, …) bool or uint8.
        dates: (date,) ascending datetime64[D].
        first, last: ends of the period.

    Returns:
        (…) uint16.
    """
    origin = min(dates[0], first) if len(dates) else first
    days, ends = numbered_days(dates, origin), numbered_days(np.array([first, last]), origin)
    gap = np.empty(validity.shape[1:], dtype=np.uint16)
    _longest_gap(flat_validity(validity), days, ends[0], ends[1], gap.reshape(-1))
    return gap


def empty_long_gaps(
    filled: np.ndarray, validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray, max_gap_days: int
) -> np.ndarray:
    """Put 0 on every output date that lies in a gap longer than `max_gap_days`, counted as in `longest_gap`.

    Args:
        filled: (output date, band, …) float32, C-contiguous; changed in place.
        validity: (date, …) bool or uint8.
        dates: (date,) ascending datetime64[D].
        output_dates: (output date,) ascending datetime64[D].

    Returns:
        (…) bool, whether a pixel keeps any date.
    """
    origin = min(dates[0], output_dates[0]) if len(dates) else output_dates[0]
    kept = np.zeros(filled.shape[2:], dtype=bool)
    _empty(
        filled.reshape(*filled.shape[:2], -1),
        flat_validity(validity),
        numbered_days(dates, origin),
        numbered_days(output_dates, origin),
        max_gap_days,
        kept.reshape(-1),
    )
    return kept


@njit(nogil=True, cache=True)
def _longest_gap(validity, days, first, last, gap):  # type: ignore[no-untyped-def]
    for p in range(gap.size):
        longest, before = 0, first
        for t in range(days.size):
            if validity[t, p] == 0:
                continue
            if days[t] > first:
                longest = max(longest, days[t] - before)
            before = days[t]
            if before >= last:
                break
        gap[p] = max(longest, last - before)


@njit(nogil=True, cache=True)
def _empty(filled, validity, days, output_days, max_gap, kept):  # type: ignore[no-untyped-def]
    outputs, bands, pixels = filled.shape
    for p in range(pixels):
        t, before, after, seen = 0, output_days[0], output_days[0], False
        for d in range(outputs):
            day = output_days[d]
            while t < days.size and (validity[t, p] == 0 or days[t] <= day):
                if validity[t, p] != 0:
                    before, seen = days[t], True
                t += 1
            after = days[t] if t < days.size else output_days[outputs - 1]
            on_the_day = seen and before == day
            if not on_the_day and after - before > max_gap:
                for b in range(bands):
                    filled[d, b, p] = np.float32(0)
            elif seen or t < days.size:
                kept[p] = True
