"""`ClassMap`: the classification over a base map, with tiles, polygons and a legend.

The only file that knows ipyleaflet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipyleaflet as L
import ipywidgets as W
import numpy as np
from odc.geo.geobox import GeoBox

from toolkit.experiment.folder import RunFolder
from toolkit.figures.maps import read_classes, shares
from toolkit.ground.errors import LandcoverError
from toolkit.ground.grid import outline
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.products.raster import close_rasters, grid_of
from toolkit.widgets.fields import QUIET
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.overlay import Bounds, Picture, around, picture_of, view_of

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

STYLE = (resources.files("toolkit.widgets") / "maps.css").read_text(encoding="utf-8")

HEIGHT, WIDTH = 560, 700
"""Pixels of the map; the width is a guess, for the first view."""

MOST_POLYGONS = 3000
"""Polygons of one kind drawn at most; a browser becomes slow with more."""

FRANCE: Bounds = ((42.3, -4.8), (51.1, 8.2))
"""The view where nothing is known yet."""

OUTLINES = {
    "train": ("Train polygons", {"color": "#000000", "weight": 1}),
    "test": ("Test polygons", {"color": "#000000", "weight": 1.5, "dashArray": "3 3"}),
    "left_out": ("Left-out polygons", {"color": "#000000", "weight": 1.5, "dashArray": "1 4"}),
}
"""Polygons by role, filled with the colour of their class: name of the layer, and its outline."""


class ClassMap(W.HBox):
    """The classification of an experiment over OpenStreetMap, as far as there is one; what is missing is told.

    `refresh()` looks at the run folder again.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problem = ErrorBox()
        self.missing = W.HTML()
        self.legend = W.HTML()
        self.opacity = W.FloatSlider(0.8, min=0, max=1, step=0.05, readout_format=".0%", description="Opacity")
        self.opacity.layout, self.opacity.style = W.Layout(width="auto"), {"description_width": "initial"}
        self.under_pointer = W.HTML()
        self.switches: dict[str, W.Checkbox] = {}
        self._switch_box = W.VBox()
        self._layers: dict[str, L.Layer] = {}
        self._links: list[Any] = []
        self.map = _empty_map()
        super().__init__([W.VBox([self.map], layout=W.Layout(flex="1 1 auto", min_width="0")), self._panel()])
        self.add_class("lc-map")
        self.problem.guard(self.refresh)()

    def refresh(self) -> None:
        """Show what the run folder holds now; the view moves to it."""
        folder = RunFolder(self.experiment.folder)
        nomenclature = self.experiment.nomenclature
        paths = class_maps(self.experiment, folder)
        pictures = [picture_of(path, nomenclature) for path in paths.values()]
        grids = tile_grids(self.experiment, folder)
        outlines = [*_tile_layer(grids), *_polygon_layers(folder, nomenclature)]
        for layer in outlines:
            layer.on_hover(self.problem.guard(self._tell))
        self._replace_layers([*self._picture_layers(paths, pictures), *outlines])
        self.legend.value = legend_html(area_shares(paths.values()), nomenclature)
        self.opacity.layout.display = "" if paths else "none"
        told = self._missing(folder, paths, grids)
        self.missing.value = "".join(f"<p style='{QUIET}'>{words}</p>" for words in told)
        self._look_at([one.bounds for one in pictures] or [_bounds(grid) for grid in grids.values()] or [FRANCE])

    def _panel(self) -> W.VBox:
        style = W.HTML(f"<style>{STYLE}</style>")
        parts = [style, self.problem, self.missing, self._switch_box, self.opacity, self.under_pointer, self.legend]
        self.under_pointer.layout.height = "28px"
        return W.VBox(parts, layout=W.Layout(flex="0 0 280px", padding="0 4px 0 16px"))

    def _picture_layers(self, paths: Mapping[str, Path], pictures: list[Picture]) -> list[L.Layer]:
        overlays = [
            L.ImageOverlay(url=one.url, bounds=one.bounds, name=place, opacity=self.opacity.value)
            for place, one in zip(paths, pictures, strict=True)
        ]
        for link in self._links:
            link.unlink()
        self._links = [W.jslink((self.opacity, "value"), (one, "opacity")) for one in overlays]
        return [L.LayerGroup(layers=tuple(overlays), name="Classification")] if overlays else []

    def _replace_layers(self, layers: Iterable[L.Layer]) -> None:
        for layer in self._layers.values():
            if layer in self.map.layers:
                self.map.remove(layer)
        self._layers = {layer.name: layer for layer in layers}
        before = {name: switch.value for name, switch in self.switches.items()}
        self.switches = {name: self._switch(name, before.get(name, "polygons" not in name)) for name in self._layers}
        self._switch_box.children = list(self.switches.values())
        for name, layer in self._layers.items():
            if self.switches[name].value:
                self.map.add(layer)

    def _switch(self, name: str, on: bool) -> W.Checkbox:
        switch = W.Checkbox(on, description=name, indent=False, layout=W.Layout(width="auto"))
        switch.observe(self.problem.guard(lambda change: self._show(name, change["new"])), "value")
        return switch

    def _show(self, name: str, on: bool) -> None:
        layer = self._layers[name]
        if on and layer not in self.map.layers:
            self.map.add(layer)
        elif not on and layer in self.map.layers:
            self.map.remove(layer)

    def _tell(self, feature: Mapping[str, Any], **_: Any) -> None:
        self.under_pointer.value = f"<span style='{QUIET}'>{escape(feature['properties']['words'])}</span>"

    def _look_at(self, bounds: list[Bounds]) -> None:
        self.map.center, self.map.zoom = view_of(around(bounds), WIDTH, HEIGHT - 40)

    def _missing(self, folder: RunFolder, paths: Mapping[str, Path], grids: Mapping[str, GeoBox]) -> list[str]:
        """What is not there yet, and the verb that makes it; HTML."""
        tiles = self.experiment.series.tiles
        unmapped = [tile for tile in tiles if not (folder.tile(tile) / "classes.tif").exists()]
        unseen = [tile for tile in tiles if tile not in grids]
        told = []
        if not paths:
            told.append("No classification yet: <code>classify</code> makes it.")
        elif not folder.map().exists():
            told.append("The tiles lie one over another: <code>mosaic</code> joins them.")
            told += [f"Not classified yet: {', '.join(unmapped)}."] if unmapped else []
        if unseen:
            told.append(f"No image found of {', '.join(unseen)}.")
        if not folder.polygons("train").exists():
            told.append("No polygons yet: <code>clean</code> and <code>sample</code> make them.")
        return told


