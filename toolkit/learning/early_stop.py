"""When a training ends before its last epoch, because it has ceased to get better.

The decision is a function of the history alone, so that a training which goes on after a kill decides alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.ground.params import Params, param
from toolkit.learning.criteria import Criterion, score


class EarlyStopParams(Params):
    """Ending a training before its last epoch."""

    patience: int | None = param(
        None,
        "End the training after so many epochs without a better one. Empty: never before the last epoch.",
        unit="epochs",
        ge=1,
    )
    metric: Criterion = param("loss", "Metric on the valid samples that is watched.")
    tolerance: float = param(
        0.0, "By how much an epoch must be better than the best before it, to count as such.", ge=0
    )
    first_epoch: int = param(1, "Epoch at which the watch begins; those before it do not count.", unit="epochs", ge=1)


def has_ended(history: Sequence[Mapping[str, Any]], params: EarlyStopParams) -> bool:
    """Whether a training with these epochs has ceased to get better.

    Args:
        history: a row for each epoch, from the first.
    """
    if params.patience is None:
        return False
    best, waited = float("-inf"), 0
    for row in history[params.first_epoch - 1 :]:
        if score(row, params.metric) > best + params.tolerance:
            best, waited = score(row, params.metric), 0
        else:
            waited += 1
        if waited >= params.patience:
            return True
    return False
