"""A view of a map as a figure: what was drawn, a legend of its classes, a scale bar and whose data they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from toolkit.figures.maps import EDGE, EMPTY, FOOT, ROW, TITLE, attribute, draw_legend, frame, legend_width, scale_bar
from toolkit.figures.style import LARGE, SMALL, StaticFigure, heading, new_figure, place, text_width
from toolkit.ground.nomenclature import Nomenclature

LONGEST = 6.4
"""Inches of the longer side of the map."""


def view_figure(
    picture: np.ndarray,
    ground: float,
    shares: Mapping[int, float],
    nomenclature: Nomenclature,
    *,
    shapes: Iterable[tuple[np.ndarray, Mapping[str, Any]]] = (),
    title: str = "",
    attribution: str = "",
) -> StaticFigure:
    """A view of a map.

    Args:
        picture: (y, x, 4) uint8, red, green, blue and opacity, in web mercator.
        ground: width of the view on the ground, metres.
        shares: the classes in view, code -> share, for the legend; none for no legend.
        shapes: outlines, (point, 2) float of x and y from the upper left corner, 0 to 1, each with a style of
            Leaflet's words (`color`, `weight`, `fillColor`, `fillOpacity`).
    """
    scale = LONGEST / max(picture.shape[:2])
    height, width = picture.shape[0] * scale, picture.shape[1] * scale
    beside = legend_width(shares, nomenclature) + 0.65 if shares else 0.0
    left, top = EDGE + width + EDGE, EDGE + (TITLE if title else 0)
    down = top + max(height, ROW * len(shares) / 72) + (FOOT if attribution else 0) + EDGE
    across = max(left + beside, *(EDGE + text_width(*text) for text in ((title, LARGE), (attribution, SMALL))))
    figure = new_figure(across + EDGE, down, fitted=False)
    axes = place(figure, EDGE, top, width, height)
    if title:
        heading(axes, title)
    axes.set_facecolor(EMPTY)
    axes.imshow(picture, extent=(0, 1, 1, 0), interpolation="none", aspect="auto")
    for points, style in shapes:
        axes.add_patch(_patch(points, style))
    axes.set(xlim=(0, 1), ylim=(1, 0))
    frame(axes)
    scale_bar(axes, ground)
    attribute(figure, attribution)
    if shares:
        draw_legend(place(figure, left, top, beside, height), shares, nomenclature, [beside])
    return figure


def _patch(points: np.ndarray, style: Mapping[str, Any]) -> PathPatch:
    fill = style.get("fillColor") if style.get("fillOpacity", 1) else None
    return PathPatch(
        Outline(points, closed=True),
        facecolor=fill or "none",
        edgecolor=style.get("color", "#000000"),
        linewidth=style.get("weight", 1) * 0.6,
    )
