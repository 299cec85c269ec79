"""A Transformer encoder over the dates.

Sources: the layers of Vaswani et al. (2017), "Attention is all you need", NeurIPS 30; for satellite series Rußwurm and
Körner (2020), "Self-attention for raw optical satellite time series classification", ISPRS Journal of Photogrammetry
and Remote Sensing 169, 421-435: a linear embedding with the encoded day, encoder layers, and the largest of each
channel over time. The default sizes are ours: small, for maps are made on processors too.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import model_validator
from torch import nn
from torch.nn import functional

from toolkit.ground.params import param
from toolkit.learning.inputs import InputLayout, Series
from toolkit.learning.models.registry import NetworkParams, register
from toolkit.learning.models.series import DayEncoding, SeriesNetwork, largest_over_time


class TransformerParams(NetworkParams):
    """Parameters of the Transformer encoder."""

    name: Literal["transformer"] = param(
        "transformer",
        "Transformer encoder (Rußwurm and Körner 2020): every date attends to all others, regular or raw.",
    )
    width: int = param(64, "Numbers that stand for each date inside the network.", ge=2)
    heads: int = param(4, "Heads of the attention; they share the width.", ge=1)
    layers: int = param(3, "Layers, one upon the other.", ge=1, le=20)
    inner: int = param(128, "Neurons between the two linear layers of each encoder layer.", unit="neurons", ge=1)
    dropout: float = param(0.1, "Share of the neurons of each hidden layer silenced at each step.", ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> TransformerParams:
        if self.width % self.heads:
            raise ValueError(
                f"network.width = {self.width} is no multiple of network.heads = {self.heads}; make it one"
            )
        return self


@register(TransformerParams)
class Transformer(SeriesNetwork):
    """Encoder layers over the dates and their maximum: (sample, feature) to logits (sample, class)."""

    chunk = 256

    def __init__(self, params: TransformerParams, inputs: InputLayout, n_classes: int | None) -> None:
        super().__init__(params, inputs, n_classes)
        inputs.check_series(params.name)
        self.widths = (params.width,) * (params.layers + 1)
        self.embedding = nn.Sequential(nn.Linear(len(inputs.channels), params.width), nn.LayerNorm(params.width))
        self.days = DayEncoding(params.width)
        self.encoder = nn.ModuleList(EncoderLayer(params) for _ in range(params.layers))
        self.put_on(params.width)

    def encode(self, series: Series) -> torch.Tensor:
        dates = self.embedding(series.values) + self.days(series.days)
        mask = _attended(series.valid) if self.inputs.raw else None
        for layer in self.encoder:
            dates = layer(dates, mask)
        return largest_over_time(dates, series.valid) if self.inputs.raw else dates.amax(1)


class EncoderLayer(nn.Module):
    """Self-attention, then two linear layers, each with a shortcut and normalised after it."""

    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        width, self.heads = params.width, params.heads
        self.attention = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.inner = nn.Sequential(
            nn.Linear(width, params.inner),
            nn.ReLU(inplace=True),
            nn.Dropout(params.dropout),
            nn.Linear(params.inner, width),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(params.dropout)

    def forward(self, dates: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """(sample, date, channel) to the same shape.

        Args:
            mask: (sample, 1, 1, date) bool, the dates that are attended to; None for all.
        """
        query, key, value = self.attention(dates).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        share = self.dropout.p if self.training else 0.0
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=share)
        joined = self.joined(attended.transpose(1, 2).flatten(2))
        dates = self.norms[0](dates + self.dropout(joined))
        return self.norms[1](dates + self.dropout(self.inner(dates)))


def _attended(valid: torch.Tensor) -> torch.Tensor:
    """The mask of the attention. Where no date is valid it is all of them, for a softmax of nothing is no number."""
    return (valid | ~valid.any(1, keepdim=True))[:, None, None, :]
