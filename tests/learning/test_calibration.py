"""Confidence that means what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch.nn import functional

from toolkit.ground.errors import RunFolderError
from toolkit.learning.calibration import (
    BINS,
    COLDEST,
    HOTTEST,
    Calibration,
    best_temperature,
    calibrate,
    reliability,
)


def drawn(scale: float, count: int = 4000, classes: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits `scale` times too large, and labels drawn with the true probabilities."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, classes, generator=generator)
    labels = torch.multinomial(torch.softmax(logits, 1), 1, generator=generator)[:, 0]
    return scale * logits, labels


@given(st.floats(0.3, 5), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_the_temperature_is_where_the_cross_entropy_is_least(scale: float, seed: int) -> None:
    logits, labels = drawn(scale, 500, seed=seed)

    def cost(log: float) -> float:
        return float(functional.cross_entropy(logits.double() / np.exp(log), labels))

    expected = np.exp(minimize_scalar(cost, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded").x)
    assert best_temperature(logits, labels) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_overconfidence_is_undone(scale: float) -> None:
    found = calibrate(*drawn(scale))
    assert found.temperature == pytest.approx(scale, rel=0.08)
    assert found.ece_after < 0.03
    if scale != 1:
        assert found.ece_before > 2 * found.ece_after


def test_a_few_errors_of_great_confidence_do_not_cost_all_of_it() -> None:
    logits = torch.tensor([[2.0, 0.0]] * 9 + [[60.0, 0.0]])
    labels = torch.tensor([0] * 9 + [1])
    assert best_temperature(logits, labels) > 5
    found = calibrate(logits, labels)
    assert found.temperature == 1 and found.ece_after == found.ece_before < 0.3


def test_a_set_without_errors_has_the_coldest() -> None:
    labels = torch.arange(12) % 3
    assert best_temperature(1.0 * functional.one_hot(labels, 3), labels) == pytest.approx(COLDEST, rel=1e-3)
    wrong = (labels + 1) % 3
    assert best_temperature(1.0 * functional.one_hot(labels, 3), wrong) == pytest.approx(HOTTEST, rel=1e-3)


def test_the_error_is_that_of_its_definition() -> None:
    logits, labels = drawn(2.0, 700)
    probabilities = torch.softmax(logits.double(), 1).numpy()
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels.numpy()
    expected = 0.0
    for low in range(BINS):
        inside = (confidence >= low / BINS) & (confidence < (low + 1) / BINS)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    found = reliability(logits, labels)
    assert found.ece == pytest.approx(expected, abs=1e-9)
    assert sum(found.counts) == 700


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert Calibration.read(path) is None
    found = calibrate(*drawn(2.0, 300))
    found.write(path)
    assert Calibration.read(path) == found
    path.write_text(path.read_text()[:-30])
    with pytest.raises(RunFolderError, match="damaged"):
        Calibration.read(path)
