"""A trained network turned to maps: features as columns of pixels, the standardisation inside.

Images come band by band, so a block of pixels is (feature, pixel). A network that can take it so, and not
standardised, saves a transposition and a pass over memory; any other is wrapped.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from toolkit.ground.raw_rows import RawRow

PIXELS = 4096
"""Samples that go through a network at once, where it does not say otherwise."""


def chunk_of(network: nn.Module) -> int:
    """Samples that go through a network at once outside its training.

    A network that keeps many numbers for each sample says fewer by an attribute `chunk`: its work then stays in the
    processor's cache, which is twice as fast, and in little memory.
    """
    return int(getattr(network, "chunk", PIXELS))


@runtime_checkable
class Columnwise(Protocol):
    """A network with a form of its own for maps."""

    def columnwise(self, mean: torch.Tensor, std: torch.Tensor) -> nn.Module:
        """A module from features (feature, pixel), not standardised, to logits (class, pixel).

        Args:
            mean, std: float64 of shape (feature,).
        """


class Transposed(nn.Module):
    """Any network, between a standardisation and two transpositions."""

    def __init__(self, network: nn.Module, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.network, self.chunk = network, chunk_of(network)
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", mean.float()[:, None])
        self.register_buffer("std", std.float()[:, None])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.network(((features - self.mean) / self.std).T).T


class RawTransposed(Transposed):
    """Any network of raw dates, between a standardisation and two transpositions."""

    def __init__(self, network: nn.Module, mean: torch.Tensor, std: torch.Tensor, row: RawRow) -> None:
        super().__init__(network, mean, std)
        self.row = row

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        static = self.row.static
        dated = (features[static:].unflatten(0, (-1, self.row.each)) - self.mean[static:]).div_(self.std[static:])
        dated[:, :-2].mul_(dated[:, -1:])
        columns = dated.flatten(0, 1)
        if static:
            columns = torch.cat(((features[:static] - self.mean[:static]) / self.std[:static], columns))
        return self.network(columns.T).T


def for_maps(network: nn.Module, mean: torch.Tensor, std: torch.Tensor, row: RawRow | None = None) -> nn.Module:
    """The network for inference: features (feature, pixel), not standardised, to logits (class, pixel).

    Args:
        mean, std: normalisation of the features, float64 of shape (feature,).
        row: the layout of raw dates, where the features are such; mean and std are then of each name.
    """
    network = network.eval()
    if row is not None:
        module: nn.Module = RawTransposed(network, mean, std, row)
    elif isinstance(network, Columnwise):
        module = network.columnwise(mean, std)
    else:
        module = Transposed(network, mean, std)
    return module.eval().requires_grad_(False)
