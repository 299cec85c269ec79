"""A network over several sensors: for each an encoder of its own, their vectors side by side, one head.

Every sensor keeps its own dates and channels, which is what such encoders are for: nothing is brought onto a common
grid of days, as it is where channels are stacked. The encoders are of one kind and share no weight. What has no date,
of any sensor, joins before the head.

Source: the "late fusion" of Garnot, Landrieu and Chehata (2022), "Multi-modal temporal attention models for crop
mapping from satellite time series", ISPRS Journal of Photogrammetry and Remote Sensing 187, 294-305: a temporal encoder
a sensor, their vectors joined before one classifier.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from toolkit.ground.errors import ParameterError
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models.columns import chunk_of
from toolkit.learning.models.series import SeriesNetwork


class SensorNetwork(nn.Module):
    """An encoder a sensor, then a head: (sample, feature) to logits (sample, class)."""

    def __init__(self, kind: type[SeriesNetwork], params: Any, inputs: InputLayout, n_classes: int) -> None:
        """
        Args:
            kind: of the encoders and the head.

        Raises:
            ParameterError: a sensor has no series, or one that the network cannot read.
        """
        super().__init__()
        self.sensors = inputs.sensors
        encoders = [_encoder(kind, params, name, one.inputs) for name, one in self.sensors.items()]
        self.encoders = nn.ModuleList(encoders)
        width = sum(encoder.width for encoder in encoders)
        static = sum(len(one.inputs.static) for one in self.sensors.values())
        self.head = kind.head(params, width + static, n_classes)
        self.widths, self.chunk = encoders[0].widths, chunk_of(encoders[0])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        series = [one.inputs.series(one.of(features)) for one in self.sensors.values()]
        encoded = [encoder.encode(one) for encoder, one in zip(self.encoders, series, strict=True)]  # type: ignore[operator]
        return self.head(torch.cat([*encoded, *(one.static for one in series)], 1))


def _encoder(kind: type[SeriesNetwork], params: Any, sensor: str, inputs: InputLayout) -> SeriesNetwork:
    """The encoder of a sensor; whoever cannot read it says of which."""
    try:
        return kind(params, inputs, None)
    except ParameterError as error:
        raise ParameterError(f"series.sensors, {sensor}: {error}" if sensor else str(error)) from None
