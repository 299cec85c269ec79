import errno
from pathlib import Path

import numpy as np
import pytest
import shapely

from tests.conftest import write_theia
from toolkit.features.stack import FeatureParams, FeatureStack
from toolkit.ground.errors import RunFolderError, SampleError
from toolkit.ground.grid import Block, blocks, from_bounds
from toolkit.ground.parts import PartSize
from toolkit.products.handles import close_rasters
from toolkit.products.theia import find_theia
from toolkit.samples import extraction
from toolkit.samples.extraction import PixelFeatures, extract, locate_pixels
from toolkit.samples.store import SampleStore
from toolkit.samples.stored import RowWriter
from toolkit.series.timeseries import SeriesParams, TileSeries

GRID = from_bounds((0, 0, 100, 100), 10, "EPSG:32631")


def locate(*shapes: shapely.Geometry, grid=GRID) -> np.ndarray:
    ids = np.arange(100, 100 + len(shapes))
    return locate_pixels(shapes, ids, (ids - 99).astype(np.uint8), grid)


def test_pixel_belongs_if_its_centre_is_inside() -> None:
    outline = shapely.box(16, 64, 36, 84)
    found = locate(outline)
    rows, cols = np.mgrid[0:10, 0:10]
    inside = shapely.contains_xy(outline, cols * 10 + 5, 100 - (rows * 10 + 5))
    assert inside.sum() == 4
    assert sorted(zip(found["row"], found["col"], strict=True)) == list(map(tuple, np.argwhere(inside)))


def test_order_is_polygon_by_polygon_then_row_by_row() -> None:
    found = locate(shapely.box(50, 50, 80, 80), shapely.box(0, 0, 30, 30))
    assert found["polygon"].tolist() == [100] * 9 + [101] * 9
    assert found["code"].tolist() == [1] * 9 + [2] * 9
    first = found[:9]
    assert list(zip(first["row"], first["col"], strict=True)) == sorted(zip(first["row"], first["col"], strict=True))


def test_overlapping_polygons_share_no_pixel() -> None:
    found = locate(shapely.box(0, 0, 50, 50), shapely.box(30, 0, 80, 50))
    places = list(zip(found["row"], found["col"], strict=True))
    assert len(places) == len(set(places)) == 40


def test_located_over_blocks_equals_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    shapes = [shapely.Point(*rng.uniform(0, 100, 2)).buffer(rng.uniform(5, 25)) for _ in range(12)]
    whole = locate(*shapes)
    monkeypatch.setattr(extraction, "BLOCK", 3)
    assert np.array_equal(locate(*shapes), whole)


