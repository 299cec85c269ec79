"""Post-processing of a map file: each step as the whole array says, whatever the blocks; rules; what is refused."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from tests.conftest import write_tif
from tests.mapping.test_sieve import scene
from tests.mapping.test_smoothing import random_probabilities
from toolkit.ground.errors import GroundTruthError, ParameterError, ProductError, RunFolderError
from toolkit.ground.grid import Block
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.ground.params import build
from toolkit.mapping import passes
from toolkit.mapping.majority import majority
from toolkit.mapping.postprocess import PostprocessParams, postprocess_map, unit_pixels
from toolkit.mapping.reclassify import conditions_of, reclassify
from toolkit.mapping.sieve import OSO_GROUPS, absorption, sieve, within_groups
from toolkit.mapping.smoothing import smooth
from toolkit.products.handles import close_rasters
from toolkit.products.raster import grid_of

CORNER = (300000, 4900020)
NAMES = Nomenclature("many", tuple(LandCoverClass(code, f"class {code}", f"#{code:02d}4455") for code in range(1, 24)))


@pytest.fixture(autouse=True)
def no_handles() -> None:
    yield
    close_rasters()


def params(**given: object) -> PostprocessParams:
    return build(PostprocessParams, given, "postprocess")


def run_on(folder: Path, classes: np.ndarray, wanted: PostprocessParams, **more: object) -> np.ndarray:
    source = write_tif(folder / "classes.tif", classes, CORNER, 10)
    path = folder / "postprocessed" / "classes.tif"
    postprocess_map(source, path, NAMES, wanted, key="k", workers=2, **more)
    assert [one.name for one in sorted(path.parent.iterdir())] == ["classes.tif", "classes.tif.aux.xml"]
    with rasterio.open(path) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.colormap(1)[16] == (0x16, 0x44, 0x55, 255)
        return dataset.read(1)


@pytest.mark.parametrize("block", [7, 16, 1024])
def test_a_chain_on_blocks_is_the_chain_on_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(passes, "BLOCK", block)
    classes = scene(3, (45, 52))
    wanted = params(
        majority_radius=1, sieve={"min_area_m2": 550, "absorbed_by": {1: [2, 3]}}, rules=[{"change": {4: 5}}]
    )
    found = run_on(tmp_path, classes, wanted, conditions=[None])
    by_hand = majority(np.where(classes == 4, 5, classes).astype(np.uint8), 1)
    assert np.array_equal(found, sieve(by_hand, 6, 4, absorption({1: (2, 3)})))
    assert (found != classes).any()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), block=st.integers(3, 30), pixels=st.integers(2, 12))
def test_rounds_of_the_sieve_end_alike_whatever_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, seed: int, block: int, pixels: int
) -> None:
    classes = scene(seed, (40, 37), classes=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "BLOCK", block)
        found = run_on(tmp_path_factory.mktemp("sieve"), classes, params(sieve={"min_pixels": pixels}))
    assert np.array_equal(found, sieve(classes, pixels))


def test_oso_preset_sieves_within_groups_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    classes = np.kron(rng.integers(1, 24, (9, 9)), np.ones((5, 5), dtype=int)).astype(np.uint8)
    specks = rng.random(classes.shape) < 0.2
    classes[specks] = rng.integers(1, 24, int(specks.sum()))
    found = run_on(tmp_path, classes, params(sieve={"min_pixels": 10, "preset": "oso", "connectivity": 8}))
    groups = within_groups(OSO_GROUPS)
    wanted = sieve(sieve(sieve(classes, 10, 8, groups), 10, 4, groups), 10, 8)
    assert np.array_equal(found, wanted)
    assert not np.array_equal(wanted, sieve(classes, 10, 8)), "the preset makes a difference"


def write_probabilities(path: Path, probabilities: np.ndarray, descriptions: list[str], scale: float = 1.0) -> Path:
    bands, height, width = probabilities.shape
    profile = {"driver": "GTiff", "dtype": "uint8", "count": bands, "height": height, "width": width}
    with rasterio.open(path, "w", **profile, crs="EPSG:32631", transform=from_origin(*CORNER, 10, 10)) as target:
        target.write(probabilities)
        target.scales = [scale] * bands
        for band, text in enumerate(descriptions, start=1):
            target.set_band_description(band, text)
    return path


@pytest.mark.parametrize("full", [100, 255])
@pytest.mark.parametrize("block", [5, 1024])
def test_smoothing_reads_codes_scale_and_padding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, full: int
) -> None:
    monkeypatch.setattr(passes, "BLOCK", block)
    probabilities = random_probabilities(1, full=full)
    codes = np.array([3, 9, 12])
    path = write_probabilities(
        tmp_path / "p.tif", probabilities, ["3 a", "9 b", "12 c"], 1.0 if full == 100 else 1 / full
    )
    classes = codes[probabilities.argmax(axis=0)].astype(np.uint8)
    wanted = smooth(probabilities, codes, window=5, smoothness=np.array([20.0, 5.0, 20.0]), full=full)
    unseen = ~probabilities.any(axis=0)
    found = run_on(tmp_path, classes, params(smoothing={"window": 5, "smoothness_of": {9: 5}}), probabilities=path)
    assert np.array_equal(found, np.where(unseen, classes, wanted))


def test_smoothing_without_fitting_probabilities_is_refused(tmp_path: Path) -> None:
    classes, wanted = scene(0, (12, 15)), params(smoothing={"window": 5})
    with pytest.raises(RunFolderError, match=r"window = 5 needs the probabilities .*p\.tif does not exist"):
        run_on(tmp_path, classes, wanted, probabilities=tmp_path / "p.tif")
    found = random_probabilities(1)
    path = write_probabilities(tmp_path / "p.tif", found, ["3", "9", "77"])
    with pytest.raises(ProductError, match="class 77, which is not in nomenclature many"):
        run_on(tmp_path, classes, wanted, probabilities=path)
    path = write_probabilities(tmp_path / "q.tif", found, [])
    with pytest.raises(ProductError, match="3 bands, and bands without a code"):
        run_on(tmp_path, classes, wanted, probabilities=path)
    path = write_probabilities(tmp_path / "r.tif", found[:, :8], ["3", "9", "12"])
    with pytest.raises(ProductError, match=r"r\.tif has 8 x 15 pixels .* the map 12 x 15"):
        run_on(tmp_path, classes, wanted, probabilities=path)


def test_rules_hold_in_polygons_and_by_values_of_rasters(tmp_path: Path) -> None:
    classes = np.full((20, 20), 16, dtype=np.uint8)
    classes[:, 10:] = 9
    source = write_tif(tmp_path / "classes.tif", classes, CORNER, 10)
    left, top = CORNER
    square = gpd.GeoDataFrame(geometry=[shapely.box(left, top - 50, left + 200, top)], crs="EPSG:32631")
    square.to_crs("EPSG:2154").to_file(tmp_path / "zone.gpkg")
    slope = np.tile(np.arange(20, dtype=np.float32), (20, 1))
    write_tif(tmp_path / "slope.tif", slope, CORNER, 10)
    mask = np.zeros((10, 10), dtype=np.uint8)
    mask[5:, :] = 7
    write_tif(tmp_path / "mask.tif", mask, CORNER, 20)
    grid, whole = grid_of(source), Block(0, 0, 20, 20)

    def apply(*rules: dict[str, object]) -> np.ndarray:
        wanted = params(rules=list(rules)).rules
        files = [tmp_path / rule.where if rule.where else None for rule in wanted]
        return reclassify(classes, wanted, conditions_of(wanted, files, grid), whole)

    assert (apply({"change": {16: 17, 9: 16}}) == np.where(classes == 16, 17, 16)).all(), "a table, not a chain"
    found = apply({"change": {16: 17}, "where": "zone.gpkg"})
    assert (found[:5, :10] == 17).all() and (found[5:, :10] == 16).all() and (found[:, 10:] == 9).all()
    assert (apply({"change": {16: 17}, "where": "zone.gpkg", "outside": True})[:5, :10] == 16).all()
    found = apply({"change": {16: 17}, "where": "slope.tif", "above": 3.5, "below": 6.5})
    assert np.flatnonzero((found == 17).all(axis=0)).tolist() == [4, 5, 6]
    found = apply({"change": {16: 17}, "where": "mask.tif"})
    assert (found[10:, :10] == 17).all() and (found[:10] != 17).all()
    assert np.array_equal(apply({"change": {16: 17}, "where": "mask.tif", "values": [7]}), found)
    found = apply({"change": {16: 17}, "where": "mask.tif"}, {"change": {17: 18}, "where": "slope.tif", "above": 4})
    assert (found[10:, 5:10] == 18).all() and (found[10:, :5] == 17).all(), "the second sees what the first made"
    with pytest.raises(ParameterError, match=r"zone\.gpkg holds polygons; above, below and values need a raster"):
        apply({"change": {16: 17}, "where": "zone.gpkg", "above": 1})


def test_rules_that_can_hold_nowhere_are_refused(tmp_path: Path) -> None:
    grid = grid_of(write_tif(tmp_path / "classes.tif", np.full((20, 20), 16, dtype=np.uint8), CORNER, 10))
    left, top = CORNER
    write_tif(tmp_path / "far.tif", np.ones((9, 9)), (left + 50_000, top), 10)
    with rasterio.open(tmp_path / "classes.tif") as source:
        profile = source.profile | {"count": 2}
    with rasterio.open(tmp_path / "two.tif", "w", **profile) as target:
        target.write(np.ones((2, 20, 20), dtype=np.uint8))
    points = gpd.GeoDataFrame(geometry=[shapely.Point(left + 50, top - 50)], crs="EPSG:32631")
    points.to_file(tmp_path / "points.gpkg")
    points.translate(50_000).buffer(20).to_file(tmp_path / "far.gpkg")
    for file, error, words in (
        ("far.tif", ParameterError, r"far\.tif lies outside of the map"),
        ("two.tif", ParameterError, r"two\.tif has 2 bands"),
        ("points.gpkg", GroundTruthError, r"points\.gpkg holds Point; give polygons"),
        ("far.gpkg", ParameterError, r"no polygon of .*far\.gpkg meets the map"),
    ):
        (rule,) = params(rules=[{"change": {16: 17}, "where": file}]).rules
        with pytest.raises(error, match=words):
            conditions_of([rule], [tmp_path / file], grid)
    with pytest.raises(ParameterError, match="nothing is above 50 and below 30"):
        params(rules=[{"change": {16: 17}, "where": "far.tif", "above": 50, "below": 30}])


def test_the_groups_of_oso_are_of_its_classes() -> None:
    asked = params(sieve={"min_pixels": 5, "preset": "oso"})
    asked.check_codes(Nomenclature.load("oso_23"))
    with pytest.raises(ParameterError, match=r"preset = oso is of the classes of oso_23, and the map's are of mine"):
        asked.check_codes(Nomenclature("mine", Nomenclature.load("oso_23").classes))


def test_a_raster_without_value_fulfils_neither_a_rule_nor_its_opposite(tmp_path: Path) -> None:
    classes = np.full((4, 8), 16, dtype=np.uint8)
    source = write_tif(tmp_path / "classes.tif", classes, CORNER, 10)
    write_tif(tmp_path / "part.tif", np.ones((4, 4), dtype=np.uint8), CORNER, 10)
    for outside, changed in ((False, 16), (True, 0)):
        (rule,) = params(rules=[{"change": {16: 17}, "where": "part.tif", "outside": outside}]).rules
        conditions = conditions_of([rule], [tmp_path / "part.tif"], grid_of(source))
        assert (reclassify(classes, [rule], conditions, Block(0, 0, 4, 8)) == 17).sum() == changed


@pytest.mark.parametrize("block", [6, 1024])
def test_rules_on_blocks_are_those_on_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(passes, "BLOCK", block)
    classes = scene(2, (25, 31))
    rng = np.random.default_rng(0)
    write_tif(tmp_path / "height.tif", rng.random((9, 9)).astype(np.float32), (299990, 4900060), 37)
    places = rng.random((30, 2)) * (310, 250)
    circles = [shapely.Point(CORNER[0] + x, CORNER[1] - y).buffer(20 + x / 10) for x, y in places]
    gpd.GeoDataFrame(geometry=circles, crs="EPSG:32631").to_file(tmp_path / "zone.gpkg")
    wanted = params(
        rules=[
            {"change": {1: 11, 2: 12}, "where": "height.tif", "above": 0.5},
            {"change": {3: 13, 11: 14}, "where": "zone.gpkg"},
        ]
    )
    source = write_tif(tmp_path / "classes.tif", classes, CORNER, 10)
    conditions = conditions_of(wanted.rules, [tmp_path / "height.tif", tmp_path / "zone.gpkg"], grid_of(source))
    found = run_on(tmp_path, classes, wanted, conditions=conditions)
    assert np.array_equal(found, reclassify(classes, wanted.rules, conditions, Block(0, 0, 25, 31)))
    assert {11, 12, 13, 14} <= set(np.unique(found))


def test_parameters_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"smoothing\.window = 4: an odd number is needed, such as 5"):
        params(smoothing={"window": 4})
    with pytest.raises(ParameterError, match="need `where`"):
        params(rules=[{"change": {1: 2}, "above": 3}])
    with pytest.raises(ParameterError, match="either values or above"):
        params(rules=[{"change": {1: 2}, "where": "x", "above": 3, "values": [1]}])
    with pytest.raises(ParameterError, match="change names class 300"):
        params(rules=[{"change": {1: 300}}])
    with pytest.raises(ParameterError, match=r"postprocess\.sieve\.absorbed_by: class 99 is not in nomenclature many"):
        params(sieve={"min_pixels": 5, "absorbed_by": {99: []}}).check_codes(NAMES)
    assert not params().is_asked and not params(sieve={"min_pixels": 1}).is_asked
    assert params(sieve={"min_area_m2": 1000}).is_asked


def test_unit_in_pixels(tmp_path: Path) -> None:
    grid = grid_of(write_tif(tmp_path / "m.tif", np.ones((4, 4), dtype=np.uint8), CORNER, 10))
    assert unit_pixels(params(sieve={"min_area_m2": 1000}).sieve, grid) == 10
    assert unit_pixels(params(sieve={"min_area_m2": 1001, "min_pixels": 3}).sieve, grid) == 11
    assert unit_pixels(params(sieve={"min_area_m2": 100, "min_pixels": 3}).sieve, grid) == 3
    with pytest.raises(ParameterError, match="are 2,500 pixels; 1,000 are the most"):
        unit_pixels(params(sieve={"min_area_m2": 250_000}).sieve, grid)
    degrees = grid_of(write_tif(tmp_path / "d.tif", np.ones((4, 4), dtype=np.uint8), (1, 44), 0.01, "EPSG:4326"))
    with pytest.raises(ParameterError, match="needs a map in metres, not in EPSG:4326"):
        unit_pixels(params(sieve={"min_area_m2": 1000}).sieve, degrees)
