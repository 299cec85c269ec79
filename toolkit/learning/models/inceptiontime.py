"""InceptionTime: convolutions of several lengths beside each other, with shortcuts.

Source: Ismail Fawaz et al. (2020), "InceptionTime: finding AlexNet for time series classification", Data Mining and
Knowledge Discovery 34, 1936-1962. One network of their ensemble of five: six modules, each a bottleneck and 32 filters
of three lengths and of a pooling, a shortcut around every three, and the mean over time. Their lengths 40, 20 and 10
are 39, 19 and 9 here, so that a filter has a middle.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from toolkit.ground.params import param
from toolkit.learning.inputs import InputLayout, Series
from toolkit.learning.models.registry import NetworkParams, register
from toolkit.learning.models.series import SeriesNetwork, check_regular


class InceptionTimeParams(NetworkParams):
    """Parameters of InceptionTime."""

    name: Literal["inceptiontime"] = param(
        "inceptiontime", "InceptionTime (Ismail Fawaz et al. 2020): filters of several lengths over the regular grid."
    )
    filters: int = param(32, "Filters of each convolution.", ge=1)
    longest: int = param(
        40, "Dates that the longest filters span; the others span a half and a quarter.", unit="dates", ge=4
    )
    layers: int = param(6, "Layers, one upon the other.", ge=1, le=20)


@register(InceptionTimeParams)
class InceptionTime(SeriesNetwork):
    """Inception modules and the mean over time: (sample, feature) to logits (sample, class)."""

    chunk = 512

    def __init__(self, params: InceptionTimeParams, inputs: InputLayout, n_classes: int | None) -> None:
        super().__init__(params, inputs, n_classes)
        check_regular(inputs, params.name)
        wide = 4 * params.filters
        self.widths = (wide,) * params.layers
        widths = [len(inputs.channels), *[wide] * params.layers]
        self.modules_in_order = nn.ModuleList(Inception(width, params) for width in widths[:-1])
        self.shortcuts = nn.ModuleList(
            nn.Sequential(nn.Conv1d(widths[start], wide, 1, bias=False), nn.BatchNorm1d(wide))
            for start in range(0, params.layers - 2, 3)
        )
        self.put_on(wide)

    def encode(self, series: Series) -> torch.Tensor:
        found = before = series.values.transpose(1, 2)
        for number, module in enumerate(self.modules_in_order):
            found = module(found)
            if number % 3 == 2:
                found = before = torch.relu(found + self.shortcuts[number // 3](before))
        return found.mean(2)


class Inception(nn.Module):
    """Filters of three lengths and of a pooling, side by side: (sample, channel, date), four times `filters` wide."""

    def __init__(self, width: int, params: InceptionTimeParams) -> None:
        super().__init__()
        filters = params.filters
        lengths = [_odd(params.longest // part) for part in (1, 2, 4)]
        self.bottleneck = nn.Conv1d(width, filters, 1, bias=False) if width > 1 else nn.Identity()
        narrow = filters if width > 1 else width
        self.filters = nn.ModuleList(
            nn.Conv1d(narrow, filters, length, padding=length // 2, bias=False) for length in lengths
        )
        self.pooled = nn.Sequential(nn.MaxPool1d(3, 1, padding=1), nn.Conv1d(width, filters, 1, bias=False))
        self.norm = nn.BatchNorm1d(4 * filters)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        narrow = self.bottleneck(values)
        beside = [filters(narrow) for filters in self.filters]
        return torch.relu(self.norm(torch.cat([*beside, self.pooled(values)], 1)))


def _odd(length: int) -> int:
    return length - 1 + length % 2
