"""The learning rate over a training: how it rises and falls, as a factor on `learning.learning_rate`.

Every factor is a function of the number of the update, or of the history, alone: a training that goes on after a kill
needs no memory of its schedule.

Sources: cosine, Loshchilov and Hutter (2017), "SGDR: stochastic gradient descent with warm restarts", one descent
without restarts; one-cycle, Smith and Topin (2018), "Super-convergence"; warm-up, Goyal et al. (2017), "Accurate, large
minibatch SGD".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import model_validator

from toolkit.ground.params import Params, param

RISE, START, END = 0.3, 1 / 25, 1 / 25 / 10_000
"""One-cycle: the share of the training in which the rate rises; the factors it rises from and falls to."""


class ScheduleParams(Params):
    """The learning rate over the training."""

    kind: Literal["constant", "cosine", "one_cycle"] = param(
        "constant",
        "How the rate changes: constant; cosine, falling to nothing by the last epoch; one_cycle, rising from a "
        "25th in the first 30 % of the training, then falling to nothing.",
    )
    warmup_epochs: float = param(
        0.0, "Epochs in which the rate rises from nothing; for constant and cosine.", unit="epochs", ge=0
    )
    plateau_patience: int | None = param(
        None,
        "Lower the rate, by plateau_factor, where the valid loss has not fallen for more than so many epochs. "
        "Empty: never.",
        unit="epochs",
        ge=0,
    )
    plateau_factor: float = param(0.1, "What the rate is multiplied by on a plateau.", gt=0, lt=1)
    plateau_tolerance: float = param(
        1e-4, "Share by which the valid loss must be below the lowest before it, to have fallen.", ge=0, lt=1
    )

    @model_validator(mode="after")
    def _one_rise(self) -> ScheduleParams:
        if self.kind == "one_cycle" and self.warmup_epochs:
            raise ValueError(
                f"warmup_epochs = {self.warmup_epochs:g}: the rate of one_cycle rises by itself; set it to 0, "
                "or choose kind: cosine"
            )
        return self

    @property
    def needs_an_end(self) -> bool:
        """Whether the rate depends on the number of epochs."""
        return self.kind != "constant"


def rate_factor(params: ScheduleParams, update: int, updates: int, epochs: int) -> float:
    """The factor on the learning rate of one update of the weights.

    Args:
        update: its number in the whole training, from 0.
        updates: updates of an epoch.
        epochs: of the whole training.
    """
    total = updates * epochs
    if params.kind == "one_cycle":
        return _one_cycle(update, total)
    warmup = round(params.warmup_epochs * updates)
    if update < warmup:
        return (update + 1) / warmup
    if params.kind == "constant":
        return 1.0
    return _between(1.0, 0.0, (update - warmup) / max(total - warmup, 1))


def plateau_factor(params: ScheduleParams, history: Sequence[Mapping[str, Any]]) -> float:
    """The factor on the learning rate of the next epoch, after what the valid loss did so far.

    Args:
        history: a row for each epoch, from the first.
    """
    if params.plateau_patience is None:
        return 1.0
    factor, lowest, waited = 1.0, math.inf, 0
    for row in history:
        if row["valid_loss"] < lowest * (1 - params.plateau_tolerance):
            lowest, waited = row["valid_loss"], 0
        else:
            waited += 1
        if waited > params.plateau_patience:
            factor, waited = factor * params.plateau_factor, 0
    return factor


def _one_cycle(update: int, total: int) -> float:
    top = max(RISE * total - 1, 0.0)
    if update <= top:
        return _between(START, 1.0, update / top if top else 1.0)
    return _between(1.0, END, min((update - top) / max(total - 1 - top, 1e-9), 1.0))


def _between(start: float, end: float, part: float) -> float:
    """From `start` to `end` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
