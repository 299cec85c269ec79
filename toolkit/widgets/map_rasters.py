"""Two ways to bring rasters onto a web map: squares that the Jupyter server draws, or a picture of the current view.

Squares come through the toolkit's extension of the Jupyter server, behind its login and through its port. Where the
kernel was not started by such a server (another editor, a remote kernel), the kernel itself draws one picture of what
is in view, anew after each move; it travels through the widget's own channel.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ipyleaflet as L
from pyproj import Transformer

from toolkit.webmap.layers import RasterLayer
from toolkit.webmap.registry import Route
from toolkit.webmap.rendering import bounds_of, render
from toolkit.widgets.background import Background
from toolkit.widgets.leaflet import Bounds

MOST_PIXELS = 2000
"""Width and height of a picture at most."""

NOTHING = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
"""A transparent picture of one pixel."""

TO_METRES = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)

Rasters = Sequence[RasterLayer]


class Way(Protocol):
    """How rasters come onto a map."""

    def layer(self, name: str, rasters: Rasters, opacity: float) -> L.Layer:
        """A layer of these rasters, one over another."""

    def change(self, layer: L.Layer, rasters: Rasters) -> None:
        """Let a layer show other rasters."""

    def drop(self, layer: L.Layer) -> None:
        """Forget a layer that is taken from the map."""

    def settle(self) -> bool:
        """Wait until what the kernel draws is drawn."""

    def close(self) -> None:
        """Forget all layers, and draw no more."""


class Squares:
    """Layers of squares drawn by the Jupyter server."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self._layers: list[L.TileLayer] = []

    def layer(self, name: str, rasters: Rasters, opacity: float) -> L.TileLayer:
        url = self.route.add(*rasters)
        layer = L.TileLayer(url=url, name=name, opacity=opacity, max_native_zoom=20, max_zoom=20, show_loading=False)
        self._layers.append(layer)
        return layer

    def change(self, layer: L.TileLayer, rasters: Rasters) -> None:
        before, layer.url = layer.url, self.route.add(*rasters)
        self.route.remove(before)

    def drop(self, layer: L.TileLayer) -> None:
        self._layers.remove(layer)
        self.route.remove(layer.url)

    def settle(self) -> bool:
        return True

    def close(self) -> None:
        for layer in list(self._layers):
            self.drop(layer)


class Pictures:
    """Layers that are one picture of what a map shows, drawn in a thread and anew after each move."""

    def __init__(self, view: L.Map, failed: Callable[[Exception], None]) -> None:
        self._view, self._rasters = view, dict[L.Layer, Rasters]()
        self._drawing = Background(self._draw, self._show, failed)
        view.observe(self._moved, "bounds")

    def layer(self, name: str, rasters: Rasters, opacity: float) -> L.ImageOverlay:
        layer = L.ImageOverlay(url=NOTHING, bounds=bounds_of(rasters), name=name, opacity=opacity)
        self.change(layer, rasters)
        return layer

    def change(self, layer: L.ImageOverlay, rasters: Rasters) -> None:
        self._rasters[layer] = rasters
        self.redraw()

    def drop(self, layer: L.ImageOverlay) -> None:
        self._rasters.pop(layer, None)

    def redraw(self) -> None:
        """Draw every layer for the view as it is now."""
        self._drawing.ask(dict(self._rasters), self._view.bounds)

    def settle(self) -> bool:
        return self._drawing.settle()

    def close(self) -> None:
        self._view.unobserve(self._moved, "bounds")
        self._drawing.close()
        self._rasters.clear()

    def _moved(self, _: Any) -> None:
        self.redraw()

    def _draw(self, layers: dict[L.Layer, Rasters], seen: Any) -> list[tuple[L.Layer, str, Bounds]]:
        return [(layer, *picture(rasters, seen)) for layer, rasters in layers.items()]

    def _show(self, drawn: list[tuple[L.Layer, str, Bounds]]) -> None:
        for layer, url, bounds in drawn:
            with layer.hold_sync():
                layer.bounds, layer.url = bounds, url


def picture(rasters: Rasters, seen: Any = ()) -> tuple[str, Bounds]:
    """Rasters as one picture, one over another: its data URL and its bounds.

    Args:
        seen: bounds of the map's view; empty where no browser has told them yet: then all of the rasters is drawn.

    Raises:
        ProductError: a raster cannot be read.
    """
    bounds = _common(bounds_of(rasters), seen) if seen else bounds_of(rasters)
    if bounds is None:
        return NOTHING, bounds_of(rasters)
    box, width, height = frame_of(bounds)
    drawn = render(rasters, box, width, height)
    return (f"data:image/png;base64,{b64encode(drawn).decode('ascii')}" if drawn else NOTHING), bounds


def _common(one: Bounds, other: Any) -> Bounds | None:
    """The part that two bounds have in common; None where they have none."""
    south, west = (max(one[0][i], other[0][i]) for i in range(2))
    north, east = (min(one[1][i], other[1][i]) for i in range(2))
    return ((south, west), (north, east)) if south < north and west < east else None


def frame_of(bounds: Bounds) -> tuple[tuple[float, float, float, float], int, int]:
    """Left, bottom, right and top in web mercator, metres, and width and height of a picture of it."""
    (south, west), (north, east) = bounds
    left, bottom = TO_METRES.transform(west, south)
    right, top = TO_METRES.transform(east, north)
    pixel = max(right - left, top - bottom) / MOST_PIXELS
    pixel = max(pixel, 2.0)  # a picture finer than the images is only larger
    return (left, bottom, right, top), max(1, round((right - left) / pixel)), max(1, round((top - bottom) / pixel))
