"""The confusion matrix as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from matplotlib.transforms import Transform

from toolkit.figures.style import (
    BLUE,
    INK,
    LINE,
    NORMAL,
    PAPER,
    SMALL,
    SOFT,
    VERMILION,
    StaticFigure,
    new_figure,
    place,
    points_from,
    text_width,
)
from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.nomenclature import Nomenclature

EDGE = 0.12
"""Inches left free around the figure."""

CHIP = 8.0
"""Edge of a colour chip, points."""

RECALL, PIXELS = 44.0, 92.0
"""Right ends of the two columns beside the matrix, points from its edge."""


def confusion_figure(matrix: ConfusionMatrix, nomenclature: Nomenclature) -> StaticFigure:
    """Where the pixels of each reference class went, percent of its row; agreement in blue, confusion in vermilion.

    A dot is less than 1 %. Classes that are neither in the reference nor in the map are left out. Recall and pixels
    stand at the right of each row, precision below each column.
    """
    met = np.flatnonzero(matrix.present | (matrix.counts.sum(0) > 0))
    counts = matrix.counts[np.ix_(met, met)]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    labels = [nomenclature.label(matrix.codes[one]) for one in met]
    axes = _axes(labels)
    axes.imshow(_colours(shares), interpolation="none", aspect="auto")
    _write_cells(axes, counts, shares)
    _write_rows(axes, matrix, met)
    _write_columns(axes, matrix, met)
    _write_names(axes, labels, [nomenclature.colour(matrix.codes[one]) for one in met])
    figure = axes.get_figure(root=True)
    assert isinstance(figure, StaticFigure)
    return figure


def _axes(labels: list[str]) -> Axes:
    """Axes for a matrix of these classes, in a figure that leaves room for what stands around it."""
    size = len(labels) * (0.36 if len(labels) > 8 else 0.52)
    names = max([text_width(label, SMALL) for label in labels] + [text_width("precision, %", SMALL)]) + 0.3
    left = top = EDGE + 0.22 + names
    figure = new_figure(left + size + PIXELS / 72 + EDGE, top + size + 0.3 + EDGE, fitted=False)
    return place(figure, left, top, size, size)


def _colours(shares: np.ndarray) -> np.ndarray:
    """RGB of each cell, float64 (class, class, 3): from paper to blue on the diagonal, to vermilion beside it."""
    strength = np.sqrt(shares)[..., None] * 0.92
    hue = np.where(np.eye(len(shares), dtype=bool)[..., None], to_rgb(BLUE), to_rgb(VERMILION))
    return np.asarray(to_rgb(PAPER)) * (1 - strength) + hue * strength


def _write_cells(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for row, col in zip(*np.nonzero(counts), strict=True):
        share = shares[row, col]
        said = f"{100 * share:.0f}" if share >= 0.01 else "·"
        axes.text(col, row, said, ha="center", va="center", fontsize=SMALL, color=PAPER if share > 0.3 else INK)
    for edge in range(len(counts) + 1):
        axes.axhline(edge - 0.5, color=LINE, linewidth=0.6)
        axes.axvline(edge - 0.5, color=LINE, linewidth=0.6)


def _write_rows(axes: Axes, matrix: ConfusionMatrix, met: np.ndarray) -> None:
    """Recall and pixels at the right of each row."""
    style: dict[str, Any] = {"fontsize": SMALL, "color": SOFT, "ha": "right", "va": "center_baseline"}
    for order, index in enumerate(met):
        at = points_from(axes, 1, 1 - (order + 0.5) / len(met))
        pixels = matrix.counts[index].sum()
        axes.text(RECALL, 0, _percent(matrix.recall[index], pixels), transform=at, **style)
        axes.text(PIXELS, 0, f"{pixels:,}", transform=at, **style)
    for right, said in ((RECALL, "recall, %"), (PIXELS, "pixels")):
        axes.text(right, 9, said, transform=points_from(axes, 1, 1), **style)


def _write_columns(axes: Axes, matrix: ConfusionMatrix, met: np.ndarray) -> None:
    """Precision below each column."""
    style: dict[str, Any] = {"fontsize": SMALL, "color": SOFT, "va": "center_baseline"}
    for order, index in enumerate(met):
        said = _percent(matrix.precision[index], matrix.counts[:, index].sum())
        axes.text(0, -12, said, transform=points_from(axes, (order + 0.5) / len(met), 0), ha="center", **style)
    axes.text(-5, -12, "precision, %", transform=points_from(axes, 0, 0), ha="right", **style)


def _percent(share: float, of: int) -> str:
    return f"{100 * share:.0f}" if of else "–"


def _write_names(axes: Axes, labels: list[str], colours: list[str]) -> None:
    """Class names at the left and above, each with a chip of its colour."""
    axes.axis("off")
    for index, (label, colour) in enumerate(zip(labels, colours, strict=True)):
        middle = (index + 0.5) / len(labels)
        beside, above = points_from(axes, 0, 1 - middle), points_from(axes, middle, 1)
        _chip(axes, (-CHIP - 5, -CHIP / 2), colour, beside)
        _chip(axes, (-CHIP / 2, 5), colour, above)
        style: dict[str, Any] = {"fontsize": SMALL, "color": INK}
        axes.text(-CHIP - 9, 0, label, transform=beside, ha="right", va="center", **style)
        axes.text(0, CHIP + 10, label, transform=above, ha="center", va="bottom", rotation=90, **style)
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches()
    box = axes.get_position()
    style = {"fontsize": NORMAL, "color": SOFT, "ha": "center", "va": "center"}
    figure.text(box.x0 + box.width / 2, 1 - (EDGE + 0.06) / height, "predicted", **style)
    figure.text((EDGE + 0.06) / width, box.y0 + box.height / 2, "reference", rotation=90, **style)


def _chip(axes: Axes, corner: tuple[float, float], colour: str, at: Transform) -> None:
    chip = Rectangle(corner, CHIP, CHIP, facecolor=colour, edgecolor="#80808080", linewidth=0.6)
    chip.set(transform=at, clip_on=False)
    axes.add_patch(chip)
