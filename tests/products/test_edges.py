"""Windows with a ring around them: the same pixels, with fewer tiles decoded."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from toolkit.products import edges
from toolkit.products.edges import EdgeStore
from toolkit.products.handles import close_rasters
from toolkit.products.raster import read_into, read_window

SHAPE, TILE = (75, 90), 16


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file in tiles of 16 x 16 pixels, the last of which are cut."""
    path = tmp_path_factory.mktemp("edges") / "a.tif"
    array = np.random.default_rng(0).integers(0, 10000, SHAPE).astype(np.int16)
    profile = {"driver": "GTiff", "height": SHAPE[0], "width": SHAPE[1], "count": 1, "dtype": "int16"}
    grid = {"crs": "EPSG:32631", "transform": from_origin(300000, 4900020, 20, 20)}
    with rasterio.open(path, "w", **profile, **grid, tiled=True, blockxsize=TILE, blockysize=TILE) as target:
        target.write(array, 1)
    yield path
    close_rasters()


def with_ring(store: EdgeStore, path: Path, row: int, col: int, height: int, width: int, fill: int) -> np.ndarray:
    whole = np.full((height + 2, width + 2), 12345, np.int16)  # whatever was there before
    store.read_into(whole, path, row, col, fill)
    return whole


windows = st.tuples(st.integers(-20, 80), st.integers(-20, 95), st.integers(1, 60), st.integers(1, 60), st.booleans())


@given(wanted=st.lists(windows, min_size=1, max_size=6))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_if_read_at_once(path: Path, wanted: list[tuple[int, int, int, int, bool]]) -> None:
    store = EdgeStore()
    for row, col, height, width, aligned in wanted:
        if aligned:  # whole tiles, some to the end of the file
            row, col = (max(0, one) // TILE * TILE for one in (row, col))
            height = min(-(-height // TILE) * TILE, max(1, SHAPE[0] - row))
            width = min(-(-width // TILE) * TILE, max(1, SHAPE[1] - col))
        expected = read_window(path, row - 1, col - 1, height + 2, width + 2, -10000)
        assert np.array_equal(with_ring(store, path, row, col, height, width, -10000), expected)


def test_a_tile_is_decoded_twice_at_most(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int, int, int]] = []

    def counted(out: np.ndarray, path: Path, row: int, col: int, fill: float) -> None:
        read.append((row, col, *out.shape))
        read_into(out, path, row, col, fill)

    monkeypatch.setattr(edges, "read_into", counted)
    store, tiles = EdgeStore(), 0
    for row in range(0, SHAPE[0], TILE):
        for col in range(0, SHAPE[1], TILE):
            height, width = min(TILE, SHAPE[0] - row), min(TILE, SHAPE[1] - col)
            found = with_ring(store, path, row, col, height, width, -1)
            assert np.array_equal(found, read_window(path, row - 1, col - 1, height + 2, width + 2, -1))
            tiles += 1
    assert len(read) < 2 * tiles
    assert all(one[0] % TILE == 0 and one[1] % TILE == 0 for one in read)


def test_parts_of_a_tile_decode_that_tile_and_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[tuple[int, int]] = []

    def counted(out: np.ndarray, path: Path, row: int, col: int, fill: float) -> None:
        first, last = (row // TILE, col // TILE), ((row + out.shape[0] - 1) // TILE, (col + out.shape[1] - 1) // TILE)
        assert first == last, "a window of several tiles"
        decoded.append(first)
        read_into(out, path, row, col, fill)

    monkeypatch.setattr(edges, "read_into", counted)
    store, half = EdgeStore(), TILE // 2
    for row in range(0, 64, half):
        for col in range(0, 64, half):
            found = with_ring(store, path, row, col, half, half, -1)
            assert np.array_equal(found, read_window(path, row - 1, col - 1, half + 2, half + 2, -1))
    inner = [decoded.count((i, j)) for i in range(4) for j in range(4)]
    assert max(inner) <= 4 + 1, "once for each part, and once for its lines"


def test_few_lines_are_kept_and_none_travels(path: Path) -> None:
    store = EdgeStore(most_bytes=1000)
    for row in range(0, 64, TILE):
        with_ring(store, path, row, 16, TILE, TILE, -1)
    assert 0 < store._bytes <= 1000
    assert sum(one.nbytes for one in store._kept.values()) == store._bytes
    assert not pickle.loads(pickle.dumps(store))._kept  # noqa: S301
    store.clear()
    assert not store._kept and store._bytes == 0
