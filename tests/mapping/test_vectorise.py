"""Vector maps: areas are those of the pixels, nothing overlaps or opens, and strips leave no seam."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tests.conftest import write_tif
from toolkit.ground.errors import ParameterError
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.ground.params import build
from toolkit.mapping.regions import number_regions
from toolkit.mapping.vectorise import MapFiles, VectorParams, closed_regions, polygons_of, vectorise_map
from toolkit.products.handles import close_rasters
from toolkit.products.raster import grid_of

CORNER = (300000, 4900020)
NAMES = Nomenclature("few", tuple(LandCoverClass(code, f"class {code}", f"#{code:02d}4455") for code in (1, 2, 3, 4)))


@pytest.fixture(autouse=True)
def no_handles() -> None:
    yield
    close_rasters()


def landscape(seed: int, height: int, width: int) -> np.ndarray:
    """Noise, rectangles or rounded patches, with pixels without class."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3)
    if kind == 0:
        return rng.integers(0, 4, (height, width)).astype(np.uint8)
    if kind == 1:
        small = rng.integers(0, 5, (height // 3 + 1, width // 3 + 1))
        return np.kron(small, np.ones((3, 3), dtype=int))[:height, :width].astype(np.uint8)
    field = ndimage.gaussian_filter(rng.random((height, width)), rng.uniform(0.6, 2.5))
    ranks = np.argsort(np.argsort(field.ravel())).reshape(field.shape)
    return (ranks * 4 // field.size + rng.integers(2)).astype(np.uint8)


def write_maps(folder: Path, classes: np.ndarray, confidence: np.ndarray | None = None) -> MapFiles:
    made = write_tif(folder / "classes.tif", classes, CORNER, 10)
    values = np.full(classes.shape, 50, dtype=np.uint8) if confidence is None else confidence
    return MapFiles(made, write_tif(folder / "confidence.tif", values, CORNER, 10))


def polygons(files: MapFiles, outline: str, strip_pixels: int = 10**6) -> tuple[np.ndarray, np.ndarray]:
    """Polygons and their codes, in the order of their first pixels."""
    grid = grid_of(files.classes)
    shapes, first, codes = [], [], []
    for table in closed_regions(files, grid, NAMES, strip_pixels):
        shapes.append(polygons_of(table, grid, outline))
        first.append(table.first)
        codes.append(table.codes)
    order = np.argsort(np.concatenate(first))
    return np.concatenate(shapes)[order], np.concatenate(codes)[order]


SIDES = st.integers(1, 16)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 100_000), height=SIDES, width=SIDES)
def test_polygons_along_pixels_have_their_areas_and_fit_together(
    tmp_path_factory: pytest.TempPathFactory, seed: int, height: int, width: int
) -> None:
    classes = landscape(seed, height, width)
    shapes, codes = polygons(write_maps(tmp_path_factory.mktemp("m"), classes), "pixels")
    numbers, count = number_regions(classes, 4)
    assert np.array_equal(shapely.area(shapes), 100.0 * np.bincount(numbers.ravel(), minlength=count + 1)[1:])
    assert shapely.is_valid(shapes).all() and shapely.coverage_is_valid(shapes)
    assert shapely.union_all(shapes).area == pytest.approx(100 * np.count_nonzero(classes))
    inside = shapely.points(
        CORNER[0] + 10 * np.arange(width)[None] + 5, CORNER[1] - 10 * np.arange(height)[:, None] - 5
    )
    for shape, code in zip(shapes, codes, strict=True):
        assert (classes[shapely.contains(shape, inside)] == code).all()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 100_000), height=SIDES, width=SIDES)
def test_smoothed_polygons_neither_overlap_nor_open(
    tmp_path_factory: pytest.TempPathFactory, seed: int, height: int, width: int
) -> None:
    classes = landscape(seed, height, width)
    files = write_maps(tmp_path_factory.mktemp("m"), classes)
    shapes, _ = polygons(files, "smooth")
    along, _ = polygons(files, "pixels")
    assert shapely.is_valid(shapes).all() and shapely.coverage_is_valid(shapes)
    assert shapely.union_all(shapes).area == pytest.approx(shapely.area(shapes).sum())
    if len(shapes):
        assert shapely.hausdorff_distance(shapely.boundary(shapes), shapely.boundary(along)).max() < 10
        assert np.array_equal(shapely.get_num_interior_rings(shapes), shapely.get_num_interior_rings(along))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    height=SIDES,
    width=SIDES,
    rows=st.integers(1, 7),
    outline=st.sampled_from(["pixels", "smooth"]),
)
def test_strips_of_any_height_give_the_same_polygons(
    tmp_path_factory: pytest.TempPathFactory, seed: int, height: int, width: int, rows: int, outline: str
) -> None:
    files = write_maps(tmp_path_factory.mktemp("m"), landscape(seed, height, width))
    whole, codes = polygons(files, outline)
    parts, same = polygons(files, outline, rows * width)
    assert np.array_equal(codes, same)
    assert shapely.equals_exact(whole, parts).all(), "the same points in the same order"


def test_a_slanting_border_becomes_a_line(tmp_path: Path) -> None:
    y, x = np.mgrid[:60, :60]
    classes = np.where(x > y, 1, 2).astype(np.uint8)
    shapes, _ = polygons(write_maps(tmp_path, classes), "smooth")
    along, _ = polygons(write_maps(tmp_path, classes), "pixels")
    assert shapely.get_num_coordinates(along).min() > 100
    assert shapely.get_num_coordinates(shapes).max() < 16


