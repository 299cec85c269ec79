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
from toolkit.learning.fitting import Fitting, seeded
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import (
    NO_INTERPOLATOR,
    GradientBoosting,
    InterpolatorChoice,
    NetworkParams,
    OwnParams,
    RandomForest,
    TreeParams,
    build_network,
    inputs_behind,
    network_behind,
)
from toolkit.learning.models.columns import PIXELS, chunk_of, for_maps
from toolkit.learning.models.trees import Growth
from toolkit.learning.parameters import LearningParams

PROBE_SECONDS = 0.5
"""A probe of a network of usual size takes about this long."""

SMALLEST_BATCH, FIRST_WORK = 64, 50_000_000
"""The first batch that is tried has so many samples, or so many that samples times parameters are this much; the next
ones double, as long as there is time."""

HEAVY_BATCH = 16
"""Samples of the first batch of a network whose work is more than its weights tell."""

LARGEST_BATCH = 8192
"""Samples of the largest batch that is tried: a larger one takes as long for each sample."""

FEWEST_BATCHES = 3
"""Batches that are timed together, at least."""

DATES = 70
"""Dates of the samples that raw dates are tried with: a year of one tile as Sentinel-2 sees it."""

FEW_TREES, GROWN_FROM = 4, 2000
"""Trees, or rounds of them, that stand for all in a probe, and the random samples that they grow from."""

MOST_PARAMETERS = 30_000_000
"""Larger networks are not tried: a few updates could take a minute, and much memory."""


@dataclass(frozen=True)
class Shape:
    """The size of a network."""

    parameters: int
    """Number of weights that are learnt."""
    widths: tuple[int, ...]
    """Features, neurons of each layer, classes; of a network that does not say them, those of its linear layers.
    Nothing is told of what stands before the network; features of raw dates are those of one date."""


@dataclass(frozen=True)
class Cost:
    """What a training would cost."""

    shape: Shape
    seconds_an_epoch: float | None
    """None where the network is too large to be tried, or is trees, which have no epochs."""
    device: str


def network_shape(
    params: NetworkParams, inputs: InputLayout, n_classes: int, interpolator: InterpolatorChoice = NO_INTERPOLATOR
) -> Shape:
    """The size of a network and of what stands before it, exactly; no weight is made, unless it is a person's own.

    Raises:
        ParameterError: it cannot read such inputs.
    """
    given = inputs_behind(interpolator, inputs)
    with torch.device("cpu" if isinstance(params, OwnParams) else "meta"):  # whose constructor may look at its weights
        network = network_behind(interpolator, params, inputs, n_classes)
    told = getattr(network, "widths", None)
    linear = [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)]
    widths = linear if told is None else [*told, n_classes]
    return Shape(_count(network), (given.width or len(given.names), *widths))


def network_cost(params: LearningParams, inputs: InputLayout, n_classes: int, n_train: int, n_valid: int = 0) -> Cost:
    """The size of the network, and how long an epoch would take here.

    The time is that of updates with random numbers, on the device and with the batch size and threads of `params`,
    scaled to the number of samples. Where a whole batch takes too long, a smaller one stands for it.

    Args:
        n_train: samples to learn from. n_valid: samples that watch.

    Raises:
        ParameterError: the device is not present, or has no room for the network.
    """
    device = choose_device(params.device)
    shape = network_shape(params.network, inputs, n_classes, params.interpolator)
    too_long = shape.parameters > MOST_PARAMETERS or isinstance(params.network, TreeParams)
    if too_long or not n_train:
        return Cost(shape, None if n_train else 0.0, str(device))
    try:
        with torch_threads(params.threads or default_threads(params.batch_size)):
            return Cost(shape, _probe(params, inputs, n_classes, n_train, n_valid, device), str(device))
    except RuntimeError as error:  # torch's word for memory that is not there
        raise ParameterError(
            f"a network of {shape.parameters:,} parameters cannot be trained on {device} with "
            f"learning.batch_size = {params.batch_size} ({error}); make the batch or learning.network smaller"
        ) from None


@torch.inference_mode()
def pixel_cost(params: NetworkParams, inputs: InputLayout, n_classes: int) -> float:
    """Seconds of one thread of the processor that a pixel takes in a map: the quickest of some short trials.

    Raises:
        ParameterError: the network cannot read such inputs.
    """
    count = len(inputs.names)
    with torch_threads(1), seeded(0, torch.device("cpu")):
        network = build_network(params, inputs, n_classes)
        if isinstance(network, RandomForest | GradientBoosting):
            network = _grown_at_random(network, inputs, n_classes)
        module = for_maps(network, torch.zeros(count).double(), torch.ones(count).double(), inputs.row)
        features = trial_samples(chunk_of(module), inputs, n_classes, torch.device("cpu"))[0].T.contiguous()
        until = time.perf_counter() + PROBE_SECONDS / 2
        rounds: list[float] = []
        while len(rounds) < 3 or time.perf_counter() < until:
            start = time.thread_time()  # of this thread alone: whatever else the machine does is not counted
            module(features)
            rounds.append(time.thread_time() - start)
    return min(rounds) / features.shape[1]


def _grown_at_random(
    network: RandomForest | GradientBoosting, inputs: InputLayout, n_classes: int
) -> RandomForest | GradientBoosting:
    """Trees grown from random samples, a few of them again and again to be as many as there will be."""
    few = min(network.parts, FEW_TREES)
    grown = build_network(network.params.model_copy(update={network.counted: few}), inputs, n_classes)
    assert isinstance(grown, RandomForest | GradientBoosting)
    features, labels = trial_samples(GROWN_FROM, inputs, n_classes, torch.device("cpu"))
    grown.grow(Growth(features.numpy(), labels.numpy(), None, 0, 1), lambda done, parts: True)
    grown.roots = grown.roots.repeat(-(-network.parts // few))
    return grown


def _probe(
    params: LearningParams, inputs: InputLayout, n_classes: int, n_train: int, n_valid: int, device: torch.device
) -> float:
    """Seconds of an epoch: batches of growing size, then the largest that there is time for again and again."""
    with seeded(0, device):
        network = network_behind(params.interpolator, params.network, inputs, n_classes).to(device)
    until, whole = time.perf_counter() + PROBE_SECONDS, min(params.batch_size, n_train, LARGEST_BATCH)
    samples = trial_samples(FEWEST_BATCHES * whole, inputs, n_classes, device)
    first = max(SMALLEST_BATCH, FIRST_WORK // _count(network)) if chunk_of(network) == PIXELS else HEAVY_BATCH
    size = min(first, whole)
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
    generator, row = torch.Generator().manual_seed(0), inputs.row
    features = torch.randn((count, row.width(DATES) if row else inputs.width or 0), generator=generator)
    if row:
        dated = features[:, row.static :].unflatten(1, (DATES, row.each))
        dated[:, :, -2] = torch.linspace(0, 365, DATES).round()
        dated[:, :, -1] = torch.rand((count, DATES), generator=generator) < 0.5
    return features.to(device), torch.randint(n_classes, (count,), generator=generator).to(device)


def trial_fitting(
    network: nn.Module, params: LearningParams, size: int, samples: tuple[torch.Tensor, torch.Tensor], n_classes: int
) -> Fitting:
    """The training of a network with a few batches of this size."""
    features, labels = (one[: FEWEST_BATCHES * size] for one in samples)
    return Fitting(
        network,
        Batches(features, labels, size, features.device),
        Batches(features[:PIXELS], labels[:PIXELS], chunk_of(network), features.device),
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
