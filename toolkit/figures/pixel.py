"""Time series of pixels: what was measured, what was masked, and the line through the gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.lines import Line2D

from toolkit.figures.style import NORMAL, SMALL, SOFT, StaticFigure, dress, heading, new_figure
from toolkit.series.curve import Curve, coloured, plain_range

WIDTH, PANEL, REST = 10.0, 2.3, 0.8
"""Inches: the figure's width, the height of a panel, and that of axis and legend."""

WIDTH_OF_LINE = 1.6


def series_figure(panels: Mapping[str, Sequence[Curve]]) -> StaticFigure:
    """Curves of pixels over time, panels one below another.

    Clear points are dots and masked ones crosses, at the edge where they are beyond the scale, which clouds do not
    stretch.

    Args:
        panels: title -> curves, such as `{"NDVI": report.series.curves("NDVI")}`.
    """
    figure = new_figure(WIDTH, PANEL * max(len(panels), 1) + REST)
    if not panels:
        figure.text(0.5, 0.5, "no series", ha="center", va="center", color=SOFT, fontsize=NORMAL)
        return figure
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, curves) in zip(rows, panels.items(), strict=True):
        dress(axes)
        heading(axes, title)
        _draw(axes, list(curves))
    locator = AutoDateLocator(minticks=4, maxticks=13)
    rows[-1].xaxis.set_major_locator(locator)
    rows[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    rows[-1].margins(x=0.01)
    figure.legend(handles=_keys(panels), loc="outside lower left", ncols=6, frameon=False, fontsize=SMALL)
    return figure


def _style(curve: Curve) -> Any:
    """The dash of a curve in matplotlib's words, which count in widths of the line."""
    return (0, tuple(length / 2 for length in curve.dash)) if curve.dash else "-"


def _draw(axes: Axes, curves: list[Curve]) -> None:
    low, high = plain_range(curves)
    for curve, colour in zip(curves, coloured(curves), strict=True):
        clear, masked = curve.valid, ~curve.valid & np.isfinite(curve.values)
        inside = np.clip(curve.values[masked], low, high)
        cross = {"marker": "x", "s": 16, "linewidths": 1, "alpha": 0.5, "clip_on": False}
        axes.scatter(curve.days[masked], inside, color=colour, zorder=2, **cross)  # type: ignore[arg-type]
        axes.plot(
            curve.line_days,  # type: ignore[arg-type]
            curve.line_values,
            color=colour,
            linewidth=WIDTH_OF_LINE,
            linestyle=_style(curve),
            zorder=3,
        )
        axes.scatter(curve.days[clear], curve.values[clear], color=colour, s=14, zorder=4)  # type: ignore[arg-type]
    axes.set_ylim(low, high)


def _keys(panels: Mapping[str, Sequence[Curve]]) -> list[Line2D]:
    """Each name and colour once, then what the marks mean."""
    names = {}
    for curves in panels.values():
        for curve, colour in zip(curves, coloured(list(curves)), strict=True):
            line = {"linewidth": WIDTH_OF_LINE, "linestyle": _style(curve)}
            names[curve.name, colour] = Line2D([], [], color=colour, label=curve.name, **line)  # type: ignore[arg-type]
    dot = Line2D([], [], color=SOFT, marker="o", markersize=4, linestyle="", label="clear")
    cross = Line2D([], [], color=SOFT, marker="x", markersize=4, linestyle="", alpha=0.6, label="masked")
    return [*names.values(), dot, cross]
