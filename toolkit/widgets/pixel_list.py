"""The pixels of an inspector: a list to keep them or take them away, and what is told of one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import ipywidgets as W

from toolkit.experiment.pixel_report import PixelReport
from toolkit.ground.errors import ParameterError
from toolkit.series.curve import COLOURS
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.places import place_words

TOP = 5
"""Classes whose probabilities are shown."""


@dataclass
class Shown:
    """A pixel in the panel."""

    report: PixelReport
    kept: bool = False


class Pixels:
    """The pixels shown, each in a place of its own, which gives it its number and colour.

    A new pixel replaces those that are not kept; one that is kept and read again stays in its place.
    """

    def __init__(self) -> None:
        self.slots: list[Shown | None] = [None] * len(COLOURS)
        self.current: int | None = None
        """Slot of the one that is told of."""

    @property
    def shown(self) -> dict[int, PixelReport]:
        """Slot -> report."""
        return {slot: one.report for slot, one in enumerate(self.slots) if one is not None}

    def check_room(self) -> None:
        """Refuse a further pixel where all that can be shown are kept.

        Raises:
            ParameterError: they are.
        """
        if all(one is not None and one.kept for one in self.slots):
            raise ParameterError(f"{len(self.slots)} pixels are kept, which is the most; remove one first")

    def add(self, report: PixelReport) -> None:
        """Show a pixel, and tell of it.

        Raises:
            ParameterError: all places are taken by pixels that are kept.
        """
        for slot, one in enumerate(self.slots):
            if one is not None and one.kept and _is_same(one.report, report):
                one.report, self.current = report, slot
                return
        self.check_room()
        self.slots = [one if one is not None and one.kept else None for one in self.slots]
        self.current = self.slots.index(None)
        self.slots[self.current] = Shown(report)

    def renew(self, slot: int, report: PixelReport) -> None:
        """Another report of the pixel in this slot, unless that was taken away meanwhile."""
        pixel = self.slots[slot]
        if pixel is not None:
            pixel.report = report

    def keep(self, slot: int, kept: bool) -> None:
        """Keep a pixel, or not."""
        pixel = self.slots[slot]
        if pixel is not None:
            pixel.kept = kept

    def remove(self, slot: int) -> None:
        """Take a pixel away; another is told of if it was told of."""
        self.slots[slot] = None
        if self.current == slot:
            self.current = next(iter(self.shown), None)


class PixelList(W.VBox):
    """A row for each pixel: its colour, its class (a click tells of it), whether it is kept, and a button to remove it.

    All rows are made at once and those without a pixel are hidden, so that a thread has only traits to set.

    Args:
        problem: where errors of the callbacks are shown.
        look, keep, remove: called with the number of a row; `keep` also with whether to.
    """

    def __init__(
        self,
        problem: ErrorBox,
        look: Callable[[int], None],
        keep: Callable[[int, bool], None],
        remove: Callable[[int], None],
    ) -> None:
        self.looks = [W.Button(layout=W.Layout(flex="1 1 0", min_width="0")) for _ in COLOURS]
        self.keeps = [_keep_button() for _ in COLOURS]
        self.removes = [W.Button(description="×", tooltip="Remove", layout=W.Layout(width="28px")) for _ in COLOURS]
        self._following = True
        for slot in range(len(COLOURS)):
            self.looks[slot].on_click(problem.guard(lambda _, slot=slot: look(slot)))
            self.keeps[slot].observe(self._when_clicked(problem.guard(keep), slot), "value")
            self.removes[slot].on_click(problem.guard(lambda _, slot=slot: remove(slot)))
        super().__init__([self._row(slot) for slot in range(len(COLOURS))])
        self.add_class("lc-pixels")

    def show(self, pixels: Pixels) -> None:
        """Show these pixels; the one that is told of stands out."""
        self._following = False
        for slot, pixel in enumerate(pixels.slots):
            self.children[slot].layout.display = "none" if pixel is None else ""
            if pixel is not None:
                self.looks[slot].description = name_of(slot, pixel.report)
                self.looks[slot].tooltip = f"{_place_words(pixel.report)} · {pixel.report.words}"
                self.looks[slot].style.font_weight = "bold" if slot == pixels.current else "normal"
                self.keeps[slot].value = pixel.kept
        self._following = True

    def _when_clicked(self, keep: Callable[[int, bool], None], slot: int) -> Callable[[dict[str, bool]], None]:
        """Only a person's click is a wish; what `show` sets is not."""
        return lambda change: keep(slot, change["new"]) if self._following else None

    def _row(self, slot: int) -> W.HBox:
        chip = W.HTML(f"<span class='lc-chip' style='background:{COLOURS[slot]}'></span>")
        row = W.HBox([chip, self.looks[slot], self.keeps[slot], self.removes[slot]])
        row.layout.display = "none"
        return row


def name_of(slot: int, report: PixelReport) -> str:
    """A pixel in short: its number, its class and its tile."""
    return f"{slot + 1} {report.name} · {report.place.tile}"


def head_html(report: PixelReport, classes: bool = True) -> str:
    """The line that tells everything of a pixel in short.

    Args:
        classes: whether to tell what map and model say.
    """
    if not classes:
        return f"{_place_words(report)} · {escape(report.series_words)}"
    colour = "transparent" if report.code is None else report.nomenclature.colour(report.code)
    chip = f"<span class='lc-chip' style='background:{colour}'></span>"
    return f"{chip} {_place_words(report)} · {escape(report.words)}"


def probabilities_html(report: PixelReport) -> str:
    """The most probable classes as bars in their colours."""
    rows = "".join(
        f"<tr><td>{escape(report.nomenclature.label(code))}</td>"
        f"<td class='lc-bar'><div style='width:{100 * share:.1f}%;background:{report.nomenclature.colour(code)}'></div>"
        f"</td><td class='lc-share'>{share:.2f}</td></tr>"
        for code, share in list((report.probabilities or {}).items())[:TOP]
    )
    return f"<table class='lc-probabilities'>{rows}</table>" if rows else ""


def _place_words(report: PixelReport) -> str:
    return place_words(report.place.latitude, report.place.longitude)


def _keep_button() -> W.ToggleButton:
    words = "Keep this pixel when the next one is read"
    return W.ToggleButton(description="Keep", tooltip=words, layout=W.Layout(width="56px"))


def _is_same(one: PixelReport, other: PixelReport) -> bool:
    return (one.place.tile, one.place.row, one.place.col) == (other.place.tile, other.place.row, other.place.col)
