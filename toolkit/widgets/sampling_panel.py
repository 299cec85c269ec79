"""`SamplingPanel`: what would be drawn from which polygons, while parameters move and before anything is extracted."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W
import numpy as np

from toolkit.experiment.sampling_preview import ROLES, Preview, shared_preview
from toolkit.experiment.tiles import images_key
from toolkit.widgets.background import Background
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.leaflet import (
    MOST_POLYGONS,
    ROLE_OUTLINES,
    TILE_STYLE,
    grid_bounds,
    look_at,
    new_map,
    polygon_shapes,
    set_shapes,
    shapes_layer,
    tile_shapes,
)
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_parts import beside, forms_of
from toolkit.widgets.sampling_table import ROLE_COLOURS, ROLE_WORDS, classes_html, outlines_html, roles_of

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

FIELDS = (
    "ground_truth.source",
    "ground_truth.class_field",
    "ground_truth.nomenclature",
    "split.train_ratio",
    "split.leave_out_tile",
    "sampling.sampler",
    "sampling.max_per_class",
    "sampling.class_caps",
    "sampling.min_clear_dates",
    "seed",
)

HEIGHT = 400
"""Pixels of the map."""

BY_ROLE, BY_CLASS = "by role", "by class"


class SamplingPanel(Panel):
    """Ground truth, split and draw of an experiment: `SamplingPanel(experiment)`.

    What `sample` would draw is computed in a thread; what was shown stays until then.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problem, self.unread = ErrorBox(), ErrorBox()
        self.forms = forms_of(experiment, FIELDS)
        self.colours = W.ToggleButtons(options=[BY_ROLE, BY_CLASS], tooltips=["Train, test, left out", "The classes"])
        self.colours.style.button_width = "80px"
        self.map = new_map(height=HEIGHT)
        self.tiles = shapes_layer([], "Tiles")
        self.polygons = shapes_layer([], "Polygons", hover=self.problem.guard(self._tell, clears=False))
        for layer in (self.tiles, self.polygons):
            self.map.add(layer)
        self.under_pointer, self.state, self.outlines, self.table, self.note = (W.HTML() for _ in range(5))
        self._preview = shared_preview(experiment)
        self._wanted: Any = None
        self._drawn: Any = None
        self._seen: Any = None
        self._background = Background(self._look, self._looked, self._failed)
        self._lay_out()
        guard = self.problem.guard
        self.colours.observe(guard(lambda _: self._follow()), "value")
        unobserve = experiment.observe(guard(lambda _: self._follow()))
        self._end_with(unobserve, self._background.close)
        guard(self._follow)()

    def refresh(self) -> None:
        """Look at the parameters and the files again; returns at once."""
        self._wanted = None
        self._follow()

    def settle(self, seconds: float = 60) -> bool:
        """Wait until the table and the map are those of the parameters; whether that came within `seconds`."""
        return self._background.settle(seconds)

    def _lay_out(self) -> None:
        for line in (self.under_pointer, self.state, self.note):
            line.add_class("lc-line")
        above = W.HBox([self.colours, self.outlines, self.state])
        above.add_class("lc-above")
        right = [above, self.map, self.under_pointer, self.unread, self.table, self.note]
        super().__init__(beside([*self.forms, self.problem], right))
        self.add_class("lc-panel")

    def _follow(self) -> None:
        params = self.experiment.params
        drawn = (params.name, params.ground_truth, params.split, params.sampling, params.seed)
        wanted = (images_key(self.experiment), drawn, self.colours.value)
        if wanted != self._wanted:
            self._wanted = wanted
            self.state.value = "computing …"
            self._background.ask(self.colours.value)

    def _look(self, colours: str) -> Preview:
        """In a thread: the table, then the map where it changed."""
        preview = self._preview.look()
        by_class = colours == BY_CLASS
        classes = {one.code: one.colour for one in preview.nomenclature.classes}
        self.table.value = classes_html(preview.table, classes if by_class else None)
        self.outlines.value = outlines_html(roles_of(preview.table)) if by_class else ""
        if list(preview.grids.values()) != self._seen:
            set_shapes(self.tiles, tile_shapes(preview.grids, {**TILE_STYLE, "interactive": False}))
            look_at(self.map, map(grid_bounds, preview.grids.values()), HEIGHT)
            self._seen = list(preview.grids.values())
        roles = preview.polygons.frame["role"].tolist()
        drawn = (colours, roles, preview.polygons.ids.tolist(), preview.nomenclature.classes)
        if drawn != self._drawn:
            set_shapes(self.polygons, role_shapes(preview, colours))
            self._drawn = drawn
        return preview

    def _looked(self, preview: Preview) -> None:
        self.state.value = ""
        self.note.value = " ".join(notes(preview, self.experiment.sampling.min_clear_dates))
        self.unread.clear()

    def _failed(self, error: Exception) -> None:
        self.state.value = ""
        self.unread.tell(error)

    def _tell(self, shape: Mapping[str, Any]) -> None:
        self.under_pointer.value = escape(
            f"{shape['words']} · {ROLE_WORDS[shape['role']]} · polygon {shape['polygon']}"
        )


def role_shapes(preview: Preview, colours: str = BY_ROLE) -> list[dict[str, Any]]:
    """The polygons for a map, each with its `role`, in the colour of that or of its class.

    At most `MOST_POLYGONS`, evenly drawn.
    """
    polygons = preview.polygons
    chosen = np.zeros(len(polygons), dtype=bool)
    chosen[np.linspace(0, len(polygons) - 1, min(len(polygons), MOST_POLYGONS)).round().astype(int)] = True
    shapes = []
    for role in ROLES:
        style = {**ROLE_OUTLINES[role][1], "weight": 0.6, "fillOpacity": 0.9}
        if colours == BY_ROLE:
            style = {"color": ROLE_COLOURS[role], "fillColor": ROLE_COLOURS[role], "weight": 1, "fillOpacity": 0.7}
        own = polygons.where(chosen & (polygons.frame["role"] == role).to_numpy())
        for one in polygon_shapes(own, preview.nomenclature, style) if len(own) else []:
            one["properties"]["role"] = role
            shapes.append(one)
    return shapes


def notes(preview: Preview, min_clear_dates: int) -> list[str]:
    """What the table and the map do not tell by themselves."""
    few = "without a clear date" if min_clear_dates == 1 else f"with fewer than {min_clear_dates} clear dates"
    words = [f"Pixels {few} are still among these: only the extraction knows them."]
    if len(preview.polygons) > MOST_POLYGONS:
        words.append(f"The map has {MOST_POLYGONS:,} of {len(preview.polygons):,} polygons, the table all.")
    return words
