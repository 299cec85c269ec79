"""`SeriesChart`: time series with their masked dates and gap-filled lines, several laid over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import anywidget
import numpy as np
import traitlets

from toolkit.series.curve import Curve, coloured, plain_range

HERE = resources.files("toolkit.widgets")


class SeriesChart(anywidget.AnyWidget):
    """Panels one below another over one axis of time: `SeriesChart({"NDVI": [curve, other]})`.

    Clear points are dots, masked ones quiet crosses (at the edge where they are beyond the scale, which clouds do not
    stretch), and a line goes through the gaps. The pointer, or the arrow keys, read the values of a day.

    Args:
        panels: title -> curves.
    """

    _esm = "".join((HERE / name).read_text(encoding="utf-8") for name in ("chart.js", "series.js"))
    _css = (HERE / "series.css").read_text(encoding="utf-8")

    panels = traitlets.List().tag(sync=True)
    """title, low, high, and of each curve name, colour, dash and the number of its points and of its line's."""
    data = traitlets.Bytes(b"").tag(sync=True)
    """Little-endian float32, for each curve: days, values, clear (0 or 1) of its points, days and values of its line;
    days since 1970."""

    def __init__(self, panels: Mapping[str, Sequence[Curve]] | None = None) -> None:
        super().__init__()
        self.show(panels or {})

    def show(self, panels: Mapping[str, Sequence[Curve]]) -> None:
        """Show these curves instead, sent to the browser in one message."""
        with self.hold_sync():
            self.data = b"".join(_numbers(curve) for curves in panels.values() for curve in curves)
            self.panels = [_panel(title, list(curves)) for title, curves in panels.items()]

    def hand_over(self, name: str, text: str) -> None:
        """Have the browser save a text as a file of this name, where the browser puts its downloads."""
        self.send({"name": name, "text": text})


def _panel(title: str, curves: list[Curve]) -> dict[str, Any]:
    low, high = plain_range(curves)
    described = [
        {
            "name": one.name,
            "colour": colour,
            "dash": list(one.dash),
            "points": len(one.days),
            "line": len(one.line_days),
        }
        for one, colour in zip(curves, coloured(curves), strict=True)
    ]
    return {"title": title, "low": low, "high": high, "curves": described}


def _numbers(curve: Curve) -> bytes:
    columns = (_days(curve.days), curve.values, curve.valid, _days(curve.line_days), curve.line_values)
    return b"".join(np.asarray(column, dtype="<f4").tobytes() for column in columns)


def _days(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[D]").astype(np.int64)
