"""Several small sections of one kind as an input: a row of inputs for each, to be added and removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as W
import traitlets

from toolkit.widgets.panel import close_inner

Row = tuple[Any, ...]
"""What the inputs of a row hold, in the order of the columns."""


class RowsInput(W.VBox):
    """Rows of inputs. A row in which a needed one is empty waits, and is not in `value`.

    Args:
        columns: name of each column -> a function that makes its widget.
        needed: columns that must be filled.
    """

    value = traitlets.Tuple()
    """The filled rows."""

    def __init__(self, columns: Mapping[str, Callable[[], Any]], needed: Sequence[str], **options: Any) -> None:
        self._columns = columns
        self._needed = [list(columns).index(name) for name in needed]
        self._rows: list[list[Any]] = []
        self._boxes: list[W.HBox] = []
        self.add = W.Button(description="Add a row", icon="plus", layout=W.Layout(width="auto"))
        self.add.on_click(lambda _: self._add())
        names = "".join(f"<span>{escape(name)}</span>" for name in columns)
        self._head = W.HTML(f"<div class='lc-rows-head lc-quiet'>{names}</div>", layout=W.Layout(display="none"))
        super().__init__([self._head, self.add], **options)
        self.add_class("lc-rows")
        self.observe(lambda _: self._show(), "value")

    @property
    def rows(self) -> list[list[Any]]:
        """The widgets of every row, those that wait included."""
        return [list(row) for row in self._rows]

    def explain(self, words: str) -> None:
        """Say this where the pointer rests on the button."""
        self.add.tooltip = words

    def remove(self, place: int) -> None:
        """Take a row away."""
        self._lay_out([self._held(row) for at, row in enumerate(self._rows) if at != place])
        self._edited()

    def _add(self) -> None:
        self._lay_out([*map(self._held, self._rows), None])

    def _show(self) -> None:
        if self._filled() != self.value:
            self._lay_out(self.value)

    def _lay_out(self, rows: Sequence[Row | None]) -> None:
        before = self._boxes
        self._rows = [self._make(row) for row in rows]
        self._boxes = [self._box(place, row) for place, row in enumerate(self._rows)]
        self._head.layout.display = "" if self._boxes else "none"
        self.children = [self._head, *self._boxes, self.add]
        for box in before:
            close_inner(box)
            box.close()

    def _make(self, values: Row | None) -> list[Any]:
        parts = [make() for make in self._columns.values()]
        for part, value in zip(parts, values or (), strict=False):
            part.value = value
        for part in parts:
            part.observe(lambda _: self._edited(), "value")
        return parts

    def _box(self, place: int, row: Sequence[Any]) -> W.HBox:
        remove = W.Button(description="×", tooltip="Remove this row", layout=W.Layout(width="28px"))
        remove.on_click(lambda _: self.remove(place))
        return W.HBox([*row, remove])

    def _edited(self) -> None:
        self.value = self._filled()

    def _filled(self) -> tuple[Row, ...]:
        held = map(self._held, self._rows)
        return tuple(row for row in held if all(row[place] not in (None, "") for place in self._needed))

    @staticmethod
    def _held(row: Sequence[Any]) -> Row:
        return tuple(part.value for part in row)
