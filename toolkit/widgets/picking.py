"""Inputs that suggest values and take any other: a narrow list beside the input puts its choice into it.

A browser's own list of suggestions (`Combobox`) shows those alone that begin like the text that is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as W
import traitlets


@dataclass(frozen=True)
class Suggestion:
    """A value that may be wanted."""

    value: str
    meaning: str = ""
    """What it is, in words, beside the value."""

    @property
    def label(self) -> str:
        return f"{self.value}  {self.meaning}" if self.meaning else self.value


class PickList(W.Dropdown):
    """The narrow list. It shows no choice of its own, and takes no room while it is empty."""

    def __init__(self) -> None:
        self._offered: list[tuple[str, str | None]] = [("", None)]
        super().__init__(options=self._offered, layout=W.Layout(width="22px", display="none"), tooltip="Suggestions")
        self.add_class("lc-pick")

    def offer(self, suggestions: Sequence[Suggestion]) -> None:
        """List these."""
        options = [("", None), *((one.label, one.value) for one in suggestions)]
        if options != self._offered:
            self.options = self._offered = options
            self.layout.display = "" if suggestions else "none"


class PickText(W.HBox):
    """A text with suggestions; it is taken on leaving it or with Enter."""

    value = traitlets.Unicode("")

    def __init__(self, placeholder: str = "", **options: Any) -> None:
        self.text = W.Text(continuous_update=False, placeholder=placeholder, layout=W.Layout(width="auto", flex="1"))
        self.pick = PickList()
        super().__init__([self.text, self.pick], **options)
        self.add_class("lc-picking")
        traitlets.link((self, "value"), (self.text, "value"))
        self.pick.observe(self._picked, "value")

    def suggest(self, suggestions: Sequence[Suggestion]) -> None:
        """Offer these values."""
        self.pick.offer(suggestions)

    def explain(self, words: str) -> None:
        """Say this where the pointer rests."""
        self.text.tooltip = words

    def _picked(self, change: Any) -> None:
        if change["new"] is not None:
            self.pick.value = None
            self.value = change["new"]


class PickTags(W.HBox):
    """A row of tags; those of the suggestions that are not among them are offered."""

    value = traitlets.List(traitlets.Unicode())

    def __init__(self, **options: Any) -> None:
        self.tags = W.TagsInput(allow_duplicates=True, placeholder="add…", layout=W.Layout(width="auto", flex="1"))
        self.pick = PickList()
        self._suggestions: Sequence[Suggestion] = ()
        super().__init__([self.tags, self.pick], **options)
        self.add_class("lc-picking")
        traitlets.link((self, "value"), (self.tags, "value"))
        self.pick.observe(self._picked, "value")
        self.observe(lambda _: self._offer(), "value")

    def suggest(self, suggestions: Sequence[Suggestion]) -> None:
        """Offer these tags."""
        self._suggestions = suggestions
        self._offer()

    def explain(self, words: str) -> None:
        """Say this where the pointer rests."""
        self.tags.tooltip = words

    def _offer(self) -> None:
        self.pick.offer([one for one in self._suggestions if one.value not in self.value])

    def _picked(self, change: Any) -> None:
        if change["new"] is not None:
            self.pick.value = None
            self.value = [*self.value, change["new"]]
