"""How many samples or polygons each class has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from toolkit.figures.style import FAINT, INK, SMALL, SOFT, StaticFigure, dress, heading, new_figure
from toolkit.ground.nomenclature import Nomenclature

Counted = Literal["pixels", "polygons"]

TITLES: dict[Counted, str] = {"pixels": "Training pixels of each class", "polygons": "Polygons of each class"}


def class_counts_figure(
    rows: Sequence[Mapping[str, Any]], nomenclature: Nomenclature, counted: Counted = "pixels", title: str | None = None
) -> StaticFigure:
    """A bar for each class, in its colour, with its number; classes without any are told too.

    Args:
        rows: one a class, with `code` and the count, as in `class_counts.csv`; `label` is not needed.
        nomenclature: labels and colours.
        counted: the column to draw.
        title: another title than that of the column.
    """
    counts = np.array([int(row[counted]) for row in rows])
    codes = [int(row["code"]) for row in rows]
    figure = new_figure(9, 0.9 + 0.235 * len(rows))
    axes = dress(figure.subplots(), grid="x")
    heading(axes, title or TITLES[counted])
    places = np.arange(len(rows))
    axes.barh(places, counts, height=0.72, color=[nomenclature.colour(code) for code in codes], ec="#80808080", lw=0.6)
    for place, count in zip(places, counts, strict=True):
        axes.annotate(
            f"{count:,}" if count else "none",
            xy=(count, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK if count else FAINT,
        )
    axes.set_yticks(places, [nomenclature.label(code) for code in codes], fontsize=SMALL)
    for label, count in zip(axes.get_yticklabels(), counts, strict=True):
        label.set_color(INK if count else SOFT)
    axes.set_xlim(0, max(counts.max(initial=0) * 1.12, 1))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.locator_params(axis="x", nbins=5, integer=True)
    return figure
