"""A few samples learnt by heart, which shows that gradients reach whatever is needed for them."""

from __future__ import annotations

import torch
from torch import nn


def learn_by_heart(network: nn.Module, rows: torch.Tensor, labels: torch.Tensor, steps: int) -> None:
    """Train on all samples at once, until they are known or the steps are done."""
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(rows), labels)
        loss.backward()
        optimizer.step()
        if loss < 0.02:
            break
