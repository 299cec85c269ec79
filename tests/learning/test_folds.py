"""Folds never share a polygon, and each has its share of every class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.ground.errors import SampleError
from toolkit.learning.folds import deal_polygons, deal_tiles


@given(st.integers(2, 6), st.integers(6, 60), st.integers(0, 2**32 - 1))
def test_folds_by_polygon(folds: int, n_polygons: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    code_of = rng.integers(1, 5, n_polygons)
    polygons = rng.permutation(np.concatenate([np.arange(n_polygons), rng.integers(0, n_polygons, 300)]))
    fold = deal_polygons(polygons * 7 + 3, code_of[polygons], folds, np.random.default_rng(seed))
    assert set(fold) == set(range(folds))
    of_polygon = [set(fold[polygons == one]) for one in range(n_polygons)]
    assert all(len(one) == 1 for one in of_polygon), "no polygon is in two folds"
    placed = np.array([one.pop() for one in of_polygon])
    for code in set(code_of):
        counts = np.bincount(placed[code_of == code], minlength=folds)
        assert counts.max() - counts.min() <= 1
    assert np.ptp(np.bincount(placed, minlength=folds)) <= 1
    again = deal_polygons(polygons * 7 + 3, code_of[polygons], folds, np.random.default_rng(seed))
    assert (fold == again).all()


@given(st.integers(2, 4), st.integers(4, 9), st.integers(0, 2**32 - 1))
def test_folds_by_tile(folds: int, n_tiles: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    polygons = np.repeat(np.arange(5 * n_tiles), rng.integers(1, 9, 5 * n_tiles))
    tiles = np.char.add("31T", (polygons % n_tiles).astype(str))
    fold = deal_tiles(polygons, tiles, folds)
    assert set(fold) == set(range(folds))
    assert all(len(set(fold[tiles == tile])) == 1 for tile in set(tiles))


def test_a_polygon_in_two_tiles_is_in_one_fold() -> None:
    polygons = np.array([1, 1, 2, 2, 2, 3])
    tiles = np.array(["31TCJ", "31TCJ", "31TCJ", "31TCK", "31TCK", "31TCK"])
    fold = deal_tiles(polygons, tiles, 2)
    assert fold[0] == fold[1] == fold[2] == fold[3] == fold[4] != fold[5]


def test_too_few() -> None:
    polygons, codes = np.array([1, 1, 2]), np.array([3, 3, 4])
    with pytest.raises(SampleError, match=r"tuning\.folds = 3, but the samples are of 2 polygons only; lower it"):
        deal_polygons(polygons, codes, 3, np.random.default_rng(0))
    with pytest.raises(SampleError, match=r"1 tiles only; lower it, or set tuning\.folds_by: polygon"):
        deal_tiles(polygons, np.array(["31TCJ"] * 3), 2)
