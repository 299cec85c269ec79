"""TempCNN: convolutions over time.

Source: Pelletier, Webb and Petitjean (2019), "Temporal convolutional neural network for the classification of satellite
image time series", Remote Sensing 11(5), 523: three convolutions of 64 filters over 5 dates, a dense layer of 256, each
with batch normalisation, rectifier and dropout of a half; no pooling.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from toolkit.ground.params import param
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models.registry import NetworkParams, register
from toolkit.learning.models.series import check_regular, dense


class TempCnnParams(NetworkParams):
    """Parameters of TempCNN."""

    name: Literal["tempcnn"] = param(
        "tempcnn", "TempCNN (Pelletier et al. 2019): convolutions over the dates of the regular grid."
    )
    filters: int = param(64, "Filters of each convolution.", ge=1)
    kernel: int = param(5, "Dates that a filter spans.", unit="dates", ge=1)
    layers: int = param(3, "Layers, one upon the other.", ge=1, le=20)
    dense: int = param(256, "Neurons of the layer after the convolutions.", unit="neurons", ge=1)
    dropout: float = param(0.5, "Share of the neurons of each hidden layer silenced at each step.", ge=0, lt=1)


@register(TempCnnParams)
class TempCnn(nn.Module):
    """Convolutions over time, then dense layers: (sample, feature) to logits (sample, class)."""

    chunk = 512

    def __init__(self, params: TempCnnParams, inputs: InputLayout, n_classes: int) -> None:
        super().__init__()
        check_regular(inputs, params.name)
        self.inputs, self.widths = inputs, (*[params.filters] * params.layers, params.dense)
        layers: list[nn.Module] = []
        width = len(inputs.channels)
        for _ in range(params.layers):
            left = (params.kernel - 1) // 2
            layers += [
                nn.ConstantPad1d((left, params.kernel - 1 - left), 0.0),
                nn.Conv1d(width, params.filters, params.kernel),
                nn.BatchNorm1d(params.filters),
                nn.ReLU(inplace=True),
                nn.Dropout(params.dropout),
            ]
            width = params.filters
        self.convolutions = nn.Sequential(*layers)
        flat = params.filters * len(inputs.dates) + len(inputs.static)
        self.dense = dense((flat, params.dense), params.dropout)
        self.classes = nn.Linear(params.dense, n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        series = self.inputs.series(features)
        found = self.convolutions(series.values.transpose(1, 2)).flatten(1)
        return self.classes(self.dense(torch.cat([found, series.static], 1)))
