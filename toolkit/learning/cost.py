"""What a training would cost, before it begins: the size of the network, and the time of an epoch by a short probe."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from toolkit.ground.errors import ParameterError
from toolkit.learning.batches import Batches
from toolkit.learning.devices import choose_device, default_threads, torch_threads
from toolkit.learning.fitting import VALID_CHUNK, Fitting, seeded
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import NetworkParams, build_network
from toolkit.learning.parameters import LearningParams

PROBE_SECONDS = 0.5
"""A probe of a network of usual size takes about this long."""

SMALLEST_BATCH, FIRST_WORK = 64, 50_000_000
"""The first batch that is tried has so many samples, or so many that samples times parameters are this much; the next
ones double, as long as there is time."""

LARGEST_BATCH = 8192
"""Samples of the largest batch that is tried: a larger one takes as long for each sample."""

FEWEST_BATCHES = 3
"""Batches that are timed together, at least."""

RAW_DATES = 70
"""Dates of a raw row that stands for those of a year."""

MOST_PARAMETERS = 30_000_000
"""Larger networks are not tried: a few updates could take a minute, and much memory."""


@dataclass(frozen=True)
class Shape:
    """The size of a network."""

    parameters: int
    """Number of weights that are learnt."""
    widths: tuple[int, ...]
    """Features, neurons of each layer, classes; of other layers than linear ones nothing is told."""


@dataclass(frozen=True)
class Cost:
    """What a training would cost."""

    shape: Shape
    seconds_an_epoch: float | None
    """None where the network is too large to be tried."""
    device: str


def network_shape(params: NetworkParams, inputs: InputLayout, n_classes: int) -> Shape:
    """The size of a network, exactly; none of its weights is made."""
    with torch.device("meta"):
        network = build_network(params, inputs, n_classes)
    widths = [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)]
    return Shape(_count(network), (inputs.width or 0, *widths))


def network_cost(params: LearningParams, inputs: InputLayout, n_classes: int, n_train: int, n_valid: int = 0) -> Cost:
    """The size of the network, and how long an epoch would take here.

    The time is that of updates with random numbers, on the device and with the batch size and threads of `params`,
    scaled to the number of samples. Where a whole batch takes too long, a smaller one stands for it.

    Args:
        n_train: samples to learn from. n_valid: samples that watch.

    Raises:
        ParameterError: the device is not present, or has no room for the network.
    """
    device, shape = choose_device(params.device), network_shape(params.network, inputs, n_classes)
    if shape.parameters > MOST_PARAMETERS or not n_train:
        return Cost(shape, None if n_train else 0.0, str(device))
    try:
        with torch_threads(params.threads or default_threads(params.batch_size)):
            return Cost(shape, _probe(params, inputs, n_classes, n_train, n_valid, device), str(device))
    except RuntimeError as error:  # torch's word for memory that is not there
        raise ParameterError(
            f"a network of {shape.parameters:,} parameters cannot be trained on {device} with "
            f"learning.batch_size = {params.batch_size} ({error}); make the batch or learning.network smaller"
        ) from None


def _probe(
    params: LearningParams, inputs: InputLayout, n_classes: int, n_train: int, n_valid: int, device: torch.device
) -> float:
    """Seconds of an epoch: batches of growing size, then the largest that there is time for again and again."""
    with seeded(0, device):
        network = build_network(params.network, inputs, n_classes).to(device)
    until, whole = time.perf_counter() + PROBE_SECONDS, min(params.batch_size, n_train, LARGEST_BATCH)
    samples = trial_samples(FEWEST_BATCHES * whole, inputs, n_classes, device)
    size = min(max(SMALLEST_BATCH, FIRST_WORK // _count(network)), whole)
    while True:
        fitting = trial_fitting(network, params, size, samples, n_classes)
        rounds = [seconds_of(fitting.train_epoch, device, 1, _pace) for _ in range(2)]
        if size == whole or time.perf_counter() + 4 * min(rounds) > until:
            break
        size = min(2 * size, whole)
    while time.perf_counter() + rounds[-1] < until:
        rounds.append(seconds_of(fitting.train_epoch, device, 1, _pace))
    looks = [seconds_of(fitting.evaluate, device) for _ in range(3)]
    # The quickest of each, for whatever else the machine does in half a second makes the others longer, not shorter.
    a_sample, a_look = min(rounds) / fitting.batches.count, min(looks) / fitting.valid.count
    return a_sample * n_train + a_look * n_valid


def trial_samples(
    count: int, inputs: InputLayout, n_classes: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random features float32 (sample, feature) and labels int64 (sample,)."""
    width = inputs.width or len(inputs.static) + RAW_DATES * (len(inputs.channels) + 2)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn((count, width), generator=generator)
    return features.to(device), torch.randint(n_classes, (count,), generator=generator).to(device)


def trial_fitting(
    network: nn.Module, params: LearningParams, size: int, samples: tuple[torch.Tensor, torch.Tensor], n_classes: int
) -> Fitting:
    """The training of a network with a few batches of this size."""
    features, labels = (one[: FEWEST_BATCHES * size] for one in samples)
    return Fitting(
        network,
        Batches(features, labels, size, features.device),
        Batches(features[:VALID_CHUNK], labels[:VALID_CHUNK], VALID_CHUNK, features.device),
        tuple(range(n_classes)),
        params,
        seed=0,
    )


def seconds_of(work: Callable[..., Any], device: torch.device, *arguments: Any) -> float:
    """How long a piece of work on this device takes."""
    start = time.perf_counter()
    work(*arguments)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _pace(done: int, batches: int) -> float:
    return 1e-9


def _count(network: nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters() if weights.requires_grad)
