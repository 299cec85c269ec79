"""The processes that train one network together, as the training sees them; here for the one that trains alone.

`processes.py` has the other case.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

Pace = Callable[[int, int], float | None]
"""Asked before each batch with (batches done, batches of the epoch): the learning rate of the next one; None ends the
epoch there. This is where whoever follows a training can stop it, hold it, or change its rate."""


class Ranks:
    """The processes of a training."""

    rank, count = 0, 1

    def share(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows of a batch that this process computes."""
        return rows

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes."""
        return values

    def agreed(self, pace: Pace) -> Pace:
        """What the first process decides, for all."""
        return pace

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network whose gradients are the mean over all processes."""
        return network

    def align(self, network: nn.Module) -> None:
        """Give all processes the weights of the first one, and its statistics of batch normalisation."""

    def begin(self, epoch: int) -> None:
        """Tell the others that the first process begins an epoch."""

    def dismiss(self) -> None:
        """Tell the others that the training is over."""

    def silent(self, network: nn.Module, yes: bool) -> AbstractContextManager[object]:
        """Keep the gradients of a wrapped network to this process inside, if so."""
        return nullcontext()


ALONE = Ranks()
