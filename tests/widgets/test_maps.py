"""The map shows what there is, tells what is missing, compares, isolates classes, goes to places, makes figures."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import ipyleaflet as L
import ipywidgets as W
import numpy as np
import pytest
import shapely
from odc.geo.geobox import GeoBox

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.ground.bands import SENTINEL2, Band
from toolkit.ground.errors import ParameterError
from toolkit.ground.grid import from_bounds
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import build
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.mapping.rasters import map_writer
from toolkit.products.dated import DatedRasters
from toolkit.products.product import BandFile, Product
from toolkit.webmap.layers import Composite, RasterLayer
from toolkit.webmap.registry import Route
from toolkit.widgets import ClassMap
from toolkit.widgets.leaflet import MOST_POLYGONS, polygon_shapes
from toolkit.widgets.map_content import Content, class_areas, image_layers, picture_kinds, products_by_date
from toolkit.widgets.map_rasters import NOTHING
from toolkit.widgets.maps import NO_DATE

NAMES = Nomenclature.load("oso_23")


def write_classes(path: Path, codes: np.ndarray, left: float = 300_000) -> GeoBox:
    height, width = codes.shape
    grid = from_bounds((left, 4_890_000, left + 10 * width, 4_890_000 + 10 * height), 10, "EPSG:32631")
    with map_writer(path, grid, "uint8", nodata=0, nomenclature=NAMES) as target:
        target.write(codes.astype(np.uint8), 1)
    return grid


def write_polygons(path: Path, codes: list[int]) -> None:
    shapes = [shapely.box(300_000 + 50 * i, 4_890_000, 300_040 + 50 * i, 4_890_040) for i in range(len(codes))]
    columns = {"polygon": range(len(codes)), "code": codes}
    GroundTruth(gpd.GeoDataFrame(columns, geometry=shapes, crs=32631)).save(path)


@pytest.fixture
def folder(experiment: Experiment, tmp_path: Path) -> RunFolder:
    """The run folder of the experiment, with two classified tiles, their mosaic and polygons."""
    experiment.path = tmp_path / "experiment.yml"
    folder = RunFolder(experiment.folder)
    codes = np.repeat([[17, 23]], 40, axis=0).repeat(30, axis=1)
    write_classes(folder.tile("31TCJ") / "classes.tif", codes)
    write_classes(folder.tile("31TCK") / "classes.tif", codes, left=300_600)
    write_classes(folder.map(), np.concatenate([codes, np.full((40, 20), 5)], axis=1))
    write_polygons(folder.polygons("train"), [17, 23, 5])
    write_polygons(folder.polygons("test"), [17])
    return folder


@pytest.fixture
def map_of(experiment: Experiment) -> Any:
    """Makes maps, settled, and closes them."""
    made: list[ClassMap] = []

    def map_of(**options: Any) -> ClassMap:
        made.append(ClassMap(experiment, inspect=False, **options))
        assert made[-1].settle()
        return made[-1]

    yield map_of
    for one in made:
        one.close()


class Server(Route):
    """A route whose layers are kept in a list instead of a folder."""

    def __init__(self) -> None:
        self.layers: dict[str, tuple[RasterLayer, ...]] = {}
        self._count = 0

    @property
    def check_url(self) -> str:
        return "/base/landcover/check"

    def add(self, *layers: RasterLayer) -> str:
        self._count += 1
        url = f"/base/landcover/squares/{self._count}/{{z}}/{{x}}/{{y}}.png"
        self.layers[url] = layers
        return url

    def remove(self, url: str) -> None:
        del self.layers[url]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    monkeypatch.setattr(Route, "find", classmethod(lambda cls: found))
    return found


def on_the_map(shown: ClassMap) -> list[str]:
    return [layer.name for layer in shown.map.layers]


def test_complete_results(folder: RunFolder, map_of: Any) -> None:
    shown = map_of()
    assert shown.layers.names == ["Train polygons", "Test polygons", "Tiles", "Classification"]
    assert on_the_map(shown) == ["OpenStreetMap", "Classification", "Tiles", "Marks"]
    assert shown.missing.value == "" and shown.problem.value == ""
    assert [row["label"] for row in shown.legend.rows] == ["Rapeseed", "Coniferous forest", "Water"]
    assert shown.map.zoom >= 13


def test_base_map_has_its_attribution(folder: RunFolder, map_of: Any) -> None:
    shown = map_of()
    assert "tile.openstreetmap.org" in shown.map.layers[0].url
    assert "OpenStreetMap" in shown.map.layers[0].attribution
    shown.base.value = "Satellite"
    assert "Esri" in shown.map.layers[0].attribution
    assert on_the_map(shown)[1:] == ["Classification", "Tiles", "Marks"]


def test_tiles_stand_in_for_a_mosaic(folder: RunFolder, map_of: Any, server: Server) -> None:
    folder.map().unlink()
    shown = map_of()
    (layers,) = server.layers.values()
    assert [layer.files[0].parent.name for layer in layers] == ["31TCJ", "31TCK"]
    shutil.rmtree(folder.tile("31TCK"))
    shown.refresh()
    assert "mosaic" in shown.missing.value
    assert "Not classified yet: 31TCK" in shown.missing.value
    assert "No image found of 31TCK" in shown.missing.value


def test_empty_run_folder_says_what_is_missing(experiment: Experiment, tmp_path: Path) -> None:
    experiment.path = tmp_path / "experiment.yml"
    shown = ClassMap(experiment, inspect=False)
    assert "classify" in shown.missing.value and "sample" in shown.missing.value
    assert "No image found of 31TCJ, 31TCK" in shown.missing.value
    assert not shown.layers.names and not shown.legend.rows
    shown.settle()
    shown.close()


def test_refresh_keeps_what_a_person_set(folder: RunFolder, map_of: Any) -> None:
    folder.polygons("test").unlink()
    shown = map_of()
    shown.layers.switches["Tiles"].value = False
    write_polygons(folder.polygons("test"), [23])
    shown.refresh()
    assert "Test polygons" in shown.layers.names
    assert shown.layers.switches["Tiles"].value is False and "Tiles" not in on_the_map(shown)
    assert on_the_map(shown).count("Classification") == 1


def test_layers_are_switched_and_moved(folder: RunFolder, map_of: Any) -> None:
    write_classes(folder.map("confidence"), np.full((40, 80), 60))
    shown = map_of()
    shown.layers.switches["Confidence"].value = True
    assert on_the_map(shown)[1:3] == ["Confidence", "Classification"]
    shown.layers.move("Confidence", -1)
    assert on_the_map(shown)[1:3] == ["Classification", "Confidence"]
    shown.layers.move("Confidence", -1)
    assert on_the_map(shown)[1:3] == ["Classification", "Confidence"], "shapes lie over rasters"


def test_the_colours_of_a_measure_are_explained_while_it_is_shown(folder: RunFolder, map_of: Any) -> None:
    write_classes(folder.map("confidence"), np.full((40, 80), 60))
    layers = map_of().layers
    (scale,) = (one for one in layers.children if isinstance(one, W.HTML))
    assert scale.layout.display == "none"
    layers.switches["Confidence"].value = True
    assert scale.layout.display is None
    assert "<span>0</span>" in scale.value and "<span>100</span>" in scale.value
    assert "largest probability, percent" in scale.value


def test_opacity_is_linked_in_the_browser(folder: RunFolder, map_of: Any) -> None:
    rows = map_of().layers._rows
    assert rows["Classification"].opacity.value == rows["Classification"].layer.opacity == 0.8


def test_without_a_server_the_kernel_draws_what_is_in_view(folder: RunFolder, map_of: Any) -> None:
    shown = map_of()
    layer = shown.layers.layer("Classification")
    assert isinstance(layer, L.ImageOverlay) and layer.url.startswith("data:image/png")
    assert "picture of the view" in shown.note.value
    whole = layer.bounds
    (south, west), (north, east) = whole
    middle = ((south + north) / 2, (west + east) / 2)
    shown.map.set_trait("bounds", (middle, (north + 1, east + 1)))
    assert shown.settle()
    assert np.allclose(layer.bounds, (middle, (north, east)))
    shown.map.set_trait("bounds", ((10, 10), (11, 11)))
    assert shown.settle()
    assert layer.url == NOTHING


def test_with_a_server_squares_are_asked_for_and_only_of_what_is_on_the_map(
    folder: RunFolder, map_of: Any, server: Server
) -> None:
    shown = map_of()
    layer = shown.layers.layer("Classification")
    assert isinstance(layer, L.TileLayer) and set(server.layers) == {layer.url}
    assert shown.page.url == server.check_url and shown.note.value == ""
    shown.isolate([23])
    assert set(server.layers) == {layer.url}, "what was shown before cannot be read any more"
    assert set(server.layers[layer.url][0].style.colours) == {23}
    shown.close()
    assert not server.layers


def test_where_the_browser_does_not_reach_the_server_pictures_are_drawn(
    folder: RunFolder, map_of: Any, server: Server
) -> None:
    shown = map_of()
    shown.page.answer = "the server answers 404"
    assert shown.settle()
    assert isinstance(shown.layers.layer("Classification"), L.ImageOverlay)
    assert "the server answers 404" in shown.note.value
    assert on_the_map(shown)[1:] == ["Classification", "Tiles", "Marks"]


def test_classes_are_isolated_in_the_legend_or_from_a_cell(folder: RunFolder, map_of: Any) -> None:
    shown = map_of()
    before = shown.layers.layer("Classification").url
    shown.isolate([23])
    assert shown.settle() and shown.layers.layer("Classification").url != before
    assert shown.legend.chosen == [23]
    shown.isolate()
    assert shown.settle() and shown.layers.layer("Classification").url == before


def test_swipe_and_back(folder: RunFolder, map_of: Any, server: Server) -> None:
    shown = map_of()
    shown.comparison.mode.value = "Swipe"
    control = shown.map.controls[-1]
    assert isinstance(control, L.SplitMapControl)
    assert control.left_layer is shown.layers.layer("Classification")
    assert "openstreetmap" in control.right_layer.url
    assert on_the_map(shown) == ["OpenStreetMap", "Tiles", "Marks"], "the control shows the classification itself"
    shown.layers.switches["Tiles"].value = False
    assert shown.map.controls[-1] is control and on_the_map(shown) == ["OpenStreetMap", "Marks"]
    shown.comparison.mode.value = "Map"
    assert control not in shown.map.controls and "Classification" in on_the_map(shown)


def test_pictures_cannot_be_swiped_and_it_is_said(folder: RunFolder, map_of: Any) -> None:
    shown = map_of()
    shown.comparison.mode.value = "Swipe"
    assert "Side by side" in shown.problem.value and shown.mode == "Map"


def test_nothing_to_swipe_is_said(folder: RunFolder, map_of: Any, server: Server) -> None:
    shown = map_of()
    shown.layers.switches["Classification"].value = False
    shown.comparison.mode.value = "Swipe"
    assert "nothing to swipe" in shown.problem.value and shown.mode == "Map"
    assert "Classification" not in on_the_map(shown)


def test_another_run_beside(folder: RunFolder, map_of: Any, server: Server) -> None:
    other = RunFolder(folder.root.parent / "other")
    write_classes(other.map(), np.full((40, 80), 17))
    shown = map_of()
    assert "Run other" in shown.comparison.against.options
    shown.comparison.against.value = "Run other"
    shown.comparison.mode.value = "Side by side"
    second = shown.comparison.second
    assert second is not None and [layer.name for layer in second.layers][:2] == ["OpenStreetMap", "Run other"]
    assert second.center == shown.map.center and second.zoom == shown.map.zoom
    (added,) = [layers for layers in server.layers.values() if layers[0].files == (other.map(),)]
    shown.comparison.mode.value = "Map"
    assert shown.comparison.second is None and added not in server.layers.values()


def test_an_image_lies_over_the_classes_and_can_be_held_against_them(finished_demo: Path) -> None:
    experiment = Experiment.load(finished_demo)
    shown = ClassMap(experiment, inspect=False)
    assert shown.settle()
    days = [day for day in shown.date.options if day != NO_DATE]
    assert days == sorted(days) and len(days) > 3
    shown.date.value = days[1]
    assert [name for name in on_the_map(shown) if name in ("Image", "Classification")] == ["Classification", "Image"]
    assert f"True colour {days[1]}" in shown.comparison.against.options
    shown.kind.value = "False colour"
    assert f"False colour {days[1]}" in shown.comparison.against.options
    shown.date.value = NO_DATE
    assert "Image" not in shown.layers.names and f"True colour {days[1]}" not in shown.comparison.against.options
    experiment.set({"series.start": days[-1], "series.end": days[-1], "series.margin_days": 0})
    assert list(products_by_date(experiment)) == [days[-1]], "images outside of the period are not offered"
    shown.close()


def test_a_place_or_a_tile_is_gone_to(folder: RunFolder, map_of: Any) -> None:
    shown = map_of()
    shown.search.value = "44.13, 0.51"
    assert shown.map.center == [44.13, 0.51] and shown.map.zoom >= 14
    shown.search.value = "T31TCK"
    assert shown.map.center != [44.13, 0.51] and not shown.problem.value
    shown.search.value = "Toulouse"
    assert "is not a place" in shown.problem.value


def test_unreadable_map_is_told_in_place(experiment: Experiment, folder: RunFolder) -> None:
    folder.map().write_bytes(b"nothing")
    shown = ClassMap(experiment, inspect=False)
    assert "classes.tif cannot be read" in shown.problem.value
    shown.close()


def test_the_view_becomes_a_figure_and_a_file(experiment: Experiment, folder: RunFolder, map_of: Any) -> None:
    (experiment.path.parent / "data_catalog.yml").write_text("meta: {version: 1}\n", encoding="utf-8")
    shown = map_of()
    texts = {text.get_text() for axes in shown.figure().axes for text in axes.texts}
    assert {"Water", "Coniferous forest", "Rapeseed"} <= texts
    first, second = shown.save_view(), shown.save_view()
    assert [path.name for path in (first, second)] == ["view_1.png", "view_2.png"]
    assert first.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_area_is_of_the_pixels_of_each_class(folder: RunFolder) -> None:
    write_classes(folder.map(), np.array([[17, 17, 17, 23], [0, 0, 0, 0]]))
    forest, water = class_areas([folder.map()])
    assert (forest.code, forest.hectares, forest.share) == (17, pytest.approx(0.03), pytest.approx(0.75))
    assert (water.code, water.hectares, water.share) == (23, pytest.approx(0.01), pytest.approx(0.25))


def test_polygons_have_the_colour_of_their_class_and_tell_its_name(folder: RunFolder) -> None:
    first = polygon_shapes(GroundTruth.read(folder.polygons("train")), NAMES, {"color": "#000000"})[0]
    assert first["properties"]["style"]["fillColor"] == NAMES.colour(17)
    assert first["properties"]["words"] == "Coniferous forest (17)"
    longitude, latitude = first["geometry"]["coordinates"][0][0][:2]
    assert 0 < longitude < 1 and 44 < latitude < 45


def test_many_polygons_are_thinned(tmp_path: Path) -> None:
    write_polygons(tmp_path / "many.gpkg", [17] * (MOST_POLYGONS + 500))
    assert len(polygon_shapes(GroundTruth.read(tmp_path / "many.gpkg"), NAMES, {})) == MOST_POLYGONS


def test_an_error_stays_while_the_pointer_moves_over_the_map(folder: RunFolder, map_of: Any, server: Server) -> None:
    shown = map_of()
    shown.search.value = "Toulouse"
    assert "is not a place" in shown.problem.value
    shown.map._handle_leaflet_event(None, {"event": "interaction", "type": "mousemove", "coordinates": [44, 1]}, [])
    hover = {"event": "mouseover", "feature": {"properties": {"words": "Tile 31TCJ"}}}
    shown.layers.layer("Tiles")._handle_mouse_events(None, hover, [])
    shown.page.answer = "reached"
    assert "Tile 31TCJ" in shown.under_pointer.value and "is not a place" in shown.problem.value
    shown.search.value = "44.13, 0.51"
    assert shown.problem.value == ""


def test_a_refused_click_on_either_map_is_told(folder: RunFolder, map_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: ClassMap, latitude: float, longitude: float) -> None:
        raise ParameterError(f"all are kept at {latitude}")

    monkeypatch.setattr(ClassMap, "_inspect", refuse)
    shown = map_of()
    shown.comparison.mode.value = "Side by side"
    for view, latitude in ((shown.map, 44), (shown.comparison.second, 45)):
        view._handle_leaflet_event(None, {"event": "interaction", "type": "click", "coordinates": [latitude, 1]}, [])
        assert f"all are kept at {latitude}" in shown.problem.value


def test_the_view_is_saved_beside_the_kernel(folder: RunFolder, map_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def save(self: ClassMap) -> Path:
        threads.append(threading.current_thread())
        return Path("view_7.png")

    monkeypatch.setattr(ClassMap, "save_view", save)
    shown = map_of()
    shown.save.click()
    assert shown.settle() and "Saved view_7.png" in shown.note.value
    assert threads != [threading.current_thread()]


def test_refresh_shows_new_polygons_in_the_layer_that_is_there(folder: RunFolder, map_of: Any) -> None:
    shown = map_of()
    layer = shown.layers.layer("Train polygons")
    write_polygons(folder.polygons("train"), [5])
    shown.again.click()
    assert shown.settle()
    assert shown.layers.layer("Train polygons") is layer and len(layer.data["features"]) == 1


def test_another_way_forgets_what_the_server_was_shown(folder: RunFolder, map_of: Any, server: Server) -> None:
    shown = map_of()
    assert server.layers
    shown.page.answer = "the server answers 404"
    assert not server.layers


def test_pictures_follow_no_map_once_they_are_closed(folder: RunFolder, map_of: Any) -> None:
    shown = map_of()
    watching = len(shown.map._trait_notifiers["bounds"]["change"])
    for mode in ("Swipe", "Side by side", "Map"):
        shown.comparison.mode.value = mode
    shown.comparison.against.value = "Classification"
    shown.comparison.mode.value = "Swipe"
    assert "Side by side" in shown.problem.value
    assert len(shown.map._trait_notifiers["bounds"]["change"]) == watching


def test_what_is_read_when_the_map_is_closed_is_not_shown_to_the_server(
    experiment: Experiment, folder: RunFolder, map_of: Any, server: Server
) -> None:
    shown = map_of()
    shown.close()
    shown._show(Content.of(experiment))
    assert not server.layers


def test_pictures_are_of_the_bands_that_are_like_those_of_sentinel_2() -> None:
    landsat = build(DatedRasters, {"name": "dated_rasters", "preset": "landsat_c2_l2"}, "").measured()
    assert list(picture_kinds(SENTINEL2)) == list(picture_kinds(landsat)) == ["True colour", "False colour"]
    assert picture_kinds(landsat)["False colour"].bands == (("SR_B5",), ("SR_B4",), ("SR_B3",))
    assert picture_kinds(SENTINEL2)["False colour"].bands[0] == ("B8", "B8A")
    radar = picture_kinds([Band("VV", unit="dB"), Band("VH", unit="dB")])
    assert {kind: (one.low, one.high) for kind, one in radar.items()} == {
        "VV, VH, VV": ((-22.0, -28.0, -22.0), (0.0, -8.0, 0.0))
    }
    assert picture_kinds([Band("height", unit="m")]) == {}


def test_pictures_of_radar_are_drawn_by_its_numbers(tmp_path: Path) -> None:
    files = {name: BandFile(tmp_path / f"{name}.tif", 1.0, nodata=0, any_number=True) for name in ("VV", "VH")}
    product = Product("x", "31TCJ", np.datetime64("2018-01-01"), "", files, {})
    (picture,) = picture_kinds([Band("VV", unit="power"), Band("VH", unit="power")]).values()
    (layer,) = image_layers([product], picture)
    assert [path.stem for path in layer.files] == ["VV", "VH", "VV"]
    assert layer.style == Composite((0, 0, 0), (0.3, 0.08, 0.3)) and layer.nodata == 0
    shared = replace(product, bands={**files, "VH": replace(files["VV"], number=2)})
    assert image_layers([shared], picture) == image_layers([product], None) == ()
