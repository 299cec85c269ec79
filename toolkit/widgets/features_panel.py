"""`FeaturesPanel`: days, gap-filling and features of an experiment, tried on the pixels that are clicked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as W

from toolkit.experiment.config import Experiment
from toolkit.experiment.feature_list import feature_counts
from toolkit.features.indices import label_of
from toolkit.features.parameters import ExternalParams, FeatureParams
from toolkit.features.stack import FeatureStack
from toolkit.ground.sensor_names import sensor_of
from toolkit.widgets.background import Background
from toolkit.widgets.external_features import PATH, ExternalFeatures
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.image_map import ImageMap
from toolkit.widgets.inspector import PixelInspector
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_parts import beside, forms_of

SERIES = tuple(f"series.{name}" for name in ("start", "end", "step_days", "seasons", "gap_filling", "sensors"))
FEATURES = tuple(f"features.{name}" for name in FeatureParams.model_fields if f"features.{name}" != PATH)


class FeaturesPanel(Panel):
    """Period, step, gap-filling, indices and functions of an experiment: `FeaturesPanel(experiment)`.

    Beside them a map: the series of the pixels that are clicked, by one or several methods; and the list of features.
    A person's own file of functions is run when they ask for it, and never before.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problem, self.unread = ErrorBox(), ErrorBox()
        self.external = ExternalFeatures(experiment, told=self._follow)
        self.forms = forms_of(experiment, [*SERIES, *FEATURES])
        self.inspector = PixelInspector(experiment, classes=False)
        self.map = ImageMap(experiment, self.inspector.inspect, self._start)
        self.list = W.HTML()
        self._background = Background(self._look, lambda _: self.unread.clear(), self.unread.tell)
        split = len(SERIES) + 1  # the indices, then the functions, then what is made of both
        left = [*self.forms[:split], self.external, *self.forms[split:], self.problem]
        super().__init__(beside(left, [self.map, self.inspector, self.list, self.unread]))
        self.add_class("lc-panel")
        guard = self.problem.guard
        self.inspector.observe(guard(lambda change: self.map.mark(change["new"]), clears=False), "places")
        self._end_with(experiment.observe(guard(lambda _: self._follow())), self._background.close)
        self._follow()

    def settle(self, seconds: float = 60) -> bool:
        """Wait until map, pixels and list are those of the parameters; whether that came within `seconds`."""
        works: Sequence[Any] = (self.external, self.map, self.inspector, self._background)
        return all(one.settle(seconds) for one in works)

    def _start(self, latitude: float, longitude: float) -> None:
        """Show a pixel to begin with."""
        if not self.inspector.reports:
            self.inspector.inspect(latitude, longitude)

    def _follow(self) -> None:
        self._background.ask(Experiment(self.experiment.params, self.experiment.path))

    def _look(self, experiment: Experiment) -> None:
        """In a thread: the list, without the functions whose files nobody asked to run."""
        stack, chosen = experiment.stack, experiment.features.external
        known = [self.external.is_known(one) for one in chosen]
        functions = tuple(one for one, here in zip(stack.external, known, strict=True) if here)
        unread = [one for one, here in zip(chosen, known, strict=True) if not here]
        self.list.value = list_html(replace(stack, external=functions), unread)


def list_html(stack: FeatureStack, unread: Sequence[ExternalParams] = ()) -> str:
    """The number of features, and a line for each kind of them.

    Args:
        unread: functions that are not in the stack, for their files were not run.

    Raises:
        LandcoverError: as `FeatureStack.names`.
    """
    counts = feature_counts(stack)
    indices = {label_of(index) for index in stack.indices}
    kinds: dict[str, dict[str, int]] = {"Bands": {}, "Indices": {}, "Functions": {}}
    for name, count in counts.items():
        sensor, own = sensor_of(name)
        kind = "Bands" if name in stack.bands else "Indices" if name in indices else sensor or "Functions"
        kinds.setdefault(kind, {})[own] = count
    rows = "".join(_row(kind, found) for kind, found in kinds.items() if found)
    unknown = (f"and those of {escape(one.name)}, once its file {escape(one.file or '')} is read" for one in unread)
    more = "".join(f"<tr><td></td><td>{words}</td><td></td></tr>" for words in unknown)
    return f"<table class='lc-features'><tr><th>Features</th><th></th><th>{len(stack):,}</th></tr>{rows}{more}</table>"


def _row(kind: str, counts: dict[str, int]) -> str:
    days = {count for count in counts.values() if count > 1}
    on = f" &ensp;<span class='lc-quiet'>on {' or '.join(map(str, sorted(days)))} days</span>" if days else ""
    names = escape(", ".join(counts))
    return f"<tr><td>{escape(kind)}</td><td>{names}{on}</td><td>{sum(counts.values()):,}</td></tr>"