def class_maps(experiment: Experiment, folder: RunFolder) -> dict[str, Path]:
    """The class maps to show, by name: the mosaic, or where there is none the tiles that are classified."""
    if folder.map().exists():
        return {"mosaic": folder.map()}
    tiles = {tile: folder.tile(tile) / "classes.tif" for tile in experiment.series.tiles}
    return {tile: path for tile, path in tiles.items() if path.exists()}


def tile_grids(experiment: Experiment, folder: RunFolder) -> dict[str, GeoBox]:
    """The pixel grid of each tile, from its map or else from its first image; tiles without either are left out."""
    grids = {}
    for tile in experiment.series.tiles:
        path = folder.tile(tile) / "classes.tif"
        try:
            grids[tile] = grid_of(path if path.exists() else _first_image(experiment, tile))
        except LandcoverError:
            continue
        finally:
            close_rasters()
    return grids


def area_shares(paths: Iterable[Path]) -> dict[int, float]:
    """Share of each class in these maps, of the pixels that have one; of a large map, of every n-th pixel."""
    values = [read_classes(path, 4_000_000).values.ravel() for path in paths]
    return shares(np.concatenate(values)) if values else {}


def polygon_features(polygons: GroundTruth, nomenclature: Nomenclature, outline: Mapping[str, Any]) -> dict[str, Any]:
    """Polygons as GeoJSON in degrees, each with its style and words; at most `MOST_POLYGONS`, evenly drawn."""
    chosen = np.unique(np.linspace(0, len(polygons) - 1, min(len(polygons), MOST_POLYGONS)).round().astype(int))
    frame = polygons.frame.iloc[chosen].to_crs(4326)
    features = []
    for code, shape in zip(frame["code"].tolist(), frame.geometry, strict=True):
        style = {**outline, "fillColor": nomenclature.colour(code), "fillOpacity": 1}
        features.append(_feature(shape.__geo_interface__, f"{nomenclature.label(code)} ({code})", style))
    return {"type": "FeatureCollection", "features": features}


def legend_html(found: Mapping[int, float], nomenclature: Nomenclature) -> str:
    """The classes of a map with their colours and their shares of its area."""
    if not found:
        return ""
    rows = "".join(
        f"<tr><td><span class='lc-chip' style='background:{nomenclature.colour(code)}'></span></td>"
        f"<td>{escape(nomenclature.label(code))}</td><td class='lc-share'>{_percent(share)}</td></tr>"
        for code, share in found.items()
    )
    return f"<table class='lc-legend'><tr><th colspan='2'>Class</th><th class='lc-share'>Area</th></tr>{rows}</table>"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 else "< 0.1 %"


def _feature(geometry: Mapping[str, Any], words: str, style: Mapping[str, Any]) -> dict[str, Any]:
    """A shape of GeoJSON; the words are shown when the pointer rests on it."""
    return {"type": "Feature", "geometry": geometry, "properties": {"words": words, "style": style}}


def _first_image(experiment: Experiment, tile: str) -> Path:
    products = experiment.data.products(experiment.series.source, tile)
    files = [band.path for product in products for band in product.bands.values()]
    return files[0] if files else Path(tile)


def _tile_layer(grids: Mapping[str, GeoBox]) -> list[L.Layer]:
    if not grids:
        return []
    style = {"color": "#202020", "weight": 1.5, "dashArray": "6 4", "fillOpacity": 0}
    features = [
        _feature(outline(grid, "EPSG:4326", steps=8).__geo_interface__, f"Tile {tile}", style)
        for tile, grid in grids.items()
    ]
    return [L.GeoJSON(data={"type": "FeatureCollection", "features": features}, name="Tiles")]


def _polygon_layers(folder: RunFolder, nomenclature: Nomenclature) -> list[L.Layer]:
    layers = []
    for role, (name, style) in OUTLINES.items():
        if folder.polygons(role).exists():
            data = polygon_features(GroundTruth.read(folder.polygons(role)), nomenclature, style)
            layers.append(L.GeoJSON(data=data, name=name, hover_style={"weight": 3}))
    return layers


def _bounds(grid: GeoBox) -> Bounds:
    west, south, east, north = outline(grid, "EPSG:4326").bounds
    return (south, west), (north, east)


def _empty_map() -> L.Map:
    centre, zoom = view_of(FRANCE, WIDTH, HEIGHT)
    view = L.Map(center=centre, zoom=zoom, scroll_wheel_zoom=True, layout=W.Layout(height=f"{HEIGHT}px"))
    view.add(L.ScaleControl(position="bottomleft", imperial=False))
    view.add(L.FullScreenControl())
    return view
