"""`Legend`: the classes of a map with colour, area and share; a click shows a class alone."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources

import anywidget
import traitlets

from toolkit.ground.nomenclature import Nomenclature
from toolkit.widgets.map_content import ClassArea

HERE = resources.files("toolkit.widgets")


class Legend(anywidget.AnyWidget):
    """Rows of classes as buttons. It takes no room while there are none."""

    _esm = (HERE / "legend.js").read_text(encoding="utf-8")
    _css = (HERE / "legend.css").read_text(encoding="utf-8")

    rows = traitlets.List(traitlets.Dict()).tag(sync=True)
    """code, label, colour, area and share of each class, the last two in words."""
    chosen = traitlets.List(traitlets.Int()).tag(sync=True)
    """Codes of the classes shown alone; none for all."""

    def show(self, areas: Iterable[ClassArea], nomenclature: Nomenclature) -> None:
        """Show these classes; those chosen before stay so where they are still there."""
        rows = [
            {
                "code": one.code,
                "label": nomenclature.label(one.code),
                "colour": nomenclature.colour(one.code),
                "area": area_words(one.hectares),
                "share": share_words(one.share),
            }
            for one in areas
        ]
        there = {row["code"] for row in rows}
        with self.hold_sync():
            self.rows = rows
            self.chosen = [code for code in self.chosen if code in there]


def area_words(hectares: float) -> str:
    """An area with three digits: `3.21 ha`, `154 ha`, `32.1 km²`."""
    value, unit = (hectares, "ha") if hectares < 1000 else (hectares / 100, "km²")
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} {unit}"


def share_words(share: float) -> str:
    """A share in percent: `12.3 %`; a trace is not told as nothing."""
    return f"{100 * share:.1f} %" if share >= 0.0005 else "< 0.1 %"
