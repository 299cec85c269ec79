"""A number over several decades: its exact text, and a logarithmic slider over round numbers beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import resources
from typing import Any

import anywidget
import traitlets

HERE = resources.files("toolkit.widgets")
STEPS = (1, 2, 5)
"""Round numbers of a decade; nearly even on a logarithmic scale."""


class LogNumber(anywidget.AnyWidget):
    """A text, and a slider that puts round numbers into it.

    The slider rests at the round number nearest to the value, at its end where the value lies beyond; it changes the
    value only when it is moved.

    Args:
        marks: the round numbers as they are written, ascending.
        placeholder: shown where the text is empty.
    """

    _esm = (HERE / "log_number.js").read_text(encoding="utf-8")

    value = traitlets.Unicode("").tag(sync=True)
    marks = traitlets.List(traitlets.Unicode()).tag(sync=True)
    placeholder = traitlets.Unicode("").tag(sync=True)
    words = traitlets.Unicode("").tag(sync=True)
    """Shown where the pointer rests."""

    def __init__(self, marks: Sequence[str], placeholder: str = "", **options: Any) -> None:
        super().__init__(marks=list(marks), placeholder=placeholder, **options)

    def explain(self, words: str) -> None:
        """Say this where the pointer rests."""
        self.words = words


def round_numbers(low: float, high: float, *, whole: bool) -> list[float] | list[int]:
    """1, 2 and 5 times powers of ten from `low` to `high`, ascending; whole numbers only where asked for."""
    first = math.floor(math.log10(low)) if low > 0 else 0
    decades = range(first, math.ceil(math.log10(high)) + 1)
    found = [float(f"{step}e{power}") for power in decades for step in STEPS]
    slack = 1e-9
    within = [one for one in found if low * (1 - slack) <= one <= high * (1 + slack)]
    return [int(one) for one in within if one >= 1] if whole else within
