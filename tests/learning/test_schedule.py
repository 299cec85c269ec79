"""The learning rate over a training, held against torch's own schedulers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.ground.errors import ParameterError
from toolkit.ground.params import build
from toolkit.learning.early_stop import EarlyStopParams, has_ended
from toolkit.learning.schedule import ScheduleParams, plateau_factor, rate_factor


def factors(updates: int, epochs: int, **params: Any) -> list[float]:
    schedule = ScheduleParams(**params)
    return [rate_factor(schedule, update, updates, epochs) for update in range(updates * epochs)]


def of_torch(make: Any, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_a_constant_rate_is_constant() -> None:
    assert set(factors(3, 4)) == {1.0}


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 12))
def test_cosine_is_that_of_torch(updates: int, epochs: int) -> None:
    expected = of_torch(lambda one: torch.optim.lr_scheduler.CosineAnnealingLR(one, updates * epochs), updates * epochs)
    assert factors(updates, epochs, kind="cosine") == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(st.integers(2, 9), st.integers(3, 12))
def test_one_cycle_is_that_of_torch(updates: int, epochs: int) -> None:
    total = updates * epochs
    scheduler = torch.optim.lr_scheduler.OneCycleLR
    # torch refuses the step after the last update.
    expected = of_torch(lambda one: scheduler(one, 1.0, total_steps=total, cycle_momentum=False), total - 1)
    found = factors(updates, epochs, kind="one_cycle")
    assert found[: total - 1] == pytest.approx(expected, abs=1e-9)
    assert found[-1] == pytest.approx(1 / 25 / 10_000)


def test_warmup_rises_then_gives_way() -> None:
    found = factors(4, 5, kind="cosine", warmup_epochs=1.5)
    assert found[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert found[6] == pytest.approx(1)
    assert found[6:] == sorted(found[6:], reverse=True)
    assert factors(4, 2, warmup_epochs=1)[3:] == [1.0] * 5


def test_one_cycle_takes_no_warmup() -> None:
    with pytest.raises(ParameterError, match="rises by itself"):
        build(ScheduleParams, {"kind": "one_cycle", "warmup_epochs": 2}, "experiment.yml")


@settings(deadline=None)
@given(st.lists(st.floats(0.1, 2), max_size=40), st.integers(0, 4), st.sampled_from([0.0, 1e-4, 0.2]))
def test_plateau_is_that_of_torch(losses: list[float], patience: int, tolerance: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, threshold=tolerance, eps=0
    )
    params = ScheduleParams(plateau_patience=patience, plateau_factor=0.5, plateau_tolerance=tolerance)
    history = []
    for loss in losses:
        scheduler.step(loss)
        history.append({"valid_loss": loss})
        assert plateau_factor(params, history) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert plateau_factor(ScheduleParams(), history) == 1


def rows(*losses: float) -> list[dict[str, float]]:
    return [{"valid_loss": loss, "f_score": 1 - loss} for loss in losses]


@pytest.mark.parametrize(
    ("options", "losses", "ends"),
    [
        ({}, [0.5] * 50, None),
        ({"patience": 2}, [0.5, 0.4, 0.41, 0.42], 4),
        ({"patience": 2}, [0.5, 0.4, 0.41, 0.39, 0.4, 0.4], 6),
        ({"patience": 2, "tolerance": 0.05}, [0.5, 0.48, 0.46], 3),
        ({"patience": 2, "tolerance": 0.05}, [0.5, 0.48, 0.44, 0.38], None),
        ({"patience": 1, "first_epoch": 4}, [0.1, 0.5, 0.5, 0.5, 0.5], 5),
        ({"patience": 1, "metric": "f_score"}, [0.5, 0.4, 0.4], 3),
    ],
)
def test_when_a_training_ends_early(options: dict[str, Any], losses: list[float], ends: int | None) -> None:
    params = EarlyStopParams(**options)
    found = [count for count in range(1, len(losses) + 1) if has_ended(rows(*losses[:count]), params)]
    assert (found[0] if found else None) == ends
