"""One update of the weights: gradient of a batch, perhaps in small parts; clipping; the optimiser; the running average.

Sources: micro-batches give the gradient of the whole batch, for it is a sum over samples; clipping by the norm, Pascanu
et al. (2013), "On the difficulty of training recurrent neural networks"; averaged weights, Polyak and Juditsky (1992),
in the exponential form of Tarvainen and Valpola (2017), "Mean teachers".
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Literal

import torch
from torch import nn

from toolkit.ground.params import Params, param
from toolkit.learning.losses import Loss, mix
from toolkit.learning.precision import Stored, autocast
from toolkit.learning.ranks import ALONE, Ranks

OptimizerName = Literal["adam", "adamw", "sgd"]

# Fused: one kernel for all weights instead of a dozen for each; same update, less time between the batches.
OPTIMIZERS: dict[OptimizerName, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, weight_decay=0.01, fused=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, fused=True),
}
"""The optimisers, by the name that `learning.optimizer` gives them."""


class UpdateParams(Params):
    """What stands between a batch and the weights."""

    micro_batch: int | None = param(
        None,
        "Samples that go through the network at once; the gradients of a batch are added up. Heavy networks are "
        "faster so, and take less memory: 256 is a good value. Batch normalisation then sees these few samples only. "
        "Empty: the whole batch.",
        unit="samples",
        ge=2,
    )
    clip_gradient: float | None = param(
        None, "Shorten a gradient that is longer than this. Empty: as it is.", gt=0, log=(0.01, 100)
    )
    average: float | None = param(
        None,
        "Keep, and look at, an exponential average of the weights over the updates, with this share of the old value "
        "in each, such as 0.999. Empty: the weights themselves.",
        gt=0,
        lt=1,
    )


class Updater:
    """Updates the weights of a network, batch by batch."""

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        params: UpdateParams,
        optimizer: OptimizerName,
        *,
        precision: Stored = "float32",
        ranks: Ranks = ALONE,
    ) -> None:
        self.network, self.loss, self.params, self.ranks = network, loss, params, ranks
        self.device = next(network.parameters()).device
        self.optimizer = OPTIMIZERS[optimizer](network.parameters())
        self.average = Average(network, params.average) if params.average is not None else None
        self._precision = precision
        self._shared = ranks.wrap(network)

    @property
    def watched(self) -> nn.Module:
        """The network that is looked at and kept: the average, where there is one."""
        return self.average.network if self.average else self.network

    def casting(self) -> AbstractContextManager[object]:
        """The precision of the forward pass."""
        return autocast(self.device, self._precision)

    def update(self, features: torch.Tensor, labels: torch.Tensor, rate: float, number: int) -> torch.Tensor:
        """One update of the weights.

        Args:
            features: this process's share of the batch, on the device. labels: of the whole batch.
            rate: learning rate.
            number: of the update in the whole training, from 0.

        Returns:
            The sum of the losses of this share before the update, each weighed.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        mine, size = self.ranks.share(labels), self.loss.size(labels)
        total = torch.zeros((), device=self.device)
        parts = list(self._parts(len(mine)))
        for part in parts:
            # All processes add up their gradients with the last part, and torch takes the mean of them.
            with self.ranks.silent(self._shared, part is not parts[-1]):
                loss = self._loss(features[part], mine[part])
                (loss * (self.ranks.count / size)).backward()
            total += loss.detach()
        if self.params.clip_gradient is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.params.clip_gradient)
        self.optimizer.step()
        if self.average:
            self.average.update(self.network, number)
        return total

    def _loss(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        alpha = self.loss.params.mixup
        if alpha and len(labels) > 1:
            mixture = mix(features, alpha)
            with self.casting():
                logits = self._shared(mixture.features)
            return self.loss.mixed_sum(logits.float(), labels, mixture)
        with self.casting():
            logits = self._shared(features)
        return self.loss.sum(logits.float(), labels)

    def _parts(self, count: int) -> Iterator[slice]:
        """Micro-batches of nearly one size, none of them a single sample, which has no variance."""
        size = self.params.micro_batch or max(count, 1)
        number = max(1, min(-(-count // size), count // 2))
        for part in range(number):
            yield slice(part * count // number, (part + 1) * count // number)


class Average:
    """An exponential average of the weights of a network."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay = copy.deepcopy(network).requires_grad_(False).eval(), decay

    @torch.no_grad()
    def update(self, network: nn.Module, number: int) -> None:
        """Draw the average towards the weights; more at the beginning, so that it forgets where they came from."""
        share = 1 - min(self.decay, (1 + number) / (10 + number))
        own, new = self.network.state_dict(), network.state_dict()
        floating = [name for name, value in own.items() if value.is_floating_point()]
        torch._foreach_lerp_([own[name] for name in floating], [new[name] for name in floating], share)
        for name in own.keys() - set(floating):
            own[name].copy_(new[name])
