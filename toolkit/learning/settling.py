"""What a training settles before it begins, and keeps: precision, threads, and where its samples lie.

Some of it is found by a trial of a fraction of a second, for it hangs on the processor and on what else it does:
bfloat16 is six times faster than float32 on a processor with units for it, and ten times slower on one without; two
threads are slower than one beside a busy neighbour. The outcome changes the last bits of a result, so it stands in the
state of the training, and a training that goes on does not try again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import torch

from toolkit.learning.cost import (
    FEWEST_BATCHES,
    LARGEST_BATCH,
    MOST_PARAMETERS,
    SMALLEST_BATCH,
    network_shape,
    seconds_of,
    trial_fitting,
    trial_samples,
)
from toolkit.learning.devices import choose_device, default_threads, torch_threads
from toolkit.learning.fitting import seeded
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import network_behind
from toolkit.learning.parameters import LearningParams
from toolkit.learning.precision import Stored

LONG_ENOUGH = 0.02
"""Seconds of a few updates from which they tell one candidate from another."""
ROUNDS = 4
"""Turns of each candidate; the quickest counts."""
SHARE = 0.5
"""Of the machine's memory, what samples may take where nothing else is said."""


@dataclass(frozen=True)
class Choices:
    """What is settled."""

    precision: Stored
    threads: int | None
    """None leaves them to torch."""
    streamed: bool
    """Whether the samples stay on disk."""

    def as_dict(self) -> dict[str, Any]:
        """For the state."""
        return asdict(self)

    def settled(self, params: LearningParams) -> LearningParams:
        """The parameters with nothing left to be chosen."""
        return params.model_copy(update={"precision": self.precision, "threads": self.threads})


def settle(
    params: LearningParams, inputs: InputLayout, n_classes: int, n_values: int, before: Mapping[str, Any] | None = None
) -> Choices:
    """What a training settles.

    Args:
        n_values: numbers that all samples have together.
        before: what was settled when it began, if it goes on.
    """
    if before:
        return Choices(**before)
    device = choose_device(params.device)
    threads, precision = params.threads or default_threads(params.batch_size, params.processes), params.precision
    probing = params.probe_threads and params.threads is None and device.type == "cpu"
    if precision == "auto" or probing:
        every = sorted({1, torch.get_num_threads()}) if probing else [threads]
        precisions: list[Stored] = ["float32", "bfloat16"] if precision == "auto" else [precision]
        precision, threads = _quickest(params, inputs, n_classes, list(product(precisions, every)), device)
    size = 2 if precision == "bfloat16" and not inputs.raw else 4
    return Choices(precision, threads, n_values * size > memory_for_samples(params))


def memory_for_samples(params: LearningParams) -> float:
    """Bytes that the samples may take in each process; without an end where the machine does not tell its memory."""
    if params.memory_gb is not None:
        return params.memory_gb * 1e9 / params.processes
    try:
        return SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / params.processes
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _quickest(
    params: LearningParams,
    inputs: InputLayout,
    n_classes: int,
    candidates: list[tuple[Stored, int | None]],
    device: torch.device,
) -> tuple[Stored, int | None]:
    """The precision and the threads with which a few updates take the least time; the candidates take turns."""
    if (
        len(candidates) == 1
        or network_shape(params.network, inputs, n_classes, params.interpolator).parameters > MOST_PARAMETERS
    ):
        return candidates[0]
    whole = min(params.batch_size, LARGEST_BATCH)
    size = min(SMALLEST_BATCH, whole)
    while True:
        seconds = {one: _trial(params, inputs, n_classes, one, size, device) for one in candidates}
        if size == whole or min(seconds.values()) > LONG_ENOUGH:
            break
        size = min(2 * size, whole)
    for _ in range(ROUNDS - 1):
        for one in candidates:
            seconds[one] = min(seconds[one], _trial(params, inputs, n_classes, one, size, device))
    return min(candidates, key=lambda one: seconds[one])


def _trial(
    params: LearningParams,
    inputs: InputLayout,
    n_classes: int,
    candidate: tuple[Stored, int | None],
    size: int,
    device: torch.device,
) -> float:
    precision, threads = candidate
    with torch_threads(threads), seeded(0, device):
        network = network_behind(params.interpolator, params.network, inputs, n_classes).to(device)
        features, labels = trial_samples(FEWEST_BATCHES * size, inputs, n_classes, device)
        fitting = trial_fitting(
            network, params.model_copy(update={"precision": precision}), size, (features, labels), n_classes
        )
        seconds_of(fitting.train_epoch, device, 1, lambda done, batches: 1e-9)
        return seconds_of(fitting.train_epoch, device, 1, lambda done, batches: 1e-9)
