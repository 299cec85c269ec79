"""One epoch of a training: its preparation, the updates of the weights, and the look at the valid samples."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from toolkit.ground.accuracy import ConfusionMatrix, count_pairs
from toolkit.ground.errors import ParameterError, SampleError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.raw_rows import RawRow
from toolkit.learning.batches import (
    Batches,
    SampleBatches,
    Standardiser,
    TrainingSamples,
    derived_seed,
    split_samples,
    standardised,
)
from toolkit.learning.devices import choose_device, fits
from toolkit.learning.inputs import InputLayout
from toolkit.learning.losses import Loss
from toolkit.learning.models import network_behind
from toolkit.learning.models.columns import chunk_of
from toolkit.learning.parameters import LearningParams
from toolkit.learning.precision import Stored, dtype_of
from toolkit.learning.ranks import ALONE, Pace, Ranks
from toolkit.learning.state import Tensors, snapshot
from toolkit.learning.streamed import StreamedBatches
from toolkit.learning.updates import Updater

LOG = logging.getLogger(__name__)


_GENERATORS = threading.RLock()
"""Held while torch's global generators are seeded: they belong to one training, or one probe, at a time."""


class Purpose(IntEnum):
    """What a seed is for. The numbers are part of what "the same seed" means: never change one."""

    SPLIT = 0
    WEIGHTS = 1
    ORDER = 2
    DROPOUT = 3
    STATISTICS = 4


class Fitting:
    """A network, how its weights are updated, and the samples it learns from and is watched on."""

    def __init__(
        self,
        network: nn.Module,
        batches: SampleBatches,
        valid: SampleBatches,
        codes: tuple[int, ...],
        params: LearningParams,
        *,
        class_weights: torch.Tensor | None = None,
        seed: int,
        ranks: Ranks = ALONE,
    ) -> None:
        """
        Args:
            network: on the device of the batches.
            codes: class code of each output of the network.
            params: precision settled; threads and samples are the caller's matter.
            class_weights: weight of each class in the loss, float32 (class,); None weighs all samples alike.
            ranks: the processes that share each batch; all have the same samples and the same network.
        """
        self.network, self.batches, self.valid, self.codes, self.seed = network, batches, valid, codes, seed
        self.device, self.ranks = batches.device, ranks
        loss = Loss(params.loss, None if class_weights is None else class_weights.to(self.device))
        precision: Stored = "bfloat16" if params.precision == "bfloat16" else "float32"
        self.updater = Updater(network, loss, params.updates, params.optimizer, precision=precision, ranks=ranks)

    @property
    def averages(self) -> bool:
        """Whether an average of the weights is what is watched."""
        return self.updater.average is not None

    @property
    def n_parameters(self) -> int:
        return sum(weights.numel() for weights in self.network.parameters() if weights.requires_grad)

    def train_epoch(self, epoch: int, pace: Pace) -> float | None:
        """Update the weights with every train sample once, in the order of this epoch.

        Args:
            pace: the learning rate of each batch, or the end.

        Returns:
            Mean loss over the samples, each as it was before the update with its batch; None if `pace` ended it.
        """
        self.network.train()
        count = len(self.batches)
        # One tensor, for thousands of small ones kept between large ones that come and go tear the memory into pieces.
        sums = torch.zeros((2, count), device=self.device)
        order = self.batches.shuffled(derived_seed(self.seed, Purpose.ORDER, epoch), self.ranks)
        agreed = self.ranks.agreed(pace)
        with seeded(derived_seed(self.seed, Purpose.DROPOUT, epoch, *self._own), self.device):
            for done, (features, labels) in enumerate(order):
                rate = agreed(done, count)
                if rate is None:
                    return None
                sums[0, done] = self.updater.update(features, labels, rate, (epoch - 1) * count + done)
                sums[1, done] = self.updater.loss.size(labels)
        losses, sizes = sums.cpu().double().sum(1)
        return float(self.ranks.sum(losses) / sizes)

    @torch.inference_mode()
    def evaluate(self) -> tuple[float, ConfusionMatrix]:
        """Mean cross-entropy and confusion matrix of the valid samples."""
        self.ranks.align(self.updater.watched)
        loss, classes = self.updater.loss, len(self.codes)
        sums = torch.zeros(2, dtype=torch.float64)
        counts = np.zeros((classes, classes), dtype=np.int64)
        for logits, truth in self.logits(self.ranks):
            sums += torch.stack([loss.plain_sum(logits, truth), loss.size(truth)]).cpu().double()
            counts += count_pairs(truth.cpu().numpy(), logits.argmax(1).cpu().numpy(), classes)
        total, size = self.ranks.sum(sums).tolist()
        counts = self.ranks.sum(torch.from_numpy(counts)).numpy()
        return total / size, ConfusionMatrix(counts, self.codes)

    @torch.inference_mode()
    def logits(self, ranks: Ranks = ALONE) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Logits float32 (sample, class) and labels of the valid samples, or this process's share, chunk by chunk."""
        network = self.updater.watched.eval()
        for features, labels in self.valid.in_order(ranks):
            with self.updater.casting():
                logits = network(features)
            yield logits.float(), labels

    def weights(self) -> Tensors:
        """A copy of the weights, on the CPU."""
        return snapshot(self.network.state_dict())

    def watched_weights(self) -> Tensors:
        """A copy of the weights that `evaluate` looks at."""
        return snapshot(self.updater.watched.state_dict())

    def watch(self, weights: Tensors) -> None:
        """Look at these weights."""
        self.updater.watched.load_state_dict(weights)

    def moments(self) -> dict[int, Tensors]:
        """A copy of what the optimiser keeps of each parameter, by its position: moments, momentum, steps."""
        return {position: snapshot(state) for position, state in self.updater.optimizer.state_dict()["state"].items()}

    def restore(self, weights: Tensors, moments: dict[int, Tensors], average: Tensors) -> None:
        """Go back to weights, moments and, where there is one, the average taken earlier."""
        self.network.load_state_dict(weights)
        if self.updater.average:
            self.updater.average.network.load_state_dict(average)
        groups = self.updater.optimizer.state_dict()["param_groups"]
        self.updater.optimizer.load_state_dict({"state": moments, "param_groups": groups})

    @property
    def _own(self) -> tuple[int, ...]:
        """What the random numbers of this process differ by from those of the first one."""
        return (self.ranks.rank,) if self.ranks.rank else ()


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
    samples: TrainingSamples,
    params: LearningParams,
    seed: int,
    nomenclature: Nomenclature,
    inputs: InputLayout,
    *,
    streamed: bool = False,
    start: Start | None = None,
    ranks: Ranks = ALONE,
) -> tuple[Fitting, Standardiser]:
    """Split and standardise the samples, and make the network, all on the device.

    Args:
        params: precision settled.
        streamed: leave the samples where they are, and read them batch by batch.
        start: weights and normalisation to begin with; default random weights and the normalisation of the samples.

    Raises:
        SampleError: nothing is left for valid, or a feature is not a number.
        ParameterError: the device is not present, or raw dates were to be mixed.
    """
    if params.loss.mixup and inputs.raw:
        raise ParameterError(
            f"learning.loss.mixup = {params.loss.mixup:g}: the dates of two raw series cannot be mixed; set it to 0"
        )
    device = choose_device(params.device, ranks.rank)
    rng = np.random.default_rng(derived_seed(seed, Purpose.SPLIT))
    train, valid = split_samples(samples.codes, samples.polygons, params.valid_ratio, params.valid_by, rng)
    if params.valid_by == "sample":
        LOG.warning("valid set by sample: neighbours of the train samples watch the training; its metrics are too good")
    standardiser = start.standardiser if start else _statistics(samples, train, params.statistics_share, seed, inputs)
    labels = nomenclature.index(samples.codes)
    place = _Place(samples, labels, standardiser, inputs, device, params, streamed)
    with seeded(derived_seed(seed, Purpose.WEIGHTS), device):
        network = network_behind(params.interpolator, params.network, inputs, len(nomenclature))
    if start and start.weights:
        network.load_state_dict(start.weights)
    fitting = Fitting(
        network.to(device),
        place.batches(train, params.batch_size),
        place.batches(valid, chunk_of(network)),
        tuple(nomenclature.codes.tolist()),
        params,
        class_weights=weights_asked_for(params, labels[train], len(nomenclature)),
        seed=seed,
        ranks=ranks,
    )
    return fitting, standardiser


