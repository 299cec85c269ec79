"""What a training settles before it begins, and keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from toolkit.learning import settling
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import MlpParams
from toolkit.learning.parameters import LearningParams
from toolkit.learning.result import TrainingResult
from toolkit.learning.settling import Choices, memory_for_samples, settle
from toolkit.learning.state import TrainingState

Train = Callable[..., TrainingResult]
INPUTS = InputLayout.unnamed(12)


def test_the_default_leaves_nothing_to_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same experiment gives the same bits: no trial, whose outcome hangs on the hour."""
    monkeypatch.setattr(settling, "_trial", None)
    assert settle(LearningParams(), INPUTS, 4, 100) == Choices("float32", None, False)
    assert settle(LearningParams(batch_size=64), INPUTS, 4, 100).threads == 1
    assert settle(LearningParams(precision="bfloat16", threads=2), INPUTS, 4, 100) == Choices("bfloat16", 2, False)


@pytest.mark.parametrize("fastest", [("float32", 1), ("bfloat16", 1), ("float32", 2), ("bfloat16", 2)])
def test_the_quickest_of_a_trial_is_taken(monkeypatch: pytest.MonkeyPatch, fastest: tuple[str, int]) -> None:
    def trial(params: Any, inputs: Any, n_classes: int, candidate: Any, size: int, device: Any) -> float:
        return 1.0 if candidate == fastest else 2.0

    monkeypatch.setattr(settling, "_trial", trial)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    found = settle(LearningParams(precision="auto", probe_threads=True), INPUTS, 4, 100)
    assert (found.precision, found.threads) == fastest


def test_a_trial_runs_and_leaves_all_as_it_was() -> None:
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    params = LearningParams(precision="auto", probe_threads=True, network=MlpParams(dropout=0.1), batch_size=256)
    found = settle(params, INPUTS, 4, 100)
    assert found.precision in ("float32", "bfloat16") and found.threads in (1, threads)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_memory_is_a_cap_on_the_samples() -> None:
    params = LearningParams(memory_gb=1e-3)
    assert memory_for_samples(params) == 1e6
    assert not settle(params, INPUTS, 4, 250_000).streamed
    assert settle(params, INPUTS, 4, 250_001).streamed
    assert not settle(LearningParams(memory_gb=1e-3, precision="bfloat16"), INPUTS, 4, 500_000).streamed
    assert memory_for_samples(LearningParams(memory_gb=1e-3, processes=2)) == 5e5
    assert memory_for_samples(LearningParams()) > 1e8


def test_a_training_that_goes_on_does_not_try_again(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_quickest", lambda *_: ("bfloat16", 1))
    result = train(epochs=2, precision="auto")
    state = TrainingState.read(result.folder / "state.safetensors", "key")
    assert state is not None and state.choices == {"precision": "bfloat16", "threads": 1, "streamed": False}

    def never(*_: Any) -> None:
        raise AssertionError("tried again")

    monkeypatch.setattr(settling, "_quickest", never)
    assert len(train(epochs=4, precision="auto").history) == 4


def test_with_bfloat16_it_learns_as_with_float32(train: Train) -> None:
    options = {"epochs": 30, "learning_rate": 5e-3}
    plain, mixed = train("plain", **options), train("mixed", precision="bfloat16", **options)
    assert plain.best is not None and mixed.best is not None
    assert mixed.best["f_score"] > 0.95
    for one, other in zip(plain.history, mixed.history, strict=True):
        assert other["valid_loss"] == pytest.approx(one["valid_loss"], abs=0.05)
    assert plain.history != mixed.history
    state = TrainingState.read(mixed.folder / "state.safetensors", "key")
    assert state is not None
    assert {value.dtype for value in state.network.values()} == {torch.float32}
