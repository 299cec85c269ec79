"""The map shows what there is, tells what is missing, and its legend tells classes, colours and areas."""

from __future__ import annotations

import shutil
from pathlib import Path

import geopandas as gpd
import ipyleaflet as L
import numpy as np
import pytest
import shapely
from odc.geo.geobox import GeoBox

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.ground.grid import from_bounds
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.mapping.rasters import map_writer
from toolkit.widgets import ClassMap
from toolkit.widgets.maps import MOST_POLYGONS, legend_html, polygon_features

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


def overlays(shown: ClassMap) -> list[L.ImageOverlay]:
    return [one for layer in shown.map.layers if isinstance(layer, L.LayerGroup) for one in layer.layers]


def test_complete_results(experiment: Experiment, folder: RunFolder) -> None:
    shown = ClassMap(experiment)
    assert list(shown.switches) == ["Classification", "Tiles", "Train polygons", "Test polygons"]
    assert [one.name for one in overlays(shown)] == ["mosaic"]
    assert shown.missing.value == "" and shown.problem.value == ""
    assert all(label in shown.legend.value for label in ("Coniferous forest", "Water", "Rapeseed"))
    assert shown.map.zoom >= 13
    (south, west), (north, east) = overlays(shown)[0].bounds
    assert south < shown.map.center[0] < north and west < shown.map.center[1] < east


def test_base_map_is_openstreetmap_with_attribution(experiment: Experiment, folder: RunFolder) -> None:
    base = ClassMap(experiment).map.layers[0]
    assert "tile.openstreetmap.org" in base.url and "OpenStreetMap" in base.attribution


def test_tiles_stand_in_for_a_mosaic(experiment: Experiment, folder: RunFolder) -> None:
    folder.map().unlink()
    shutil.rmtree(folder.tile("31TCK"))
    shown = ClassMap(experiment)
    assert [one.name for one in overlays(shown)] == ["31TCJ"]
    assert "mosaic" in shown.missing.value
    assert "Not classified yet: 31TCK" in shown.missing.value
    assert "No image found of 31TCK" in shown.missing.value


def test_empty_run_folder_says_what_is_missing(experiment: Experiment, tmp_path: Path) -> None:
    experiment.path = tmp_path / "experiment.yml"
    shown = ClassMap(experiment)
    assert "classify" in shown.missing.value and "sample" in shown.missing.value
    assert "No image found of 31TCJ, 31TCK" in shown.missing.value
    assert not shown.switches and shown.legend.value == "" and shown.opacity.layout.display == "none"
    assert shown.problem.value == ""


def test_refresh_shows_new_results_and_keeps_what_was_switched_off(experiment: Experiment, folder: RunFolder) -> None:
    folder.polygons("test").unlink()
    shown = ClassMap(experiment)
    shown.switches["Tiles"].value = False
    write_polygons(folder.polygons("test"), [23])
    shown.refresh()
    assert "Test polygons" in shown.switches
    assert shown.switches["Tiles"].value is False
    assert "Tiles" not in [layer.name for layer in shown.map.layers]
    assert len(overlays(shown)) == 1


def test_switches_add_and_remove_layers(experiment: Experiment, folder: RunFolder) -> None:
    shown = ClassMap(experiment)
    names = [layer.name for layer in shown.map.layers]
    assert "Classification" in names and "Train polygons" not in names
    shown.switches["Train polygons"].value = True
    shown.switches["Classification"].value = False
    names = [layer.name for layer in shown.map.layers]
    assert "Classification" not in names and "Train polygons" in names


def test_opacity_is_linked_in_the_browser(experiment: Experiment, folder: RunFolder) -> None:
    shown = ClassMap(experiment)
    (link,) = shown._links
    assert link.source == (shown.opacity, "value") and link.target == (overlays(shown)[0], "opacity")


def test_unreadable_map_is_told_in_place(experiment: Experiment, folder: RunFolder) -> None:
    folder.map().write_bytes(b"nothing")
    shown = ClassMap(experiment)
    assert "classes.tif cannot be read" in shown.problem.value


def test_legend_has_label_colour_and_share_of_each_class() -> None:
    html = legend_html({5: 0.25, 17: 0.7496, 23: 0.0004}, NAMES)
    rows = html.split("<tr>")[2:]
    assert [NAMES.label(code) in row and NAMES.colour(code) in row for code, row in zip((5, 17, 23), rows, strict=True)]
    assert "25.0 %" in rows[0] and "75.0 %" in rows[1] and "&lt; 0.1 %" in rows[2].replace("< 0.1", "&lt; 0.1")
    assert legend_html({}, NAMES) == ""


def test_share_is_of_the_area_that_has_a_class(experiment: Experiment, folder: RunFolder) -> None:
    write_classes(folder.map(), np.array([[17, 17, 17, 23], [0, 0, 0, 0]]))
    assert "75.0 %" in ClassMap(experiment).legend.value


def test_polygons_have_the_colour_of_their_class_and_tell_its_name(folder: RunFolder) -> None:
    data = polygon_features(GroundTruth.read(folder.polygons("train")), NAMES, {"color": "#000000"})
    first = data["features"][0]["properties"]
    assert first["style"]["fillColor"] == NAMES.colour(17)
    assert first["words"] == "Coniferous forest (17)"
    longitude, latitude = data["features"][0]["geometry"]["coordinates"][0][0][:2]
    assert 0 < longitude < 1 and 44 < latitude < 45


def test_many_polygons_are_thinned(tmp_path: Path) -> None:
    write_polygons(tmp_path / "many.gpkg", [17] * (MOST_POLYGONS + 500))
    data = polygon_features(GroundTruth.read(tmp_path / "many.gpkg"), NAMES, {})
    assert len(data["features"]) == MOST_POLYGONS
