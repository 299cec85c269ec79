from __future__ import annotations

import logging

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import box

from toolkit.ground.errors import GroundTruthError, ParameterError
from toolkit.ground.params import build
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.ground_truth.splits import (
    SplitParams,
    classes_without,
    split_ground_truth,
    split_polygons,
    train_count,
)


def truth_of(codes, sources=None, tiles=None):
    count = len(codes)
    fields = {
        "polygon": np.arange(count) + 100,
        "code": codes,
        "source": np.arange(count) if sources is None else sources,
        "tile": ["31TCJ"] * count if tiles is None else tiles,
    }
    shapes = [box(i, 0, i + 1, 1) for i in range(count)]
    return GroundTruth(gpd.GeoDataFrame(fields, geometry=shapes, crs="EPSG:32631"), "parcels.gpkg")


@pytest.mark.parametrize(
    ("count", "ratio", "trains"),
    [(1, 0.75, 1), (2, 0.75, 1), (2, 0.1, 1), (3, 0.75, 2), (4, 0.75, 3), (100, 0.75, 75), (3, 0.99, 2), (10, 0.01, 1)],
)
def test_how_many_train(count, ratio, trains):
    assert train_count(count, ratio) == trains
    assert split_polygons(np.full(count, 7), ratio, seed=0).sum() == trains


def test_each_class_has_its_share():
    codes = np.repeat([1, 5, 23], [40, 8, 1])
    train = split_polygons(codes, 0.75, seed=3)
    assert [int(train[codes == code].sum()) for code in (1, 5, 23)] == [30, 6, 1]


def test_the_seed_repeats_the_draw_and_another_changes_it():
    codes = np.repeat([1, 2], 50)
    first = split_polygons(codes, 0.5, seed=1)
    assert np.array_equal(first, split_polygons(codes, 0.5, seed=1))
    assert not np.array_equal(first, split_polygons(codes, 0.5, seed=2))


def test_the_draw_is_not_the_first_rows():
    train = split_polygons(np.full(1000, 4), 0.5, seed=0)
    assert 200 < train[:500].sum() < 300


def test_the_order_of_the_rows_does_not_matter():
    codes, ids = np.repeat([1, 2, 3], 20), np.arange(60) * 7
    train = split_polygons(codes, 0.6, seed=5, ids=ids)
    order = np.random.default_rng(0).permutation(60)
    assert np.array_equal(split_polygons(codes[order], 0.6, seed=5, ids=ids[order]), train[order])


def test_a_class_does_not_change_the_draw_of_another():
    codes, ids = np.repeat([1, 2], 20), np.arange(40)
    both = split_polygons(codes, 0.6, seed=5, ids=ids)
    assert np.array_equal(split_polygons(codes[20:], 0.6, seed=5, ids=ids[20:]), both[20:])


def test_a_group_goes_to_one_side():
    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(0, 30, 200))
    codes = groups % 3
    train = split_polygons(codes, 0.5, seed=0, groups=groups)
    assert all(len(set(train[groups == group])) == 1 for group in np.unique(groups))
    assert 0 < train.sum() < 200


def test_roles_of_a_ground_truth():
    split = split_ground_truth(truth_of([1] * 8 + [2] * 4), SplitParams(), seed=0)
    assert split.frame["role"].value_counts().to_dict() == {"train": 9, "test": 3}
    assert split.frame.groupby("code")["role"].value_counts()[(2, "train")] == 3


def test_splitting_leaves_the_ground_truth_as_it_was():
    truth = truth_of([1, 1, 1])
    split_ground_truth(truth, SplitParams(), seed=0)
    assert "role" not in truth.frame


def test_parts_of_a_multipolygon_stay_together():
    truth = truth_of([1] * 40, sources=np.repeat(np.arange(10), 4))
    split = split_ground_truth(truth, SplitParams(train_ratio=0.5), seed=0)
    assert split.frame.groupby("source")["role"].nunique().max() == 1
    assert (split.frame["role"] == "train").sum() == 20


def test_leaving_a_tile_out():
    truth = truth_of([1, 2] * 20, tiles=["31TCJ"] * 20 + ["31TDJ"] * 20)
    split = split_ground_truth(truth, SplitParams(leave_out_tile="31TDJ"), seed=0).frame
    assert set(split["role"][split["tile"] == "31TDJ"]) == {"left_out"}
    assert split["role"][split["tile"] == "31TCJ"].value_counts().to_dict() == {"train": 16, "test": 4}


def test_leaving_out_any_set_of_polygons():
    truth = truth_of([1] * 10)
    chosen = np.arange(10) < 4
    split = split_ground_truth(truth, SplitParams(), seed=0, left_out=chosen).frame
    assert (split["role"] == "left_out").tolist() == chosen.tolist()


def test_parts_of_a_left_out_multipolygon_never_train():
    truth = truth_of([1] * 12, sources=[0, 0, *range(1, 11)], tiles=["31TDJ", *["31TCJ"] * 11])
    for seed in range(20):
        split = split_ground_truth(truth, SplitParams(leave_out_tile="31TDJ", train_ratio=0.9), seed=seed).frame
        assert split["role"][:2].tolist() == ["left_out", "test"]


def test_an_unknown_tile_is_refused():
    with pytest.raises(GroundTruthError, match=r"no polygon of parcels\.gpkg is in tile 31TDK; .*did you mean '31TDJ'"):
        split_ground_truth(truth_of([1], tiles=["31TDJ"]), SplitParams(leave_out_tile="31TDK"), seed=0)


def test_a_tile_name_is_read_as_elsewhere_and_nonsense_is_refused_early():
    assert SplitParams(leave_out_tile="T31TCJ").leave_out_tile == "31TCJ"
    assert SplitParams().leave_out_tile is None
    with pytest.raises(ParameterError, match=r"leave_out_tile = 'Toulouse': .*not a Sentinel-2 tile name"):
        build(SplitParams, {"leave_out_tile": "Toulouse"}, "experiment.yml")


def test_leaving_all_out_is_refused():
    with pytest.raises(GroundTruthError, match="every polygon is left out"):
        split_ground_truth(truth_of([1, 1]), SplitParams(leave_out_tile="31TCJ"), seed=0)


def test_classes_that_are_not_trained_or_not_tested_are_warned_of(caplog):
    truth = truth_of([1, 1, 2, 3], tiles=["31TCJ"] * 3 + ["31TDJ"])
    with caplog.at_level(logging.WARNING):
        split = split_ground_truth(truth, SplitParams(leave_out_tile="31TDJ"), seed=0)
    assert "one polygon only of class 2" in caplog.text and "no polygon trains for class 3" in caplog.text
    assert classes_without(split, "train") == [3] and classes_without(split, "test") == [2, 3]


@pytest.mark.parametrize("ratio", [0, 1, -0.1, 1.5])
def test_the_ratio_has_bounds(ratio):
    with pytest.raises(ParameterError, match="train_ratio"):
        build(SplitParams, {"train_ratio": ratio}, "experiment.yml")
