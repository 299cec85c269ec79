"""A table of whole numbers as an input: rows of key and value, to be added and removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as W
import traitlets

from toolkit.widgets.picking import Suggestion

Row = tuple[str, str]
"""Key and value, as they are written."""


class TableInput(W.VBox):
    """Rows of a key and a value. A row that is not filled yet waits, and is not in `value`."""

    value = traitlets.Tuple()
    """The filled rows, in the order in which they are shown."""

    def __init__(self, **options: Any) -> None:
        self._suggestions: dict[str, str] = {}
        self._rows: list[_RowInput] = []
        self._cell = W.Layout(width="auto", flex="1")
        self.add = W.Button(description="Add a row", icon="plus", layout=W.Layout(width="auto"))
        self.add.on_click(lambda _: self._add())
        super().__init__([self.add], **options)
        self.add_class("lc-table")
        self.observe(self._show, "value")

    @property
    def rows(self) -> list[_RowInput]:
        """Every row, those that wait included."""
        return list(self._rows)

    def suggest(self, suggestions: Sequence[Suggestion]) -> None:
        """The keys to choose from, with what they mean; without any, a key is typed."""
        meanings = {one.value: one.meaning for one in suggestions}
        if meanings != self._suggestions:
            self._suggestions = meanings
            self._lay_out([row.texts for row in self._rows])

    def explain(self, words: str) -> None:
        """Say this where the pointer rests on the button."""
        self.add.tooltip = words

    def _add(self) -> None:
        self._lay_out([*(row.texts for row in self._rows), ("", "")])

    def _show(self, _: Any) -> None:
        """Show `value`; rows that say the same already stay in their order, so that none jumps while it is edited."""
        if sorted(self._filled()) != sorted(self.value):
            self._lay_out(list(self.value))

    def _lay_out(self, texts: Sequence[Row]) -> None:
        self._rows = [_RowInput(key, value, self._suggestions, self._cell) for key, value in texts]
        for row in self._rows:
            for part in (row.key, row.amount):
                part.observe(lambda _: self._edited(), "value")
            row.remove.on_click(lambda _, row=row: self._remove(row))
        self.children = [*(row.box for row in self._rows), self.add]

    def _remove(self, row: _RowInput) -> None:
        self._rows.remove(row)
        self.children = [*(one.box for one in self._rows), self.add]
        self._edited()

    def _edited(self) -> None:
        self.value = tuple(self._filled())

    def _filled(self) -> list[Row]:
        return [row.texts for row in self._rows if all(row.texts)]


class _RowInput:
    """The widgets of a row: the key is chosen where its choices are known, else typed."""

    def __init__(self, key: str, amount: str, meanings: Mapping[str, str], cell: Any) -> None:
        if meanings:
            known = meanings if key in meanings else {key: "not known" if key else "choose…", **meanings}
            options = [(f"{one}  {meaning}".strip(), one) for one, meaning in known.items()]
            self.key: Any = W.Dropdown(options=options, value=key, layout=cell, tooltip="Key")
        else:
            self.key = W.Text(key, continuous_update=False, placeholder="code", layout=cell, tooltip="Key")
        self.amount = W.Text(amount, continuous_update=False, placeholder="at most", layout=cell, tooltip="Value")
        self.remove = W.Button(icon="times", tooltip="Remove this row", layout=W.Layout(width="28px"))
        self.box = W.HBox([self.key, self.amount, self.remove])

    @property
    def texts(self) -> Row:
        return self.key.value.strip(), self.amount.value.strip()


def show_table(table: Mapping[int, int]) -> tuple[Row, ...]:
    """A table as rows of text."""
    return tuple((str(key), str(value)) for key, value in table.items())


def read_table(rows: Sequence[Row]) -> dict[int, int]:
    """The table that these rows make.

    Raises:
        ValueError: a text that is no whole number, or a key that stands twice.
    """
    table: dict[int, int] = {}
    for row in rows:
        try:
            key, value = (int(text) for text in row)
        except ValueError:
            raise ValueError(f"{row[0]}: {row[1]} must be two whole numbers, such as 11: 500") from None
        if key in table:
            raise ValueError(f"{key} stands twice; keep one of the rows")
        table[key] = value
    return table
