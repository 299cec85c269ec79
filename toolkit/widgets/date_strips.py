"""The dates of each tile as a strip: a mark a date on one axis of time, the darker the more of the tile is clear."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from toolkit.experiment.acquisitions import longest_gap
from toolkit.series.timeseries import SeriesParams

MOST_TICKS = 130
"""Days of the regular grid that are drawn at most: nearer together they are no ticks any more."""

MOST_NAMES = 8
"""Months that are named at most; where the strip is narrow, the page shows every second one."""

STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 240)
"""Months from one name to the next."""

LAST_NAME = 93
"""Percent of the width after which there is no room for the name of a month."""


class Axis:
    """The time from `margin_days` before the start to as long after the end, as percent of the width."""

    def __init__(self, params: SeriesParams) -> None:
        margin = np.timedelta64(params.margin_days, "D")
        self.first, self.last = np.datetime64(params.start) - margin, np.datetime64(params.end) + margin
        months = np.arange(self.first.astype("M8[M]"), self.last.astype("M8[M]") + 1)
        self.step = next((step for step in STEPS if len(months) <= step * MOST_NAMES), STEPS[-1])
        """Months from one name to the next."""
        first_days = months[months.astype(int) % self.step == 0].astype("M8[D]")
        self.months = [day for day in first_days if self.holds(day) and self.at(day) <= LAST_NAME]
        """First days of the months that are named."""

    def at(self, day: np.datetime64) -> float:
        """Where a day is, percent."""
        return round(100 * float((day - self.first) / max(self.last - self.first, np.timedelta64(1, "D"))), 2)

    def holds(self, day: np.datetime64) -> bool:
        """Whether a day is on the axis."""
        return bool(self.first <= day <= self.last)

    def is_between(self, day: np.datetime64) -> bool:
        """Whether a month is left out where the strip is narrow; never a January that stands among other months."""
        return bool(day.astype("M8[M]").astype(int) // self.step % 2)


def strips_html(dates: Mapping[str, pd.DataFrame | None], params: SeriesParams) -> str:
    """A row for each tile under an axis of time.

    Args:
        dates: tile -> its dates as `acquisitions` gives them; None where they are not known yet.
    """
    axis = Axis(params)
    rows = "".join(_row(tile, one, axis, params) for tile, one in dates.items())
    return f"<div class='lc-strips'>{_axis_row(axis, params)}{rows}</div>{_legend()}"


def _row(tile: str, dates: pd.DataFrame | None, axis: Axis, params: SeriesParams) -> str:
    words = "" if dates is None else _summary(dates, params)
    marks = "" if dates is None else "".join(_mark(one, axis) for one in dates.itertuples() if axis.holds(_day(one)))
    label = escape(f"Dates of tile {tile}: {words}")
    return (
        f"<div class='lc-name'>{escape(tile)}</div><div class='lc-strip' role='img' aria-label='{label}'>{marks}</div>"
        f"<div class='lc-count'>{escape(words)}</div>"
    )


def _summary(dates: pd.DataFrame, params: SeriesParams) -> str:
    if dates.empty:
        return "no image in this source"
    used = int(dates["used"].sum())
    shares = dates.loc[dates["used"], "data_share"]
    known = shares.notna().all()
    gap = longest_gap(dates, params) if known else None
    held = int((shares > 0).sum()) if known else used
    words = f"{used} date{'s' * (used != 1)}"
    words = words if held == used else f"{held} of {words} with data"
    return words + (f" · gap {gap} d" if gap is not None else "")


def _mark(one: Any, axis: Axis) -> str:
    """A date; what is known of it is told where the pointer rests on it."""
    data, clear = one.data_share, one.clear_share
    if not one.used:
        kind, words = "x", f"not used: {one.why}"
    elif np.isnan(data):
        kind, words = "unknown", "not looked at yet"
    elif not data:
        kind, words = "empty", "nothing measured"
    else:
        seen = "" if data > 0.995 else f" of the {data:.0%} that was seen"
        kind, words = "seen", f"{clear:.0%} clear{seen}"
    shade = f";--share:{data * clear:.2f}" if kind == "seen" else ""
    told = escape(f"{_day(one)} · {one.platform} · {words}", quote=True)
    return f"<i class='lc-{kind}' style='left:{axis.at(_day(one))}%{shade}' title='{told}'></i>"


def _day(one: Any) -> np.datetime64:
    return np.datetime64(one.date, "D")


def _axis_row(axis: Axis, params: SeriesParams) -> str:
    months = "".join(_month(day, axis) for day in axis.months)
    days = params.days
    ticks = "".join(f"<u style='left:{axis.at(day)}%'></u>" for day in days) if len(days) <= MOST_TICKS else ""
    ends = [(axis.at(np.datetime64(start)), axis.at(np.datetime64(end))) for start, end, _ in params.periods]
    periods = "".join(f"<s style='left:{left}%;right:{100 - right:.2f}%'></s>" for left, right in ends)
    words = f"{len(days)} day{'s' * (len(days) != 1)} in the series"
    return f"<div></div><div class='lc-axis'>{months}{periods}{ticks}</div><div class='lc-count lc-quiet'>{words}</div>"


def _month(day: np.datetime64, axis: Axis) -> str:
    """The name of a month, with the year below where it is the first one or begins one; the year alone among years."""
    first = axis.months[: 2 if axis.is_between(axis.months[0]) else 1]
    text = pd.Timestamp(day)
    month, year = f"{text:%b}", f"{text:%Y}"
    words = year if axis.step >= 12 else f"{month}<br>{year}" if day in first or text.month == 1 else month
    kind = " class='lc-between'" if axis.is_between(day) else ""
    return f"<b{kind} style='left:{axis.at(day)}%'>{words}</b>"


def _legend() -> str:
    shades = "".join(f"<i class='lc-seen' style='--share:{share}'></i>" for share in (0, 0.25, 0.5, 0.75, 1))
    return (
        f"<div class='lc-key lc-quiet'><span>cloudy {shades} clear</span>"
        "<span><i class='lc-empty'></i> nothing measured</span><span><i class='lc-x'></i> not used</span>"
        "<span>gap: longest time between two dates with half of the tile clear, days</span></div>"
    )
