"""Find a learning rate: let it grow from update to update, and look at where the loss falls fastest.

Source: Smith (2017), "Cyclical learning rates for training neural networks", section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count

import numpy as np
import torch

from toolkit.ground.errors import ParameterError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.batches import TrainingSamples, derived_seed
from toolkit.learning.devices import torch_threads
from toolkit.learning.fitting import Fitting, Purpose, check_samples, prepare, seeded
from toolkit.learning.inputs import InputLayout
from toolkit.learning.parameters import LearningParams
from toolkit.learning.settling import settle

SMOOTHING = 0.9
"""Share of what came before in the smoothed loss."""
DIVERGED = 4.0
"""Times the lowest loss above which the search ends."""
EDGE = 5
"""Updates at the beginning in which the smoothed loss says little."""


@dataclass(frozen=True)
class RateSearch:
    """The loss beside the learning rate."""

    rates: list[float]
    losses: list[float]
    """Smoothed loss before the update with each rate."""
    suggestion: float
    """The rate at which the loss falls fastest, on a logarithmic scale of the rate."""

    def __repr__(self) -> str:
        return f"RateSearch(learning_rate {self.suggestion:.1e}, tried {self.rates[0]:.0e} to {self.rates[-1]:.0e})"

    def _repr_html_(self) -> str:
        shown = range(0, len(self.rates), max(1, len(self.rates) // 12))
        rows = "".join(f"<tr><td>{self.rates[i]:.1e}</td><td>{self.losses[i]:.4f}</td></tr>" for i in shown)
        head = f"<caption>{escape(f'Suggested learning rate {self.suggestion:.1e}')}</caption>"
        return f"<table>{head}<tr><th>learning rate</th><th>loss</th></tr>{rows}</table>"


def find_rate(
    samples: TrainingSamples,
    params: LearningParams,
    *,
    seed: int,
    nomenclature: Nomenclature,
    feature_names: Sequence[str],
    dates: np.ndarray,
    lowest: float = 1e-7,
    highest: float = 1.0,
    updates: int = 200,
) -> RateSearch:
    """Train a new network for a few updates with a growing rate; nothing of it is kept.

    Args:
        samples, params, seed, nomenclature, feature_names, dates: as of `train_network`.
        lowest, highest: the rate grows from one to the other, by the same factor at each update.
        updates: how many; the search ends before where the loss runs away.

    Raises:
        SampleError: the samples do not suffice. ParameterError: the bounds or the number make no sense.
    """
    if not 0 < lowest < highest or updates < 2 * EDGE:
        raise ParameterError(
            f"rates from {lowest:g} to {highest:g} in {updates} updates: lowest must be above 0 and below highest, "
            f"and at least {2 * EDGE} updates are needed"
        )
    check_samples(samples, nomenclature, feature_names)
    inputs = InputLayout.of(feature_names, np.asarray(dates, "datetime64[D]"))
    choices = settle(params, inputs, len(nomenclature), samples.features.size)
    plain = choices.settled(params)
    with torch_threads(plain.threads):
        fitting, _ = prepare(samples, plain, seed, nomenclature, inputs, streamed=choices.streamed)
        rates = np.geomspace(lowest, highest, updates).tolist()
        with seeded(derived_seed(seed, Purpose.DROPOUT), fitting.device):
            losses = list(_losses(fitting, rates, seed))
    return RateSearch(rates[: len(losses)], losses, suggested(rates[: len(losses)], losses))


def suggested(rates: Sequence[float], losses: Sequence[float]) -> float:
    """The rate at which the smoothed loss falls fastest, before it is lowest."""
    lowest = int(np.argmin(losses))
    if lowest <= EDGE:
        raise ParameterError(
            f"the loss did not fall with any learning rate from {rates[0]:g} to {rates[-1]:g}: begin lower"
        )
    slopes = np.gradient(np.asarray(losses), np.log(rates))
    return float(rates[EDGE + int(np.argmin(slopes[EDGE : lowest + 1]))])


def _losses(fitting: Fitting, rates: Sequence[float], seed: int) -> Iterator[float]:
    """Smoothed losses, without the bias of their beginning, until they run away."""
    fitting.network.train()
    average, best = 0.0, math.inf
    batches = _endless(fitting, seed)
    for number, rate in enumerate(rates):
        features, labels = next(batches)
        total = fitting.updater.update(features, labels, rate, number)
        loss = float(total / fitting.updater.loss.size(labels))
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smooth = average / (1 - SMOOTHING ** (number + 1))
        best = min(best, smooth)
        if not math.isfinite(smooth) or (number > EDGE and smooth > DIVERGED * best):
            return
        yield smooth


def _endless(fitting: Fitting, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for epoch in count(1):
        yield from fitting.batches.shuffled(derived_seed(seed, Purpose.ORDER, epoch))
