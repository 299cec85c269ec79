"""A recurrent network over the dates, GRU or LSTM.

Sources: Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder", EMNLP (GRU); Hochreiter and
Schmidhuber (1997), "Long short-term memory", Neural Computation 9(8); for satellite series Rußwurm and Körner (2017),
"Temporal vegetation modelling using long short-term memory networks for crop identification", CVPR Workshops. The
default sizes are ours. The day of each date is one channel more, so that raw dates need no equal distance.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from toolkit.ground.params import param
from toolkit.learning.inputs import InputLayout, Series
from toolkit.learning.models.registry import NetworkParams, register
from toolkit.learning.models.series import SeriesNetwork

DAYS_A_YEAR = 365.25


class GruParams(NetworkParams):
    """Parameters of the recurrent network."""

    name: Literal["gru"] = param(
        "gru", "Recurrent network, GRU or LSTM: reads the dates one after the other, regular or raw."
    )
    cell: Literal["gru", "lstm"] = param("gru", "What remembers from date to date: gru, or lstm, a third larger.")
    width: int = param(128, "Numbers that stand for each date inside the network.", ge=1)
    layers: int = param(1, "Layers, one upon the other.", ge=1, le=20)
    both_ways: bool = param(True, "Read the dates backwards too, by cells of their own.")
    dropout: float = param(0.2, "Share of the neurons of each hidden layer silenced at each step.", ge=0, lt=1)


@register(GruParams)
class Gru(SeriesNetwork):
    """Recurrent layers over the dates: (sample, feature) to logits (sample, class)."""

    chunk = 512

    def __init__(self, params: GruParams, inputs: InputLayout, n_classes: int | None) -> None:
        super().__init__(params, inputs, n_classes)
        inputs.check_series(params.name)
        ways = 1 + params.both_ways
        self.widths = (ways * params.width,) * params.layers
        cells = nn.GRU if params.cell == "gru" else nn.LSTM
        self.cells = cells(
            len(inputs.channels) + 1,
            params.width,
            params.layers,
            batch_first=True,
            dropout=params.dropout if params.layers > 1 else 0.0,
            bidirectional=params.both_ways,
        )
        self.dropout = nn.Dropout(params.dropout)
        self.put_on(ways * params.width)

    def encode(self, series: Series) -> torch.Tensor:
        values, days, valid, _ = series
        year = (days / DAYS_A_YEAR).unsqueeze(2).expand(*values.shape[:2], 1)
        dates = torch.cat([values, year], 2)
        found = self._last(dates, valid) if self.inputs.raw else self._state(self.cells(dates)[1])
        return self.dropout(found)

    def _last(self, dates: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """The state after the last valid date, those that are not valid left out; 0 where none is."""
        count = valid.sum(1)
        order = torch.argsort((~valid).to(torch.uint8), dim=1, stable=True)  # valid dates first, in their order
        dates = dates.gather(1, order.unsqueeze(2).expand_as(dates))
        packed = pack_padded_sequence(dates, count.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        return self._state(self.cells(packed)[1]) * (count > 0).unsqueeze(1)

    def _state(self, last: torch.Tensor | tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """What the cells of the last layer remember, (sample, width), those of both ways beside each other."""
        hidden = last[0] if isinstance(last, tuple) else last
        ways = 2 if self.cells.bidirectional else 1
        return hidden[-ways:].transpose(0, 1).flatten(1)
