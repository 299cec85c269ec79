"""Reduced copies: means of what has data, made once, and no more of them than there is room for."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.webmap.conftest import write_strips
from toolkit.webmap import reduced as module
from toolkit.webmap.reduced import STEP, ReducedCopies, mean_of_blocks, reduced

shapes = st.tuples(st.integers(1, 11), st.integers(1, 11))


@given(shapes.flatmap(lambda shape: arrays.arrays(np.int16, shape, elements=st.sampled_from([-10000, 0, 1, 7, 9000]))))
def test_mean_of_a_block_is_of_its_pixels_that_have_data(values: np.ndarray) -> None:
    means = mean_of_blocks(values, -10000)
    for row, col in np.ndindex(means.shape):
        block = values[STEP * row : STEP * (row + 1), STEP * col : STEP * (col + 1)]
        there = block[block != -10000]
        assert means[row, col] == (np.rint(there.mean()) if there.size else -10000)


def test_mean_of_every_type_without_overflow() -> None:
    for dtype in ("uint8", "uint16", "int16", "int32", "float32"):
        highest = np.iinfo(dtype).max if dtype != "float32" else 1e6
        full = np.full((8, 8), highest, dtype)
        assert (mean_of_blocks(full, None) == full[:2, :2]).all()
        assert mean_of_blocks(full, None).dtype == dtype
    half = np.where(np.arange(8) % 2, 5, np.nan).astype(np.float32)[None].repeat(8, axis=0)
    assert (mean_of_blocks(half, float("nan")) == 5).all()


@pytest.mark.parametrize("averaged", [True, False])
def test_copy_lies_where_the_file_lies(tmp_path: Path, averaged: bool) -> None:
    values = np.repeat(np.repeat(np.arange(1, 31, dtype=np.int16).reshape(5, 6), 400, 0), 400, 1)
    path = write_strips(tmp_path / "a.tif", values[:-3, :-2])
    with rasterio.open(path) as source, reduced(source, -10000, averaged) as file, file.open() as copy:
        assert copy.shape == (500, 600)
        assert (copy.read(1) == values[::4, ::4]).all()
        assert (copy.transform * (0, 0)) == (source.transform * (0, 0))
        assert copy.transform.a == STEP * source.transform.a
        assert copy.nodata == -10000
        assert copy.overviews(1) == [2]


def test_copy_is_made_once_for_many_threads_and_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    original = module.reduced
    monkeypatch.setattr(module, "reduced", lambda *rest: made.append("") or original(*rest))
    path = write_strips(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 255, (800, 800)).astype(np.uint8))
    copies = ReducedCopies(most_bytes=40_000)  # one takes some 30 kB

    def ask() -> None:
        with rasterio.open(path) as source:
            copies.of("a", source, None, True)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    with rasterio.open(path) as source:
        name = copies.of("a", source, None, True)
        with rasterio.open(name) as copy:
            assert copy.shape == (200, 200)
        copies.of("b", source, None, True)
        assert len(made) == 2
        with pytest.raises(rasterio.errors.RasterioIOError):
            rasterio.open(name)
        copies.of("a", source, None, True)
    assert len(made) == 3
