"""One update of the weights."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from toolkit.learning.losses import Loss, LossParams
from toolkit.learning.updates import UpdateParams, Updater


def updater(network: nn.Module, weights: torch.Tensor | None = None, **params: Any) -> Updater:
    return Updater(network, Loss(LossParams(), weights), UpdateParams(**params), "sgd")


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(50, 6, generator=generator), torch.randint(3, (50,), generator=generator)


@pytest.mark.parametrize("size", [2, 7, 16, 49, 64])
def test_small_parts_give_the_gradient_of_the_whole(
    network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], size: int
) -> None:
    weights = torch.tensor([1.0, 0.2, 3.0])
    whole, parts = copy.deepcopy(network), copy.deepcopy(network)
    one = updater(whole, weights).update(*batch, 0.1, 0)
    other = updater(parts, weights, micro_batch=size).update(*batch, 0.1, 0)
    torch.testing.assert_close(one, other)
    for ours, theirs in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_parts_are_never_a_single_sample(network: nn.Module) -> None:
    for count in range(2, 60):
        for size in range(2, 12):
            parts = list(updater(network, micro_batch=size)._parts(count))
            lengths = [part.stop - part.start for part in parts]
            assert sum(lengths) == count
            assert max(lengths) <= max(size, 3) and min(lengths) > 1


def test_a_long_gradient_is_shortened(network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    before = copy.deepcopy(network)
    updater(network, clip_gradient=0.01).update(*batch, 1.0, 0)
    moved = [new - old for new, old in zip(network.parameters(), before.parameters(), strict=True)]
    length = torch.cat([one.flatten() for one in moved]).norm()
    assert float(length.detach()) == pytest.approx(0.01, rel=1e-3)


def test_the_average_follows_the_weights(network: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    network.append(nn.BatchNorm1d(3))
    one = updater(network, average=0.5)
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    for number in range(9):
        one.update(*batch, 0.1, number)
        share = 1 - min(0.5, (1 + number) / (10 + number))
        for name, value in network.state_dict().items():
            floating = value.is_floating_point()
            expected[name] = torch.lerp(expected[name], value, share) if floating else value.clone()
    for name, value in one.watched.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert not one.watched.training
    assert int(one.watched.state_dict()["3.num_batches_tracked"]) == 9


def test_without_an_average_the_weights_are_looked_at(network: nn.Module) -> None:
    assert updater(network).watched is network
