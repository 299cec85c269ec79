"""What networks that read series in time share: the days as numbers, and the layers from a series to the classes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from toolkit.ground.errors import ParameterError
from toolkit.learning.inputs import InputLayout


def check_regular(inputs: InputLayout, network: str) -> None:
    """Refuse what a network that slides over the dates cannot read.

    Raises:
        ParameterError: no channel has every date, or the dates are raw ones.
    """
    inputs.check_series(network)
    if inputs.raw:
        raise ParameterError(
            f"network {network} slides over dates of equal distance and cannot read raw ones; set "
            "features.representation: gap_filled, or put learning.interpolator before it"
        )


class DayEncoding(nn.Module):
    """Days as sines and cosines of periods from 2 pi days to 2 pi `longest` days (Vaswani et al. 2017, by day)."""

    def __init__(self, width: int, longest: float = 1000.0, repeat: int = 1) -> None:
        """
        Args:
            width: numbers for each day.
            repeat: how often they stand one after the other, once for each head that sees a part.
        """
        super().__init__()
        position = torch.arange(width, device="cpu")
        self.rate: torch.Tensor
        self.register_buffer("rate", longest ** -(2 * (position // 2) / width), persistent=False)
        self.repeat = repeat

    def forward(self, days: torch.Tensor) -> torch.Tensor:
        """(sample, date) to (sample, date, repeat * width)."""
        angle = days.unsqueeze(2) * self.rate
        even = torch.arange(len(self.rate), device=days.device) % 2 == 0
        return torch.where(even, angle.sin(), angle.cos()).repeat(1, 1, self.repeat)


def dense(widths: Sequence[int], dropout: float = 0.0) -> nn.Sequential:
    """Linear layers, each with batch normalisation, rectifier and dropout."""
    layers: list[nn.Module] = []
    for width, wider in pairwise(widths):
        layers += [nn.Linear(width, wider), nn.BatchNorm1d(wider), nn.ReLU(inplace=True)]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers)


def largest_over_time(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """The largest of each channel over the valid dates, (sample, channel); 0 where no date is valid.

    Args:
        values: (sample, date, channel). valid: (sample, date) bool.
    """
    there = valid.unsqueeze(2)
    largest = values.masked_fill(~there, torch.finfo(values.dtype).min).amax(1)
    return largest.masked_fill(~there.any(1), 0)
