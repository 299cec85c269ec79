"""`ClassMap`: the classification and all it was made from, over a base map; swiped, or beside another map; clicked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipyleaflet as L
import ipywidgets as W

from toolkit.experiment.folder import RunFolder
from toolkit.experiment.reporting import attribution
from toolkit.figures.style import StaticFigure, png
from toolkit.ground.errors import LandcoverError
from toolkit.ground.writing import aside
from toolkit.products.product import Product
from toolkit.webmap.registry import Route
from toolkit.widgets.background import Background
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.inspector import PixelInspector
from toolkit.widgets.layer_list import LayerList
from toolkit.widgets.leaflet import (
    BASE_MAPS,
    FRANCE,
    Bounds,
    around,
    base_layer,
    grid_bounds,
    look_at,
    move_to,
    new_map,
    on_click,
    place_markers,
)
from toolkit.widgets.legend import Legend
from toolkit.widgets.map_compare import Comparison
from toolkit.widgets.map_content import (
    CLASS_MAPS,
    CLASSES,
    TILES,
    ClassArea,
    Content,
    class_areas,
    class_layer,
    image_layers,
    map_files,
    offer,
    other_runs,
    picture_kinds,
    products_by_date,
    result_layers,
    tile_grids,
    words_of,
)
from toolkit.widgets.map_figure import figure_of
from toolkit.widgets.map_rasters import Pictures, Rasters, Squares, Way
from toolkit.widgets.page import Page
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_frame import PanelFrame
from toolkit.widgets.places import parse_place

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

STYLE = (resources.files("toolkit.widgets") / "maps.css").read_text(encoding="utf-8")

HEIGHT = 560
"""Pixels of the map."""

CLASS_OPACITY = 0.8
"""Opacity of the classification at first."""

IMAGE = "Image"
NO_DATE = "no image"


class ClassMap(Panel):
    """The map of an experiment, as far as there is one; what is missing is told.

    `refresh()` looks at the run folder again; `look_again()` does so in a thread.

    Args:
        inspect: whether a click on the map shows the pixel below it.
    """

    def __init__(self, experiment: Experiment, *, inspect: bool = True) -> None:
        self.experiment = experiment
        self.problem = ErrorBox()
        self.map = new_map(height=HEIGHT)
        self.route, self.page = Route.find(), Page()
        self._changing, self._closed = threading.RLock(), False
        self.layers = LayerList(self.map, self._way_to(self.map), self._guard)
        self.legend = Legend()
        self.inspector = PixelInspector(experiment) if inspect else None
        self._clicked = self.problem.guard(self._inspect)
        self.comparison = Comparison(self.map, self.layers, self._offers, self._way_to, self._clicked, self._guard)
        self.comparison.views.observe(self._measure, "children")
        self._products: dict[str, list[Product]] = {}
        self._refreshing = Background(self._read, self._show, self.problem.tell)
        self._looking = Background(self._look, self._looked, self.problem.tell)
        self._saving = Background(self.save_view, lambda path: self._say(f"Saved {path}"), self.problem.tell)
        self._make_controls()
        super().__init__(self._laid_out())
        self._end_with(*(one.close for one in (self._refreshing, self._looking, self._saving)), self._clear)
        self.add_class("lc-map").add_class("lc-keys")
        self._connect()
        self.problem.guard(self.refresh)()

    @property
    def mode(self) -> str:
        """`"Map"`, `"Swipe"` or `"Side by side"`."""
        return str(self.comparison.mode.value)

    def refresh(self) -> None:
        """Show what the run folder holds now; the view moves to it."""
        self._show(self._read())

    def look_again(self) -> None:
        """The same in a thread; returns at once, and the map shows it when it is read."""
        self._refreshing.ask()

    def isolate(self, codes: Sequence[int] = ()) -> None:
        """Show these classes alone; none for all of them."""
        self.legend.chosen = list(codes)

    def show_image(self, day: str | None, kind: str = "True colour") -> None:
        """Show the images of a day over the other rasters, those of another day no longer.

        Args:
            day: ISO format; None for no image.
            kind: `"True colour"`, `"False colour"`, or what else the sensor has (see the choice beside the days).
        """
        self._products = self._products or products_by_date(self.experiment)
        rasters = image_layers(self._products.get(day or "", []), picture_kinds(self.experiment.bands).get(kind))
        with self._changing:
            if rasters:
                self.layers.put_rasters(IMAGE, rasters, on=True)
                self.layers.move(IMAGE, -len(self.layers.names))
                self.layers.switches[IMAGE].value = True
            elif IMAGE in self.layers.names:
                self.layers.drop(IMAGE)
            self.layers.lay()
            self.comparison.refresh()

    def go_to(self, text: str) -> None:
        """Move to a place such as `43.6012, 1.4321` and look at its pixel; or to a tile by its name.

        Raises:
            ParameterError: the text is neither.
        """
        tile = text.strip().upper().removeprefix("T")
        grids = tile_grids(self.experiment) if tile in self.experiment.series.tiles else {}
        if tile in grids:
            look_at(self.map, [grid_bounds(grids[tile])], HEIGHT)
            return
        place = parse_place(text)
        move_to(self.map, place, max(self.map.zoom, 14))
        self._inspect(*place)

    def figure(self) -> StaticFigure:
        """The view as a figure with legend, scale bar and attribution; the base map is not part of it.

        Raises:
            ProductError: a raster cannot be read.
        """
        return figure_of(
            self.map.bounds or self._extent(),
            self.layers.rasters().values(),
            [layer.data for layer in self.map.layers if isinstance(layer, L.GeoJSON)],
            self.experiment.nomenclature,
            title=self.experiment.name,
            attribution=attribution(self.experiment),
        )

    def save_view(self) -> Path:
        """Write the view as the next `mapping/view_<n>.png` of the run folder."""
        folder = RunFolder(self.experiment.folder).mapping
        number = 1
        while (path := folder / f"view_{number}.png").exists():
            number += 1
        content = png(self.figure())
        with aside(path) as part:
            part.write_bytes(content)
        return path

    def settle(self, seconds: float = 20) -> bool:
        """Wait until all that is looked up and drawn in the background is shown."""
        works = (self._refreshing, self._looking, self._saving)
        return all(one.settle(seconds) for one in works) and self.layers.settle()

    def _make_controls(self) -> None:
        wide, free = W.Layout(width="auto"), W.Layout(width="auto", flex="1 1 0", min_width="0")
        self.missing, self.note, self.under_pointer = W.HTML(), W.HTML(), W.HTML()
        self.date = W.Dropdown(options=[NO_DATE], layout=free)
        self.kind = W.Dropdown(options=list(picture_kinds(self.experiment.bands)), layout=free)
        self.base = W.Dropdown(options=list(BASE_MAPS), layout=W.Layout(width="150px"))
        self.search = W.Text(
            placeholder="43.60, 1.44 or a tile", continuous_update=False, layout=W.Layout(width="170px")
        )
        self.save = W.Button(description="Save view", layout=wide)
        self.again = W.Button(description="Refresh", layout=wide)
        self.date.tooltip, self.kind.tooltip = "Day of the images", "Bands of the images"
        self.base.tooltip, self.search.tooltip = "Base map", "Go to a place: latitude, longitude"
        self.save.tooltip = "Write the view as a figure with legend and scale bar into the run folder"
        self.again.tooltip = "Look at the run folder again"

    def _laid_out(self) -> list[W.Widget]:
        bar = W.HBox(
            [
                self.comparison.mode, self.comparison.against, W.HTML(layout=W.Layout(flex="1 1 0")),
                self.base, self.search, self.save, self.again,
            ],
            layout=W.Layout(flex_flow="row wrap", align_items="center"),
        )  # fmt: skip
        images = W.HBox([self.date, self.kind])
        side = W.VBox(
            [self.missing, self.layers, images, self.under_pointer, self.legend],
            layout=W.Layout(flex="0 0 300px", padding="0 0 0 12px", max_height=f"{HEIGHT}px", overflow="hidden auto"),
        )
        side.add_class("lc-side")
        self.under_pointer.layout.height = "26px"
        maps = W.VBox([self.comparison.views], layout=W.Layout(flex="1 1 0", min_width="0"))
        body = W.HBox([maps, side])
        body.add_class("lc-body")
        below = [self.inspector] if self.inspector is not None else []
        return [
            PanelFrame(), W.HTML(f"<style>{STYLE}</style>"), self.problem, bar, body, self.note, self.page, *below,
        ]  # fmt: skip

    def _connect(self) -> None:
        guard = self._guard
        self.legend.observe(guard(lambda _: self._draw_classes()), "chosen")
        for one in (self.date, self.kind):
            one.observe(guard(lambda _: self.show_image(self._day(), self.kind.value)), "value")
        self.base.observe(guard(lambda change: self._change_base(change["new"])), "value")
        self.search.observe(guard(lambda change: self.go_to(change["new"]) if change["new"] else None), "value")
        self.save.on_click(guard(lambda _: self._saving.ask()))
        self.again.on_click(guard(lambda _: self.look_again()))
        on_click(self.map, self._clicked)
        if self.inspector is not None:
            self.inspector.observe(self.problem.guard(lambda change: self._mark(change["new"]), clears=False), "places")
        if self.route is None:
            self._say_pictures("no Jupyter server with the toolkit's extension started this kernel")
        else:
            self.page.observe(guard(self._checked, clears=False), "answer")
            self.page.url = self.route.check_url

    def _guard(self, function: Callable[..., Any], *, clears: bool = True) -> Callable[..., Any]:
        """As `ErrorBox.guard`, for what changes the layers: one at a time, in whatever thread."""

        @wraps(function)
        def alone(*arguments: Any) -> None:
            with self._changing:
                function(*arguments)

        return self.problem.guard(alone, clears=clears)

    def _read(self) -> Content:
        return Content.of(self.experiment, frozenset(self.legend.chosen))

    def _show(self, content: Content) -> None:
        with self._changing:
            if self._closed:
                return
            for name, rasters in reversed(list(content.rasters.items())):
                opacity = CLASS_OPACITY if name in CLASS_MAPS else 1.0
                self.layers.put_rasters(name, rasters, on=name == CLASSES, opacity=opacity, words=words_of(name))
            hover = self.problem.guard(self._tell, clears=False)
            for name, shapes in reversed(list(content.shapes.items())):
                self.layers.put_shapes(name, shapes, hover, on=name == TILES)
            self.layers.keep([*content.rasters, *content.shapes, IMAGE])
            self.layers.lay()
            self.missing.value = "".join(f"<p class='lc-quiet'>{words}</p>" for words in content.missing)
            self.comparison.refresh()
            look_at(self.map, map(grid_bounds, content.grids.values()), HEIGHT)
        if self.inspector is not None:
            self.inspector.refresh()
        self._looking.ask()

    def _clear(self) -> None:
        """Take away the maps, and with them what the Jupyter server may read for them."""
        with self._changing:
            self._closed = True
            self.comparison.close()
            self.map.close()
            self.layers.clear()

    def _way_to(self, view: L.Map) -> Way:
        return Squares(self.route) if self.route is not None else Pictures(view, self.problem.tell)

    def _measure(self, _: Any) -> None:
        self.page.laid_out += 1

    def _checked(self, change: Mapping[str, Any]) -> None:
        """The browser told whether it reaches the squares."""
        if change["new"] not in ("", "reached"):
            self.route = None
            self.layers.use(self._way_to(self.map))
            self.comparison.refresh()
            self._say_pictures(change["new"])

    def _say_pictures(self, why: str) -> None:
        self._say(f"Rasters are drawn as one picture of the view, anew after each move: {why}.")

    def _say(self, words: str) -> None:
        self.note.value = f"<span class='lc-quiet'>{escape(words)}</span>"

    def _offers(self) -> dict[str, Rasters]:
        """What the map may be held against, beside the base maps."""
        found: dict[str, Rasters] = dict(result_layers(self.experiment))
        for kind, picture in picture_kinds(self.experiment.bands).items() if self._day() else ():
            found[f"{kind} {self._day()}"] = image_layers(self._products.get(self._day() or "", []), picture)
        for name, path in other_runs(self.experiment).items():
            found[f"Run {name}"] = (class_layer(path, self.experiment.nomenclature),)
        return {name: rasters for name, rasters in found.items() if rasters}

    def _day(self) -> str | None:
        return None if self.date.value == NO_DATE else str(self.date.value)

    def _draw_classes(self) -> None:
        """Draw the classes that are chosen in the legend."""
        found = result_layers(self.experiment, frozenset(self.legend.chosen))
        for name in CLASS_MAPS:
            if name in found and name in self.layers.names:
                self.layers.put_rasters(name, found[name])

    def _change_base(self, name: str) -> None:
        self.map.layers = (base_layer(name), *(layer for layer in self.map.layers if not layer.base))

    def _look(self) -> tuple[list[ClassArea], dict[str, list[Product]]]:
        """What takes its time: the area of each class, the products of all tiles."""
        areas = class_areas(map_files(self.experiment, RunFolder(self.experiment.folder)))
        try:
            return areas, products_by_date(self.experiment)
        except LandcoverError:  # a map is shown without its images too; what is missing is told
            return areas, {}

    def _looked(self, found: tuple[list[ClassArea], dict[str, list[Product]]]) -> None:
        areas, self._products = found
        self.legend.show(areas, self.experiment.nomenclature)
        options = [NO_DATE, *self._products]
        if options != list(self.date.options):
            chosen = self.date.value
            self.date.options = options
            self.date.value = chosen if chosen in options else NO_DATE
        offer(self.kind, picture_kinds(self.experiment.bands))

    def _inspect(self, latitude: float, longitude: float) -> None:
        if self.inspector is not None:
            self.inspector.inspect(latitude, longitude)

    def _mark(self, places: Sequence[Mapping[str, Any]]) -> None:
        self.layers.marks.layers = place_markers(places)

    def _tell(self, properties: Mapping[str, Any]) -> None:
        self.under_pointer.value = f"<span class='lc-quiet'>{escape(properties['words'])}</span>"

    def _extent(self) -> Bounds:
        grids = tile_grids(self.experiment)
        return around(map(grid_bounds, grids.values())) if grids else FRANCE
