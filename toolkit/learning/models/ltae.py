"""L-TAE: attention of a learned query over the dates, each head on its own part of the channels.

Source: Garnot and Landrieu (2020), "Lightweight temporal self-attention for classifying satellite image time series",
AALTD 2020, LNCS 12588, 171-181. As there: 16 heads with keys of 8, 256 channels, a layer of 128 behind the heads and a
decoder of 64 and 32. Their normalisation of the channels over all dates together needs a fixed number of dates; here it
is over the channels of each date, as raw series need it, and the standardised input is not normalised again.

The score of a head is the product of its query and a linear key of the date: the query goes into the weights of the
key, which makes 256 x 8 products a date and head into 256. A bias of the key adds the same to all dates, which the
softmax takes away again, so there is none.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from toolkit.ground.params import param
from toolkit.learning.inputs import InputLayout, Series
from toolkit.learning.models.registry import NetworkParams, register
from toolkit.learning.models.series import DayEncoding, SeriesNetwork, dense


class LtaeParams(NetworkParams):
    """Parameters of L-TAE."""

    name: Literal["ltae"] = param(
        "ltae", "L-TAE (Garnot and Landrieu 2020): attention over the dates, regular or raw, by learned queries."
    )
    width: int = param(256, "Numbers that stand for each date inside the network.", ge=2)
    heads: int = param(16, "Heads of the attention; they share the width.", ge=1)
    key: int = param(8, "Numbers of a query and of its keys.", ge=1)
    mlp: int = param(128, "Neurons of the layer behind the heads.", unit="neurons", ge=1)
    decoder: tuple[Annotated[int, Field(ge=1)], ...] = param(
        (64, 32), "Widths of the last hidden layers.", unit="neurons"
    )
    attention_dropout: float = param(0.1, "Share of the dates that a head forgets at each step.", ge=0, lt=1)
    dropout: float = param(0.2, "Share of the neurons of each hidden layer silenced at each step.", ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> LtaeParams:
        if self.width % self.heads:
            raise ValueError(
                f"network.width = {self.width} is no multiple of network.heads = {self.heads}; make it one"
            )
        return self


@register(LtaeParams)
class Ltae(SeriesNetwork):
    """Attention over dates, then dense layers: (sample, feature) to logits (sample, class)."""

    chunk = 256

    def __init__(self, params: LtaeParams, inputs: InputLayout, n_classes: int | None) -> None:
        super().__init__(params, inputs, n_classes)
        inputs.check_series(params.name)
        self.widths = (params.width, params.mlp, *params.decoder)
        self.embedding = nn.Sequential(nn.Linear(len(inputs.channels), params.width), nn.LayerNorm(params.width))
        self.days = DayEncoding(params.width // params.heads, repeat=params.heads)
        self.attention = QueryAttention(params.width, params.heads, params.key, params.attention_dropout)
        self.mlp = dense((params.width, params.mlp))
        self.dropout = nn.Dropout(params.dropout)
        self.norm = nn.LayerNorm(params.mlp)
        self.put_on(params.mlp)

    @staticmethod
    def head(params: LtaeParams, width: int, n_classes: int) -> nn.Sequential:
        widths = (width, *params.decoder)
        return nn.Sequential(OrderedDict(decoder=dense(widths), classes=nn.Linear(widths[-1], n_classes)))

    def encode(self, series: Series) -> torch.Tensor:
        dates = self.embedding(series.values) + self.days(series.days)
        found = self.attention(dates, series.valid if self.inputs.raw else None)
        return self.norm(self.dropout(self.mlp(found)))


class QueryAttention(nn.Module):
    """Each head weighs the dates by its own learned query, and gives their mean over its part of the channels."""

    def __init__(self, width: int, heads: int, key: int, dropout: float) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(heads, key) * math.sqrt(2 / key))
        self.key = nn.Parameter(torch.randn(heads, key, width) * math.sqrt(2 / key))
        self.dropout = nn.Dropout(dropout)

    def forward(self, dates: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """(sample, date, channel) to (sample, channel); 0 where no date is valid.

        Args:
            valid: (sample, date) bool; None where every date is.
        """
        heads, key = self.query.shape
        folded = torch.einsum("hk,hkc->ch", self.query, self.key) / math.sqrt(key)
        scores = dates @ folded
        if valid is not None:
            scores = scores.masked_fill(~valid.unsqueeze(2), torch.finfo(scores.dtype).min)
        weights = torch.softmax(scores, 1)
        if valid is not None:
            weights = weights * valid.unsqueeze(2)
        parts = dates.unflatten(2, (heads, -1))
        return (self.dropout(weights).unsqueeze(3) * parts).sum(1).flatten(1)
