"""The shared look of all figures: colours, spacing, and how a figure becomes SVG or PNG.

Figures are made without pyplot and without global style, so that any thread can draw one. Colours of metrics are
those of Okabe and Ito (Color Universal Design, 2008), which people with any colour vision tell apart; colours of
classes are the nomenclature's and belong to classes alone.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, ScaledTranslation, Transform

matplotlib.rcParams["svg.hashsalt"] = "landcover"  # names inside an SVG depend on its content, not on chance

INK = "#1d2126"
SOFT = "#5b6470"
FAINT = "#9aa3ad"
LINE = "#e3e5e8"
PAPER = "#ffffff"

BLUE, VERMILION, GREEN, PURPLE, ORANGE = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"

METRIC_COLOURS = {"oa": BLUE, "kappa": VERMILION, "f_score": GREEN, "train_loss": FAINT, "valid_loss": PURPLE}
METRIC_LABELS = {
    "oa": "OA",
    "kappa": "Kappa",
    "f_score": "F-score",
    "train_loss": "train",
    "valid_loss": "valid",
}

SMALL, NORMAL, LARGE = 8.0, 9.0, 11.0
"""Sizes of text, points."""

DPI = 160
"""Pixels an inch of a PNG."""


class StaticFigure(Figure):
    """A figure that a notebook shows by itself, sharp on fine screens too."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = (round(side * DPI / 2) for side in self.get_size_inches())
        return png(self), {"width": width, "height": height}


def new_figure(width: float, height: float, *, fitted: bool = True) -> StaticFigure:
    """An empty figure of this size, inches, laid out so that nothing is cut; not `fitted` where `place` does it."""
    engine = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08) if fitted else None
    return StaticFigure(figsize=(width, height), facecolor=PAPER, layout=engine)


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at this place, inches from the upper left corner of the figure."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def text_width(text: str, size: float = NORMAL) -> float:
    """Width of a text of this size, inches."""
    return float(TextPath((0, 0), text, size=size).get_extents().width) / 72 if text.strip() else 0.0


def dress(axes: Axes, *, grid: str | None = "y") -> Axes:
    """Give axes the shared look: no frame, a faint grid along `grid` (`"x"`, `"y"` or None), quiet ticks."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(colors=SOFT, labelsize=SMALL, length=0)
    if grid:
        axes.grid(axis=grid, color=LINE, linewidth=0.8)  # type: ignore[arg-type]
        axes.set_axisbelow(True)
    return axes


def heading(axes: Axes, text: str, pad: float = 8) -> None:
    """Write a title above the left edge of the axes, `pad` points over them."""
    axes.set_title(text, loc="left", fontsize=LARGE, color=INK, pad=pad)


def points_from(axes: Axes, x: float, y: float) -> Transform:
    """Coordinates in points, right and up, from the point `(x, y)` of the axes (0 to 1)."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return Affine2D().scale(1 / 72) + figure.dpi_scale_trans + ScaledTranslation(x, y, axes.transAxes)  # type: ignore[arg-type]


def spread(positions: Sequence[float], gap: float, low: float = -np.inf, high: float = np.inf) -> list[float]:
    """The positions moved as little as needed to lie at least `gap` apart from `low` to `high`, their order kept.

    Neighbours that are too near form a row centred where they were. Where there is no room for all, they go on above.
    """
    order = np.argsort(positions, kind="stable")
    rows: list[list[float]] = []  # each row: sum of wanted positions, members
    for wanted in np.asarray(positions, dtype=float)[order]:
        rows.append([float(wanted), 1])
        while len(rows) > 1 and _start(rows[-1], gap) < _end(rows[-2], gap) + gap - 1e-12:
            total, members = rows.pop()
            rows[-1] = [rows[-1][0] + total, rows[-1][1] + members]
    placed = np.array([_start(row, gap) + step * gap for row in rows for step in range(int(row[1]))])
    steps = gap * np.arange(len(placed))
    result = np.empty(len(placed))
    result[order] = np.maximum(np.minimum(placed, high - steps[::-1]), low + steps)
    return result.tolist()


def _start(row: list[float], gap: float) -> float:
    return row[0] / row[1] - gap * (row[1] - 1) / 2


def _end(row: list[float], gap: float) -> float:
    return row[0] / row[1] + gap * (row[1] - 1) / 2


def svg(figure: Figure) -> str:
    """The figure as an SVG element, text as outlines, the same for the same figure."""
    return (
        _saved(figure, "svg", metadata={"Date": None, "Creator": None}).decode().partition("<svg")[2].join(["<svg", ""])
    )


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as a PNG file, the same for the same figure."""
    return _saved(figure, "png", dpi=dpi, metadata={"Software": None})


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=kind, facecolor=PAPER, **options)
    return content.getvalue()
