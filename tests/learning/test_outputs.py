"""What is made of logits, held against the obvious float64 formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toolkit.learning.outputs import CLASS, CONFIDENCE, ENTROPY, MARGIN, PROBABILITIES, outputs_of

ALL = (CLASS, CONFIDENCE, PROBABILITIES, MARGIN, ENTROPY)


@given(st.integers(0, 999), st.integers(2, 30), st.floats(0.01, 50))
def test_outputs_are_those_of_the_softmax(seed: int, classes: int, spread: float) -> None:
    logits = (np.random.default_rng(seed).normal(0, spread, (classes, 20))).astype(np.float32)
    found = {name: one.numpy() for name, one in outputs_of(torch.from_numpy(logits.copy()), ALL).items()}
    weight = np.exp(logits.astype(float) - logits.max(axis=0))
    p = weight / weight.sum(axis=0)
    ordered = np.sort(p, axis=0)
    entropy = -np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(axis=0) / np.log(classes)
    assert np.array_equal(found[CLASS], logits.argmax(axis=0))
    wanted = {CONFIDENCE: ordered[-1], PROBABILITIES: p, MARGIN: ordered[-1] - ordered[-2], ENTROPY: entropy}
    for name, value in wanted.items():
        assert found[name].dtype == np.uint8
        assert np.abs(found[name] - 100 * value).max() <= 0.501, name
    assert np.array_equal(found[PROBABILITIES].max(axis=0), found[CONFIDENCE])


def test_ends_of_the_scales() -> None:
    alike, sure = torch.zeros((4, 1)), torch.tensor([[200.0], [-200.0], [-200.0], [-200.0]])
    found = outputs_of(torch.cat([alike, sure], dim=1), ALL)
    assert found[ENTROPY].tolist() == [100, 0] and found[MARGIN].tolist() == [0, 100]
    assert found[CONFIDENCE].tolist() == [25, 100]


def test_a_network_of_one_class_is_sure() -> None:
    found = outputs_of(torch.tensor([[3.0, -3.0]]), ALL)
    assert found[MARGIN].tolist() == [100, 100] and found[ENTROPY].tolist() == [0, 0]


@pytest.mark.parametrize("wanted", [(CLASS,), (CLASS, CONFIDENCE), (ENTROPY,), (PROBABILITIES, MARGIN)])
def test_only_what_is_wanted_is_given_and_the_rest_changes_nothing(wanted: tuple[str, ...]) -> None:
    logits = torch.from_numpy(np.random.default_rng(1).normal(0, 2, (5, 50)).astype(np.float32))
    alone, whole = outputs_of(logits.clone(), wanted), outputs_of(logits.clone(), ALL)
    assert set(alone) == set(wanted)
    assert all(torch.equal(alone[name], whole[name]) for name in wanted)
