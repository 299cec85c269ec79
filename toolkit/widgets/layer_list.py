"""Which layers lie on a map: shown or not, how opaque, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import ipyleaflet as L
import ipywidgets as W

from toolkit.webmap.layers import Ramp, RasterLayer
from toolkit.widgets.leaflet import Tell, set_shapes, shapes_layer
from toolkit.widgets.map_rasters import Way

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass
class Row:
    """A layer and its controls."""

    layer: L.Layer
    switch: W.Checkbox
    buttons: list[W.Button]
    rasters: Sequence[RasterLayer] = ()
    """What the layer shows; none for shapes."""
    opacity: W.FloatSlider | None = None
    """Of rasters."""
    link: W.Widget | None = None
    """Lets the layer follow the slider in the browser."""
    scale: W.HTML | None = None
    """What the colours of a ramp mean; shown with the layer."""

    @property
    def is_raster(self) -> bool:
        return self.opacity is not None

    def follow_opacity(self) -> None:
        """Let the layer follow the slider, where it has one."""
        if self.link is not None:
            self.link.close()
        if self.opacity is not None:
            self.link = W.jslink((self.opacity, "value"), (self.layer, "opacity"))

    def close(self) -> None:
        """Take away the layer and its controls."""
        for one in (self.link, self.layer, self.switch, *self.buttons, self.opacity, self.scale):
            if one is not None:
                one.close()


class LayerList(W.VBox):
    """The rows of a map's layers, the uppermost first; shapes always lie over rasters.

    What a person set (shown, opacity, order) stays when a layer is put again. `lay` brings changes to the map.

    Args:
        way: how rasters come onto the map.
    """

    def __init__(self, view: L.Map, way: Way, guard: Guard) -> None:
        self._view, self._way, self._guard = view, way, guard
        self._rows: dict[str, Row] = {}
        self.marks = L.LayerGroup(name="Marks")
        """Lies over everything; its layers may change without the map's."""
        self._swipe: L.SplitMapControl | None = None
        super().__init__()
        self.add_class("lc-layers")

    @property
    def names(self) -> list[str]:
        """The layers, the uppermost first."""
        return list(self._rows)

    @property
    def switches(self) -> dict[str, W.Checkbox]:
        """The switch of each layer."""
        return {name: row.switch for name, row in self._rows.items()}

    def layer(self, name: str) -> L.Layer:
        """A layer, whether shown or not."""
        return self._rows[name].layer

    def rasters(self) -> dict[str, tuple[Sequence[RasterLayer], float]]:
        """The rasters that are switched on, the lowest first: what they show, and their opacity."""
        return {
            name: (row.rasters, row.opacity.value)
            for name, row in reversed(self._rows.items())
            if row.opacity is not None and row.switch.value
        }

    def put_rasters(
        self, name: str, rasters: Sequence[RasterLayer], *, on: bool = False, opacity: float = 1.0, words: str = ""
    ) -> None:
        """Add rasters, one over another, on top of the others; or let the layer of this name show them.

        Args:
            words: what a value of a ramp means.
        """
        if name in self._rows:
            self._rows[name].rasters = rasters
            self._way.change(self._rows[name].layer, rasters)
            self._explain(self._rows[name], words)
            return
        row = Row(self._way.layer(name, rasters, opacity), self._switch(name, on), self._movers(name), rasters)
        row.opacity = W.FloatSlider(opacity, min=0, max=1, step=0.05, readout=False, layout=W.Layout(width="84px"))
        row.opacity.tooltip = f"Opacity of {name}"
        row.follow_opacity()
        self._explain(row, words)
        self._rows = {name: row, **self._rows}
        self._sort()

    def put_shapes(self, name: str, shapes: Sequence[Mapping[str, Any]], hover: Tell, *, on: bool = False) -> None:
        """Add shapes, told of by `hover`, on top of the others; or let the layer of this name show them."""
        if name in self._rows:
            set_shapes(self._rows[name].layer, shapes)
            return
        layer = shapes_layer(shapes, name, hover=hover)
        self._rows = {name: Row(layer, self._switch(name, on), self._movers(name)), **self._rows}
        self._sort()

    def drop(self, name: str) -> None:
        """Take a layer away."""
        row = self._rows.pop(name)
        if row.is_raster:
            self._way.drop(row.layer)
        self._view.layers = tuple(layer for layer in self._view.layers if layer is not row.layer)
        self._sort()
        row.close()

    def keep(self, names: Sequence[str]) -> None:
        """Take all other layers away."""
        for name in [one for one in self._rows if one not in names]:
            self.drop(name)

    def use(self, way: Way) -> None:
        """Bring rasters onto the map another way."""
        self._way.close()
        self._way, before = way, []
        for name, row in self._rows.items():
            if row.opacity is not None:
                before.append(row.layer)
                row.layer = way.layer(name, row.rasters, row.opacity.value)
                row.follow_opacity()
        self.lay()
        for layer in before:
            layer.close()

    def settle(self) -> bool:
        """Wait until what the kernel draws is drawn."""
        return self._way.settle()

    def clear(self) -> None:
        """Take all layers away, and with them what the Jupyter server may read for them."""
        self._way.close()
        for row in self._rows.values():
            row.close()
        self._rows = {}

    def swipe(self, control: L.SplitMapControl | None) -> None:
        """Let this control show the rasters instead of the map; None for the map again."""
        if self._swipe is not None:
            self._view.remove(self._swipe)
        self._swipe = None
        self._lay(without_rasters=control is not None)
        self._swipe = control
        if control is not None:
            self._view.add(control)

    def lay(self) -> None:
        """Bring the map to what the rows say; the base map stays."""
        if self._swipe is None:
            self._lay()
        else:  # a change of layers would take away those that the control shows
            self.swipe(self._swipe)

    def _lay(self, *, without_rasters: bool = False) -> None:
        base = [layer for layer in self._view.layers if layer.base]
        shown = [row for row in reversed(self._rows.values()) if row.switch.value]
        rasters = [row.layer for row in shown if row.is_raster and not without_rasters]
        wanted = (*base, *rasters, *(row.layer for row in shown if not row.is_raster), self.marks)
        if wanted != tuple(self._view.layers):
            self._view.layers = wanted

    def move(self, name: str, step: int) -> None:
        """Move a layer up (-1) or down (1) among those of its kind."""
        kind = self._rows[name].is_raster
        names = [one for one, row in self._rows.items() if row.is_raster == kind]
        place = names.index(name)
        names.insert(min(max(place + step, 0), len(names) - 1), names.pop(place))
        rest = [one for one in self._rows if one not in names]
        self._rows = {one: self._rows[one] for one in [*rest, *names]}
        self._sort()
        self.lay()

    def _sort(self) -> None:
        """Shapes first, then rasters, as they lie."""
        self._rows = dict(sorted(self._rows.items(), key=lambda item: item[1].is_raster))
        rows: list[W.Widget] = []
        for row in self._rows.values():
            rows.append(W.HBox([row.switch, *([row.opacity] if row.opacity else []), *row.buttons]))
            if row.scale is not None:
                rows.append(row.scale)
        self.children = rows
        self._show_scales()

    @staticmethod
    def _explain(row: Row, words: str) -> None:
        """Say what the colours of a ramp mean."""
        if isinstance(style := row.rasters[0].style, Ramp):
            row.scale = row.scale or W.HTML().add_class("lc-ramp")
            row.scale.value = ramp_html(style, words)

    def _show_scales(self) -> None:
        for row in self._rows.values():
            if row.scale is not None:
                row.scale.layout.display = None if row.switch.value else "none"

    def _switch(self, name: str, on: bool) -> W.Checkbox:
        switch = W.Checkbox(on, description=name, indent=False, layout=W.Layout(flex="1 1 auto", width="auto"))
        switch.observe(self._guard(lambda _: self._switched()), "value")
        return switch

    def _switched(self) -> None:
        self.lay()
        self._show_scales()

    def _movers(self, name: str) -> list[W.Button]:
        return [self._mover(name, "▲", -1), self._mover(name, "▼", 1)]

    def _mover(self, name: str, mark: str, step: int) -> W.Button:
        words = f"Move {name} {'up' if step < 0 else 'down'}"
        button = W.Button(description=mark, tooltip=words, layout=W.Layout(width="24px", padding="0", margin="2px 0"))
        button.on_click(self._guard(lambda _: self.move(name, step)))
        return button


def ramp_html(ramp: Ramp, words: str) -> str:
    """A ramp's colours between its lowest and its highest value, and what a value means."""
    colours = ", ".join(f"rgb{colour}" for colour in ramp.colours)
    return (
        f"<span>{ramp.low:g}</span><i style='background: linear-gradient(to right, {colours})'></i>"
        f"<span>{ramp.high:g}</span> <span class='lc-quiet'>{escape(words)}</span>"
    )
