"""When each tile was seen, and how much of it was clear."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from toolkit.figures.style import BLUE, FAINT, INK, NORMAL, SMALL, SOFT, StaticFigure, dress, heading, new_figure

CLEAR = LinearSegmentedColormap.from_list("clear", ["#ffffff", BLUE])
"""Shade of a mark: white where nothing is clear, blue where everything is."""


def acquisitions_figure(
    dates: Mapping[str, pd.DataFrame], start: date | None = None, end: date | None = None
) -> StaticFigure:
    """A row for each tile with a mark for each date, the darker the more of the tile is clear.

    A date of which nothing was measured is a dot; one that the experiment does not use is a cross.

    Args:
        dates: tile -> its dates, with `date`, `data_share`, `clear_share` and `used`, as `acquisitions` gives them.
        start, end: first and last day of the regular grid, drawn as lines.
    """
    figure = new_figure(10, 1.1 + 0.42 * max(len(dates), 1))
    axes = dress(figure.subplots(), grid=None)
    heading(axes, "Dates of each tile, by the share that is clear")
    for row, (_, one) in enumerate(dates.items()):
        _marks(axes, row, one)
    for day in (start, end):
        if day is not None:
            axes.axvline(date2num(day), color=FAINT, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
    counts = [f"{tile}\n{int(one['used'].sum())} dates" for tile, one in dates.items()]
    axes.set_yticks(range(len(counts)), counts, fontsize=SMALL, color=INK)
    axes.set_ylim(max(len(counts), 1) - 0.4, -0.6)
    locator = AutoDateLocator(minticks=4, maxticks=12)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.margins(x=0.015)
    _scale(axes)
    return figure


def _marks(axes: Axes, row: int, dates: pd.DataFrame) -> None:
    days = dates["date"].to_numpy("datetime64[D]")
    shares = (dates["data_share"] * dates["clear_share"]).fillna(0).to_numpy(float)
    used, empty = dates["used"].to_numpy(bool), (dates["data_share"] == 0).to_numpy()
    seen = used & ~empty
    height = np.full(len(days), row)
    axes.scatter(
        days[seen], height[seen], c=CLEAR(shares[seen]), marker="s", s=46, edgecolors=SOFT, linewidths=0.6, zorder=3
    )
    axes.scatter(days[used & empty], height[used & empty], marker=".", s=14, color=FAINT, zorder=2)
    axes.scatter(days[~used], height[~used], marker="x", s=22, color=FAINT, linewidths=1, zorder=2)


def _scale(axes: Axes) -> None:
    """What the marks mean, at the right of the heading."""
    words = [("s", CLEAR(1.0), "clear"), ("s", CLEAR(0.5), "half"), ("s", CLEAR(0.0), "not clear")]
    for marker, colour, label in [*words, (".", FAINT, "nothing measured"), ("x", FAINT, "not used")]:
        edge: dict[str, Any] = {"edgecolors": SOFT, "linewidths": 0.6} if marker == "s" else {}
        axes.scatter([], [], marker=marker, s=30, color=[colour], label=label, **edge)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=5,
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
        handletextpad=0.2,
        columnspacing=1.2,
        borderaxespad=0.2,
        prop={"size": NORMAL - 1},
    )
