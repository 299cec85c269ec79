"""By what an epoch is judged: a metric on the valid samples, greater is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Criterion = Literal["f_score", "oa", "kappa", "loss"]


def column_of(criterion: Criterion) -> str:
    """The column of the history that a criterion means."""
    return "valid_loss" if criterion == "loss" else criterion


def score(row: Mapping[str, Any], criterion: Criterion) -> float:
    """The score of an epoch by its row of the history; greater is better, so a loss counts negative."""
    value = float(row[column_of(criterion)])
    return -value if criterion == "loss" else value
