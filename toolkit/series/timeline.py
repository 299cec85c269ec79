"""Dates: acquisitions as they came, and the regular grid of days that gaps are filled onto."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from toolkit.ground.errors import ParameterError

FIRST_DAY, LAST_DAY = date(1972, 7, 23), date(2100, 1, 1)
"""Days that a series may have: from the launch of the first Landsat on. A year half typed is none of them."""

Period = tuple[date, date, int]
"""First day, last day, and days of a step."""


def regular_dates(start: date, end: date, step_days: int) -> np.ndarray:
    """Every `step_days` days from `start` to `end`, both included if hit, datetime64[D].

    2018-01-01 to 2018-12-27 with a step of 10 days gives 37 dates.

    Raises:
        ParameterError: `end` is before `start`.
    """
    if end < start:
        raise ParameterError(f"series.end = {end} is before series.start = {start}; exchange them")
    return np.arange(np.datetime64(start), np.datetime64(end) + 1, step_days, dtype="datetime64[D]")


def days_of(periods: Sequence[Period]) -> np.ndarray:
    """The regular days of several periods one after the other, datetime64[D]."""
    return np.concatenate([regular_dates(*one) for one in periods])


def in_periods(days: np.ndarray, periods: Sequence[Period], margin_days: int) -> np.ndarray:
    """Whether each day lies in one of the periods, or within the margin before or after it, bool."""
    margin, days = np.timedelta64(margin_days, "D"), days.astype("datetime64[D]")
    inside = np.zeros(days.shape, dtype=bool)
    for first, last, _ in periods:
        inside |= (np.datetime64(first) - margin <= days) & (days <= np.datetime64(last) + margin)
    return inside


def longest_without(days: np.ndarray, period: Period) -> tuple[date, date]:
    """The longest part of a period that has none of these days: the days before and after it, or the period's ends."""
    first, last = np.datetime64(period[0], "D"), np.datetime64(period[1], "D")
    known = np.unique(np.clip(days.astype("datetime64[D]"), first, last))
    ends = np.unique(np.concatenate(([first], known, [last])))
    place = int(np.argmax(np.diff(ends))) if len(ends) > 1 else 0
    return ends[place].item(), ends[min(place + 1, len(ends) - 1)].item()


def in_years_of_365_days(dates: np.ndarray, first: np.datetime64) -> np.ndarray:
    """The same dates on a calendar without leap years, counted from the year of `first` on, datetime64[D].

    Day 366 of a leap year falls on the first day of the next year. That is how iota2 counts.
    """
    year = dates.astype("datetime64[Y]")
    day = dates.astype("datetime64[D]") - year.astype("datetime64[D]")
    count = (year - first.astype("datetime64[Y]")).astype(int)
    return np.datetime64(0, "D") + day + 365 * count.astype("timedelta64[D]")
