"""One row of a form: label, input, unit, and the default beside a changed value or the words of a refusal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets as W
from ipywidgets.widgets.widget_string import HTMLStyle
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from toolkit.ground.params import bounds_of
from toolkit.widgets.guard import message_html
from toolkit.widgets.inputs import make_input, words
from toolkit.widgets.picking import Suggestion

WAITS = "waits for another value"


@dataclass(frozen=True)
class Reports:
    """Where a field reports what a person does."""

    edit: Callable[[str, Any], None]
    """Called with the path and the value that was read."""
    refuse: Callable[[str, str], None]
    """Called with the path and the words, where no value can be read."""
    give_up: Callable[[str], None]
    """Called with the path, where a value that was not taken is given up."""
    guard: Callable[[Callable[..., Any]], Callable[..., Any]]
    """Wraps every callback."""


class Look:
    """Layouts and styles that all rows of a form share: most of the time that a widget takes to make goes into them."""

    def __init__(self) -> None:
        self.row, self.input = W.Layout(width="100%"), W.Layout(width="auto", margin="2px 0")
        self.text, self.html = W.Layout(width="auto", margin="0"), HTMLStyle()
        self.button = W.ButtonStyle()
        self.shown = W.Layout(width="28px", padding="0", margin="0", visibility="visible")
        self.hidden = W.Layout(width="28px", padding="0", margin="0", visibility="hidden")

    def words(self, text: str) -> W.HTML:
        """A piece of HTML."""
        return W.HTML(text, layout=self.text, style=self.html)


class Field:
    """A parameter as a row of a form. It shows what it is told to and reports edits; it holds no truth.

    Args:
        picks: whether values will be suggested.
    """

    def __init__(self, path: str, info: FieldInfo, reports: Reports, look: Look, picks: bool = False) -> None:
        self.path = path
        self.default = info.get_default(call_default_factory=True)
        self._reports, self._look = reports, look
        self._input = make_input(info, picks, look.input)
        self._value: Any = PydanticUndefined
        self._showing = False
        self._hint = ""
        self.note = look.words("")
        self.reset = W.Button(description="↺", layout=look.hidden, style=look.button)
        self.row = self._lay_out(info)
        self.input.observe(reports.guard(self._edited), "value")
        self.reset.on_click(reports.guard(lambda _: self._reset()))

    @property
    def input(self) -> Any:
        """The widget that is edited."""
        return self._input.widget

    @property
    def refusal(self) -> str:
        """The words beside the input when its value was not taken, else empty."""
        return self.note.value if self._is_held else ""

    @property
    def is_waiting(self) -> bool:
        """Whether it shows a value that is valid only together with another."""
        return self._is_held == "lc-waits"

    def refresh(self, value: Any, anew: bool = False) -> None:
        """Show the experiment's value, if it is another than before. A refused text stays until then.

        Args:
            anew: show it in any case.
        """
        if anew or self._value is PydanticUndefined or value != self._value:
            self._value = value
            self._show(value)
            self.accept()

    def accept(self) -> None:
        """Take back a refusal; tell the default where the value differs from it."""
        if self._is_held:
            self.row.remove_class("lc-refused")
            self.row.remove_class("lc-waits")
        self._annotate()

    def refuse(self, message: str) -> None:
        """Say beside the input why its value is not taken."""
        self._hold("lc-refused", message_html(message))

    def wait(self, value: Any, reason: str) -> None:
        """Show a value that is valid only together with another, which is still to come."""
        if self.input.value != self._input.show(value):
            self._show(value)
        self._hold("lc-waits", f"<div role='status'><b>{WAITS}</b>: {escape(reason)}</div>")

    def give_up(self) -> None:
        """Show the experiment's value instead of one that was not taken."""
        self._show(self._value)
        self.accept()

    def hint(self, suggestions: Sequence[Suggestion], note: str) -> None:
        """Offer values, and say something quietly about the one that is there."""
        self._input.suggest(suggestions)
        if note != self._hint:
            self._hint = note
            if not self._is_held:
                self._annotate()

    @property
    def _is_held(self) -> str:
        """`lc-refused` or `lc-waits` where the input holds a value that was not taken, else empty."""
        return next((one for one in ("lc-refused", "lc-waits") if one in self.row._dom_classes), "")

    def _hold(self, state: str, words_html: str) -> None:
        self.accept()
        self.row.add_class(state)
        self.note.value = words_html
        self._offer_reset(f"Give this up, back to {words(self._value)}")

    def _annotate(self) -> None:
        changed = self.default is not PydanticUndefined and self._value != self.default
        parts = [f"default {words(self.default)}"] if changed else []
        parts += [self._hint] if self._hint else []
        self.note.value = f"<span class='lc-quiet'>{escape(' · '.join(parts))}</span>" if parts else ""
        self._offer_reset(f"Back to the default, {words(self.default)}" if changed else "")

    def _offer_reset(self, tooltip: str) -> None:
        if tooltip:
            self.reset.tooltip = tooltip
        self.reset.layout = self._look.shown if tooltip else self._look.hidden

    def _lay_out(self, info: FieldInfo) -> W.Box:
        name, help_text = label(self.path.rpartition(".")[2]), self._help(info)
        title = self._look.words(f"<span class='lc-title' title='{escape(help_text)}'>{escape(name)}</span>")
        self._input.explain(f"{name}. {info.description or ''}")
        unit = self._look.words(f"<span class='lc-quiet'>{escape(_unit(info))}</span>")
        row = W.Box([title, self.input, unit, self.reset, self.note], layout=self._look.row)
        row._dom_classes = ("lc-row",)
        return row

    def _help(self, info: FieldInfo) -> str:
        """What is shown where the pointer rests: description, then bounds, unit and default, then the full name."""
        facts = [bounds_of(info), _unit(info)]
        facts += [f"default {words(self.default)}"] if self.default is not PydanticUndefined else []
        return "\n".join(filter(None, [info.description or "", " · ".join(filter(None, facts)), self.path]))

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
        """Give up a value that was not taken; else go back to the default."""
        if self._is_held:
            self._reports.give_up(self.path)
            return
        self._reports.edit(self.path, self.default)
        if not self._is_held:
            self._show(self._value)


SPOKEN = {"crs": "CRS", "gb": "", "m2": ""}
"""Words of a parameter's name that are said otherwise, or by the unit beside the input."""


def label(name: str) -> str:
    """A parameter's name as a label: `"batch_size"` -> `"Batch size"`."""
    said = " ".join(filter(None, (SPOKEN.get(word, word) for word in name.split("_"))))
    return said[:1].upper() + said[1:]


def _unit(info: FieldInfo) -> str:
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    return str(extra.get("unit") or "")
