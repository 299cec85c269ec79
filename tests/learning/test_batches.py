"""Split, standardisation and batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.ground.errors import SampleError
from toolkit.learning.batches import (
    CHUNK,
    Batches,
    Standardiser,
    TrainingSamples,
    batch_bounds,
    derived_seed,
    split_samples,
    standardised,
)

CPU = torch.device("cpu")


def polygons_of(counts: dict[int, int], pixels: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Codes and polygons of samples: `counts` polygons of each class."""
    codes = np.repeat(np.array(list(counts), dtype=np.uint8), [count * pixels for count in counts.values()])
    return codes, np.repeat(np.arange(sum(counts.values())), pixels) * 7 + 100


def test_no_polygon_is_on_both_sides() -> None:
    codes, polygons = polygons_of({1: 10, 2: 3, 3: 25})
    train, valid = split_samples(codes, polygons, 0.2, "polygon", np.random.default_rng(0))
    assert not set(polygons[train]) & set(polygons[valid])
    assert sorted([*train, *valid]) == list(range(len(codes)))


def test_polygon_of_two_classes_is_still_on_one_side() -> None:
    polygons = np.repeat(np.arange(40), 6)
    codes = np.tile(np.array([1, 1, 1, 2, 2, 2], dtype=np.uint8), 40)
    train, valid = split_samples(codes, polygons, 0.3, "polygon", np.random.default_rng(0))
    assert not set(polygons[train]) & set(polygons[valid])


def test_share_of_each_class() -> None:
    codes, polygons = polygons_of({1: 10, 2: 2, 3: 25, 4: 1})
    _, valid = split_samples(codes, polygons, 0.2, "polygon", np.random.default_rng(0))
    counts = {code: len(set(polygons[valid][codes[valid] == code])) for code in (1, 2, 3, 4)}
    assert counts == {1: 2, 2: 1, 3: 5, 4: 0}


@pytest.mark.parametrize("ratio", [0.01, 0.99])
def test_both_sides_have_every_class_of_two_polygons(ratio: float) -> None:
    codes, polygons = polygons_of({1: 2, 2: 7})
    for part in split_samples(codes, polygons, ratio, "polygon", np.random.default_rng(1)):
        assert set(codes[part]) == {1, 2}


def test_split_by_sample_mixes_the_polygons() -> None:
    codes, polygons = polygons_of({1: 10, 2: 20}, pixels=10)
    train, valid = split_samples(codes, polygons, 0.2, "sample", np.random.default_rng(0))
    assert np.bincount(codes[valid]).tolist() == [0, 20, 40]
    assert set(polygons[train]) & set(polygons[valid])


def test_split_depends_on_the_generator_only() -> None:
    codes, polygons = polygons_of({1: 30, 2: 30})
    first, again, other = (
        split_samples(codes, polygons, 0.2, "polygon", np.random.default_rng(seed))[1] for seed in (4, 4, 5)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_nothing_left_for_valid() -> None:
    codes, polygons = polygons_of({1: 1, 2: 1})
    with pytest.raises(SampleError, match=r"single polygon; add polygons .* or set learning.valid_by: sample"):
        split_samples(codes, polygons, 0.2, "polygon", np.random.default_rng(0))


def test_standardiser_is_that_of_numpy_over_chunks() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(3000, 900, (2 * CHUNK + 17, 5)).astype(np.float32)
    features[:, 1] += 1e6  # cancellation, were it computed as E[x^2] - E[x]^2 in float32
    rows = np.sort(rng.permutation(len(features))[: CHUNK + 5])
    found = Standardiser.fit(features, rows)
    np.testing.assert_allclose(found.mean, features[rows].astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, features[rows].astype(np.float64).std(0), rtol=1e-9)
    assert found.mean.dtype == found.std.dtype == np.float64


def test_constant_feature_becomes_zero() -> None:
    features = np.full((3 * CHUNK, 2), 0.1, dtype=np.float32)
    features[:, 1] = np.arange(len(features))
    found = Standardiser.fit(features)
    assert found.std[0] == 1
    values = torch.from_numpy(features.copy())
    found.apply(values)
    assert float(values[:, 0].abs().max()) < 1e-6
    assert float(values[:, 1].std()) == pytest.approx(1, abs=1e-3)


def test_standardised_takes_the_rows_in_their_order() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(50, 9, (CHUNK + 100, 3)).astype(np.float32)
    features.flags.writeable = False  # as a file mapped for reading
    samples = TrainingSamples(features, np.ones(len(features), np.uint8), np.arange(len(features)))
    rows = rng.permutation(len(features))[: CHUNK + 7]
    found = standardised(samples, rows, Standardiser(np.full(3, 50.0), np.full(3, 9.0)), "abc")
    np.testing.assert_allclose(found.numpy(), (features[rows] - 50) / 9, atol=1e-6)
    assert found.is_contiguous()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_a_number_is_named(value: float) -> None:
    features = np.zeros((10, 3), dtype=np.float32)
    features[4, 2] = value
    samples = TrainingSamples(features, np.ones(10, np.uint8), np.arange(10))
    with pytest.raises(SampleError, match="feature NDVI_20180111 is not a number"):
        names = ["B2_20180101", "B2_20180111", "NDVI_20180111"]
        standardised(samples, np.arange(10), Standardiser(np.zeros(3), np.ones(3)), names)


def test_samples_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="are not"):
        TrainingSamples(np.zeros((4, 2), np.float32), np.zeros(3, np.uint8), np.zeros(4, np.int64))


def test_every_sample_once_in_an_order_of_the_seed() -> None:
    features = torch.arange(103, dtype=torch.float32)[:, None].repeat(1, 2)
    batches = Batches(features, torch.arange(103), 25, CPU)
    seen = {}
    for seed in (1, 1, 2):
        pairs = [(x[:, 0].clone(), y.clone()) for x, y in batches.shuffled(seed)]
        assert [len(y) for _, y in pairs] == [25, 25, 25, 25, 3]
        assert all(torch.equal(x.long(), y) for x, y in pairs)
        order = torch.cat([y for _, y in pairs])
        assert torch.equal(order.sort().values, torch.arange(103))
        assert torch.equal(seen.setdefault(seed, order), order)
    assert not torch.equal(seen[1], seen[2])


def test_global_generator_plays_no_part_in_the_order() -> None:
    batches = Batches(torch.zeros(50, 1), torch.arange(50), 50, CPU)
    orders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        orders.append(next(iter(batches.shuffled(9)))[1])
    assert torch.equal(*orders)


def test_a_single_sample_left_over_joins_the_batch_before() -> None:
    assert batch_bounds(9, 4) == [(0, 4), (4, 9)]
    assert batch_bounds(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert batch_bounds(3, 4) == [(0, 3)]
    assert batch_bounds(1, 4) == [(0, 1)]
    batches = Batches(torch.zeros(9, 1), torch.arange(9), 4, CPU)
    assert [len(labels) for _, labels in batches.shuffled(0)] == [4, 5]
    assert len(batches) == 2


def test_derived_seeds_differ_by_purpose_and_epoch() -> None:
    seeds = {derived_seed(seed, purpose, epoch) for seed in (0, 1) for purpose in (0, 1) for epoch in range(50)}
    assert len(seeds) == 200
    assert derived_seed(7, 1, 2) == derived_seed(7, 1, 2)
