"""`SpaceForm`: what a tuning tries, as rows of a parameter and its values; it edits `tuning.space` of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets as W
from pydantic.fields import FieldInfo

from toolkit.ground.documents import parse_value
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import bounds_of, kind_of, plain
from toolkit.learning.space import NETWORK, SECTION, parse_space, tunable
from toolkit.widgets.fields import label
from toolkit.widgets.guard import message_html

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

ADD = "Add a parameter…"

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]


class SpaceForm(W.VBox):
    """Rows of parameters to tune. A value that cannot be is refused beside its row, and changes nothing.

    Args:
        guard: wraps every callback.
    """

    def __init__(self, experiment: Experiment, guard: Guard) -> None:
        self.experiment, self._guard = experiment, guard
        self.rows: dict[str, AxisRow] = {}
        """Each row by the dotted path of its parameter."""
        self._shown: tuple[Mapping[str, Any], tuple[str, ...]] = ({}, ())
        self.add = W.Dropdown(options=[(ADD, "")], value="", tooltip="Add a parameter to tune")
        self.add.observe(guard(lambda change: self._add(change["new"])), "value")
        super().__init__([self.add])
        self.add_class("lc-space")
        self.refresh()

    def refresh(self) -> None:
        """Show the space of the experiment as it is; what is typed into a row that is refused stays until then."""
        present = self.experiment.tuning.space
        known = tunable(self.experiment.learning, any_network=NETWORK in present)
        shown, before = (present, tuple(known)), self._shown
        if shown == before:
            return
        self._shown = shown
        for path in set(self.rows) - set(present):
            self.rows.pop(path).box.close()
        for path, words in present.items():
            if before[1:] != shown[1:] or before[0].get(path) != words:
                self._show(path, known.get(path) or FieldInfo(annotation=str), words)
        left = [path for path, field in known.items() if path not in present and _has_choice(field)]
        self.add.options = [(ADD, ""), *((_name(path), path) for path in left)]
        self.children = [*(self.rows[path].box for path in present), self.add]

    def _show(self, path: str, field: FieldInfo, words: Any) -> None:
        if path in self.rows:
            self.rows[path].show(words)
        else:
            self.rows[path] = AxisRow(path, field, words, self._edit, self._guard)
        self._check(path, words)

    def _add(self, path: str) -> None:
        if path:
            field = tunable(self.experiment.learning, any_network=True)[path]
            present = self.experiment.get(path) if _is_of(self.experiment, path) else field.default
            self._set({**self.experiment.tuning.space, path: first_words(field, present)})

    def _edit(self, path: str, words: Any) -> None:
        """Take the values of a row; None takes the row away."""
        others = {one: value for one, value in self.experiment.tuning.space.items() if one != path}
        if words is None:
            self._set(others)
            return
        if self._check(path, words):
            self._set({**others, path: words})

    def _check(self, path: str, words: Any) -> bool:
        """Whether a row can be; where it cannot, it says why."""
        among = {one: value for one, value in self.experiment.tuning.space.items() if one == NETWORK}
        try:
            parse_space({**among, path: words}, self.experiment.learning)
        except ParameterError as error:
            self.rows[path].refuse(str(error).removeprefix(f"tuning.space: {path}").lstrip(": ="))
            return False
        self.rows[path].accept()
        return True

    def _set(self, space: Mapping[str, Any]) -> None:
        self.experiment.set({"tuning.space": plain(dict(space))})
        self.refresh()


class AxisRow:
    """One parameter: the ends of a range, boxes to tick, or a list of choices as text."""

    def __init__(
        self, path: str, field: FieldInfo, words: Any, edited: Callable[[str, Any], None], guard: Guard
    ) -> None:
        self.path, self._edited, self._guard = path, edited, guard
        self._kind, self._showing = kind_of(field.annotation), False
        self._fixed = _fixed_choices(self._kind)
        facts = " · ".join(filter(None, [field.description or "", bounds_of(field), path]))
        self.title = W.HTML(f"<span class='lc-title' title='{facts}'>{_name(path)}</span>")
        self.how = W.Dropdown(options=[("range", True), ("list", False)], tooltip="A range, or a list of choices")
        self.low, self.high, self.listed = (W.Text(continuous_update=False) for _ in range(3))
        for one, meaning in ((self.low, "Smallest value"), (self.high, "Largest value"), (self.listed, "Choices")):
            one.tooltip = f"{meaning} of {_name(path)}"
        self.boxes = [W.Checkbox(description=str(plain(one)), indent=False) for one in self._fixed]
        self.remove = W.Button(icon="times", tooltip=f"Do not tune {_name(path)}", layout=W.Layout(width="28px"))
        self.note = W.HTML()
        self.values = W.HBox()
        self.box = W.HBox([self.title, self.values, self.remove, self.note])
        self.box.add_class("lc-axis-row")
        for one in (self.low, self.high, self.listed, *self.boxes):
            one.observe(guard(lambda _: self._read()), "value")
        self.how.observe(guard(lambda _: self._turn()), "value")
        self.remove.on_click(guard(lambda _: self._edited(self.path, None)))
        self.show(words)

    def show(self, words: Any) -> None:
        """Show these values."""
        self._showing = True
        try:
            listed = list(words["choices"] if isinstance(words, Mapping) else words)
            is_range = self._kind in ("N", "X") and len(listed) == 2 and not isinstance(words, Mapping)
            for box, value in zip(self.boxes, self._fixed, strict=True):
                box.value = value in listed
            self.how.value = is_range
            if is_range:
                self.low.value, self.high.value = (_text(one) for one in listed)
            self.listed.value = ", ".join(map(_text, listed))
            self._lay_out()
            self.accept()
        finally:
            self._showing = False

    def refuse(self, message: str) -> None:
        """Say why these values are not taken."""
        self.note.value = message_html(message)
        self.box.add_class("lc-refused")

    def accept(self) -> None:
        """Take a refusal back."""
        self.note.value = ""
        self.box.remove_class("lc-refused")

    def _lay_out(self) -> None:
        numbers = [self.how, self.low, self.high] if self.how.value else [self.how, self.listed]
        shown = self.boxes or (numbers if self._kind in ("N", "X") else [self.listed])
        if list(self.values.children) != list(shown):
            self.values.children = shown

    def _turn(self) -> None:
        """From a range to its two ends as choices, and back."""
        if not self._showing:
            self._lay_out()
            self._read()

    def _read(self) -> None:
        if self._showing:
            return
        try:
            words = self._words()
        except ValueError:
            self.refuse("write values with commas between, lists in brackets: [64, 64], [128]")
            return
        self._edited(self.path, words)

    def _words(self) -> Any:
        if self.boxes:
            return [value for value, box in zip(self._fixed, self.boxes, strict=True) if box.value]
        if self._kind in ("N", "X") and self.how.value:
            return [parse_value(one.value) for one in (self.low, self.high)]
        listed = parse_value(f"[{self.listed.value}]")
        return {"choices": [None if one == "none" else one for one in listed]}


BOUNDS = ("ge", "gt", "lt", "le")


def first_words(field: FieldInfo, present: Any) -> Any:
    """Values to begin with, for a parameter that has this value now."""
    kind, extra = kind_of(field.annotation), field.json_schema_extra
    if _fixed_choices(kind):
        return list(_fixed_choices(kind))
    log = extra.get("log") if isinstance(extra, dict) else None
    if kind in ("N", "X") and isinstance(log, list):
        return list(log)
    if kind in ("N", "X"):
        marks = {name: getattr(one, name) for one in field.metadata for name in BOUNDS if hasattr(one, name)}
        low, high = marks.get("ge", marks.get("gt", 0)), marks.get("le", marks.get("lt"))
        if kind == "N":
            least = max(low, 1)
            value = present or least
            return [max(value // 2, least), value * 2 if high is None else min(value * 2, high)]
        value = present or 1.0
        if high is None:
            return [value / 2, value * 2]
        return [low if "ge" in marks else low + (high - low) / 10, (low + high) / 2]
    return {"choices": [[64, 64], [128, 64]] if present is None else [plain(present), [64, 64]]}


def _fixed_choices(kind: str) -> list[Any]:
    """The values that a parameter can only have."""
    if kind == "BOOL":
        return [False, True]
    return kind.strip("{}").split(",") if kind.startswith("{") else []


def _has_choice(field: FieldInfo) -> bool:
    """Whether there is anything to choose: not of a network that is the only one."""
    return len(_fixed_choices(kind_of(field.annotation))) != 1


def _is_of(experiment: Experiment, path: str) -> bool:
    """Whether the network of now has this parameter."""
    section, _, name = path.rpartition(".")
    return name in type(experiment.get(section)).model_fields


def _name(path: str) -> str:
    """A path as a person reads it: `Learning rate`, `Network: dropout`."""
    *sections, name = path.removeprefix(f"{SECTION}.").split(".")
    return f"{label(sections[0])}: {label(name).lower()}" if sections else label(name)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return "none" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)
