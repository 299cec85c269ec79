"""Series of JPEG 2000 whose tiles do not end together, as in ESA's products: any block, any thread, prepared or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.conftest import write_sen2cor
from toolkit.ground.grid import Block
from toolkit.products.handles import close_rasters
from toolkit.products.sen2cor import find_sen2cor
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.prepared import with_prepared
from toolkit.series.preparing import prepare_tile
from toolkit.series.store_plan import StorePlan
from toolkit.series.team import Team
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import SeriesParams, TileSeries

SIDE = 320
BANDS = ("B2", "B8A", "B12")
PARAMS = SeriesParams(source="esa", tiles=("31TCJ",), start=date(2018, 1, 1), end=date(2018, 3, 1), bands=BANDS)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three dates of mixed baselines, the last of which shows a part of the tile."""
    folder, rng = tmp_path_factory.mktemp("esa"), np.random.default_rng(0)
    for day, baseline, offset in (("03", "0206", None), ("13", "0500", -1000), ("23", "0500", -1000)):
        value = rng.integers(200, 4000, (SIDE, SIDE))
        value[:, :70] = -10000 if day == "23" else value[:, :70]
        scl = rng.integers(1, 12, (SIDE // 2, SIDE // 2))
        scl[:, :35] = 0 if day == "23" else scl[:, :35]
        write_sen2cor(
            folder, f"2018-01-{day}", value=value, scl=scl, size=SIDE, baseline=baseline, offset=offset, bands=BANDS,
            tiles={10: 64, 20: 40},
        )  # fmt: skip
    return folder


@pytest.fixture
def series(root: Path) -> Iterator[TileSeries]:
    yield TileSeries.open("31TCJ", find_sen2cor(root), PARAMS)
    close_rasters()


Read = Callable[[TileSeries, Block], tuple[np.ndarray, np.ndarray]]


def strips(series: TileSeries, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """As a map reads: 20 m bands in their own pixels, brought onto the grid a few rows at a time."""
    team = Team(SeriesBuffer())
    images = series.images(block, team)
    loaded = (strip.load(team.buffer) for strip in images.strips(7))
    parts = [(values.copy(), validity.copy()) for values, validity in loaded]
    return np.concatenate([one for one, _ in parts], axis=2), np.concatenate([one for _, one in parts], axis=1)


@pytest.mark.parametrize("read", [TileSeries.read, strips])
def test_any_block_is_a_part_of_the_whole(series: TileSeries, read: Read) -> None:
    values, validity = series.read(Block(0, 0, SIDE, SIDE))
    assert 0.1 < validity.mean() < 0.9
    for block in (Block(64, 64, 64, 64), Block(80, 160, 80, 80), Block(3, 5, 101, 47), Block(200, 250, 120, 70)):
        rows, cols = block.slices
        found, clear = read(series, block)
        assert np.array_equal(found, values[:, :, rows, cols])
        assert np.array_equal(clear, validity[:, rows, cols])


def test_values_are_those_of_the_files(series: TileSeries) -> None:
    values, validity = series.read(Block(0, 0, SIDE, SIDE))
    for t, one in enumerate(series.acquisitions):
        with rasterio.open(one.product.bands["B2"].path) as file, rasterio.open(one.masks[0][0].path) as mask:
            assert file.block_shapes == [(64, 64)] and mask.block_shapes == [(40, 40)]
            stored, classes = file.read(1).astype(int), mask.read(1).repeat(2, axis=0).repeat(2, axis=1)
        shift = 0 if "N0206" in one.product.name else 1000
        assert np.array_equal(values[t, 0], np.where(stored == 0, -10000, stored - shift))
        assert np.array_equal(validity[t], ~np.isin(classes, (0, 1, 3, 8, 9, 10)))


def test_workers_read_at_once(series: TileSeries) -> None:
    values, validity = series.read(Block(0, 0, SIDE, SIDE))
    blocks = [Block(row, col, 80, 80) for row in range(0, SIDE, 80) for col in range(0, SIDE, 80)]
    with ThreadPoolExecutor(4) as pool:
        for block, (found, clear) in zip(blocks, pool.map(series.read, blocks), strict=True):
            rows, cols = block.slices
            assert np.array_equal(found, values[:, :, rows, cols]) and np.array_equal(clear, validity[:, rows, cols])


def test_a_prepared_series_is_the_same_to_the_bit(series: TileSeries, tmp_path: Path) -> None:
    prepare_tile(series, StorePlan.of(series), tmp_path / "esa.zarr", 1, workers=2)
    prepared = with_prepared(series, tmp_path / "esa.zarr")
    assert prepared.prepared is not None
    for block in (Block(0, 0, SIDE, SIDE), Block(3, 5, 101, 47), *FileTiling.of(prepared).cover()):
        for expected, found in zip(series.read(block), prepared.read(block), strict=True):
            assert np.array_equal(expected, found)
