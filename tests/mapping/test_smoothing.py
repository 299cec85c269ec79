"""Bayesian smoothing, against the formula of the paper written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.mapping.smoothing import logits, smooth

CODES = np.array([3, 9, 12], dtype=np.uint8)


def random_probabilities(seed: int, height: int = 12, width: int = 15, full: int = 100) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = np.round(rng.dirichlet([0.6, 0.6, 0.6], (height, width)) * full).astype(np.uint8)
    found[rng.random((height, width)) < 0.1] = 0
    return np.moveaxis(found, -1, 0).copy()


def by_the_formula(
    probabilities: np.ndarray, window: int, share: float, smoothness: np.ndarray, full: int
) -> np.ndarray:
    """Smoothed logits, pixel by pixel with sorted neighbours, float64 (class, y, x)."""
    seen = probabilities.any(axis=0)
    p = np.clip(probabilities.astype(float), 0.5, full - 0.5) / full
    x = np.log(p / (1 - p))
    out = np.full(p.shape, np.nan)
    radius = window // 2
    for row, col in np.argwhere(seen):
        rows, cols = slice(max(row - radius, 0), row + radius + 1), slice(max(col - radius, 0), col + radius + 1)
        for k in range(len(p)):
            values = np.sort(x[k, rows, cols][seen[rows, cols]])[::-1]
            values = values[: math.ceil(share * len(values))]
            mean, spread = values.mean(), values.var(ddof=1) if len(values) > 1 else 0.0
            out[k, row, col] = (spread * x[k, row, col] + smoothness[k] * mean) / (spread + smoothness[k])
    return out


@pytest.mark.parametrize(("window", "share", "full"), [(3, 1.0, 100), (5, 0.5, 100), (7, 0.3, 255), (1, 0.5, 100)])
def test_class_is_that_of_the_largest_posterior(window: int, share: float, full: int) -> None:
    probabilities = random_probabilities(window, full=full)
    smoothness = np.array([10.0, 2.0, 30.0])
    wanted = by_the_formula(probabilities, window, share, smoothness, full)
    found = smooth(probabilities, CODES, window=window, share=share, smoothness=smoothness, full=full)
    seen = probabilities.any(axis=0)
    assert (found[~seen] == 0).all() and (~seen).any()
    ordered = np.sort(wanted[:, seen], axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-3  # logits are held in 1/65536
    assert clear.mean() > 0.9
    assert np.array_equal(found[seen][clear], CODES[wanted[:, seen].argmax(axis=0)][clear])


def test_one_doubtful_pixel_yields_to_its_neighbours_and_a_sure_field_stays() -> None:
    probabilities = np.zeros((2, 15, 15), dtype=np.uint8)
    probabilities[0], probabilities[1] = 90, 10
    probabilities[:, :, 8:] = probabilities[::-1, :, 8:]
    probabilities[:, 7, 3] = 45, 55
    codes = np.array([3, 9])
    found = smooth(probabilities, codes, window=7, smoothness=20.0)
    assert (found[:, :8] == 3).all() and (found[:, 8:] == 9).all()
    assert smooth(probabilities, codes, window=1)[7, 3] == 9, "a window of one pixel leaves every pixel as it is"


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 9),
    window=st.sampled_from([3, 5, 7]),
    share=st.sampled_from([0.2, 0.5, 1.0]),
)
def test_blocks_of_any_size_give_the_whole(seed: int, size: int, window: int, share: float) -> None:
    probabilities = random_probabilities(seed)
    whole = smooth(probabilities, CODES, window=window, share=share)
    radius = window // 2
    wide = np.pad(probabilities, ((0, 0), (radius, radius), (radius, radius)))
    for row in range(0, whole.shape[0], size):
        for col in range(0, whole.shape[1], size):
            part = smooth(
                wide[:, row : row + size + 2 * radius, col : col + size + 2 * radius],
                CODES,
                window=window,
                share=share,
            )
            inner = part[radius:-radius, radius:-radius]
            assert np.array_equal(inner, whole[row : row + size, col : col + size])


def test_logits_are_symmetric_and_finite() -> None:
    table = logits(100)
    assert np.array_equal(table, -table[::-1]) and table[50] == 0
    assert (np.diff(table) > 0).all()


def test_what_cannot_be_smoothed_is_refused() -> None:
    with pytest.raises(ValueError, match="window = 4"):
        smooth(random_probabilities(0), CODES, window=4)
    with pytest.raises(ValueError, match="a probability is 200, but 100 means 1"):
        smooth(np.full((3, 2, 2), 200, dtype=np.uint8), CODES)
