"""What networks that read series in time share: an encoder and a head, the days as numbers, dense layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from toolkit.ground.errors import ParameterError
from toolkit.learning.inputs import InputLayout, Series


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


class SeriesNetwork(nn.Module, ABC):
    """A network in two parts: an encoder, from a series to a vector, and a head, from the vector to the classes.

    What has no date joins the vector. A constructor makes the layers of the encoder and ends with `put_on`; with
    several sensors each has an encoder of its own, made with `n_classes = None`, before one head (see `sensors`).
    """

    widths: tuple[int, ...] = ()
    """Neurons of each layer."""

    def __init__(self, params: Any, inputs: InputLayout, n_classes: int | None) -> None:
        super().__init__()
        self.inputs, self._asked = inputs, (params, n_classes)
        self.width = 0
        """Numbers of the vector."""
        self._head: list[str] = []

    @abstractmethod
    def encode(self, series: Series) -> torch.Tensor:
        """Series to vectors (sample, `width`)."""

    @staticmethod
    def head(params: Any, width: int, n_classes: int) -> nn.Sequential:
        """The layers from a vector of this width to logits, by their names."""
        return nn.Sequential(OrderedDict(classes=nn.Linear(width, n_classes)))

    def put_on(self, width: int) -> None:
        """Put the head behind an encoder that gives so many numbers, each layer by its own name; none without classes.

        That its layers stand beside those of the encoder is how models were saved before there were heads.
        """
        self.width, (params, n_classes) = width, self._asked
        if n_classes is not None:
            for name, layer in self.head(params, width + len(self.inputs.static), n_classes).named_children():
                self.add_module(name, layer)
                self._head.append(name)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(sample, feature) to logits (sample, class)."""
        series = self.inputs.series(features)
        found = torch.cat([self.encode(series), series.static], 1)
        for name in self._head:
            found = self.get_submodule(name)(found)
        return found


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
