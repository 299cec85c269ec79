"""The trials of a tuning as parallel coordinates: an axis a parameter, a line a trial, at its right end the score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from toolkit.figures.style import BLUE, FAINT, INK, LINE, NORMAL, PAPER, SMALL, SOFT, StaticFigure, new_figure
from toolkit.learning.space import Axis, word

SCORE_NAMES = {"oa": "OA", "kappa": "Kappa", "f_score": "F-score", "loss": "loss"}

FRONT = 0.25
"""Share of the complete trials that are drawn in colour: where the good settings lie."""


def tuning_figure(trials: pd.DataFrame, space: Sequence[Axis], select_by: str = "f_score") -> StaticFigure:
    """Parallel coordinates of the trials; the best is labelled, the better quarter coloured, pruned ones dotted.

    Args:
        trials: a row a trial, with `trial`, `state`, `score` and a column for each path of the space, as
            `TuningResult.trials` has it.
        space: what was tuned, `TuningResult.space`.
        select_by: the metric of the scores; the lower a loss, the better.
    """
    axes_of = list(space)
    figure = new_figure(max(5.0, 1.7 * (len(axes_of) + 1)), 3.8)
    axes = figure.subplots()
    axes.set_axis_off()
    scores = trials["score"].to_numpy(float)
    ends = _score_ends(scores)
    heights = [[axis.height(row.get(axis.path)) for axis in axes_of] for row in trials.to_dict("records")]
    order = np.argsort(scores if select_by == "loss" else -scores, kind="stable")
    complete = [int(one) for one in order if math.isfinite(scores[one])]
    front = set(complete[: max(1, math.ceil(FRONT * len(complete)))])
    for place in [*range(len(trials))][::-1]:
        if place not in complete:
            _line(axes, heights[place], None, color=FAINT, linewidth=0.8, linestyle=(0, (1, 2)))
    for place in reversed(complete):
        height = _between(scores[place], *ends)
        colour, width = (BLUE, 1.3) if place in front else (FAINT, 0.9)
        is_best = place == complete[0]
        _line(axes, heights[place], height, color=INK if is_best else colour, linewidth=2.4 if is_best else width)
    _draw_axes(axes, axes_of, SCORE_NAMES[select_by], ends if complete else None)
    if complete:
        _mark_best(axes, axes_of, trials.iloc[complete[0]], heights[complete[0]])
    axes.set_xlim(-0.35, len(axes_of) + 0.3)
    axes.set_ylim(-0.14, 1.22)
    return figure


def _between(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _score_ends(scores: np.ndarray) -> tuple[float, float]:
    known = scores[np.isfinite(scores)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def _line(axes: Axes, heights: Sequence[float | None], score: float | None, **look: Any) -> None:
    """A trial; a parameter that it has not is passed over, and without a score it ends before that axis."""
    places = [(x, y) for x, y in enumerate([*heights, score]) if y is not None]
    axes.plot(*zip(*places, strict=True), clip_on=False, solid_joinstyle="round", zorder=2, **look)


def _draw_axes(axes: Axes, space: Sequence[Axis], score: str, ends: tuple[float, float] | None) -> None:
    ticks = [*(one.ticks() for one in space), {0.0: word(ends[0]), 1.0: word(ends[1])} if ends else {}]
    for x, (name, texts) in enumerate(zip([*(one.name for one in space), score], ticks, strict=True)):
        axes.plot([x, x], [0, 1], color=LINE if x < len(space) else SOFT, linewidth=1.2, zorder=1)
        axes.text(x, 1.12, name.replace("network.", ""), ha="center", fontsize=NORMAL, color=INK)
        for height, text in texts.items():
            axes.text(x + 0.04, height, text, va="center", fontsize=SMALL, color=SOFT, zorder=3, path_effects=[_halo()])


def _mark_best(axes: Axes, space: Sequence[Axis], best: pd.Series, heights: Sequence[float | None]) -> None:
    """The values of the best trial, beside its line."""
    for x, (axis, height) in enumerate(zip(space, heights, strict=True)):
        if height is not None:
            axes.plot([x], [height], "o", color=INK, markersize=4, zorder=4)
            if not axis.choices:
                axes.text(
                    x - 0.05, height, word(best[axis.path]), ha="right", va="center", fontsize=SMALL, color=INK,
                    zorder=4, path_effects=[_halo()],
                )  # fmt: skip
    axes.text(0, -0.12, f"best: trial {best['trial']}", ha="left", fontsize=SMALL, color=INK)


def _halo() -> withStroke:
    return withStroke(linewidth=3, foreground=PAPER)
