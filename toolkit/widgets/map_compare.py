"""A map held against another: swiped over it, or two linked maps side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ipyleaflet as L
import ipywidgets as W

from toolkit.ground.errors import ParameterError
from toolkit.widgets.layer_list import Guard, LayerList
from toolkit.widgets.leaflet import BASE_MAPS, STREETS, base_layer, move_to, new_map, on_click
from toolkit.widgets.map_rasters import Rasters, Way

MAP, SWIPE, BESIDE = "Map", "Swipe", "Side by side"


class Comparison:
    """The mode of a map, and what it is held against.

    Args:
        view: the map.
        layers: its layers; the uppermost raster shown is what is swiped.
        offers: gives what the map may be held against beside base maps, by name.
        way_to: how rasters come onto a map.
        click: called with latitude and longitude of a click on the second map; guarded.
    """

    def __init__(
        self,
        view: L.Map,
        layers: LayerList,
        offers: Callable[[], Mapping[str, Rasters]],
        way_to: Callable[[L.Map], Way],
        click: Callable[[float, float], None],
        guard: Guard,
    ) -> None:
        self._view, self._layers, self._offers, self._way_to, self._click = view, layers, offers, way_to, click
        self._way: Way | None = None
        self._shown: L.Layer | None = None
        self._links: list[Any] = []
        self.second: L.Map | None = None
        """The map beside, while there is one."""
        self.mode = W.ToggleButtons(options=[MAP, SWIPE, BESIDE], tooltips=_TOOLTIPS)
        self.mode.style.button_width = "auto"
        self.against = W.Dropdown(options=list(BASE_MAPS), value=STREETS, description="against")
        self.against.layout.width, self.against.style.description_width = "250px", "initial"
        self.against.layout.display = "none"
        self.views = W.HBox([view], layout=W.Layout(width="100%"))
        self.views.add_class("lc-views")
        update = guard(lambda _: self.update())
        self.mode.observe(update, "value")
        self.against.observe(update, "value")

    def refresh(self) -> None:
        """Offer what is there now, and show it as it is now."""
        chosen, names = self.against.value, [*BASE_MAPS, *self._offers()]
        if names != list(self.against.options):
            self.against.options = names
            self.against.value = chosen if chosen in names else STREETS
        self.update()

    def update(self) -> None:
        """Bring the maps to the mode and to what is held against."""
        self._leave()
        self.against.layout.display = "none" if self.mode.value == MAP else ""
        if self.mode.value == SWIPE:
            self._begin_swipe()
        elif self.mode.value == BESIDE:
            self._begin_beside()

    def close(self) -> None:
        """Take away what was made for the comparison."""
        self._leave()

    def _begin_swipe(self) -> None:
        shown = list(self._layers.rasters())
        if not shown:
            self.mode.value = MAP
            raise ParameterError("nothing to swipe: switch on a layer, such as Classification, first")
        left = self._layers.layer(shown[-1])
        right = self._make(self._view)
        if not isinstance(left, L.TileLayer) or not isinstance(right, L.TileLayer):
            self.mode.value = MAP
            raise ParameterError("pictures of the view cannot be swiped; choose Side by side")
        self._layers.swipe(L.SplitMapControl(left_layer=left, right_layer=right))

    def _begin_beside(self) -> None:
        self.second = new_map(height=int(self._view.layout.height.removesuffix("px")))
        move_to(self.second, self._view.center, self._view.zoom)
        self._make(self.second)
        self._lay_second()
        on_click(self.second, self._click)
        self._links = [W.jslink((self._view, trait), (self.second, trait)) for trait in ("center", "zoom")]
        for one in (self._view, self.second):
            one.layout.width = "50%"
        self.views.children = [self._view, self.second]

    def _make(self, view: L.Map) -> L.Layer:
        """The layer that is held against."""
        name = self.against.value
        if name in BASE_MAPS:
            self._shown = base_layer(name)
        else:
            self._way = self._way_to(view)
            self._shown = self._way.layer(name, self._offers()[name], 1.0)
        return self._shown

    def _lay_second(self) -> None:
        assert self.second is not None
        base = () if self.against.value in BASE_MAPS else self.second.layers[:1]
        self.second.layers = (*base, *([self._shown] if self._shown else []), self._layers.marks)

    def _leave(self) -> None:
        """Back to one map."""
        self._layers.swipe(None)
        for link in self._links:
            link.unlink()
        self._links = []
        if self.second is not None:
            self.views.children = [self._view]
            self._view.layout.width = "100%"
            self.second.remove(self._layers.marks)
            self.second.close()
            self.second = None
        if self._way is not None:
            self._way.close()
        self._way = self._shown = None


_TOOLTIPS = ("One map", "Drag the divider between the map and another", "Two maps that move together")
