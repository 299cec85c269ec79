"""What is looked at beside the curves of a training: reliability of the confidence, and the search of a rate."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from toolkit.figures.style import (
    FAINT,
    INK,
    METRIC_COLOURS,
    NORMAL,
    SMALL,
    SOFT,
    StaticFigure,
    dress,
    heading,
    new_figure,
)
from toolkit.learning.calibration import Calibration, Reliability
from toolkit.learning.rates import RateSearch


def reliability_figure(calibration: Calibration) -> StaticFigure:
    """Accuracy by confidence on the valid samples, without and with the temperature.

    On the diagonal, of pixels with confidence 80 %, 80 % are right; below it, the confidence is too high.
    """
    figure = new_figure(8, 3.9)
    left, right = figure.subplots(1, 2, sharey=True)
    _reliability(left, calibration.before, "Without temperature")
    _reliability(right, calibration.after, f"Temperature {calibration.temperature:.2f}")
    left.set_ylabel("share that is right", fontsize=NORMAL, color=SOFT)
    return figure


def rate_figure(search: RateSearch) -> StaticFigure:
    """Loss by learning rate, with the one that is suggested."""
    figure = new_figure(6, 3.4)
    axes = figure.subplots()
    dress(axes)
    heading(axes, "Loss while the learning rate grows")
    axes.plot(search.rates, search.losses, color=METRIC_COLOURS["train_loss"], linewidth=1.8)
    axes.set_xscale("log")
    axes.minorticks_off()
    low, high = min(search.losses), search.losses[0]
    axes.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low))
    axes.axvline(search.suggestion, color=FAINT, linewidth=1, linestyle=(0, (3, 3)))
    axes.annotate(
        f"{search.suggestion:.1e}",
        xy=(search.suggestion, 0.04),
        xycoords=("data", "axes fraction"),
        xytext=(5, 0),
        textcoords="offset points",
        fontsize=SMALL,
        color=INK,
    )
    axes.set_xlabel("learning rate", fontsize=NORMAL, color=SOFT)
    return figure


def _reliability(axes: Axes, found: Reliability, title: str) -> None:
    dress(axes)
    heading(axes, title)
    counts = np.array(found.counts)
    there = counts > 0
    edges = np.linspace(0, 1, len(counts) + 1)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (3, 3)))
    axes.bar(
        edges[:-1][there],
        np.array(found.accuracy)[there],
        width=1 / len(counts),
        align="edge",
        color=METRIC_COLOURS["oa"],
        alpha=0.25,
        linewidth=0,
    )
    axes.plot(
        np.array(found.confidence)[there],
        np.array(found.accuracy)[there],
        color=METRIC_COLOURS["oa"],
        marker="o",
        markersize=4,
        linewidth=1.4,
    )
    axes.set_xlim(0, 1)
    axes.set_xticks([0.2, 0.4, 0.6, 0.8, 1.0])  # 0 stands beside that of the other axis
    axes.set_ylim(0, 1)
    axes.set_xlabel("confidence", fontsize=NORMAL, color=SOFT)
    axes.annotate(
        f"calibration error {found.ece:.3f}\n{counts.sum():,} samples",
        xy=(0.04, 0.96),
        xycoords="axes fraction",
        va="top",
        fontsize=SMALL,
        color=INK,
    )
