"""A curve: what was measured of one quantity over time and the line made from it, as chart and figure draw it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Curve:
    """Points, some of them masked, and a line through those that are not; either may be empty."""

    name: str
    days: np.ndarray
    """Day of each point, datetime64[D] of shape (point,)."""
    values: np.ndarray
    """Value of each point, float of shape (point,); NaN where nothing was measured."""
    valid: np.ndarray
    """Whether each point is clear, bool of shape (point,)."""
    line_days: np.ndarray
    """Days of the line, datetime64[D] of shape (day,)."""
    line_values: np.ndarray
    """Values of the line, float of shape (day,)."""
    colour: str | None = None
    """`#rrggbb`; None lets the chart choose."""
    dash: tuple[float, ...] = ()
    """Lengths of the line's strokes and gaps in turn, pixels; empty for a whole line."""

    def __post_init__(self) -> None:
        for kind, one, other in (("points", self.days, self.values), ("line", self.line_days, self.line_values)):
            if one.shape != other.shape:
                raise ValueError(f"{self.name}: days {one.shape} and values {other.shape} of the {kind} do not fit")
        if self.valid.shape != self.values.shape:
            raise ValueError(f"{self.name}: valid {self.valid.shape} and values {self.values.shape} do not fit")


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c", "#8a6d3b")
"""Colours of curves in the order they are given out: Okabe and Ito's (2008), then a grey and a brown for the last two.

Each can be seen on a light and on a dark page.
"""


DASHES = ((7, 3), (2, 3), (9, 3, 2, 3), (13, 4), (5, 2, 2, 2, 2, 2), (2, 6), (14, 3, 5, 3))
"""Dashes that can be told apart, for lines of one pixel by several methods."""


def coloured(curves: list[Curve]) -> list[str]:
    """The colour of each curve: its own, or the next of `COLOURS` that none of the others has."""
    own = {one.colour for one in curves}
    free = [colour for colour in COLOURS if colour not in own] or list(COLOURS)
    given, turn = [], 0
    for one in curves:
        given.append(one.colour or free[turn % len(free)])
        turn += one.colour is None
    return given


def plain_range(curves: list[Curve]) -> tuple[float, float]:
    """Least and largest value of the lines and the clear points, with a margin; clouds do not stretch it."""
    parts = [np.concatenate([one.values[one.valid], one.line_values]) for one in curves]
    values = np.concatenate(parts) if parts else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin
