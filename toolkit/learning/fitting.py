"""One epoch of a training: its preparation, the updates of the weights, and the look at the valid samples."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from toolkit.ground.accuracy import ConfusionMatrix, count_pairs
from toolkit.ground.errors import SampleError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.raw_rows import RawRow
from toolkit.learning.batches import Batches, Standardiser, TrainingSamples, derived_seed, split_samples, standardised
from toolkit.learning.devices import choose_device, fits
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import network_behind
from toolkit.learning.models.columns import chunk_of
from toolkit.learning.parameters import LearningParams, OptimizerName
from toolkit.learning.state import Tensors, snapshot

LOG = logging.getLogger(__name__)

GoOn = Callable[[int, int], bool]
"""Asked before each batch with (batches done, batches); false ends the epoch there."""


# Fused: one kernel for all weights instead of a dozen for each; same update, less time between the batches.
OPTIMIZERS: dict[OptimizerName, Callable[..., torch.optim.Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, weight_decay=0.01, fused=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, fused=True),
}
"""The optimisers, by the name that `learning.optimizer` gives them."""

_GENERATORS = threading.RLock()
"""Held while torch's global generators are seeded: they belong to one training, or one probe, at a time."""


class Purpose(IntEnum):
    """What a seed is for. The numbers are part of what "the same seed" means: never change one."""

    SPLIT = 0
    WEIGHTS = 1
    ORDER = 2
    DROPOUT = 3


