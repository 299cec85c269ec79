"""What is made of a network's logits for a map, all in one pass: class, confidence, probabilities, margin, entropy."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch

CLASS, CONFIDENCE, PROBABILITIES, MARGIN, ENTROPY = "class", "confidence", "probabilities", "margin", "entropy"
PERCENTS = (CONFIDENCE, PROBABILITIES, MARGIN, ENTROPY)


def outputs_of(logits: torch.Tensor, wanted: Collection[str]) -> dict[str, torch.Tensor]:
    """Outputs of pixels.

    Args:
        logits: (class, pixel) float32; overwritten.
        wanted: which of the outputs.

    Returns:
        `class`: index of the most probable class, int64 (pixel,). The others uint8, percent: `confidence`, the largest
        probability, (pixel,); `probabilities` (class, pixel); `margin`, the largest less the second, (pixel,);
        `entropy`, minus the sum of p log p over the logarithm of the number of classes (Shannon 1948), (pixel,).
    """
    largest = logits.amax(dim=0)
    index = _first(torch.eq(logits, largest, out=torch.empty_like(logits)))
    logits.sub_(largest)
    weight = logits.exp() if ENTROPY in wanted else logits.exp_()
    total = weight.sum(dim=0)
    confidence = total.reciprocal()
    found = {CLASS: index, CONFIDENCE: confidence}
    if MARGIN in wanted:
        second = weight.topk(2, dim=0).values[1] if len(weight) > 1 else torch.zeros_like(total)
        found[MARGIN] = (1 - second) * confidence
    if ENTROPY in wanted:
        # With p = w / W: -sum p log p = log W - sum w log w / W, and log w is the logit less the largest one. A weight
        # of 0 has a logit of -inf at most where the network gave one: 0 x -inf is 0 here.
        expected = (weight * logits).nan_to_num_(0.0).sum(dim=0) * confidence
        found[ENTROPY] = (total.log() - expected) / math.log(max(len(weight), 2))
    if PROBABILITIES in wanted:
        found[PROBABILITIES] = weight * confidence
    return {name: _percent(value) if name in PERCENTS else value for name, value in found.items() if name in wanted}


def _first(found: torch.Tensor) -> torch.Tensor:
    """Row of the first 1 of each column of (row, column), 0 elsewhere; the last where none is: int64 (column,).

    `max(dim=0)` takes five times as long to tell where the largest is.
    """
    last = len(found) - 1
    behind = torch.arange(last, -1, -1, dtype=found.dtype, device=found.device)
    return last - found.mul_(behind[:, None]).amax(dim=0).long()


def _percent(value: torch.Tensor) -> torch.Tensor:
    return value.mul(100).round_().clamp_(0, 100).to(torch.uint8)
