"""`PixelInspector`: a click, and everything that is known of the pixel; several pixels compared."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

import ipywidgets as W
import pandas as pd
import traitlets

from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.pixel_report import PixelReport, meaning_of
from toolkit.features.indices import label_of
from toolkit.ground.errors import LandcoverError, ParameterError
from toolkit.series.curve import COLOURS, Curve
from toolkit.series.methods import METHODS
from toolkit.widgets.background import Background
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.panel import Panel
from toolkit.widgets.pixel_list import PixelList, Pixels, head_html, name_of, probabilities_html
from toolkit.widgets.places import parse_place, place_words
from toolkit.widgets.series_chart import SeriesChart

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment
    from toolkit.figures.style import StaticFigure

STYLE = (resources.files("toolkit.widgets") / "inspector.css").read_text(encoding="utf-8")

HINT = "Click on the map, or write a place and press Enter."

Found = list[tuple[int | None, PixelReport]]
"""Reports and the slot each is for; None for a pixel that is new."""


class PixelInspector(Panel):
    """Place, class, probabilities, ground truth and time series of pixels: `PixelInspector(experiment)`.

    A further pixel takes the place of the last one unless that is kept; kept pixels are compared in colours, and
    methods of gap-filling by dashes. All reading is done in a thread, so that the kernel stays free.

    Args:
        classes: whether the map and the model are asked too; else the series is all there is.
    """

    places = traitlets.List()
    """The pixels shown, for markers on a map: {latitude, longitude, colour, label} each."""

    def __init__(self, experiment: Experiment, *, classes: bool = True) -> None:
        self.experiment = experiment
        self.reader = PixelReader(experiment, classes=classes)
        self.problem = ErrorBox()
        self.place = W.Text(placeholder="43.6012, 1.4321", continuous_update=False, layout=W.Layout(width="220px"))
        self.go = _button("Go", "Read the pixel at this place")
        self.save = _button("Save CSV", "The series of the pixels shown, as a file")
        self.clear = _button("Clear", "Take all pixels away")
        self.head, self.probabilities, self.notes = W.HTML(), W.HTML(), W.HTML()
        self.list = PixelList(self.problem, self.look_at, self.keep, self.remove)
        self.quantities: dict[str, W.ToggleButton] = {}
        self._quantity_box = W.HBox()
        self.methods = {name: W.ToggleButton(description=name.replace("_", " ")) for name in METHODS}
        """The methods of gap-filling that are compared; the experiment's own is always shown."""
        self.chart = SeriesChart()
        self._pixels = Pixels()
        self._wanted: tuple[float, float] | None = None
        self._again = False
        self._cold: list[str] = []
        self._seen: Any = None
        self._lock = threading.RLock()
        self._background = Background(self._work, self._done, self._failed)
        super().__init__(self._parts())
        unobserve = experiment.observe(self.problem.guard(lambda _: self._follow()))
        self._end_with(unobserve, self._background.close, self.reader.close)
        self.add_class("lc-inspector")
        self._listen()
        self._follow()
        self._draw()

    def inspect(self, latitude: float, longitude: float) -> None:
        """Read the pixel under a place, degrees; returns at once, and the panel shows the pixel when it is read.

        Raises:
            ParameterError: all pixels that the panel holds are kept.
        """
        with self._lock:
            self._pixels.check_room()
            self._wanted = longitude, latitude
            self.problem.clear()
            self.head.value = f"{place_words(latitude, longitude)} · <span class='lc-quiet'>reading …</span>"
        self._background.ask()

    def refresh(self) -> None:
        """Read the pixels shown again, as after a run has made another map; returns at once."""
        self._again = True
        self._background.ask()

    def settle(self, seconds: float = 60) -> bool:
        """Wait until everything is read; whether that came within `seconds`."""
        return self._background.settle(seconds)

    @property
    def reports(self) -> list[PixelReport]:
        """What is known of the pixels shown."""
        return list(self._pixels.shown.values())

    def look_at(self, slot: int) -> None:
        """Tell of this pixel beside the chart."""
        with self._lock:
            self._pixels.current = slot
            self._draw()

    def keep(self, slot: int, kept: bool = True) -> None:
        """Keep a pixel when the next one is read, or not."""
        with self._lock:
            self._pixels.keep(slot, kept)
            self._draw()

    def remove(self, slot: int) -> None:
        """Take a pixel away."""
        with self._lock:
            self._pixels.remove(slot)
            self._draw()

    def remove_all(self) -> None:
        """Take all pixels away."""
        with self._lock:
            self._pixels = Pixels()
            self._draw()

    def figure(self) -> StaticFigure:
        """The chart as a static figure, for a cell or a report."""
        from toolkit.figures.pixel import series_figure  # matplotlib takes its time

        return series_figure(self._curves())

    def to_frame(self) -> pd.DataFrame:
        """The series of the pixels shown, one below another; see `PixelReport.to_frame`."""
        frames = [one.to_frame() for one in self.reports if one.series is not None]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def _parts(self) -> list[W.Widget]:
        bar = W.HBox([W.Label("Place"), self.place, self.go, self.clear, self.save])
        left = W.VBox([self.probabilities, self.notes, self.list], layout=W.Layout(flex="1 1 290px"))
        compare = W.HBox([W.HTML("<span class='lc-quiet'>Gap-filling</span>"), *self.methods.values()])
        rows = [self._quantity_box, compare, self.chart]
        right = W.VBox(rows, layout=W.Layout(flex="3 1 440px", min_width="0"))
        self._both = W.HBox([left, right] if self.reader.classes else [right, left])
        named = {
            "bar-top": bar,
            "head": self.head,
            "both": self._both,
            "quantities": self._quantity_box,
            "methods": compare,
            "notes": self.notes,
        }
        for name, box in named.items():
            box.add_class(f"lc-{name}")
        return [W.HTML(f"<style>{STYLE}</style>"), bar, self.head, self.problem, self._both]

    def _listen(self) -> None:
        guard = self.problem.guard
        self.place.observe(guard(lambda change: self._go() if change["new"] else None), "value")
        self.go.on_click(guard(lambda _: self._go()))
        self.save.on_click(guard(lambda _: self._hand_over()))
        self.clear.on_click(guard(lambda _: self.remove_all()))
        for button in self.methods.values():
            button.layout.width = "auto"
            button.observe(guard(lambda _: self._compare_methods()), "value")

    def _go(self) -> None:
        self.inspect(*parse_place(self.place.value))

    def _follow(self) -> None:
        """Offer the bands and indices of the experiment, open its images in advance, read the pixels shown again."""
        params = self.experiment.params
        if (params.series, params.features) != self._seen:
            self._seen = params.series, params.features
            self._offer_quantities([*(label_of(name) for name in params.features.indices), *params.series.bands])
            self._tell_method(params.series.gap_filling.method)
            self._cold = list(params.series.tiles)
            self._again = True
            self._background.ask()

    def _tell_method(self, own: str) -> None:
        """The experiment's own method is shown in any case."""
        for name, button in self.methods.items():
            button.disabled = name == own
            button.tooltip = "The experiment's method" if name == own else f"Compare with {button.description}"
            button.icon = "check" if name == own else ""

    def _compare_methods(self) -> None:
        """Show the lines by the methods that are chosen; those that were never asked for are computed first."""
        chosen = self._compared
        if any(set(chosen) - one.series.others.keys() for one in self.reports if one.series is not None):
            self.refresh()
        self._draw()

    @property
    def _compared(self) -> list[str]:
        own = self.experiment.series.gap_filling.method
        return [name for name, button in self.methods.items() if button.value and name != own]

    def _offer_quantities(self, names: Sequence[str]) -> None:
        chosen = [name for name in names if name in self.quantities and self.quantities[name].value] or names[:1]
        layout, bands = {"width": "auto"}, self.experiment.bands
        self.quantities = {
            name: W.ToggleButton(name in chosen, description=name, tooltip=meaning_of(name, bands), layout=layout)
            for name in names
        }
        for button in self.quantities.values():
            button.observe(self.problem.guard(lambda _: self._draw()), "value")
        self._quantity_box.children = list(self.quantities.values())

    def _work(self) -> Found:
        """What is wanted most: a place, or else the pixels shown once more, or else a tile opened in advance."""
        with self._lock:
            wanted, self._wanted = self._wanted, None
            again = wanted is None and self._again
            self._again = self._again and not again
            shown = dict(self._pixels.shown)
        if wanted is not None:
            return [(None, self.reader.read(*wanted, self._compared))]
        if again:
            return list(self._read_again(shown))
        if self._cold:
            self.reader.warm([self._cold.pop(0)])
        return []

    def _read_again(self, shown: Mapping[int, PixelReport]) -> Iterator[tuple[int, PixelReport]]:
        for slot, report in shown.items():
            with suppress(LandcoverError):  # what the experiment no longer covers stays as it was
                yield slot, self.reader.read(report.place.longitude, report.place.latitude, self._compared)

    def _done(self, found: Found) -> None:
        with self._lock:
            for slot, report in found:
                if slot is None:
                    self._pixels.add(report)
                else:
                    self._pixels.renew(slot, report)
            if found:
                self._draw()
        self._go_on()

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._draw()
            self.problem.tell(error)
        self._go_on()

    def _go_on(self) -> None:
        if self._wanted is not None or self._again or self._cold:
            self._background.ask()

    def _draw(self) -> None:
        """Show the pixels as they are."""
        with self._lock:
            shown = self._pixels.shown
            report = shown.get(self._pixels.current) if self._pixels.current is not None else None
            classes = self.reader.classes
            self.head.value = head_html(report, classes) if report else f"<span class='lc-quiet'>{HINT}</span>"
            self._both.layout.display = "" if shown else "none"
            self.probabilities.value = probabilities_html(report) if report else ""
            self.notes.value = "".join(f"<p>{escape(one)}</p>" for one in report.notes) if report else ""
            self.list.show(self._pixels)
            self.chart.show(self._curves())
            self.places = [_marker(slot, one) for slot, one in shown.items()]

    def _curves(self) -> dict[str, list[Curve]]:
        """The curves of all pixels for each quantity chosen."""
        found = {}
        for name in (name for name, button in self.quantities.items() if button.value):
            curves = [
                curve
                for slot, one in self._pixels.shown.items()
                if one.series is not None and name in one.series.names
                for curve in self._curves_of(slot, one, name)
            ]
            if curves:
                found[meaning_of(name, self.experiment.bands)] = curves
        return found

    def _curves_of(self, slot: int, report: PixelReport, name: str) -> list[Curve]:
        """A quantity of a pixel by each method that is compared: a single pixel's lines in colours of their own."""
        series, compared = report.series, self._compared
        assert series is not None
        shown = replace(series, others={method: one for method, one in series.others.items() if method in compared})
        first, *others = shown.curves(name, f"{slot + 1} {report.name}", COLOURS[slot])
        if len(self._pixels.shown) == 1:
            free = [colour for colour in COLOURS if colour != COLOURS[slot]]
            others = [replace(one, colour=free[METHODS.index(m)]) for one, m in zip(others, shown.others, strict=True)]
        return [first, *others]

    def _hand_over(self) -> None:
        frame = self.to_frame()
        if frame.empty:
            raise ParameterError("there is no series to save yet; choose a place first")
        first = self.reports[0].place
        name = "pixels.csv" if len(self.reports) > 1 else f"pixel_{first.longitude:.5f}_{first.latitude:.5f}.csv"
        self.chart.hand_over(name, frame.to_csv(index=False))


def _marker(slot: int, report: PixelReport) -> dict[str, Any]:
    return {
        "latitude": report.place.latitude,
        "longitude": report.place.longitude,
        "colour": COLOURS[slot],
        "label": name_of(slot, report),
    }


def _button(name: str, tooltip: str) -> W.Button:
    return W.Button(description=name, tooltip=tooltip, layout=W.Layout(width="auto"))
