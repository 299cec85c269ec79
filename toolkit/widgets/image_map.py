"""`ImageMap`: the images of one day over a base map, to click on a pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as W

from toolkit.experiment.acquisitions import acquisitions
from toolkit.experiment.config import Experiment
from toolkit.experiment.tiles import images_key
from toolkit.ground.errors import LandcoverError
from toolkit.products.product import Product
from toolkit.widgets.background import Background
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.leaflet import (
    TILE_STYLE,
    around,
    grid_bounds,
    layer_group,
    look_at,
    new_map,
    on_click,
    place_markers,
    set_shapes,
    shapes_layer,
    tile_shapes,
)
from toolkit.widgets.map_content import Rasters, image_layers, offer, picture_kinds, products_by_date, tile_grids
from toolkit.widgets.map_rasters import Pictures
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_frame import PanelFrame

HEIGHT = 340
"""Pixels of the map."""

NO_DAY = "no image"


class ImageMap(Panel):
    """The tiles of an experiment with their images of a day: of the clearest one, until another is chosen.

    Args:
        clicked: called with latitude and longitude of a click.
        located: called with the middle of the first tile when it is known, in a thread.
    """

    def __init__(
        self,
        experiment: Experiment,
        clicked: Callable[[float, float], None],
        located: Callable[[float, float], None] = lambda *_: None,
    ) -> None:
        self.experiment = experiment
        self.problem = ErrorBox()
        self.map = new_map(height=HEIGHT)
        self.day = W.Dropdown(options=[NO_DAY], layout=W.Layout(width="130px"))
        self.kind = W.Dropdown(options=list(picture_kinds(experiment.bands)), layout=W.Layout(width="130px"))
        self.day.tooltip, self.kind.tooltip = "Day of the images", "Bands of the images"
        self.state = W.HTML()
        self.tiles, self.marks = shapes_layer([], "Tiles"), layer_group("Marks")
        for layer in (self.tiles, self.marks):
            self.map.add(layer)
        self._way = Pictures(self.map, self.problem.tell)
        self._image: Any = None
        self._drawn: Rasters = ()
        self._offering = False
        self._products: dict[str, list[Product]] = {}
        self._located = located
        self._wanted: Any = None
        self._background = Background(self._look, lambda _: self._say(""), self._failed)
        above = W.HBox([self.day, self.kind, self.state])
        above.add_class("lc-above")
        super().__init__([PanelFrame(), above, self.map, self.problem])
        self.add_class("lc-keys")
        guard = self.problem.guard
        on_click(self.map, guard(clicked))
        for one in (self.day, self.kind):
            one.observe(guard(lambda _: self._show()), "value")
        unobserve = experiment.observe(guard(lambda _: self._follow()))
        self._end_with(unobserve, self._background.close, self._way.close)
        self._follow()

    def mark(self, places: Sequence[Mapping[str, Any]]) -> None:
        """Mark these places, as `PixelInspector.places` gives them."""
        self.marks.layers = place_markers(places)

    def settle(self, seconds: float = 60) -> bool:
        """Wait until the images are drawn; whether that came within `seconds`."""
        return self._background.settle(seconds) and self._way.settle()

    def _follow(self) -> None:
        wanted = images_key(self.experiment)
        if wanted != self._wanted:
            self._wanted = wanted
            self._background.ask(Experiment(self.experiment.params, self.experiment.path))

    def _look(self, experiment: Experiment) -> None:
        """In a thread: the tiles, then the days, then the clearest of them."""
        grids = tile_grids(experiment)
        set_shapes(self.tiles, tile_shapes(grids, {**TILE_STYLE, "interactive": False}))
        bounds = [grid_bounds(grid) for grid in grids.values()]
        look_at(self.map, bounds, HEIGHT)
        if bounds:
            (south, west), (north, east) = around(bounds[:1])
            self._located((south + north) / 2, (west + east) / 2)
        products, chosen = products_by_date(experiment), self.day.value
        if chosen not in products and grids:
            self._say("looking for a clear day …")
            chosen = clearest_day(experiment, next(iter(grids)), list(products))
        self._offer(products, chosen)

    def _offer(self, products: dict[str, list[Product]], chosen: str) -> None:
        """Offer these days; the image that is shown stays while they change."""
        self._offering, self._products = True, products
        days = [NO_DAY, *products]
        if list(self.day.options) != days:
            self.day.options = days
        self.day.value = chosen if chosen in products else NO_DAY
        offer(self.kind, picture_kinds(self.experiment.bands))
        self._offering = False
        self._show()

    def _failed(self, error: Exception) -> None:
        self._say("")
        self.problem.tell(error)

    def _say(self, words: str) -> None:
        self.state.value = f"<span class='lc-quiet'>{words}</span>"

    def _show(self) -> None:
        """Show the images of the day that is chosen, below the marks."""
        picture = picture_kinds(self.experiment.bands).get(self.kind.value)
        rasters = image_layers(self._products.get(self.day.value, []), picture)
        if self._offering or rasters == self._drawn:
            return
        self._drawn = rasters
        if rasters and self._image is not None:
            self._way.change(self._image, rasters)
        elif rasters:
            self._image = self._way.layer("Image", rasters, 1.0)
            base, *others = self.map.layers
            self.map.layers = (base, self._image, *others)
        elif self._image is not None:
            self._way.drop(self._image)
            self.map.layers = tuple(one for one in self.map.layers if one is not self._image)
            self._image.close()
            self._image = None


def clearest_day(experiment: Experiment, tile: str, days: Sequence[str]) -> str:
    """The day on which most of a tile is seen clearly, of these; `NO_DAY` where there is none."""
    try:
        table = acquisitions(experiment, tile)
    except LandcoverError:
        return NO_DAY
    table = table[table["used"]].assign(clear=lambda one: one["data_share"] * one["clear_share"])
    table = table.dropna(subset="clear").sort_values("clear", ascending=False, kind="stable")
    found = (str(day.date()) for day in table["date"])
    return next((day for day in found if day in days), NO_DAY)
