"""TempCNN: convolutions over time.

Source: Pelletier, Webb and Petitjean (2019), "Temporal convolutional neural network for the classification of satellite
image time series", Remote Sensing 11(5), 523: three convolutions of 64 filters over 5 dates, a dense layer of 256, each
with batch normalisation, rectifier and dropout of a half; no pooling.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from torch import nn

from toolkit.ground.params import param
from toolkit.learning.inputs import InputLayout, Series
from toolkit.learning.models.registry import NetworkParams, register
from toolkit.learning.models.series import SeriesNetwork, check_regular, dense


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
class TempCnn(SeriesNetwork):
    """Convolutions over time, then dense layers: (sample, feature) to logits (sample, class)."""

    chunk = 512

    def __init__(self, params: TempCnnParams, inputs: InputLayout, n_classes: int | None) -> None:
        super().__init__(params, inputs, n_classes)
        check_regular(inputs, params.name)
        self.widths = (*[params.filters] * params.layers, params.dense)
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
        self.put_on(params.filters * len(inputs.dates))

    @staticmethod
    def head(params: TempCnnParams, width: int, n_classes: int) -> nn.Sequential:
        hidden = dense((width, params.dense), params.dropout)
        return nn.Sequential(OrderedDict(dense=hidden, classes=nn.Linear(params.dense, n_classes)))

    def encode(self, series: Series) -> torch.Tensor:
        return self.convolutions(series.values.transpose(1, 2)).flatten(1)