class Fitting:
    """A network, its optimiser, and the samples it learns from and is watched on."""

    def __init__(
        self,
        network: nn.Module,
        batches: Batches,
        valid: tuple[torch.Tensor, torch.Tensor],
        codes: tuple[int, ...],
        *,
        learning_rate: float,
        class_weights: torch.Tensor | None,
        seed: int,
        optimizer: OptimizerName = "adam",
    ) -> None:
        """
        Args:
            network: on the device of the batches.
            valid: features float32 (sample, feature) and labels int64 (sample,).
            codes: class code of each output of the network.
            class_weights: weight of each class in the loss, float32 (class,); None weighs all samples alike.
        """
        self.network, self.batches, self.valid, self.codes, self.seed = network, batches, valid, codes, seed
        self.device = batches.device
        self.class_weights = None if class_weights is None else class_weights.to(self.device)
        self.optimizer = OPTIMIZERS[optimizer](network.parameters(), lr=learning_rate)

    @property
    def n_parameters(self) -> int:
        return sum(weights.numel() for weights in self.network.parameters() if weights.requires_grad)

    def train_epoch(self, epoch: int, go_on: GoOn) -> float | None:
        """Update the weights with every train sample once, in the order of this epoch.

        Returns:
            Mean loss over the samples, each as it was before the update with its batch; None if `go_on` ended it.
        """
        self.network.train()
        losses, sizes = [], []
        order = self.batches.shuffled(derived_seed(self.seed, Purpose.ORDER, epoch))
        with seeded(derived_seed(self.seed, Purpose.DROPOUT, epoch), self.device):
            for done, (features, labels) in enumerate(order):
                if not go_on(done, len(self.batches)):
                    return None
                losses.append(self._step(features, labels))
                sizes.append(self._size(labels))
        return _mean(losses, sizes)

    @torch.inference_mode()
    def evaluate(self) -> tuple[float, ConfusionMatrix]:
        """Mean loss and confusion matrix of the valid samples."""
        self.network.eval()
        features, labels = self.valid
        losses, sizes = [], []
        predicted = torch.empty(len(labels), dtype=torch.int64, device=labels.device)
        size = chunk_of(self.network)
        for start in range(0, len(labels), size):
            chunk = slice(start, start + size)
            truth = labels[chunk].to(self.device)
            logits = self.network(features[chunk].to(self.device))
            losses.append(functional.cross_entropy(logits, truth, self.class_weights))
            sizes.append(self._size(truth))
            predicted[chunk] = logits.argmax(1)
        counts = count_pairs(labels.cpu().numpy(), predicted.cpu().numpy(), len(self.codes))
        return _mean(losses, sizes), ConfusionMatrix(counts, self.codes)

    def weights(self) -> Tensors:
        """A copy of the weights, on the CPU."""
        return snapshot(self.network.state_dict())

    def moments(self) -> dict[int, Tensors]:
        """A copy of what the optimiser keeps of each parameter, by its position: moments, momentum, steps."""
        return {position: snapshot(state) for position, state in self.optimizer.state_dict()["state"].items()}

    def restore(self, weights: Tensors, moments: dict[int, Tensors]) -> None:
        """Go back to weights and moments taken earlier."""
        self.network.load_state_dict(weights)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})

    def _step(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One update; the loss before it. Mixed precision, when it comes, wraps the two lines of the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(self.network(features), labels, self.class_weights)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _size(self, labels: torch.Tensor) -> torch.Tensor | int:
        """What the mean loss of a batch counts for: its samples, or the sum of their weights."""
        return len(labels) if self.class_weights is None else self.class_weights[labels].sum()


def check_samples(samples: TrainingSamples, nomenclature: Nomenclature, feature_names: Sequence[str]) -> None:
    """Hold the samples against what the network is for.

    Raises:
        SampleError: a code outside the nomenclature, or fewer than two classes.
    """
    row = RawRow.of(feature_names)
    if not (row.fits(samples.features.shape[1]) if row else samples.features.shape[1] == len(feature_names)):
        raise ValueError(f"{samples.features.shape[1]} features with {len(feature_names)} names")
    codes = np.unique(samples.codes)
    unknown = codes[nomenclature.index(codes) < 0].tolist()
    if unknown:
        raise SampleError(
            f"the samples hold class {unknown[0]}, which is not in nomenclature {nomenclature.name}: "
            "add it there, or extract the samples without it"
        )
    if len(codes) < 2:
        there = f"only class {codes[0]}" if len(codes) else "no sample"
        raise SampleError(
            f"there is {there} to learn from: a network needs two classes at least; add polygons or tiles"
        )


def prepare(
    samples: TrainingSamples, params: LearningParams, seed: int, nomenclature: Nomenclature, inputs: InputLayout
) -> tuple[Fitting, Standardiser]:
    """Split and standardise the samples, and make the network, all on the device.

    Raises:
        SampleError: nothing is left for valid, or a feature is not a number.
        ParameterError: the device is not present.
    """
    device = choose_device(params.device)
    rng = np.random.default_rng(derived_seed(seed, Purpose.SPLIT))
    train, valid = split_samples(samples.codes, samples.polygons, params.valid_ratio, params.valid_by, rng)
    if params.valid_by == "sample":
        LOG.warning("valid set by sample: neighbours of the train samples watch the training; its metrics are too good")
    standardiser = Standardiser.fit(samples.features, train, inputs.row)
    labels = nomenclature.index(samples.codes)
    home = device if fits(samples.features.size * 4, device) else torch.device("cpu")
    parts = [
        (standardised(samples, rows, standardiser, inputs.names).to(home), torch.from_numpy(labels[rows]).to(home))
        for rows in (train, valid)
    ]
    with seeded(derived_seed(seed, Purpose.WEIGHTS), device):
        network = network_behind(params.interpolator, params.network, inputs, len(nomenclature)).to(device)
    fitting = Fitting(
        network,
        Batches(*parts[0], params.batch_size, device),
        parts[1],
        tuple(nomenclature.codes.tolist()),
        learning_rate=params.learning_rate,
        class_weights=class_weights(labels[train], len(nomenclature)) if params.weighted_classes else None,
        seed=seed,
        optimizer=params.optimizer,
    )
    return fitting, standardiser


def class_weights(labels: np.ndarray, n_classes: int) -> torch.Tensor:
    """Weights inverse to the number of samples of each class, float32 (class,); their mean over the samples is 1.

    Args:
        labels: class index of each train sample, (sample,). A class without samples has weight 0.
    """
    counts = np.bincount(labels, minlength=n_classes)
    present = counts > 0
    weights = np.divide(len(labels) / present.sum(), counts, out=np.zeros(n_classes), where=present)
    return torch.from_numpy(weights.astype(np.float32))


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside, and leave them as they were outside; one thread at a time."""
    devices = [device] if device.type == "cuda" else []
    with _GENERATORS, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _mean(losses: list[torch.Tensor], sizes: list[torch.Tensor | int]) -> float:
    values = torch.stack(losses).cpu().double()
    weights = torch.tensor([float(size) for size in sizes], dtype=torch.float64)
    return float((values * weights).sum() / weights.sum())
