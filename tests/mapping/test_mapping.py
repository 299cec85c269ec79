"""Classified tiles and their mosaic, from a small trained network."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from pyproj import Transformer
from rasterio.transform import from_origin

from tests.conftest import write_tif
from tests.mapping.conftest import NAMES, STACK
from toolkit.features.stack import FeatureStack
from toolkit.ground.errors import ModelError, ParameterError, ProductError, RunFolderError
from toolkit.ground.grid import Block, blocks, from_bounds
from toolkit.ground.parts import PartSize
from toolkit.learning import on_device
from toolkit.learning.checkpoint import Model
from toolkit.learning.on_device import DeviceStrips, goes_beside
from toolkit.mapping import classify, mosaic
from toolkit.mapping.classify import ALWAYS, BlockClassifier, classify_tile
from toolkit.mapping.memory import Allotment, MappingParams, allot, part_bytes
from toolkit.mapping.mosaic import mosaic_tiles, target_grid
from toolkit.mapping.rasters import map_writer
from toolkit.products import handles
from toolkit.products.layout import GDAL
from toolkit.products.raster import grid_of
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.images import BlockImages, Strip
from toolkit.series.methods import LinearParams
from toolkit.series.team import Team
from toolkit.series.tiling import FileTiling, StoredFile
from toolkit.series.timeseries import TileSeries
from toolkit.series.whittaker import WhittakerParams


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(1)


def test_tile_is_classified_with_confidence_and_validity(series: TileSeries, model: Model, tmp_path: Path) -> None:
    paths = classify_tile(series, STACK, model, tmp_path / "map", MappingParams(), key="k", tags={"EXPERIMENT": "e"})
    classes, confidence, validity = (read(paths[layer]) for layer in ("classes", "confidence", "validity"))
    assert set(np.unique(classes[:, :18])) == {0, 3}
    assert set(np.unique(classes[:, 22:])) == {9}
    assert (classes[:5, :5] == 0).all() and (confidence[:5, :5] == 0).all() and (validity[:5, :5] == 0).all()
    assert np.array_equal(classes == 0, validity == 0), "never seen, and nothing else, has no class"
    assert validity[10, 10] == 2 and validity[35, 10] == 1
    assert 50 < confidence[10, 10] <= confidence.max() <= 100
    assert not (tmp_path / "map" / ".blocks").exists()


def test_the_longest_gap_is_a_layer_where_it_is_asked_for(series: TileSeries, model: Model, tmp_path: Path) -> None:
    paths = classify_tile(series, STACK, model, tmp_path, MappingParams(longest_gap=True), key="k")
    gaps, validity = read(paths["longest_gap"]), read(paths["validity"])
    assert set(classify_tile(series, STACK, model, tmp_path / "b", MappingParams(), key="k")) == set(ALWAYS)
    _, clear = series.read(Block(0, 0, 40, 40))
    first, last = STACK.days[[0, -1]]
    for row, col in ((10, 10), (35, 10), (20, 30)):
        days = series.dates[clear[:, row, col]]
        before, after = days[days <= first], days[days >= last]
        ends = [before[-1] if len(before) else first, after[0] if len(after) else last]
        inside = days[(days > first) & (days < last)]
        assert gaps[row, col] == np.diff(np.sort(np.concatenate([inside, ends]))).max().astype(int)
    assert np.array_equal(gaps == 0, validity == 0), "never seen, and nothing else, has none"


def test_class_map_carries_colours_names_and_provenance(series: TileSeries, model: Model, tmp_path: Path) -> None:
    paths = classify_tile(series, STACK, model, tmp_path, MappingParams(), key="k", tags={"EXPERIMENT": "e"})
    with rasterio.open(paths["classes"]) as source:
        assert source.colormap(1)[9] == (255, 238, 0, 255)
        assert source.colormap(1)[0][3] == 0
        assert source.nodata == 0
        assert (source.dtypes[0], source.compression.name, source.block_shapes[0]) == ("uint8", "deflate", (256, 256))
        assert json.loads(source.tags(1)["CLASS_NAMES"]) == {"3": "Dark & <wet>", "9": "Bright"}
        assert source.tags()["EXPERIMENT"] == "e"
    sidecar = (tmp_path / "classes.tif.aux.xml").read_text()
    assert "<Category>Dark &amp; &lt;wet&gt;</Category>" in sidecar


@pytest.mark.parametrize("size", [7, 16, 64])
def test_the_map_does_not_depend_on_the_block_size(
    series: TileSeries, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    whole = BlockClassifier(series, STACK, model)(Block(0, 0, 40, 40))
    monkeypatch.setattr(FileTiling, "block_size", (size, size))
    paths = classify_tile(series, STACK, model, tmp_path, MappingParams(workers=3), key="k")
    for layer, path in paths.items():
        assert np.array_equal(read(path), whole[layer])


def test_broken_run_goes_on_and_ends_with_the_same_bytes(
    series: TileSeries, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileTiling, "block_size", (16, 16))
    unbroken = classify_tile(series, STACK, model, tmp_path / "a", MappingParams(workers=1), key="k")
    read_block, calls = TileSeries.strips, []

    def fails_at_the_fifth(self: TileSeries, block: Block, team: Team, rows: int) -> Iterator[Sequence[Strip]]:
        calls.append(block)
        if len(calls) == 5:
            raise ProductError("gone")
        return read_block(self, block, team, rows)

    monkeypatch.setattr(TileSeries, "strips", fails_at_the_fifth)
    with pytest.raises(ProductError, match="gone"):
        classify_tile(series, STACK, model, tmp_path / "b", MappingParams(workers=1), key="k")
    assert not (tmp_path / "b" / "classes.tif").exists(), "a map appears whole or not at all"
    calls.extend([None] * 10)
    before = len(calls)
    broken = classify_tile(series, STACK, model, tmp_path / "b", MappingParams(workers=1), key="k")
    assert len(calls) - before <= len(list(blocks((40, 40), 16))) - 4
    for layer in unbroken:
        assert unbroken[layer].read_bytes() == broken[layer].read_bytes()


def test_other_features_are_refused(series: TileSeries, model: Model, tmp_path: Path) -> None:
    other = FeatureStack(("B2", "B8"), ("2018-01-01", "2018-04-11"), ())
    with pytest.raises(ModelError, match="20180411"):
        classify_tile(series, other, model, tmp_path, MappingParams(), key="k")


PUBLISHED = FeatureStack(tuple("abcdefghij"), tuple(map(str, range(37))), ("x", "y", "z"))


def theia_tiling(bands_10: int = 4, bands_20: int = 6, ring: int = 2) -> FileTiling:
    """A tile as delivered: tiles of 512 pixels at 10 m and 20 m."""
    fine, coarse = StoredFile(512, 512, 512 * 512 * 2), StoredFile(1024, 1024, 512 * 512 * 2, ring)
    return FileTiling((fine,) * bands_10 + (coarse,) * bands_20, 70, (10980, 10980), (0, 0))


def published(series: TileSeries) -> TileSeries:
    """70 dates of ten bands, four of them on the grid."""
    first = series.acquisitions[0]
    (fine, placed), coarse = first.bands[0], replace(first.bands[0][1], scale=2)
    one = replace(first, bands=((fine, placed),) * 4 + ((fine, coarse),) * 6)
    return replace(series, acquisitions=(one,) * 70, bands=PUBLISHED.bands)


def test_memory_decides_how_much_is_worked_on_at_once(series: TileSeries) -> None:
    many = published(series)
    found = [allot(many, PUBLISHED, theia_tiling(), int(gb * 1e9), 350_000_000, 2) for gb in (1, 2, 4, 16)]
    sizes = [one.workers * one.part[0] * one.part[1] for one in found]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    assert found[-1].part == (1024, 1024) and found[-1].workers == 2
    assert not any(one.files_bytes for one in found), "nothing is kept of files that are decoded without GDAL"
    for gb, one in zip((1, 2, 4, 16), found, strict=True):
        assert one.bytes + 350e6 <= gb * 1e9


def test_files_stay_open_in_gdal_where_there_is_memory_for_that(series: TileSeries) -> None:
    tiling, many = theia_tiling(), published(series)
    of_gdal = replace(tiling, files=tuple(replace(one, decoder=GDAL) for one in tiling.files))
    small, large = (allot(many, PUBLISHED, of_gdal, int(gb * 1e9), 350_000_000, 2) for gb in (1, 16))
    assert large.keep_open and large.files_bytes > 5e8
    assert not small.keep_open, "half a gigabyte for open files is not to be had of one"


def test_parts_of_a_small_budget_are_whole_tiles_of_the_files(series: TileSeries) -> None:
    """The parts that 1 GB allows 70 dates decode no tile of 10 m twice, and hardly one of 20 m."""
    many = published(series)
    files = tuple(replace(one, keeps_lines=one.ring > 0) for one in theia_tiling().files)
    found = allot(many, PUBLISHED, replace(theia_tiling(), files=files), 1_000_000_000, 460_000_000, 1)
    assert found.part == (512, 1024)
    assert found.decoded < 1.6
    assert found.lines_bytes <= 32_000_000


def test_what_the_first_pixels_bring_is_measured(
    series: TileSeries, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def noted(*arguments: object, **named: object) -> Allotment:
        told.append(arguments[4])  # type: ignore[arg-type]
        return allot(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(classify, "_BEGUN", set())
    monkeypatch.setattr(classify, "allot", noted)
    monkeypatch.setattr(classify, "in_use", lambda: 300_000_000 + len(read_of) * 1_000_000)
    read_of: list[int] = []
    read_block = TileSeries.strips

    def counted(self: TileSeries, *arguments: object) -> Iterator[Sequence[Strip]]:
        read_of.append(len(self.acquisitions))
        return read_block(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(TileSeries, "strips", counted)
    many = replace(series, acquisitions=series.acquisitions * 3)
    classify_tile(many, STACK, model, tmp_path / "a", MappingParams(), key="k")
    assert told == [301_000_000], "measured after a first look"
    assert read_of[0] == classify.FEW_DATES < read_of[1] == 6
    classify_tile(many, STACK, model, tmp_path / "b", MappingParams(), key="k")
    assert len(read_of) == 3, "once in a process, for tiles of a kind"
    classify_tile(many, STACK, model, tmp_path / "c", MappingParams(entropy=True), key="k")
    assert read_of[3] == classify.FEW_DATES


def test_memory_that_is_not_enough_is_refused_before_anything_is_read(series: TileSeries) -> None:
    with pytest.raises(ParameterError, match=r"mapping\.memory_gb = 0\.5 is not enough: 0\.\d+ GB are needed"):
        allot(series, STACK, theia_tiling(), 500_000_000, 480_000_000, 2)


def test_full_disk_is_said(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    grid = grid_of(write_tif(tmp_path / "a.tif", np.zeros((4, 4), dtype=np.uint8), (0, 40), 10))
    target = tmp_path / "map.tif"
    with pytest.raises(RunFolderError, match="disk is full"), map_writer(target, grid, "uint8", nodata=0):
        raise OSError(28, "No space left on device")
    assert not target.exists()
    assert not list(tmp_path.glob(".*part*"))


def write_map(folder: Path, classes: np.ndarray, corner: tuple[float, float], crs: str = "EPSG:32631") -> Path:
    write_tif(folder / "classes.tif", classes.astype(np.uint8), corner, 10, crs)
    write_tif(folder / "confidence.tif", (classes > 0).astype(np.uint8) * 50, corner, 10, crs)
    return folder


def test_seam_runs_through_the_middle_of_the_overlap(tmp_path: Path) -> None:
    west = write_map(tmp_path / "w", np.full((20, 20), 3), (0, 200))
    east = write_map(tmp_path / "e", np.full((20, 20), 9), (100, 200))
    paths = mosaic_tiles([west, east], tmp_path / "m", NAMES)
    classes = read(paths["classes"])
    assert classes.shape == (20, 30)
    assert (classes[:, :15] == 3).all() and (classes[:, 15:] == 9).all()
    swapped = mosaic_tiles([east, west], tmp_path / "n", NAMES)
    assert np.array_equal(read(swapped["classes"]), classes), "whatever the order of the tiles"


def test_as_iota2_a_pixel_that_was_never_clear_is_classified_from_zeros(
    series: TileSeries, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = replace(STACK, compatibility="iota2")
    found = BlockClassifier(series, stack, model)(Block(0, 0, 40, 40))
    assert not found["validity"][:5, :5].any()
    wanted = model.predict(np.zeros((len(stack), 1), dtype=np.float32))
    assert (found["classes"][:5, :5] == wanted[0][0]).all() and (found["confidence"][:5, :5] == wanted[1][0]).all()

    read = BlockImages.load

    def without_a_pixel(self: BlockImages, rows: slice, buffer: SeriesBuffer) -> tuple[np.ndarray, np.ndarray]:
        values, validity = read(self, rows, buffer)
        values[:, :, 0, 0] = -10000
        return values, validity

    monkeypatch.setattr(BlockImages, "load", without_a_pixel)
    found = BlockClassifier(series, stack, model)(Block(0, 0, 40, 40))
    assert found["classes"][0, 0] == 0 and found["classes"][0, 1] == wanted[0][0], "never measured: outside the image"


def test_pixel_never_seen_in_one_tile_comes_from_the_other(tmp_path: Path) -> None:
    hole = np.full((20, 20), 3)
    hole[5:9, 10:14] = 0
    west = write_map(tmp_path / "w", hole, (0, 200))
    east = write_map(tmp_path / "e", np.full((20, 20), 9), (100, 200))
    classes = read(mosaic_tiles([west, east], tmp_path / "m", NAMES)["classes"])
    assert (classes[5:9, 10:14] == 9).all()
    assert (classes > 0).all()


def test_mosaic_is_a_cog_with_true_classes_in_its_overviews(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    classes = np.where(rng.random((1200, 1100)) < 0.5, 3, 9)
    tile = write_map(tmp_path / "t", classes, (0, 12000))
    path = mosaic_tiles([tile], tmp_path / "m", NAMES)["classes"]
    with rasterio.open(path) as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.overviews(1)
        assert source.colormap(1)[3] == (17, 34, 51, 255)
        small = source.read(1, out_shape=(300, 275))
    assert set(np.unique(small)) <= {3, 9}
    assert (tmp_path / "m" / "classes.tif.aux.xml").exists()
    assert not list((tmp_path / "m").glob(".*"))


def test_tiles_of_two_utm_zones_meet_on_one_grid(tmp_path: Path) -> None:
    """At 3 degrees east of Greenwich minus 6, zones 30 and 31 meet at the Greenwich meridian."""
    crs = {"30": "EPSG:32630", "31": "EPSG:32631"}
    to = {
        zone: Transformer.from_crs("EPSG:4326", one, always_xy=True).transform(0.0, 45.0) for zone, one in crs.items()
    }
    snapped = {zone: (round(x / 10) * 10, round(y / 10) * 10) for zone, (x, y) in to.items()}
    west = write_map(tmp_path / "w", np.full((60, 60), 3), (snapped["30"][0] - 500, snapped["30"][1] + 300), crs["30"])
    east = write_map(tmp_path / "e", np.full((60, 60), 9), (snapped["31"][0] - 100, snapped["31"][1] + 300), crs["31"])
    paths = mosaic_tiles([west, east], tmp_path / "m", NAMES, crs="EPSG:32631")
    classes = read(paths["classes"])
    assert {3, 9} <= set(np.unique(classes))
    middle = classes[classes.shape[0] // 2]
    assert middle[middle > 0][0] == 3 and middle[middle > 0][-1] == 9
    changes = np.flatnonzero(np.diff(middle[middle > 0].astype(int)))
    assert len(changes) == 1, "one seam, no gap between the zones"
    with rasterio.open(paths["classes"]) as source:
        assert source.crs.to_epsg() == 32631
        assert source.transform == from_origin(source.bounds.left, source.bounds.top, 10, 10)
        assert source.bounds.left % 10 == 0


def test_crs_that_is_none_is_refused(tmp_path: Path) -> None:
    grid = grid_of(write_map(tmp_path, np.ones((4, 4)), (0, 40)) / "classes.tif")
    with pytest.raises(ProductError, match=r"mapping\.crs = 'EPSG:nonsense'"):
        target_grid([grid], "EPSG:nonsense")


def test_absent_tile_map_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"31TCJ/classes\.tif does not exist"):
        mosaic_tiles([tmp_path / "31TCJ"], tmp_path / "m", NAMES)


def test_maps_made_again_after_a_refused_mosaic_are_read_anew(tmp_path: Path) -> None:
    tile = write_map(tmp_path / "t", np.full((20, 20), 3), (0, 200))
    with pytest.raises(ProductError, match="does not exist"):
        mosaic_tiles([tile, tmp_path / "absent"], tmp_path / "m", NAMES)
    grid_of(tile / "classes.tif")  # another reader of this thread left its handle too
    for path in tile.iterdir():
        path.unlink()
    write_map(tile, np.full((20, 20), 9), (0, 200))
    assert (read(mosaic_tiles([tile], tmp_path / "m", NAMES)["classes"]) == 9).all()


def test_a_refused_mosaic_leaves_no_handle(tmp_path: Path) -> None:
    tile = write_map(tmp_path / "t", np.full((20, 20), 3), (0, 200))
    with pytest.raises(ProductError, match="not a coordinate system"):
        mosaic_tiles([tile], tmp_path / "m", NAMES, crs="EPSG:nonsense")
    assert not handles._open.files


def test_a_coarser_tile_covers_its_own_ground(tmp_path: Path) -> None:
    """A tile of 20 m beside one of 10 m of another zone: the mosaic has 10 m pixels."""
    classes = np.full((10, 10), 3, dtype=np.uint8)
    classes[5:] = 9
    coarse = tmp_path / "coarse"
    write_tif(coarse / "classes.tif", classes, (500000, 5000000), 20)
    write_tif(coarse / "confidence.tif", classes, (500000, 5000000), 20)
    fine = write_map(tmp_path / "fine", np.full((4, 4), 9), (600000, 5000000), "EPSG:32630")
    grids = [grid_of(one / "classes.tif") for one in (coarse, fine)]
    window = from_bounds((500000, 4999800, 500200, 5000000), 10, "EPSG:32631")
    found = mosaic.merge_tiles(window, [coarse, fine], grids)
    assert np.array_equal(found["classes"], np.kron(classes, np.ones((2, 2), dtype=np.uint8)))


def test_memory_estimate_is_not_below_the_peak(series: TileSeries, model: Model) -> None:
    """Of what Python and numpy hold; torch's and GDAL's own memory are measured."""
    work, block = BlockClassifier(series, STACK, model), Block(0, 0, 400, 400)
    work(block)
    work.buffers.clear()
    tracemalloc.start()
    work(block)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < part_bytes(series, STACK, (400, 400))


class FailingModel:
    """A model that has no memory for more than so many pixels at once."""

    def __init__(self, model: Model, most: int) -> None:
        self.model, self.most, self.refused = model, most, 0
        self.nomenclature = model.nomenclature

    def predict_outputs(
        self, features: np.ndarray, wanted: tuple[str, ...], *, standardised: bool
    ) -> dict[str, np.ndarray]:
        if features.shape[1] > self.most:
            self.refused += 1
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return self.model.predict_outputs(features, wanted, standardised=standardised)


def test_where_memory_does_not_suffice_blocks_are_halved_and_it_is_said(series: TileSeries, model: Model) -> None:
    said: list[str] = []
    whole = BlockClassifier(series, STACK, model)(Block(0, 0, 200, 200))
    failing, part = FailingModel(model, 100 * 100), PartSize((256, 256), say=said.append)
    work = BlockClassifier(series, STACK, failing, part=part)  # type: ignore[arg-type]
    found = work(Block(0, 0, 200, 200))
    assert all(np.array_equal(found[layer], whole[layer]) for layer in whole)
    assert part.size[0] * part.size[1] <= 128 * 128
    assert "CUDA out of memory" in said[0] and "128 x 256 pixels" in said[0]
    refused = failing.refused
    work(Block(0, 0, 200, 200))
    assert failing.refused == refused, "what was learnt is kept"


def test_an_error_that_is_not_about_memory_is_not_tried_again(series: TileSeries, model: Model) -> None:
    class Broken:
        nomenclature = NAMES

        def predict_outputs(self, features: np.ndarray, wanted: tuple[str, ...], *, standardised: bool) -> None:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    part = PartSize((256, 256))
    with pytest.raises(RuntimeError, match="mat1"):
        BlockClassifier(series, STACK, Broken(), part=part)(Block(0, 0, 40, 40))  # type: ignore[arg-type]
    assert part.size == (256, 256)


def test_blocks_fit_the_tiles_of_files_of_10_and_20_m(series: TileSeries) -> None:
    assert theia_tiling().block_size == (1024, 1024)
    cover = replace(theia_tiling(), start=(-300, 1000), shape=(3000, 2500)).cover()
    assert {one.row % 1024 for one in cover} == {0, 724}, "lines of the files' tiles, and the edge of the area"
    assert {one.col for one in cover} == {0, 1000, 2024}
    covered = np.zeros((3000, 2500), dtype=int)
    for one in cover:
        covered[one.slices] += 1
    assert (covered == 1).all()
    strips = FileTiling((StoredFile(1, 10980, 21960),), 70, (10980, 10980), (0, 0))
    assert strips.block_size == (96, 10980)
    small = FileTiling.of(series)
    assert small.cover() == [Block(0, 0, 40, 40)]


def test_decoding_counts_the_tiles_that_a_block_touches() -> None:
    plain = theia_tiling(ring=0)
    once = plain.decoded_bytes((1024, 1024))
    assert once == 70 * (4 * 2 + 6 * 2 / 4)
    assert plain.decoded_bytes((512, 512)) == 70 * (4 * 2 + 6 * 2)
    assert theia_tiling().decoded_bytes((1024, 1024)) == 70 * (4 * 2 + 9 * 6 * 2 / 4), "bilinear looks over the edge"
    files = tuple(replace(one, keeps_lines=one.ring > 0) for one in theia_tiling().files)
    kept = replace(theia_tiling(), files=files)
    assert kept.decoded_bytes((1024, 1024)) == 70 * (4 * 2 + 2 * 6 * 2 / 4), "and lines are kept for that"
    assert kept.decoded_bytes((512, 512)) == 70 * (4 * 2 + (1 + 1 / 4) * 6 * 2), "and for parts of tiles"
    assert kept.times_decoded((512, 512)) == pytest.approx((4 * 2 + 15) / (4 * 2 + 3), rel=0.01)


def test_a_block_that_is_the_whole_tile_decodes_each_tile_of_a_file_once(series: TileSeries) -> None:
    alone = replace(theia_tiling(), shape=(300, 300))
    assert alone.block_size == (300, 300)
    assert alone.times_decoded((300, 300)) == 1
    assert alone.decoded_bytes((300, 300)) == pytest.approx(70 * 10 * 512 * 512 * 2 / 300**2)
    (allotment,) = {allot(series, PUBLISHED, FileTiling.of(series), int(4e9), 350_000_000, 1)}
    assert allotment.decoded == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_features_beside_the_network_make_the_same_map(
    device: str, precision: str, series: TileSeries, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: images go to the device, and classes come back."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    work = BlockClassifier(series, STACK, model, (*ALWAYS, "longest_gap"), precision=precision)  # type: ignore[arg-type]
    wanted = work(Block(0, 0, 40, 40))
    monkeypatch.setattr(classify, "_computes_beside", lambda *_: True)
    monkeypatch.setattr(on_device, "PIXELS", 300)
    found = replace(work, model=replace(model, device=torch.device(device)))(Block(0, 0, 40, 40))
    for layer in ("classes", "validity", "longest_gap"):
        np.testing.assert_array_equal(found[layer], wanted[layer])
    assert np.abs(found["confidence"].astype(int) - wanted["confidence"]).max() <= 1


@pytest.mark.parametrize("free", [None, 30 * 10**6])
def test_a_gpu_s_memory_that_runs_out_makes_strips_smaller_and_not_blocks(
    free: int | None, series: TileSeries, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = Block(0, 0, 300, 200)
    wanted = BlockClassifier(series, STACK, model)(block)
    monkeypatch.setattr(classify, "_computes_beside", lambda *_: True)
    given: list[int] = []
    compute = on_device.features_on_device

    def short(regular: Any, values: torch.Tensor, *more: Any) -> Any:
        given.append(values.shape[2])
        if values.shape[2] > 5000:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return compute(regular, values, *more)

    monkeypatch.setattr(on_device, "features_on_device", short)
    said: list[str] = []
    part = PartSize((512, 512), say=said.append)
    work = BlockClassifier(series, STACK, model, part=part, on_device=DeviceStrips(lambda _: free, said.append))
    found = work(block)
    assert all(np.array_equal(found[layer], wanted[layer]) for layer in wanted)
    assert part.size == (512, 512) and all("the GPU's memory did not suffice" in text for text in said)
    assert (
        given[0] == (200 * min(300, series.rows_at_once) if free is None else max(given))
        and given[-1] <= 5000
        and len(said) in (1, 4)
    )
    before = len(given)
    work(block)
    assert max(given[before:]) <= 5000, "what was learnt is kept"


def test_what_a_device_cannot_compute_is_computed_on_the_processor() -> None:
    assert goes_beside(STACK)
    assert not goes_beside(replace(STACK, representation="raw"))
    assert not goes_beside(replace(STACK, gap_filling=WhittakerParams()))
    assert not goes_beside(replace(STACK, compatibility="iota2"))
    assert not goes_beside(replace(STACK, gap_filling=LinearParams(max_gap_days=9), seasons=(1, 1)))
