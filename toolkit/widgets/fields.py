"""One row of a form: label, input, unit, and the default beside a changed value or the words of a refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets as W
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from toolkit.widgets.guard import message_html
from toolkit.widgets.inputs import make_input, words

COLUMNS = "minmax(7em, 11em) minmax(10em, 22em) 4.5em 2.2em minmax(6em, 1fr)"
"""Widths of label, input, unit, reset and note."""

QUIET = "color:var(--jp-ui-font-color2, #616161)"


@dataclass(frozen=True)
class Reports:
    """Where a field reports what a person does."""

    edit: Callable[[str, Any], None]
    """Called with the path and the value that was read."""
    refuse: Callable[[str, str], None]
    """Called with the path and the words, where no value can be read."""
    guard: Callable[[Callable[..., Any]], Callable[..., Any]]
    """Wraps every callback."""


class Field:
    """A parameter as a row of a form. It shows what it is told to and reports edits; it holds no truth."""

    def __init__(self, path: str, info: FieldInfo, reports: Reports) -> None:
        self.path = path
        self.default = info.get_default(call_default_factory=True)
        self._reports = reports
        self._input = make_input(info)
        self._value: Any = PydanticUndefined
        self._showing = False
        self.note = W.HTML()
        self.reset = W.Button(description="↺", layout=W.Layout(width="28px", padding="0", visibility="hidden"))
        self.reset.tooltip = f"Back to the default, {words(self.default)}"
        self.row = self._lay_out(info)
        self.input.observe(reports.guard(self._edited), "value")
        self.reset.on_click(reports.guard(lambda _: self._reset()))

    @property
    def input(self) -> Any:
        """The widget that is edited."""
        return self._input.widget

    @property
    def refusal(self) -> str:
        """The words beside the input when its value was refused, else empty."""
        return self.note.value if "lc-refused" in self.row._dom_classes else ""

    def refresh(self, value: Any) -> None:
        """Show the experiment's value, if it is another than before. A refused text stays until then."""
        if self._value is PydanticUndefined or value != self._value:
            self._value = value
            self._show(value)
            self.accept()

    def accept(self) -> None:
        """Take back a refusal; tell the default where the value differs from it."""
        changed = self.default is not PydanticUndefined and self._value != self.default
        self.reset.layout.visibility = "visible" if changed else "hidden"
        self.note.value = f"<span style='{QUIET}'>default {escape(words(self.default))}</span>" if changed else ""
        self.row.remove_class("lc-refused")

    def refuse(self, message: str) -> None:
        """Say beside the input why its value is not taken."""
        self.note.value = message_html(message)
        self.reset.layout.visibility = "hidden" if self.default is PydanticUndefined else "visible"
        self.row.add_class("lc-refused")

    def _lay_out(self, info: FieldInfo) -> W.GridBox:
        help_text = info.description or ""
        name = escape(label(self.path.rpartition(".")[2]))
        title = W.HTML(f"<span title='{escape(help_text)}' style='cursor:help'>{name}</span>")
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        unit = escape(str(extra.get("unit") or ""))
        self.input.tooltip = help_text
        self.input.layout = W.Layout(width="auto", margin="2px 0")
        parts = [title, self.input, W.HTML(f"<span style='{QUIET}'>{unit}</span>"), self.reset, self.note]
        layout = W.Layout(grid_template_columns=COLUMNS, grid_gap="0 10px", align_items="center", width="100%")
        row = W.GridBox(parts, layout=layout)
        row.add_class("lc-row")
        return row

    def _show(self, value: Any) -> None:
        self._showing = True
        try:
            self.input.value = self._input.show(value)
        finally:
            self._showing = False

    def _edited(self, change: Any) -> None:
        if self._showing:
            return
        try:
            value = self._input.read(change["new"])
        except ValueError as error:
            self._reports.refuse(self.path, str(error))
            return
        self._reports.edit(self.path, value)

    def _reset(self) -> None:
        self._reports.edit(self.path, self.default)
        self._show(self._value)


def label(name: str) -> str:
    """A parameter's name as a label: `"batch_size"` -> `"Batch size"`."""
    return name[:1].upper() + name[1:].replace("_", " ")