class Start(NamedTuple):
    """What a training begins with, where another one went before."""

    weights: Tensors
    """Empty in a process that gets them from the first one of several."""
    standardiser: Standardiser


@dataclass(frozen=True)
class _Place:
    """Where the samples lie: in memory or on the device, standardised; or where they are."""

    samples: TrainingSamples
    labels: np.ndarray
    standardiser: Standardiser
    inputs: InputLayout
    device: torch.device
    params: LearningParams
    streamed: bool

    def batches(self, rows: np.ndarray, size: int) -> SampleBatches:
        precision: Stored = "bfloat16" if self.params.precision == "bfloat16" else "float32"
        dtype = dtype_of(precision, exact=self.inputs.raw)
        labels = self.labels[rows]
        if self.streamed:
            return StreamedBatches(
                self.samples.features, rows, labels, size, self.device,
                standardiser=self.standardiser, names=self.inputs.names, dtype=dtype,
            )  # fmt: skip
        home = self.device if fits(self.samples.features.size * dtype.itemsize, self.device) else torch.device("cpu")
        features = standardised(self.samples, rows, self.standardiser, self.inputs.names, dtype)
        return Batches(features.to(home), torch.from_numpy(labels).to(home), size, self.device)


def _statistics(
    samples: TrainingSamples, train: np.ndarray, share: float, seed: int, inputs: InputLayout
) -> Standardiser:
    if share < 1:
        rng = np.random.default_rng(derived_seed(seed, Purpose.STATISTICS))
        train = np.sort(rng.choice(train, max(1, round(share * len(train))), replace=False))
    return Standardiser.fit(samples.features, train, inputs.row)


def weights_asked_for(params: LearningParams, labels: np.ndarray, n_classes: int) -> torch.Tensor | None:
    """The weight of each class in the loss, float32 (class,); None where all samples weigh alike.

    Args:
        labels: class index of each train sample, (sample,).
    """
    return class_weights(labels, n_classes, params.weight_power) if params.weighted_classes else None


def class_weights(labels: np.ndarray, n_classes: int, power: float = 1.0) -> torch.Tensor:
    """Weights inverse to a power of the number of samples of each class, float32 (class,); their mean is 1.

    Args:
        labels: class index of each train sample, (sample,). A class without samples has weight 0.
    """
    counts = np.bincount(labels, minlength=n_classes)
    weights = np.zeros(n_classes)
    present = counts > 0
    weights[present] = counts[present] ** -power
    return torch.from_numpy((weights / weights[labels].mean()).astype(np.float32))


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside, and leave them as they were outside; one thread at a time."""
    devices = [device] if device.type == "cuda" else []
    with _GENERATORS, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
