"""The precision of the arithmetic of a training.

With bfloat16, matrix products take and give numbers of 8 significant bits, while weights, gradients of weights, their
updates and the loss stay in float32 (Micikevicius et al., 2018, "Mixed precision training"): weights in bfloat16 alone
do not learn, for a small update is lost in their rounding.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16", "auto"]
Stored = Literal["float32", "bfloat16"]
"""A precision that is settled."""


def autocast(device: torch.device, precision: Stored) -> AbstractContextManager[object]:
    """Run what is inside in this precision, as far as it bears it."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def dtype_of(precision: Stored, *, exact: bool) -> torch.dtype:
    """How samples are held for a precision.

    Args:
        exact: the samples hold what bfloat16 cannot tell apart, such as the days of a year.
    """
    return torch.bfloat16 if precision == "bfloat16" and not exact else torch.float32
