"""Trees in the place of a network: grown once on the train samples, then looked at with the valid ones.

To `training` this is a training of one epoch, so that history, model, callbacks and stop are what they are for
networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from toolkit.ground.accuracy import ConfusionMatrix, count_pairs
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.batches import Standardiser, TrainingSamples, derived_seed, split_samples, standardised
from toolkit.learning.fitting import Purpose, weights_asked_for
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import GradientBoosting, RandomForest, build_network
from toolkit.learning.models.trees import Growth
from toolkit.learning.parameters import LearningParams
from toolkit.learning.ranks import ALONE, Pace
from toolkit.learning.state import Tensors, snapshot

LEAST = math.log(1e-15)
"""The logarithm of a probability in the loss is this at least, for trees may be certain, and wrong."""


@dataclass(frozen=True)
class Labelled:
    """Samples of the train or of the valid set."""

    features: np.ndarray
    """(sample, feature) float32."""
    labels: np.ndarray
    """(sample,) int64."""
    parts: int = 1
    """In how many parts it is told that they are looked at."""

    def __len__(self) -> int:
        return self.parts

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.labels)


class TreeFitting:
    """Trees, and the samples they grow from and are watched on: `Fitting` for what has no gradient."""

    ranks, averages, n_parameters = ALONE, False, 0

    def __init__(
        self,
        network: RandomForest | GradientBoosting,
        train: Labelled,
        valid: Labelled,
        codes: tuple[int, ...],
        *,
        weights: torch.Tensor | None,
        seed: int,
        threads: int | None,
    ) -> None:
        """
        Args:
            codes: class code of each output.
            weights: weight of each class, float32 (class,); None weighs all samples alike.
        """
        self.network, self.batches, self.valid, self.codes = network, train, valid, codes
        self._weights, self._seed, self._threads = weights, seed, threads
        self.device = torch.device("cpu")

    def train_epoch(self, epoch: int, pace: Pace) -> float | None:
        """Grow the trees; the mean loss over the train samples, None if `pace` ended it."""
        features, labels = self.batches.features, self.batches.labels
        weights = None if self._weights is None else self._weights.double().numpy()[labels]
        seed = derived_seed(self._seed, Purpose.WEIGHTS) % 2**32
        growth = Growth(features, labels, weights, seed, self._threads)
        if not self.network.grow(growth, lambda done, parts: pace(done, parts) is not None):
            return None
        return self._look(self.batches)[0]

    def evaluate(self) -> tuple[float, ConfusionMatrix]:
        """Mean loss and confusion matrix of the valid samples."""
        loss, predicted = self._look(self.valid)
        return loss, ConfusionMatrix(count_pairs(self.valid.labels, predicted, len(self.codes)), self.codes)

    def logits(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Logarithms of shares float32 (sample, class) and labels of the valid samples, chunk by chunk."""
        return self._logits(self.valid)

    def weights(self) -> Tensors:
        """The arrays of the trees."""
        return snapshot(self.network.state_dict())

    watched_weights = weights

    def watch(self, weights: Tensors) -> None:
        """Look at these trees."""
        self.network.load_state_dict(weights)

    def moments(self) -> dict[int, Tensors]:
        """Nothing: trees grow no further."""
        return {}

    def restore(self, weights: Tensors, moments: dict[int, Tensors], average: Tensors) -> None:
        """Become trees grown earlier."""
        self.network.load_state_dict(weights)

    def _look(self, samples: Labelled) -> tuple[float, np.ndarray]:
        """Mean loss over samples, and the class index of each."""
        losses, predicted = np.empty(samples.count), np.empty(samples.count, dtype=np.int64)
        start = 0
        for logits, labels in self._logits(samples):
            chunk = slice(start, start + len(labels))
            shares = torch.log_softmax(logits.double(), 1).numpy()
            losses[chunk] = -np.maximum(np.take_along_axis(shares, labels.numpy()[:, None], 1)[:, 0], LEAST)
            predicted[chunk] = shares.argmax(1)
            start = chunk.stop
        weights = None if self._weights is None else self._weights.double().numpy()[samples.labels]
        return float(np.average(losses, weights=weights)), predicted

    def _logits(self, samples: Labelled) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, samples.count, self.network.chunk):
            chunk = slice(start, start + self.network.chunk)
            yield self.network(torch.from_numpy(samples.features[chunk])), torch.from_numpy(samples.labels[chunk])


def prepare_trees(
    samples: TrainingSamples, params: LearningParams, seed: int, nomenclature: Nomenclature, inputs: InputLayout
) -> tuple[TreeFitting, Standardiser]:
    """Split the samples as for a network; trees take them as they are, and so will the model.

    Raises:
        SampleError: nothing is left for valid, or a feature is not a number.
    """
    rng = np.random.default_rng(derived_seed(seed, Purpose.SPLIT))
    train, valid = split_samples(samples.codes, samples.polygons, params.valid_ratio, params.valid_by, rng)
    as_is = Standardiser(np.zeros(samples.features.shape[1]), np.ones(samples.features.shape[1]))
    labels = nomenclature.index(samples.codes).astype(np.int64)
    network = build_network(params.network, inputs, len(nomenclature))
    assert isinstance(network, RandomForest | GradientBoosting)
    fitting = TreeFitting(
        network,
        Labelled(standardised(samples, train, as_is, inputs.names).numpy(), labels[train], network.parts),
        Labelled(standardised(samples, valid, as_is, inputs.names).numpy(), labels[valid]),
        tuple(nomenclature.codes.tolist()),
        weights=weights_asked_for(params, labels[train], len(nomenclature)),
        seed=seed,
        threads=params.threads,
    )
    return fitting, as_is
