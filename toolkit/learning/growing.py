"""Trees in the place of a network: grown once on the train samples, then looked at with the valid ones.

To `training` this is a training of one epoch, so that history, model, callbacks and stop are what they are for
networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from toolkit.ground.accuracy import ConfusionMatrix, count_pairs
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.batches import Standardiser, TrainingSamples, derived_seed, split_samples, standardised
from toolkit.learning.fitting import GoOn, Purpose, class_weights
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import GradientBoosting, RandomForest, build_network
from toolkit.learning.models.trees import Growth
from toolkit.learning.parameters import LearningParams
from toolkit.learning.state import Tensors, snapshot

LEAST = math.log(1e-15)
"""The logarithm of a probability in the loss is this at least, for trees may be certain, and wrong."""


@dataclass(frozen=True)
class Parts:
    """The samples that the trees grow from, and in how many parts that is told."""

    features: np.ndarray
    parts: int

    def __len__(self) -> int:
        return self.parts


class TreeFitting:
    """Trees, and the samples they grow from and are watched on: `Fitting` for what has no gradient."""

    def __init__(
        self,
        network: RandomForest | GradientBoosting,
        train: tuple[np.ndarray, np.ndarray],
        valid: tuple[np.ndarray, np.ndarray],
        codes: tuple[int, ...],
        *,
        weights: torch.Tensor | None,
        seed: int,
        threads: int | None,
    ) -> None:
        """
        Args:
            train, valid: features float32 (sample, feature) and labels int64 (sample,).
            codes: class code of each output.
            weights: weight of each class, float32 (class,); None weighs all samples alike.
        """
        self.network, self.train, self.valid, self.codes = network, train, valid, codes
        self._weights, self._seed, self._threads = weights, seed, threads
        self.batches = Parts(train[0], network.parts)
        self.device = torch.device("cpu")
        self.n_parameters = 0

    def train_epoch(self, epoch: int, go_on: GoOn) -> float | None:
        """Grow the trees; the mean loss over the train samples, None if `go_on` ended it."""
        features, labels = self.train
        weights = None if self._weights is None else self._weights.double().numpy()[labels]
        seed = derived_seed(self._seed, Purpose.WEIGHTS) % 2**32
        if not self.network.grow(Growth(features, labels, weights, seed, self._threads), go_on):
            return None
        return self._look(features, labels)[0]

    def evaluate(self) -> tuple[float, ConfusionMatrix]:
        """Mean loss and confusion matrix of the valid samples."""
        loss, predicted = self._look(*self.valid)
        return loss, ConfusionMatrix(count_pairs(self.valid[1], predicted, len(self.codes)), self.codes)

    def weights(self) -> Tensors:
        """The arrays of the trees."""
        return snapshot(self.network.state_dict())

    def moments(self) -> dict[int, Tensors]:
        """Nothing: trees grow no further."""
        return {}

    def restore(self, weights: Tensors, moments: dict[int, Tensors]) -> None:
        """Become trees grown earlier."""
        self.network.load_state_dict(weights)

    def _look(self, features: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean loss over samples, and the class index of each."""
        losses, predicted = np.empty(len(labels)), np.empty(len(labels), dtype=np.int64)
        for start in range(0, len(labels), self.network.chunk):
            chunk = slice(start, start + self.network.chunk)
            shares = torch.log_softmax(self.network(torch.from_numpy(features[chunk])).double(), 1).numpy()
            losses[chunk] = -np.maximum(np.take_along_axis(shares, labels[chunk, None], 1)[:, 0], LEAST)
            predicted[chunk] = shares.argmax(1)
        weights = None if self._weights is None else self._weights.double().numpy()[labels]
        return float(np.average(losses, weights=weights)), predicted


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
    parts = [(standardised(samples, rows, as_is, inputs.names).numpy(), labels[rows]) for rows in (train, valid)]
    network = build_network(params.network, inputs, len(nomenclature))
    assert isinstance(network, RandomForest | GradientBoosting)
    fitting = TreeFitting(
        network,
        parts[0],
        parts[1],
        tuple(nomenclature.codes.tolist()),
        weights=class_weights(labels[train], len(nomenclature)) if params.weighted_classes else None,
        seed=seed,
        threads=params.threads,
    )
    return fitting, as_is
