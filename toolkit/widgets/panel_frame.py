"""What every panel with inputs needs of the page: the style, and keys that stay in the panel."""

from __future__ import annotations

from importlib import resources

import anywidget
import ipywidgets as W

HERE = resources.files("toolkit.widgets")


class PanelFrame(anywidget.AnyWidget):
    """An unseen child of a panel of class `lc-keys`.

    It brings the style of forms, and keeps keys that are pressed in the panel from the notebook: without it, `x` on a
    list or a slider would cut the cell, and an arrow would leave it.
    """

    _esm = (HERE / "panel_frame.js").read_text(encoding="utf-8")
    _css = (HERE / "style.css").read_text(encoding="utf-8")

    def __init__(self) -> None:
        super().__init__(layout=W.Layout(display="none"))
