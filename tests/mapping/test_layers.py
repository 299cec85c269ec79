"""The layers besides classes, confidence and validity: from the network to the mosaic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.mapping.conftest import NAMES, STACK
from tests.mapping.test_mapping import read
from toolkit.features.reading import TileFeatures
from toolkit.ground.grid import Block, from_bounds
from toolkit.ground.parts import PartSize
from toolkit.learning.checkpoint import Model
from toolkit.mapping import mosaic
from toolkit.mapping.classify import BlockClassifier, classify_tile, layers_of, more_bytes
from toolkit.mapping.layers import LAYERS, NOT_SEEN
from toolkit.mapping.memory import MappingParams, allot
from toolkit.mapping.mosaic import mosaic_tiles
from toolkit.mapping.probabilities import Probabilities
from toolkit.mapping.rasters import map_writers, to_cog, write_block
from toolkit.products.handles import close_rasters
from toolkit.products.raster import grid_of
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries

EVERYTHING = MappingParams(longest_gap=True, probabilities=True, margin=True, entropy=True)


@pytest.fixture
def maps(series: TileSeries, model: Model, tmp_path: Path) -> dict[str, Path]:
    return classify_tile(series, STACK, model, tmp_path / "map", EVERYTHING, key="k", tags={"EXPERIMENT": "e"})


def read_bands(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read()


def test_every_layer_is_that_of_the_network(maps: dict[str, Path], series: TileSeries, model: Model) -> None:
    assert set(maps) == set(layers_of(EVERYTHING)) == set(LAYERS)
    features, clear = TileFeatures(series, STACK).read(Block(0, 0, 40, 40))
    seen = clear > 0
    p = model.predict_probabilities(features.reshape(len(features), -1)).reshape(2, 40, 40)
    found = read_bands(maps["probabilities"])
    assert found.dtype == np.uint8 and (found[:, ~seen] == 0).all() and (~seen).any()
    assert np.abs(found - 100 * p)[:, seen].max() <= 0.501
    assert np.array_equal(found.max(axis=0), read(maps["confidence"])), "of one pass"
    assert np.abs(read(maps["margin"]) - 100 * np.abs(p[0] - p[1]))[seen].max() <= 0.501
    entropy = -(p * np.log2(p)).sum(axis=0)
    assert np.abs(read(maps["entropy"]) - 100 * entropy)[seen].max() <= 0.501
    for layer in ("margin", "entropy"):
        assert (read(maps[layer])[~seen] == NOT_SEEN).all()


def test_bands_say_what_they_are(maps: dict[str, Path]) -> None:
    with rasterio.open(maps["probabilities"]) as source:
        assert source.descriptions == ("3 Dark & <wet>", "9 Bright")
        assert source.scales == (0.01, 0.01) and source.nodata is None and source.tags()["EXPERIMENT"] == "e"
    with rasterio.open(maps["entropy"]) as source:
        assert source.nodata == NOT_SEEN, "0 is an entropy"
    found = Probabilities.open(maps["probabilities"], grid_of(maps["classes"]), NAMES)
    assert (found.codes, found.full) == ((3, 9), 100)


def test_other_layers_leave_the_map_as_it_is_and_go_when_they_are_not_asked_for(
    maps: dict[str, Path],
    series: TileSeries,
    model: Model,
    tmp_path: Path,
) -> None:
    before = {layer: maps[layer].read_bytes() for layer in ("classes", "confidence", "validity")}
    tags = {"EXPERIMENT": "e"}
    classify_tile(series, STACK, model, tmp_path / "map", MappingParams(), key="other", tags=tags)
    assert {layer: maps[layer].read_bytes() for layer in before} == before
    assert sorted(path.stem for path in (tmp_path / "map").glob("*.tif")) == sorted(before)


def test_layers_do_not_depend_on_blocks_and_parts(
    maps: dict[str, Path],
    series: TileSeries,
    model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = BlockClassifier(series, STACK, model, layers_of(EVERYTHING), part=PartSize((16, 12)))(Block(0, 0, 40, 40))
    monkeypatch.setattr(FileTiling, "block_size", (16, 16))
    again = classify_tile(series, STACK, model, tmp_path / "again", EVERYTHING, key="k")
    for layer, path in maps.items():
        assert np.array_equal(read_bands(path), read_bands(again[layer]))
        assert np.array_equal(np.squeeze(read_bands(path)), parts[layer])


def test_memory_counts_the_layers(series: TileSeries) -> None:
    assert more_bytes(layers_of(MappingParams()), 23) == 0
    assert more_bytes(layers_of(EVERYTHING), 23) == 23 + 1 + 1 + 2
    tiling = FileTiling.of(series)
    plain, more = (allot(series, STACK, tiling, int(4e9), 0, 1, more) for more in (0, 27))
    height, width = tiling.block_size
    assert more.worker_bytes - plain.worker_bytes == 3 * 27 * height * width


def write_layers(folder: Path, classes: np.ndarray, corner: tuple[float, float], crs: str) -> Path:
    """The maps of a tile with every layer, each a function of the class."""
    height, width = classes.shape
    grid = from_bounds((corner[0], corner[1] - 10 * height, corner[0] + 10 * width, corner[1]), 10, crs)
    paths = {layer: folder / f"{layer}.tif" for layer in LAYERS}
    seen = classes > 0
    with map_writers(paths, grid, NAMES, {}) as writers:
        for layer, writer in writers.items():
            values = classes if layer == "classes" else classes * 3
            values = np.where(seen, values, LAYERS[layer].unseen).astype(LAYERS[layer].dtype)
            if LAYERS[layer].each_class:
                values = np.stack([values, np.where(seen, 100 - values, 0)]).astype(np.uint8)
            write_block(writer, Block(0, 0, height, width), values)
    return folder


@pytest.mark.parametrize("zone", ["EPSG:32631", "EPSG:32630"])
def test_mosaic_has_every_layer_also_of_another_zone(tmp_path: Path, zone: str) -> None:
    close_rasters()
    rng = np.random.default_rng(0)
    codes = np.array([0, 3, 9], dtype=np.uint8)
    one = write_layers(tmp_path / "a", codes[rng.integers(0, 3, (700, 700))], (300000, 4900000), "EPSG:32631")
    corner = (306000, 4900000) if zone == "EPSG:32631" else (785500, 4905000)
    other = write_layers(tmp_path / "b", codes[rng.integers(1, 3, (700, 700))], corner, zone)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "entropy.tif").write_bytes(b"of an earlier map")
    few = tuple(layer for layer in LAYERS if layer != "entropy")
    assert not (
        mosaic_tiles([one, other], tmp_path / "m", NAMES, layers=few)["margin"].with_name("entropy.tif")
    ).exists()
    paths = mosaic_tiles([one, other], tmp_path / "m", NAMES, layers=tuple(LAYERS))
    classes = read(paths["classes"])
    seen = classes > 0
    assert seen[:, -300:].any() and seen[:, :300].any(), "both tiles are there"
    assert (~seen).any()
    for layer in ("confidence", "validity", "longest_gap", "margin", "entropy"):
        assert np.array_equal(read(paths[layer]), np.where(seen, classes * 3, LAYERS[layer].unseen)), layer
    first, second = read_bands(paths["probabilities"])
    assert np.array_equal(first, classes * 3) and np.array_equal(second, np.where(seen, 100 - classes * 3, 0))
    close_rasters()


def test_zero_is_a_probability_and_not_left_out_of_an_average(tmp_path: Path) -> None:
    grid = from_bounds((300000, 4889760, 310240, 4900000), 10, "EPSG:32631")
    values = np.zeros((2, 1024, 1024), dtype=np.uint8)
    values[0, ::2], values[1, 1::2] = 100, 100
    entropy = np.where(np.arange(1024)[:, None] % 2, 100, 0) + np.zeros((1024, 1024))
    arrays = {"probabilities": values, "entropy": entropy.astype(np.uint8)}
    for layer, array in arrays.items():
        with map_writers({layer: tmp_path / f"{layer}.tif"}, grid, NAMES, {}) as writers:
            write_block(writers[layer], Block(0, 0, 1024, 1024), array)
        to_cog(tmp_path / f"{layer}.tif", tmp_path / f"{layer}_cog.tif", categorical=False)
        with rasterio.open(tmp_path / f"{layer}_cog.tif") as source:
            assert (np.abs(source.read(out_shape=(source.count, 512, 512)).astype(int) - 50) <= 1).all()


def test_overviews_are_averages_of_true_values_and_of_classes_the_mode(tmp_path: Path) -> None:
    classes = np.full((1024, 1024), 9, dtype=np.uint8)
    classes[::4] = 3
    unlike = (9 + 27 * 3) / 4
    tile = write_layers(tmp_path / "a", classes, (300000, 4900000), "EPSG:32631")
    paths = mosaic_tiles([tile], tmp_path / "m", NAMES, layers=tuple(LAYERS))
    with rasterio.open(paths["classes"]) as source:
        assert source.overviews(1) and source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert set(np.unique(source.read(1, out_shape=(512, 512)))) <= {3, 9}
    with rasterio.open(paths["probabilities"]) as source:
        assert source.descriptions == ("3 Dark & <wet>", "9 Bright") and source.scales == (0.01, 0.01)
        mean = source.read(1, out_shape=(512, 512)).mean()
    assert abs(mean - unlike) <= 1
    for path in paths.values():
        with rasterio.open(path) as source:
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_blocks_of_a_mosaic_are_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However small the blocks, and over two zones, the mosaic is the same: nothing needs the whole.

    But for pixels in the very middle between two of the other zone, whose coordinates are rounded differently.
    """
    rng = np.random.default_rng(2)
    codes = np.array([3, 9], dtype=np.uint8)
    tiles = [
        write_layers(tmp_path / name, codes[rng.integers(0, 2, (150, 150))], corner, crs)
        for name, corner, crs in (
            ("a", (300000, 4900000), "EPSG:32631"), ("b", (779700, 4905800), "EPSG:32630"),
        )
    ]  # fmt: skip
    whole = {layer: read_bands(path) for layer, path in mosaic_tiles(tiles, tmp_path / "m", NAMES).items()}
    monkeypatch.setattr(mosaic, "BLOCK", 64)
    cut = {layer: read_bands(path) for layer, path in mosaic_tiles(tiles, tmp_path / "c", NAMES).items()}
    assert all((whole[layer] != cut[layer]).mean() < 1e-3 for layer in whole)
