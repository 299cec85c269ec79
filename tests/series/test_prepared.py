"""A prepared series gives what the files give, to the bit, or is not read at all."""

from __future__ import annotations

import logging
import os
import pickle
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio import shutil

from tests.conftest import TWENTY_METRES, write_theia, write_tif
from toolkit.ground.errors import ProductError
from toolkit.ground.grid import Block, project_bounds
from toolkit.products.handles import close_rasters
from toolkit.products.theia import find_theia
from toolkit.series import images, preparing, store_plan, timeseries
from toolkit.series import tiling as tiles_of_files
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.images import Strip
from toolkit.series.prepared import PreparedTile, with_prepared
from toolkit.series.preparing import prepare_tile
from toolkit.series.shards import ShardedArray
from toolkit.series.store_plan import StorePlan
from toolkit.series.team import Team
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import SeriesParams, TileSeries

SIZE = 150
CORNERS = {"2018-01-10": (300000, 4900020), "2018-03-01": (300400, 4899820), "2018-05-11": (300000, 4900020)}


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    close_rasters()


def write_scene(root: Path) -> Path:
    """Three products that do not quite cover the same ground, with clouds, and gaps in the images."""
    rng = np.random.default_rng(0)
    for date, corner in CORNERS.items():
        value = rng.integers(-200, 12000, (SIZE, SIZE))
        value[rng.random((SIZE, SIZE)) < 0.01] = -10000
        value[:, : rng.integers(0, 40)] = -10000
        folder = write_theia(root, date, value=value, cloud=rng.random((SIZE, SIZE)) < 0.3, size=SIZE, corner=corner)
        saturated = (rng.random((SIZE // 2, SIZE // 2)) < 0.05).astype(np.uint8)
        write_tif(folder / "MASKS" / f"{folder.name}_SAT_R2.tif", saturated, corner, 20)
    return root


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not write into it."""
    return write_scene(tmp_path_factory.mktemp("products"))


def open_tile(root: Path, **changes: object) -> TileSeries:
    values = {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-12-27", **changes}
    return TileSeries.open("31TCJ", find_theia(root), SeriesParams.model_validate(values))


def prepare(series: TileSeries, folder: Path, level: int = 5) -> TileSeries:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_plan, "SHARD_BYTES", 40_000)  # several shards, of several chunks
        prepare_tile(series, StorePlan.of(series), folder, level, workers=2)
    return with_prepared(series, folder)


@pytest.fixture(scope="module")
def prepared(products: Path, tmp_path_factory: pytest.TempPathFactory) -> TileSeries:
    """Do not change what lies there."""
    series = prepare(open_tile(products), tmp_path_factory.mktemp("prepared") / "s2_31TCJ.zarr")
    close_rasters()
    assert series.prepared is not None
    return series


def loaded_strips(
    series: TileSeries, block: Block, rows: int, threads: int
) -> list[tuple[slice, np.ndarray, np.ndarray]]:
    """Rows, values and validity of the strips of a block, in their order, loaded by so many threads."""
    found: list[tuple[slice, np.ndarray, np.ndarray]] = []

    def load(strip: Strip, buffer: SeriesBuffer) -> None:
        values, validity = strip.load(buffer)
        found.append((strip.rows, values.copy(), validity.copy()))

    with Team(SeriesBuffer(), threads) as team:
        for strips in series.strips(block, team, rows):
            team.each(load, strips)
    return sorted(found, key=lambda one: one[0].start)


def assert_same(series: TileSeries, block: Block, *, from_files: TileSeries | None = None) -> None:
    values, validity = series.read(block, SeriesBuffer())
    wanted, valid = (from_files or replace(series, prepared=None)).read(block)
    assert values.dtype == wanted.dtype and validity.dtype == valid.dtype
    assert np.array_equal(values, wanted)
    assert np.array_equal(validity, valid)
    by_lines = replace(series, prepared=None)
    by_lines.__dict__["rows_at_once"] = 16  # of a cached property: as if the files had such small tiles
    files = replace(series, prepared=None)
    ways = ((series, 7, 1), (series, 16, 1), (series, 16, 3), (series, 45, 1), (files, 7, 1), (files, 7, 3))
    for one, rows, threads in (*ways, (by_lines, 7, 1), (by_lines, 7, 2)):
        found = loaded_strips(one, block, rows, threads)
        assert [lines.start for lines, *_ in found] == [0, *(lines.stop for lines, *_ in found[:-1])]
        assert max(lines.stop - lines.start for lines, *_ in found) <= rows
        strips = [parts for _, *parts in found]
        for whole, parts in zip((wanted, valid), zip(*strips, strict=True), strict=True):
            assert np.array_equal(np.concatenate(parts, axis=-2), whole), "a few rows at a time"
        row, col = np.random.default_rng(0).integers(0, (block.height, block.width), (9, 2)).T
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(images, "PICKED_PIXELS", 3 * block.width)  # several strips
            some, seen = one.images(block, Team(SeriesBuffer())).pixels(row, col)
        assert np.array_equal(some, wanted[:, :, row, col]) and np.array_equal(seen, valid[:, row, col])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.integers(-20, 170),
    col=st.integers(-20, 190),
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    method=st.sampled_from(["nearest", "bilinear", "cubic"]),
    bands=st.sampled_from([("B2", "B5", "B8A"), ("B12", "B3"), ("B4",)]),
    dates=st.sampled_from([slice(None), slice(1, 3), slice(0, 3, 2), slice(1, 2)]),
)
def test_any_window_is_that_of_the_files(
    prepared: TileSeries, row: int, col: int, height: int, width: int, method: str, bands: tuple, dates: slice
) -> None:
    def chosen(one: timeseries.Acquisition) -> timeseries.Acquisition:
        files = dict(zip(prepared.bands, one.bands, strict=True))
        return replace(one, bands=tuple(files[band] for band in bands))

    series = replace(
        prepared, bands=bands, resampling=method, acquisitions=tuple(map(chosen, prepared.acquisitions[dates]))
    )
    block = Block(row, col, height, width)
    assert series.prepared.has(block, method)
    assert_same(series, block)


def test_where_nothing_was_ever_measured_or_clouded_is_in_it_too(tmp_path: Path) -> None:
    value = np.full((SIZE, SIZE), 500)
    value[:, :140] = -10000
    for date in CORNERS:
        write_theia(tmp_path / "products", date, value=value, cloud=np.zeros((SIZE, SIZE), bool), size=SIZE)
    series = prepare(open_tile(tmp_path / "products"), tmp_path / "s2_31TCJ.zarr")
    assert series.prepared is not None
    assert_same(series, Block(0, 0, SIZE, SIZE))


def test_memory_is_used_again(prepared: TileSeries) -> None:
    buffer = SeriesBuffer()
    first, _ = prepared.read(Block(0, 0, 100, 100), buffer)
    held = buffer.nbytes
    second, _ = prepared.read(Block(20, 30, 90, 90), buffer)
    assert np.shares_memory(first, second)
    assert buffer.nbytes == held


def test_files_are_not_read(prepared: TileSeries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeseries, "read_band", None)
    monkeypatch.setattr(timeseries, "read_mask", None)
    prepared.read(Block(3, 5, 70, 80))


def test_it_travels_to_another_process(prepared: TileSeries) -> None:
    there = pickle.loads(pickle.dumps(prepared))  # noqa: S301 - as Dask does with what the toolkit gives it
    assert_same(there, Block(40, 50, 60, 70))


def test_an_area_is_prepared_with_some_ground_around(products: Path, tmp_path: Path) -> None:
    box = project_bounds((300810, 4899200, 300970, 4899350), "EPSG:32631", "EPSG:4326")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_plan, "MARGIN", 8)
        patch.setattr(store_plan, "STRIP_CHUNK", (8, 16))
        patch.setattr(store_plan, "COARSE_CHUNK", 16)
        series = prepare(open_tile(products, area=box), tmp_path / "a.zarr")
    grid, store = series.grid, series.prepared
    assert all(near < wide < 64 for near, wide in zip(grid.shape, store.grid.shape, strict=True))
    assert store.open_sides == (False,) * 4
    whole = Block(0, 0, *grid.shape)
    for around, here in ((0, True), (2, True), (30, False)):
        assert store.has(whole.padded(around), "bilinear") == here
        assert_same(series, whole.padded(around))
    smaller = open_tile(products, area=project_bounds((300850, 4899230, 300930, 4899300), "EPSG:32631", "EPSG:4326"))
    assert_same(with_prepared(smaller, tmp_path / "a.zarr"), Block(0, 0, *smaller.grid.shape), from_files=smaller)
    assert "covers" in PreparedTile.open(tmp_path / "a.zarr").why_not(open_tile(products))


def test_less_is_read_from_more(products: Path, prepared: TileSeries) -> None:
    folder = prepared.prepared.folder
    for changes in ({"bands": ["B8", "B11"]}, {"start": "2018-03-01", "margin_days": 0}, {"resampling": "cubic"}):
        series = with_prepared(open_tile(products, **changes), folder)
        assert series.prepared is not None
        assert_same(series, Block(1, 3, 60, 50))
    coarse = open_tile(products, bands=TWENTY_METRES)
    assert "its grid is" in PreparedTile.open(folder).why_not(coarse)


def test_other_images_are_noticed_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, folder = write_scene(tmp_path / "products"), tmp_path / "s.zarr"
    prepare(open_tile(root, bands=["B2", "B5"]), folder)
    assert "band B8A, B12 is not in it" in PreparedTile.open(folder).why_not(
        open_tile(root, bands=["B8A", "B2", "B12"])
    )
    image = next(root.glob("*20180301*/*_FRE_B5.tif"))
    os.utime(image, ns=(0, 0))
    with caplog.at_level(logging.WARNING):
        assert with_prepared(open_tile(root, bands=["B2", "B5"]), folder).prepared is None
    assert "SENTINEL2A_20180301" in caplog.text and "was changed since; the images are read" in caplog.text
    assert with_prepared(open_tile(root, bands=["B2"]), folder).prepared is not None, "B2 is as it was"
    write_theia(root, "2018-07-01", size=SIZE)
    write_theia(root, "2018-08-01", size=SIZE)
    why = PreparedTile.open(folder).why_not(open_tile(root, bands=["B2"], missing_mask="accept"))
    assert why.startswith("SENTINEL2A_20180701") and why.endswith("(and 1 more) is not in it")


def test_a_mask_that_has_changed_is_noticed(tmp_path: Path) -> None:
    root, folder = write_scene(tmp_path / "products"), tmp_path / "s.zarr"
    prepare(open_tile(root, bands=["B2"]), folder)
    os.utime(next(root.glob("*20180301*/MASKS/*_CLM_R1.tif")), ns=(0, 0))
    assert "was changed since" in PreparedTile.open(folder).why_not(open_tile(root, bands=["B2"]))


def test_what_is_damaged_is_an_error_and_no_map(products: Path, tmp_path: Path) -> None:
    series, folder = prepare(open_tile(products, bands=["B2", "B5"]), tmp_path / "s.zarr"), tmp_path / "s.zarr"
    shard = folder / "B5" / "c" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    for place in (20, len(data) - 9):  # in a chunk, in the index
        other = bytearray(data)
        other[place] ^= 1
        shard.write_bytes(other)
        with pytest.raises(ProductError, match=r"B5.*checksum.*prepare\.use: false"):
            series.read(Block(0, 0, 64, 64))
    shard.write_bytes(data[:-100])
    with pytest.raises(ProductError, match="cannot be read"):
        series.read(Block(0, 0, 64, 64))
    shard.write_bytes(b"")
    with pytest.raises(ProductError, match="cut short"):
        series.read(Block(0, 0, 64, 64))
    shard.unlink()
    with pytest.raises(ProductError, match="No such file"):
        series.read(Block(0, 0, 64, 64))
    assert "is lost" in series.prepared.why_not(series)
    (folder / "zarr.json").write_text("{}")
    with pytest.raises(ProductError, match="is not a prepared series"):
        PreparedTile.open(folder)


def test_zarr_and_xarray_open_it(prepared: TileSeries) -> None:
    folder, files = prepared.prepared.folder, replace(prepared, prepared=None)
    group = zarr.open_group(folder, mode="r")
    values, _ = files.read(Block(0, 0, *prepared.grid.shape))
    assert np.array_equal(group["B4"][:], values[:, prepared.bands.index("B4")])
    with xarray.open_zarr(folder, consolidated=False) as data:
        assert data["date"].values.astype("datetime64[D]").tolist() == prepared.dates.tolist()
        pixel = data["B8"].sel(x=300505, y=4899605, method="nearest")
        row, col = 41, 50
        assert (float(pixel.x), float(pixel.y)) == (300505, 4899605)
        assert np.array_equal(pixel.values, values[:, prepared.bands.index("B8"), row, col])
        coarse = data["B11"].sel(x_20m=300510, y_20m=4899600, method="nearest")
        assert np.array_equal(coarse.values, np.asarray(group["B11"])[:, row // 2, col // 2])
        assert "UTM zone 31N" in data["spatial_ref"].attrs["crs_wkt"]
        assert data["validity"].dtype == np.uint8 and set(np.unique(data["validity"])) == {0, 1}


def test_jpeg_2000_is_prepared_as_any_other_file(tmp_path: Path) -> None:
    root = write_scene(tmp_path / "products")
    for image in root.glob("*/*_FRE_B[25].tif"):  # GDAL goes by the content
        shutil.copy(image, tmp_path / "image.jp2", driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES")
        (tmp_path / "image.jp2").replace(image)
    close_rasters()
    series = prepare(open_tile(root, bands=["B2", "B5"]), tmp_path / "s.zarr")
    assert series.prepared is not None
    assert_same(series, Block(0, 0, *series.grid.shape))


def test_real_images_are_the_same(real_data: Path, tmp_path: Path) -> None:
    products = find_theia(real_data / "theia_maja_T31UFQ_fordead")
    bands = ("B2", "B3", "B4", "B8A", "B11", "B12")
    period = {"start": "2015-12-01", "end": "2017-12-30", "bands": bands}
    params = SeriesParams.model_validate({"source": "s2", "tiles": ["31UFQ"], **period})
    series = prepare(TileSeries.open("31UFQ", products, params), tmp_path / "s.zarr")
    assert series.prepared is not None and len(series.dates) > 20
    for block in (Block(0, 0, *series.grid.shape), Block(13, 7, 40, 31)):
        assert_same(series, block)


@contextmanager
def killed_after(shards: int) -> Iterator[None]:
    """The process is ended when so many shards have been written."""
    written, left = preparing.ShardWriter.__call__, [shards]

    def write(self: preparing.ShardWriter, block: Block) -> dict[str, np.ndarray]:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return written(self, block)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(preparing.ShardWriter, "__call__", write)
        yield


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_shard_that_was_damaged_by_what_killed_the_run_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    series = open_tile(write_scene(tmp_path / "products"), bands=["B2", "B5"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_plan, "SHARD_BYTES", 40_000)
        plan = StorePlan.of(series)
        prepare_tile(series, plan, tmp_path / "whole", 5, workers=1)
        with killed_after(sum(len(one.blocks()) for one in plan.arrays) - 1):
            prepare_tile(series, plan, tmp_path / "s.zarr", 5, workers=1)
        shards = sorted((tmp_path / ".s.zarr.unfinished" / "B2" / "c").rglob("*"))
        damaged, lost, *_ = [path for path in shards if path.is_file()]
        damaged.write_bytes(damaged.read_bytes()[:100])
        lost.unlink()
        with caplog.at_level(logging.WARNING):
            prepare_tile(series, plan, tmp_path / "s.zarr", 5, workers=1)
    assert caplog.text.count("a shard of B2 is damaged and is made again") == 2
    assert content(tmp_path / "s.zarr") == content(tmp_path / "whole")


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    products: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = open_tile(products, bands=["B2", "B3", "B5"])
    monkeypatch.setattr(store_plan, "SHARD_BYTES", 40_000)
    plan, folder = StorePlan.of(series), tmp_path / "a" / "s.zarr"
    shards = sum(len(one.blocks()) for one in plan.arrays)
    assert shards > 8
    with killed_after(shards // 2):
        prepare_tile(series, plan, folder, 5, workers=1)
    assert not folder.exists()
    seen: list[tuple[int, int]] = []
    with killed_after(shards - shards // 2):  # as many as are left, so that it is not killed
        prepare_tile(series, plan, folder, 5, workers=1, progress=lambda *at: seen.append(at))
        raise KeyboardInterrupt
    assert seen[-1] == (shards, shards)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    prepare_tile(series, plan, tmp_path / "b" / "s.zarr", 5)
    assert content(folder) == content(tmp_path / "b" / "s.zarr")


def test_what_another_run_left_half_done_is_not_gone_on_with(products: Path, tmp_path: Path) -> None:
    series, folder = open_tile(products, bands=["B2"]), tmp_path / "s.zarr"
    with killed_after(1):
        prepare(series, folder, 5)
    prepare(series, folder, 1)
    prepare(series, tmp_path / "once.zarr", 1)
    assert content(folder) == content(tmp_path / "once.zarr")


def test_dates_whose_pixels_lie_between_those_of_others_are_refused(tmp_path: Path) -> None:
    write_theia(tmp_path, "2018-01-10", size=40)
    write_theia(tmp_path, "2018-02-10", size=40, corner=(300010, 4900020))
    with pytest.raises(ProductError, match=r"B5\.tif cannot be prepared together with .*B5\.tif"):
        StorePlan.of(open_tile(tmp_path, bands=["B2", "B5"]))
    prepared = prepare(open_tile(tmp_path, bands=["B2", "B3"]), tmp_path / "s.zarr")
    assert_same(prepared, Block(-3, -3, 50, 50))


def test_shards_hold_whole_tiles_of_the_files() -> None:
    def shard(tile: tuple[int, int], dates: int) -> tuple[int, int]:
        return store_plan._grown([*tile], [11008, 11008], store_plan.SHARD_BYTES // (2 * dates))

    assert shard((512, 512), 70) == (1024, 512)
    assert shard((1024, 1024), 70) == (1024, 1024)
    assert shard((64, 11008), 70) == (64, 11008), "strips"
    assert shard((512, 512), 6) == (2560, 2560)


def test_parts_are_small_and_blocks_those_of_the_files(prepared: TileSeries, monkeypatch: pytest.MonkeyPatch) -> None:
    tiling, of_files = FileTiling.of(prepared), FileTiling.of(replace(prepared, prepared=None))
    assert tiling.cover() == of_files.cover()
    assert tiling.open_bytes == 0
    assert tiling.decoded_bytes((64, 128)) == pytest.approx(3 * (4 * 2 + 6 * 3 * 4 / 2 * 2 / 4 + 1), rel=0.01)
    monkeypatch.setattr(FileTiling, "block_size", (160, 150))
    monkeypatch.setattr(tiles_of_files, "PREPARED_WIDTH", 100)
    assert next(replace(of_files).part_sizes()) == (160, 150)
    assert list(replace(tiling).part_sizes()) == [(160, 75), (80, 75), (40, 75)]


def test_each_chunk_is_unpacked_once_for_a_block_strip_by_strip(
    prepared: TileSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked: list[tuple[str, int]] = []
    monkeypatch.setattr(
        ShardedArray, "_decode", lambda self, data, chunk: unpacked.append((self.folder.name, id(chunk)))
    )
    loaded_strips(prepared, Block(0, 0, 160, 128), 16, 1)
    times = Counter(name for name, _ in unpacked)
    assert all(times[name] == 10 for name in ("B2", "B3", "B4", "B8", "validity")), "rows of chunks"
    assert all(times[name] == 3 * 3 for name in ("B5", "B6", "B7", "B8A", "B11", "B12")), "a ring around"


def test_a_series_in_square_chunks_is_read_too(products: Path, tmp_path: Path) -> None:
    """Such were those of the versions before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_plan, "STRIP_CHUNK", (64, 64))
        patch.setattr(preparing, "CODEC", "zstd")
        series = prepare(open_tile(products), tmp_path / "s.zarr")
    assert series.prepared is not None and series.prepared.rows_of_chunks == 64
    for block in (Block(0, 0, 170, 190), Block(30, 17, 100, 90)):
        assert_same(series, block)