def test_regions_that_touch_in_a_corner_and_holes_are_valid(tmp_path: Path) -> None:
    ring = np.full((5, 5), 1, dtype=np.uint8)
    ring[1:4, 1:4] = 2
    ring[2, 2] = 1
    ring[1, 1] = 1
    touching = np.array([[1, 1, 2], [1, 2, 1], [1, 1, 1]], dtype=np.uint8)
    for classes in (ring, touching):
        shapes, _ = polygons(write_maps(tmp_path, classes), "pixels")
        close_rasters()
        assert shapely.is_valid(shapes).all()
        assert shapely.area(shapes).sum() == 100 * classes.size


def test_columns_tell_what_is_known_of_the_pixels(tmp_path: Path) -> None:
    classes = landscape(2, 30, 40)
    rng = np.random.default_rng(0)
    confidence = rng.integers(0, 101, classes.shape).astype(np.uint8)
    original = np.where(rng.random(classes.shape) < 0.3, rng.integers(0, 5, classes.shape), classes).astype(np.uint8)
    validity = rng.integers(0, 300, classes.shape).astype(np.uint16)
    files = write_maps(tmp_path, classes, confidence)
    tile = tmp_path / "tile"
    write_tif(tile / "classes.tif", np.ones_like(classes), CORNER, 10)
    write_tif(tile / "validity.tif", validity, CORNER, 10)
    before = write_tif(tmp_path / "original.tif", original, CORNER, 10)
    files = MapFiles(files.classes, files.confidence, [tile], before)
    path = tmp_path / "map.gpkg"
    count = vectorise_map(files, path, NAMES, VectorParams(outline="pixels"), strip_pixels=200)
    frame = gpd.read_file(path).sort_values("polygon", ignore_index=True)
    numbers, regions = number_regions(classes, 4)
    assert count == len(frame) == regions
    assert frame.crs.to_epsg() == 32631
    for number, row in enumerate(frame.itertuples(), start=1):
        inside = numbers == number
        assert row.polygon == np.flatnonzero(inside.ravel())[0] + 1
        assert (row.code, row.label) == (classes[inside][0], f"class {classes[inside][0]}")
        assert row.pixels == inside.sum() and row.area_m2 == pytest.approx(row.geometry.area)
        assert row.area_ha == pytest.approx(row.area_m2 / 10_000)
        assert row.confidence == pytest.approx(confidence[inside].mean(), abs=0.006)
        assert row.validity == pytest.approx(validity[inside].mean(), abs=0.006)
        assert row.share_3 == pytest.approx(100 * (original[inside] == 3).mean(), abs=0.006)


def test_small_polygons_are_left_out_where_asked(tmp_path: Path) -> None:
    classes = landscape(3, 20, 20)
    files = write_maps(tmp_path, classes)
    every, some = tmp_path / "every.gpkg", tmp_path / "some.gpkg"
    vectorise_map(files, every, NAMES, VectorParams())
    vectorise_map(files, some, NAMES, VectorParams(min_area_m2=500))
    all_of_them, large = gpd.read_file(every), gpd.read_file(some)
    assert 0 < len(large) < len(all_of_them)
    assert set(large["polygon"]) == set(all_of_them["polygon"][all_of_them["area_m2"] >= 500])


def test_a_map_without_class_is_an_empty_layer(tmp_path: Path) -> None:
    files = write_maps(tmp_path, np.zeros((5, 6), dtype=np.uint8))
    assert vectorise_map(files, tmp_path / "map.gpkg", NAMES, VectorParams()) == 0
    frame = gpd.read_file(tmp_path / "map.gpkg")
    assert frame.empty and "confidence" in frame.columns


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    files = write_maps(tmp_path, landscape(3, 20, 20))

    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = {one.name for one in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        vectorise_map(files, tmp_path / "map.gpkg", NAMES, VectorParams(), strip_pixels=100, progress=fail)
    assert {one.name for one in tmp_path.iterdir()} == before


def test_geoparquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="GeoParquet needs pyarrow, which is not installed")
    files = write_maps(tmp_path, landscape(4, 20, 20))
    vectorise_map(files, tmp_path / "map.parquet", NAMES, VectorParams(), strip_pixels=60)
    vectorise_map(files, tmp_path / "map.gpkg", NAMES, VectorParams(), strip_pixels=60)
    found, same = gpd.read_parquet(tmp_path / "map.parquet"), gpd.read_file(tmp_path / "map.gpkg")
    assert found.crs == same.crs and list(found.columns) == list(same.columns)
    assert shapely.equals_exact(found.geometry.to_numpy(), same.geometry.to_numpy()).all()
    assert found["confidence"].tolist() == same["confidence"].tolist()


def test_what_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_maps(tmp_path, landscape(3, 5, 5))
    with pytest.raises(ParameterError, match=r"map\.shp is neither a GeoPackage"):
        vectorise_map(files, tmp_path / "map.shp", NAMES, VectorParams())
    with pytest.raises(ParameterError, match="outline = 'round'"):
        build(VectorParams, {"outline": "round"}, "vectorise")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ParameterError, match="GeoParquet needs pyarrow"):
        vectorise_map(files, tmp_path / "map.parquet", NAMES, VectorParams())
    degrees = write_tif(tmp_path / "d.tif", np.ones((4, 4), dtype=np.uint8), (1, 44), 0.01, "EPSG:4326")
    with pytest.raises(ParameterError, match="polygons with areas need a map in metres"):
        vectorise_map(MapFiles(degrees, degrees), tmp_path / "map.gpkg", NAMES, VectorParams())