@pytest.fixture
def series(tmp_path: Path) -> TileSeries:
    rng = np.random.default_rng(0)
    for day in ("2018-01-10", "2018-03-01", "2018-06-20"):
        cloud = (rng.random((40, 40)) < 0.3).astype(np.uint8)
        write_theia(tmp_path / "theia", day, size=40, value=rng.integers(0, 5000, (40, 40)), cloud=cloud)
    params = SeriesParams.model_validate(
        {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-06-30"}
    )
    yield TileSeries.open("31TCJ", find_theia(tmp_path / "theia"), params)
    close_rasters()


def test_samples_are_the_map_s_features(series: TileSeries, tmp_path: Path) -> None:
    left, _, _, top = series.grid.boundingbox
    shapes = [
        shapely.box(left + 33, top - 177, left + 218, top - 61),
        shapely.box(left, top - 400, left + 90, top - 350),
    ]
    pixels = locate_pixels(shapes, np.array([7, 8]), np.array([1, 2], dtype=np.uint8), series.grid)
    stack = FeatureStack(series.bands, ("2018-01-01", "2018-04-01"), ("ndvi",))
    store = SampleStore(tmp_path / "samples")
    work = PixelFeatures(series, stack, pixels["row"], pixels["col"])
    extract(work, pixels, store, list(blocks(series.grid.shape, 16)), key="k")
    store.finish(stack.names, "k")
    values, validity = series.read(Block(0, 0, 40, 40))
    whole, clear = stack.compute(values, validity, series.dates)
    samples = store.load(min_clear_dates=1)
    seen = clear[pixels["row"], pixels["col"]] > 0
    assert np.array_equal(samples.features, whole[:, pixels["row"], pixels["col"]].T[seen])
    assert np.array_equal(store.clear("31TCJ"), clear[pixels["row"], pixels["col"]])
    assert set(samples.codes) == {1, 2}
    assert not list((tmp_path / "samples").rglob("*.npz"))


def test_store_chooses_and_refuses(series: TileSeries, tmp_path: Path) -> None:
    pixels = locate_pixels([series.grid.extent.geom], np.array([7]), np.array([3], dtype=np.uint8), series.grid)
    stack = FeatureStack.of(
        SeriesParams.model_validate({"source": "s", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-01-21"}),
        FeatureParams(),
    )
    store = SampleStore(tmp_path / "samples")
    with pytest.raises(SampleError, match="run `sample` first"):
        store.load()
    extract(PixelFeatures(series, stack, pixels["row"], pixels["col"]), pixels, store, key="k")
    store.finish(stack.names, "k")
    assert store.is_made_from("k") and not store.is_made_from("other")
    choose = np.zeros(len(pixels), dtype=bool)
    choose[::7] = True
    assert len(store.load(0, {"31TCJ": choose})) == choose.sum()
    assert (store.clear("31TCJ") == 3).sum() == len(store.load(3))
    with pytest.raises(SampleError, match="min_clear_dates"):
        store.load(4)
    store.clear_away(but="k")
    assert not store.is_made_from("k") and store.has("31TCJ", "k")
    assert (tmp_path / "samples" / "31TCJ" / "features.npy").exists()
    store.clear_away(but="other")
    assert not (tmp_path / "samples" / "31TCJ" / "features.npy").exists()


def test_rows_are_written_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wanted = rng.random((300, 7)).astype(np.float32)
    order = np.concatenate([np.arange(100, 150), rng.permutation(np.r_[0:100, 150:300])])
    with RowWriter(tmp_path / "rows.npy", 300, 7) as target:
        for rows in (order[:0], *np.split(order, [60, 200])):
            target.write(rows, wanted[rows].astype(np.float64))
    assert np.array_equal(np.load(tmp_path / "rows.npy"), wanted)


def test_a_full_disk_is_an_error_and_leaves_nothing(
    series: TileSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RowWriter, "write", full)
    work, pixels = everywhere(series)
    with pytest.raises(RunFolderError, match="full"):
        extract(work, pixels, SampleStore(tmp_path / "samples"), key="k")
    assert not list((tmp_path / "samples").rglob("features*"))


def everywhere(series: TileSeries) -> tuple[PixelFeatures, np.ndarray]:
    """All pixels of a tile."""
    pixels = locate_pixels([series.grid.extent.geom], np.array([7]), np.array([3], dtype=np.uint8), series.grid)
    stack = FeatureStack(series.bands, ("2018-01-01", "2018-04-01"), ("ndvi",))
    return PixelFeatures(series, stack, pixels["row"], pixels["col"]), pixels


@pytest.mark.parametrize("part", [(40, 40), (7, 40), (5, 9)])
def test_samples_do_not_depend_on_parts_nor_on_memory_that_runs_out(
    series: TileSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: tuple[int, int]
) -> None:
    monkeypatch.setattr("toolkit.ground.parts.SMALLEST_PART", 4)
    work, pixels = everywhere(series)
    extract(work, pixels, SampleStore(tmp_path / "whole"), key="k")
    wanted = np.load(tmp_path / "whole" / "31TCJ" / "features.npy")

    class Short(PixelFeatures):
        def _part(self, block: Block) -> dict[str, np.ndarray]:
            if block.height * block.width > 20:
                raise MemoryError
            return super()._part(block)

    for kind in (PixelFeatures, Short):
        divided = kind(series, work.features.stack, pixels["row"], pixels["col"], PartSize(part))
        extract(divided, pixels, SampleStore(tmp_path / kind.__name__), [Block(0, 0, 40, 40)], key="k")
        assert np.array_equal(np.load(tmp_path / kind.__name__ / "31TCJ" / "features.npy"), wanted)
    assert divided.part.size[0] * divided.part.size[1] <= 20
