"""Seasons: several parts of the period, of which alone features are made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from toolkit.ground.params import Params, param
from toolkit.series.timeline import FIRST_DAY, LAST_DAY


class SeasonParams(Params):
    """A part of the period."""

    start: date = param(..., "First day of the season.", ge=FIRST_DAY, le=LAST_DAY)
    end: date = param(..., "Last day of the season.", ge=FIRST_DAY, le=LAST_DAY)
    step_days: int | None = param(None, "Step of its days. Empty: that of the series.", unit="days", ge=1, le=366)

    def __str__(self) -> str:
        return f"{self.start} to {self.end}" + (f" every {self.step_days} days" if self.step_days else "")


def check_seasons(seasons: Sequence[SeasonParams], start: date, end: date) -> None:
    """Seasons lie within the period, in the order of time, none over another.

    Raises:
        ValueError: with the season and the mend.
    """
    for one in seasons:
        if one.end < one.start:
            raise ValueError(f"series.seasons: {one} ends before it starts; exchange its days")
        if one.start < start or one.end > end:
            raise ValueError(
                f"series.seasons: {one} is not within series.start = {start} and series.end = {end}; widen the "
                "period, or shorten the season"
            )
    for one, after in pairwise(seasons):
        if after.start <= one.end:
            raise ValueError(
                f"series.seasons: {after} begins before {one} has ended; list seasons in the order of time, none over "
                "another"
            )
