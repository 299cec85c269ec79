"""The thin layer between our maps and ipyleaflet: a map over a base map, its view, shapes that can be clicked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipyleaflet as L
import ipywidgets as W
import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from toolkit.ground.grid import outline
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground_truth.polygons import GroundTruth

Bounds = tuple[tuple[float, float], tuple[float, float]]
"""South-west and north-east corner, each (latitude, longitude), degrees."""

FRANCE: Bounds = ((42.3, -4.8), (51.1, 8.2))
"""The view where nothing is known yet."""

WIDTH = 700
"""Pixels across that a first view is made for: what the browser gives is not known before it draws."""

MOST_POLYGONS = 3000
"""Polygons drawn at most in one layer; a browser becomes slow with more."""

STREETS, SATELLITE = "OpenStreetMap", "Satellite"

BASE_MAPS: dict[str, dict[str, Any]] = {
    STREETS: {
        "url": "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
        "attribution": "&copy; <a href='https://www.openstreetmap.org/copyright'>OpenStreetMap</a> contributors",
        "max_native_zoom": 19,
    },
    SATELLITE: {
        "url": "https://server.arcgisonline.com/ArcGIS/rest/services/World_Imagery/MapServer/tile/{z}/{y}/{x}",
        "attribution": "Imagery &copy; Esri, Maxar, Earthstar Geographics",
        "max_native_zoom": 18,
    },
}
"""The base maps, by name."""

ROLE_OUTLINES: dict[str, tuple[str, dict[str, Any]]] = {
    "train": ("Train polygons", {"color": "#000000", "weight": 1}),
    "test": ("Test polygons", {"color": "#000000", "weight": 1.5, "dashArray": "3 3"}),
    "left_out": ("Left-out polygons", {"color": "#000000", "weight": 1.5, "dashArray": "1 4"}),
}
"""Polygons by role: name of their layer, and its outline."""

TILE_STYLE = {"color": "#202020", "weight": 1.5, "dashArray": "6 4", "fillOpacity": 0}

Tell = Callable[[Mapping[str, Any]], None]
"""Called with the properties of a shape."""


class WebMap(L.Map):
    """A map that takes its layers and controls with it when it is closed."""

    def close(self) -> None:
        """Close all that is on it; its own model stays, empty.

        Leaflet goes on listening to the size of the page after its map was taken away, and fails where the model of
        the map is gone.
        """
        parts = (*self.layers, *self.controls)
        self.clear()
        for one in parts:
            one.close()


def new_map(bounds: Bounds = FRANCE, height: int = 560, base: str = STREETS) -> L.Map:
    """A map over a base map that shows these bounds, with a scale bar and a button for the full screen.

    The height is in pixels; the width is that of its place on the page.
    """
    centre, zoom = view_of(bounds, WIDTH, height - 40)
    layout = W.Layout(height=f"{height}px")
    view = WebMap(
        layers=(base_layer(base),), center=centre, zoom=zoom, max_zoom=20, scroll_wheel_zoom=True, layout=layout
    )
    view.add(L.ScaleControl(position="bottomleft", imperial=False))
    view.add(L.FullScreenControl())
    return view


def base_layer(name: str) -> L.TileLayer:
    """One of the `BASE_MAPS`."""
    return L.TileLayer(name=name, base=True, max_zoom=20, **BASE_MAPS[name])


def look_at(view: L.Map, bounds: Iterable[Bounds], height: int = 560) -> None:
    """Move a map so that it shows all of these bounds; without any it stays where it is."""
    bounds = list(bounds)
    if bounds:
        move_to(view, *view_of(around(bounds), WIDTH, height - 40))


def move_to(view: L.Map, centre: tuple[float, float], zoom: int) -> None:
    """Move a map to a place, latitude and longitude.

    Both in one message: between two, Leaflet moves by whole pixels of the old zoom, which are kilometres of the new.
    """
    with view.hold_sync():
        view.center, view.zoom = centre, zoom


def around(bounds: Iterable[Bounds]) -> Bounds:
    """The bounds that hold all of these."""
    corners = np.array(list(bounds))
    (south, west), (north, east) = corners[:, 0].min(axis=0), corners[:, 1].max(axis=0)
    return (float(south), float(west)), (float(north), float(east))


def view_of(bounds: Bounds, width: float, height: float) -> tuple[tuple[float, float], int]:
    """Centre and zoom of a web map of this size, pixels, that shows all of the bounds."""
    (south, west), (north, east) = bounds
    low, high = _mercator(south), _mercator(north)
    across = max((east - west) / 360 * 256, 1e-9)
    along = max((high - low) / (2 * math.pi) * 256, 1e-9)
    zoom = math.floor(math.log2(min(width / across, height / along)))
    middle = math.degrees(math.atan(math.sinh((low + high) / 2)))
    return (middle, (west + east) / 2), min(max(zoom, 0), 18)


def grid_bounds(grid: GeoBox) -> Bounds:
    """The bounds of a pixel grid."""
    west, south, east, north = outline(grid, "EPSG:4326").bounds
    return (south, west), (north, east)


def shape(geometry: Mapping[str, Any], words: str, style: Mapping[str, Any], **properties: Any) -> dict[str, Any]:
    """A feature of GeoJSON with a style of its own; its words are for where the pointer rests on it."""
    return {"type": "Feature", "geometry": geometry, "properties": {"words": words, "style": dict(style), **properties}}


def shapes_layer(
    shapes: Iterable[Mapping[str, Any]], name: str, *, hover: Tell | None = None, click: Tell | None = None
) -> L.GeoJSON:
    """A layer of shapes made by `shape`.

    Args:
        hover, click: called with the properties of the shape under the pointer; guard them.
    """
    data = {"type": "FeatureCollection", "features": list(shapes)}
    layer = L.GeoJSON(data=data, name=name, hover_style={"weight": 3})
    for register, tell in ((layer.on_hover, hover), (layer.on_click, click)):
        if tell is not None:
            register(_properties_only(tell))
    return layer


def on_click(view: L.Map, tell: Callable[[float, float], None]) -> None:
    """Call with latitude and longitude of each click on a map; guard it."""

    def heard(**event: Any) -> None:
        if event.get("type") == "click":  # a map tells of each move of the pointer too
            tell(*event["coordinates"])

    view.on_interaction(heard)


def layer_group(name: str) -> L.LayerGroup:
    """An empty group; what its `layers` are set to is shown."""
    return L.LayerGroup(name=name)


def set_shapes(layer: L.GeoJSON, shapes: Iterable[Mapping[str, Any]]) -> None:
    """Show other shapes in a layer made by `shapes_layer`."""
    layer.data = {"type": "FeatureCollection", "features": list(shapes)}


def tile_shapes(grids: Mapping[str, GeoBox], style: Mapping[str, Any] = TILE_STYLE) -> list[dict[str, Any]]:
    """The footprints of tiles, each with its name as property `tile`."""
    return [
        shape(outline(grid, "EPSG:4326", steps=8).__geo_interface__, f"Tile {tile}", style, tile=tile)
        for tile, grid in grids.items()
    ]


def tile_names(grids: Mapping[str, GeoBox]) -> tuple[L.Marker, ...]:
    """The name of each tile in the middle of its footprint; clicks go through to what lies below."""
    centres = {tile: outline(grid, "EPSG:4326").centroid for tile, grid in grids.items()}
    return tuple(
        L.Marker(
            location=(centre.y, centre.x),
            icon=L.DivIcon(html=f"<b class='lc-tile-name'>{tile}</b>", icon_size=[60, 16], icon_anchor=[30, 8]),
            draggable=False,
            keyboard=False,
            name=tile,
        )
        for tile, centre in centres.items()
    )


def polygon_shapes(polygons: GroundTruth, nomenclature: Nomenclature, style: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Polygons filled with the colour of their class, in degrees (to 10 cm); at most `MOST_POLYGONS`, evenly drawn."""
    chosen = np.unique(np.linspace(0, len(polygons) - 1, min(len(polygons), MOST_POLYGONS)).round().astype(int))
    frame = polygons.frame.iloc[chosen].to_crs(4326)
    outlines = shapely.transform(frame.geometry.to_numpy(), lambda degrees: degrees.round(6))
    return [
        shape(
            geometry.__geo_interface__,
            f"{nomenclature.label(code)} ({code})",
            {"fillColor": nomenclature.colour(code), "fillOpacity": 1, **style},
            code=int(code),
            polygon=int(polygon),
        )
        for code, polygon, geometry in zip(frame["code"].tolist(), frame["polygon"].tolist(), outlines, strict=True)
    ]


def place_markers(places: Iterable[Mapping[str, Any]]) -> tuple[L.CircleMarker, ...]:
    """A marker for each place.

    Args:
        places: each with `latitude`, `longitude`, `colour` and `label`.
    """
    return tuple(
        L.CircleMarker(
            location=(one["latitude"], one["longitude"]),
            radius=7,
            color="#ffffff",
            weight=2,
            fill_color=one["colour"],
            fill_opacity=1,
            name=one["label"],
        )
        for one in places
    )


def _properties_only(tell: Tell) -> Callable[..., None]:
    return lambda feature, **_: tell(feature["properties"])


def _mercator(latitude: float) -> float:
    return math.asinh(math.tan(math.radians(latitude)))
