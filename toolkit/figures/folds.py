"""The figure of a spatial cross-validation: the score of each fold, same area beside left-out area."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from toolkit.figures.style import (
    BLUE,
    FAINT,
    INK,
    METRIC_LABELS,
    NORMAL,
    ORANGE,
    SMALL,
    SOFT,
    StaticFigure,
    dress,
    heading,
    new_figure,
)

SIDES = {"same_area": ("same area", BLUE), "left_out": ("left-out area", ORANGE)}
WIDTH = 0.36
"""Width of a bar; folds stand 1 apart."""


def folds_figure(metrics: Mapping[str, Any], score: str = "f_score") -> StaticFigure:
    """The score of each fold on polygons of the area it was trained in, beside those of the area left out.

    Mean and standard deviation over the folds stand at the right.

    Args:
        metrics: content of `cross_validation/metrics.json`.
        score: `"oa"`, `"kappa"` or `"f_score"`.
    """
    folds = metrics["folds"]
    name = METRIC_LABELS[score] if score != "f_score" else "Mean F-score"
    figure = new_figure(max(5.2, 2.6 + 0.95 * (len(folds) + 1)), 4.1)
    axes = dress(figure.subplots())
    heading(axes, f"{name} of each fold: same area beside left-out area", pad=30)
    apart = len(folds) + 0.45
    for index, (side, (label, colour)) in enumerate(SIDES.items()):
        shift = (index - 0.5) * (WIDTH + 0.03)
        values = np.array([fold[side][score] for fold in folds])
        _bars(axes, np.arange(len(folds)) + shift, values, colour, label)
        mean, std = metrics["mean"][side][score], metrics["std"][side][score]
        _mean_bar(axes, apart + shift, mean, std, colour)
    axes.axvline(apart - 0.72, color=FAINT, linewidth=0.8)
    names = [str(fold["name"]) for fold in folds]
    crowded = max(map(len, names), default=0) > 9
    axes.set_xticks([*range(len(folds)), apart], [*names, "mean ± std"])
    axes.tick_params(axis="x", labelsize=NORMAL, labelcolor=INK, pad=6)
    if crowded:
        for tick in axes.get_xticklabels():
            tick.set(rotation=35, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.65, apart + 0.65)
    axes.set_ylim(0, _top(metrics, score))
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 0.98),
        ncols=2,
        frameon=False,
        fontsize=NORMAL,
        labelcolor=INK,
        handlelength=1.1,
        columnspacing=1.4,
    )
    _note_pooled(axes, metrics, score)
    return figure


def _bars(axes: Axes, places: np.ndarray, values: np.ndarray, colour: str, label: str) -> None:
    axes.bar(places, values, WIDTH, color=colour, label=label)
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            f"{value:.2f}", (place, value), (0, 3), textcoords="offset points", ha="center", fontsize=SMALL, color=INK
        )


def _mean_bar(axes: Axes, place: float, mean: float, std: float, colour: str) -> None:
    """The mean as a pale bar with its edge drawn, and the standard deviation as a whisker."""
    axes.bar(place, mean, WIDTH, color=colour, alpha=0.35)
    axes.bar(place, mean, WIDTH, facecolor="none", edgecolor=colour, linewidth=1.6)
    spread = std if np.isfinite(std) else 0.0
    if spread:
        axes.errorbar(place, mean, spread, color=INK, capsize=4, linewidth=1.2, capthick=1.2)
    said = f"{mean:.2f}\n± {std:.2f}" if np.isfinite(std) else f"{mean:.2f}"
    axes.annotate(
        said,
        (place, mean + spread),
        (0, 4),
        textcoords="offset points",
        ha="center",
        fontsize=SMALL,
        color=INK,
        linespacing=1.15,
    )


def _top(metrics: Mapping[str, Any], score: str) -> float:
    """Upper end of the axis: room for the highest label, and 1 at least."""
    ends = [metrics["mean"][side][score] + np.nan_to_num(metrics["std"][side][score]) for side in SIDES]
    return max(1.0, max(ends) + 0.14)


def _note_pooled(axes: Axes, metrics: Mapping[str, Any], score: str) -> None:
    pooled = metrics.get("pooled_left_out")
    if pooled:
        said = f"{METRIC_LABELS[score]} of all left-out areas pooled: {pooled[score]:.3f}"
        axes.set_xlabel(said, loc="right", fontsize=SMALL, color=SOFT, labelpad=8)
