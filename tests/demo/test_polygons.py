"""The ground truth: its columns, its classes, and the faults strewn into it."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from toolkit.demo import Scene, make_scene
from toolkit.demo.kinds import CODES
from toolkit.demo.polygons import make_polygons
from toolkit.demo.tiles import EPSG
from toolkit.ground.nomenclature import Nomenclature


@pytest.fixture(scope="module")
def truth(demo_folder: Path) -> gpd.GeoDataFrame:
    return gpd.read_file(demo_folder / "ground_truth.gpkg")


@pytest.fixture(scope="module")
def sound(truth: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Polygons without a fault of their geometry, in the images' CRS."""
    shapes = truth.geometry
    whole = truth[_given(truth) & ~shapes.is_empty & shapes.is_valid & (shapes.geom_type == "Polygon")]
    return whole.to_crs(EPSG).drop_duplicates("geometry")


def _given(frame: gpd.GeoDataFrame) -> np.ndarray:
    return np.array([shape is not None for shape in frame.geometry])


def test_columns_and_crs(truth: gpd.GeoDataFrame) -> None:
    assert truth.crs.to_epsg() == 2154
    assert list(truth.columns) == ["id", "code", "label", "source", "geometry"]
    assert np.issubdtype(truth["code"].dtype, np.integer)
    assert truth["id"].is_unique


def test_labels_are_those_of_the_nomenclature(truth: gpd.GeoDataFrame) -> None:
    nomenclature = Nomenclature.load("oso_23")
    assert (truth["label"] == [nomenclature.label(code) for code in truth["code"]]).all()


def test_every_class_has_at_least_four_polygons(sound: gpd.GeoDataFrame) -> None:
    counts = sound["code"].value_counts()
    assert set(counts.index) == set(CODES)
    assert counts.min() >= 4


def test_faults_are_there(truth: gpd.GeoDataFrame, scene: Scene) -> None:
    given = truth[_given(truth)]
    assert len(truth) - len(given) == 1
    assert given.is_empty.sum() == 1
    drawn = given[~given.is_empty].to_crs(EPSG)
    assert (~drawn.geometry.is_valid).sum() >= 2
    assert (drawn.geometry.geom_type == "MultiPolygon").sum() >= 2
    assert drawn.geometry.normalize().duplicated().sum() >= 3
    assert ((drawn.geometry.area < 100) & drawn.geometry.is_valid).sum() >= 3
    outside = drawn.geometry.disjoint(shapely.box(*scene.layout.union.boundingbox.bbox))
    assert outside.sum() == 2


def test_a_few_labels_are_wrong(sound: gpd.GeoDataFrame, scene: Scene) -> None:
    inside = sound.within(shapely.box(*scene.layout.union.boundingbox.bbox)) & (sound.area > 400)
    points = sound[inside].representative_point()
    cols, rows = ~scene.layout.union.affine * (points.x.to_numpy(), points.y.to_numpy())
    found = scene.class_map[rows.astype(int), cols.astype(int)]
    agreement = (found == sound.loc[inside, "code"].to_numpy()).mean()
    assert 0.85 < agreement < 0.995


def test_polygons_are_a_sample_and_not_the_whole_landscape(sound: gpd.GeoDataFrame, scene: Scene) -> None:
    height, width = scene.layout.union.shape
    assert sound.area.sum() < 0.75 * height * width * 100


def test_full_size_has_some_1400_polygons_that_fit_every_split() -> None:
    frame = make_polygons(make_scene(seed=1, size=300, dates=2))
    assert 1000 < len(frame) < 1800
    assert frame["code"].value_counts().min() >= 8
    assert frame["code"].value_counts().max() / frame["code"].value_counts().min() > 8
