"""`TilesPanel`: the tiles of an experiment picked on a map, and the dates of each with their clear share."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as W
import pandas as pd
from odc.geo.geobox import GeoBox

from toolkit.experiment.acquisitions import COLUMNS, acquisitions, available_tiles
from toolkit.experiment.config import Experiment
from toolkit.experiment.tiles import images_key
from toolkit.ground.errors import ParameterError
from toolkit.ground.streaming import Progress
from toolkit.widgets.background import Background, Superseded, said_at_times
from toolkit.widgets.date_strips import strips_html
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.leaflet import (
    grid_bounds,
    layer_group,
    look_at,
    new_map,
    set_shapes,
    shapes_layer,
    tile_names,
    tile_shapes,
)
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_parts import beside, forms_of

FIELDS = tuple(f"series.{name}" for name in ("source", "tiles", "start", "end", "seasons", "step_days", "margin_days"))

HEIGHT = 360
"""Pixels of the map."""

ACCENT = "#1976d2"
CHOSEN = {"color": ACCENT, "weight": 2, "fillColor": ACCENT, "fillOpacity": 0.3}
OFFERED = {"color": "#404040", "weight": 1.5, "dashArray": "5 4", "fillColor": "#404040", "fillOpacity": 0.04}

HINT = "A click on a tile takes it in or out."


def put_in(tile: str, tiles: Sequence[str], order: Sequence[str]) -> list[str]:
    """The order with a tile in it: where it stood, else sorted as the chosen tiles are, else after these.

    Results are made with the tiles in their order: with the same tiles in another one they would be outdated.
    """
    if tile in order:
        return list(order)
    chosen = [*tiles, tile]
    if list(tiles) == sorted(tiles):
        chosen = sorted(chosen)
    place = chosen.index(tile)
    after = order.index(chosen[place - 1]) + 1 if place else 0
    return [*order[:after], tile, *order[after:]]


class TilesPanel(Panel):
    """Source, tiles, period and step of an experiment: `TilesPanel(experiment)`.

    The map has the footprint of every tile that the source holds images of. Images are looked at in a thread; what
    was seen of them once is known.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problem, self.unread = ErrorBox(), ErrorBox()
        self.forms = forms_of(experiment, FIELDS)
        self.map = new_map(height=HEIGHT)
        guard = self.problem.guard
        self.footprints = shapes_layer(
            [], "Tiles", hover=guard(self._tell, clears=False), click=guard(lambda one: self.toggle(one["tile"]))
        )
        self.names = layer_group("Names")
        self.map.add(self.footprints)
        self.map.add(self.names)
        self.under_pointer, self.dates, self.progress = W.HTML(HINT), W.HTML(), W.HTML()
        self._grids: dict[str, GeoBox] = {}
        self._tables: dict[str, pd.DataFrame] = {}
        self._order: list[str] = []
        """The tiles, those that were taken out too: one that is put back stands where it stood."""
        self._source: Any = None
        self._wanted: Any = None
        self._drawn: Any = None
        self._lock = threading.Lock()
        self._background = Background(self._look, self._looked, self._failed)
        for line in (self.under_pointer, self.progress):
            line.add_class("lc-line")
        right = [self.map, self.under_pointer, self.dates, self.progress, self.unread]
        super().__init__(beside([*self.forms, self.problem], right))
        self.add_class("lc-panel")
        unobserve = experiment.observe(guard(lambda _: self._follow()))
        self._end_with(unobserve, self._background.close, self._give_up)
        guard(self._follow)()

    def toggle(self, tile: str) -> None:
        """Take a tile into the experiment, or out of it.

        Raises:
            ParameterError: it is the last one, or the one that is left out of training.
        """
        tiles = list(self.experiment.series.tiles)
        if tiles == [tile]:
            raise ParameterError(f"{tile} is the last tile, and an experiment needs one: take another one in first")
        if [one for one in self._order if one in tiles] != tiles:
            self._order = tiles
        if tile in tiles:
            self.experiment.set({"series.tiles": [one for one in tiles if one != tile]})
        else:
            self._order = put_in(tile, tiles, self._order)
            self.experiment.set({"series.tiles": [one for one in self._order if one == tile or one in tiles]})

    def refresh(self) -> None:
        """Look at the source and its images again; returns at once."""
        self._source = self._wanted = None
        self._follow()

    def settle(self, seconds: float = 60) -> bool:
        """Wait until everything is looked at; whether that came within `seconds`."""
        return self._background.settle(seconds)

    def _follow(self) -> None:
        self._draw()
        wanted = images_key(self.experiment)
        if wanted != self._wanted:
            self._wanted = wanted
            self._background.ask(Experiment(self.experiment.params, self.experiment.path), wanted)

    def _draw(self) -> None:
        """Show what is known: the footprints, and the dates of the chosen tiles."""
        with self._lock:  # whoever draws last has looked at the parameters last
            params = self.experiment.series
            if self._drawn != (self._source, params.tiles):
                offered = {tile: grid for tile, grid in self._grids.items() if tile not in params.tiles}
                chosen = {tile: grid for tile, grid in self._grids.items() if tile in params.tiles}
                set_shapes(self.footprints, [*tile_shapes(offered, OFFERED), *tile_shapes(chosen, CHOSEN)])
                self._drawn = (self._source, params.tiles)
            self.dates.value = strips_html({tile: self._tables.get(tile) for tile in params.tiles}, params)

    def _look(self, experiment: Experiment, wanted: Any) -> None:
        """In a thread: the tiles of the source, then the dates of each chosen one, first without their shares."""
        source = (experiment.path, experiment.params.catalog, experiment.series.source)
        if source != self._source:
            self.progress.value = "looking for tiles …"
            self._grids, self._tables = available_tiles(experiment), {}
            self._source = source
            self.names.layers = tile_names(self._grids)
            look_at(self.map, map(grid_bounds, self._grids.values()), HEIGHT)
            self._draw()
        there = [tile for tile in experiment.series.tiles if tile in self._grids]
        absent = {tile: pd.DataFrame(columns=COLUMNS) for tile in experiment.series.tiles if tile not in there}
        self._tables = absent | {tile: acquisitions(experiment, tile, measure=False) for tile in there}
        self._draw()
        for tile in there:
            self._tables[tile] = acquisitions(experiment, tile, progress=self._progress(tile, wanted))
            self._draw()

    def _progress(self, tile: str, wanted: Any) -> Progress:
        def say(done: int, total: int) -> None:
            self.progress.value = f"looking at the images of {escape(tile)}: {done} of {total}"

        return said_at_times(say, lambda: self._wanted is wanted)

    def _give_up(self) -> None:
        """Look at no further image."""
        self._wanted = None

    def _looked(self, _: None) -> None:
        self.progress.value = ""
        self.unread.clear()

    def _failed(self, error: Exception) -> None:
        self.progress.value = ""
        if not isinstance(error, Superseded):
            self.unread.tell(error)

    def _tell(self, shape: Mapping[str, Any]) -> None:
        tile = shape["tile"]
        chosen = tile in self.experiment.series.tiles
        self.under_pointer.value = (
            f"{escape(tile)}: {'taken in; a click takes it out' if chosen else 'a click takes it in'}"
        )
