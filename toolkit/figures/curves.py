"""Curves of a training: loss, and metrics on the valid samples, by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from toolkit.figures.style import (
    FAINT,
    INK,
    METRIC_COLOURS,
    METRIC_LABELS,
    NORMAL,
    PAPER,
    SMALL,
    SOFT,
    StaticFigure,
    dress,
    heading,
    new_figure,
    spread,
)

LOSSES = ("train_loss", "valid_loss")
METRICS = ("oa", "kappa", "f_score")


DASHES = ((5, 2), (1.5, 1.5), (7, 2, 1.5, 2), (3, 4), (9, 3), (1.5, 4))
"""Dashes of trainings laid beside, in their order."""


def curves_figure(
    history: Sequence[Mapping[str, Any]],
    select_by: str = "f_score",
    *,
    compare: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> StaticFigure:
    """Loss beside OA, Kappa and mean F-score, with the epoch that was kept.

    Args:
        history: one row an epoch, with `epoch`, `train_loss`, `valid_loss`, `oa`, `kappa`, `f_score`.
        select_by: the column by which the best epoch was kept.
        compare: name -> history of trainings to lay beside, thin and dashed.
    """
    compare = compare or {}
    figure = new_figure(10, 3.6)
    left, right = figure.subplots(1, 2)
    epochs = np.array([row["epoch"] for row in history], dtype=float)
    best = best_epoch(history, select_by)
    for axes, names, title in ((left, LOSSES, "Loss (cross-entropy)"), (right, METRICS, "On the valid samples")):
        dress(axes)
        heading(axes, title)
        _lay_beside(axes, names, compare)
        _draw(axes, epochs, {name: _column(history, name) for name in names})
        _mark(axes, best, _kept(history, best) if axes is right else "")
    right.set_ylim(lower_end(right), 1)
    left.set_ylim(0, left.get_ylim()[1] * 1.02)
    if compare:
        lines = [Line2D([], [], color=SOFT, linewidth=1.8), *(_sample(i) for i in range(len(compare)))]
        names_of_runs = ["this run", *compare]
        figure.legend(
            lines, names_of_runs, loc="outside lower center", ncols=4, frameon=False, fontsize=SMALL, labelcolor=SOFT
        )
    for axes, names in ((left, LOSSES), (right, METRICS)):
        _label_ends(axes, epochs, {name: _column(history, name) for name in names})
    return figure


def lower_end(axes: Axes) -> float:
    """The lower end of an axis of metrics: in steps of 0.1 from 0.5 to 0.9, of 0.2 below. As in widgets/curves.js."""
    values = [
        np.asarray(line.get_ydata(), dtype=float) for line in axes.lines if line.get_transform() == axes.transData
    ]
    known = np.concatenate([one[np.isfinite(one)] for one in values] or [np.empty(0)])
    if not len(known):
        return 0.0
    low = float(known.min())
    steps = 10 if low >= 0.5 else 5
    return min(0.9, float(np.floor(low * steps + 1e-6)) / steps)


def best_epoch(history: Sequence[Mapping[str, Any]], select_by: str) -> float | None:
    """The first epoch with the best value: the least of a loss, the largest of a metric; None where there is none."""
    values = _column(history, select_by)
    if not np.isfinite(values).any():
        return None
    place = np.nanargmin(values) if select_by.endswith("loss") else np.nanargmax(values)
    return float(history[int(place)]["epoch"])


def _column(history: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """One column as float64; NaN where it is empty."""
    values = [row.get(name) for row in history]
    return np.array([np.nan if value in (None, "") else float(value) for value in values])  # type: ignore[arg-type]


def _draw(axes: Axes, epochs: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
    marker = "o" if len(epochs) < 3 else None
    for name, values in columns.items():
        axes.plot(epochs, values, color=METRIC_COLOURS[name], linewidth=1.8, marker=marker, markersize=4)
    axes.set_xlabel("epoch", fontsize=NORMAL, color=SOFT)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.margins(x=0.01)
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)


def _lay_beside(axes: Axes, names: Sequence[str], compare: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for place, history in enumerate(compare.values()):
        epochs = np.array([row["epoch"] for row in history], dtype=float)
        for name in names:
            line = _sample(place, METRIC_COLOURS[name])
            line.set_data(epochs, _column(history, name))
            axes.add_line(line)
    axes.autoscale_view()


def _sample(place: int, colour: str = SOFT) -> Line2D:
    """The line of the training laid beside at this place."""
    dashes = (0, DASHES[place % len(DASHES)])
    return Line2D([], [], color=colour, linewidth=1, linestyle=dashes, alpha=0.65)


def _kept(history: Sequence[Mapping[str, Any]], best: float | None) -> str:
    """The kept epoch and its F-score, in words."""
    kept = [row for row in history if float(row["epoch"]) == best]
    score = kept[0].get("f_score") if kept else None
    return (
        f"kept: epoch {best:.0f}" + (f", F-score {float(score):.3f}" if score not in (None, "") else "") if kept else ""
    )


def _mark(axes: Axes, best: float | None, words: str) -> None:
    if best is None:
        return
    axes.axvline(best, color=FAINT, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
    if words:
        late = np.mean(axes.get_xlim()) < best
        axes.annotate(
            words,
            xy=(best, 0),
            xycoords=("data", "axes fraction"),
            xytext=(-5 if late else 5, 6),
            textcoords="offset points",
            ha="right" if late else "left",
            fontsize=SMALL,
            color=INK,
            path_effects=[withStroke(linewidth=3, foreground=PAPER)],
        )


def _label_ends(axes: Axes, epochs: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
    """Write the name and last value of each curve at its right end, none over another."""
    ends = {name: values[np.isfinite(values)][-1] for name, values in columns.items() if np.isfinite(values).any()}
    low, high = axes.get_ylim()
    gap = 0.075 * (high - low)
    for (name, end), height in zip(ends.items(), spread(list(ends.values()), gap, low, high), strict=True):
        axes.annotate(
            f"{METRIC_LABELS[name]}  {end:.3f}",
            xy=(1, height),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=NORMAL,
            color=SOFT if name == "train_loss" else METRIC_COLOURS[name],
        )
