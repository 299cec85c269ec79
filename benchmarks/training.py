"""Training: an epoch of ours beside its matrix products alone, torch's `DataLoader` and scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from interleaved import CORES, Contender, agree, table, take_turns
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.devices import torch_threads
from toolkit.learning.fitting import Fitting, prepare
from toolkit.learning.parameters import LearningParams

try:
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits
except ImportError:
    MLPClassifier = None


def simulated_samples(count: int, classes: int = 20, seed: int = 0) -> tuple[TrainingSamples, Nomenclature]:
    """Samples of 481 features around a centre for each class, 50 to a polygon."""
    rng = np.random.default_rng(seed)
    polygons = np.arange(count) // 50
    codes = rng.integers(1, classes + 1, polygons[-1] + 1).astype(np.uint8)[polygons]
    features = rng.standard_normal((count, 481), dtype=np.float32)
    features += rng.standard_normal((classes + 1, 481), dtype=np.float32)[codes] * np.float32(0.2)
    named = tuple(LandCoverClass(code, f"class {code}", f"#{code * 12:02x}8040") for code in range(1, classes + 1))
    return TrainingSamples(features, codes, polygons), Nomenclature("simulated", named)


def always(done: int, batches: int) -> bool:
    return True


def check_training(samples: TrainingSamples, nomenclature: Nomenclature) -> None:
    """One epoch of ours ends with the loss and the metrics of the same epoch in plain torch."""
    few = TrainingSamples(samples.features[:20_000], samples.codes[:20_000], samples.polygons[:20_000])
    fitting = prepared(few, nomenclature)
    plain = copy.deepcopy(fitting.network)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3)
    order = fitting.batches
    loss = fitting.train_epoch(1, always)
    valid_loss, matrix = fitting.evaluate()
    again = prepared(few, nomenclature)
    replayed: list[tuple[torch.Tensor, torch.Tensor]] = []
    again.batches = Recorder(order, replayed)  # type: ignore[assignment]
    again.train_epoch(1, always)
    losses = [plain_step(plain, optimizer, *batch) for batch in replayed]
    mean = np.average(losses, weights=[len(labels) for _, labels in replayed])
    features, labels = fitting.valid
    with torch.inference_mode():
        logits = plain(features)
    agree("train loss with plain torch", abs(loss - mean), 1e-4)
    agree("valid loss with plain torch", abs(valid_loss - float(functional.cross_entropy(logits, labels))), 1e-4)
    agree("OA with plain torch", abs(matrix.oa - float((logits.argmax(1) == labels).float().mean())), 1e-3)


class Recorder:
    """Batches that are kept as they go by."""

    def __init__(self, batches: object, kept: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.batches, self.kept = batches, kept

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def shuffled(self, seed: int) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        for features, labels in self.batches.shuffled(seed):  # type: ignore[attr-defined]
            self.kept.append((features.clone(), labels.clone()))
            yield features, labels


def prepared(samples: TrainingSamples, nomenclature: Nomenclature) -> Fitting:
    """The published network and its samples, ready for an epoch; a learning rate at which one epoch shows."""
    params = LearningParams(learning_rate=1e-3, batch_size=4096, device="cpu")
    return prepare(samples, params, 0, nomenclature, [str(one) for one in range(481)])[0]


def plain_step(
    network: torch.nn.Module, optimizer: torch.optim.Optimizer, features: torch.Tensor, labels: torch.Tensor
) -> float:
    optimizer.zero_grad()
    loss = functional.cross_entropy(network(features), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def loader_epoch(loader: DataLoader, network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for features, labels in loader:
        plain_step(network, optimizer, features, labels)


class Products:
    """The matrix products of one epoch, forward and backward, and nothing else."""

    def __init__(self, network: torch.nn.Module, batches: list[tuple[int, int]]) -> None:
        weights = [one.weight.detach() for one in network.modules() if isinstance(one, torch.nn.Linear)]
        self.rows = [stop - start for start, stop in batches]
        largest = max(self.rows)
        self.layers = [
            (weight, torch.randn(largest, weight.shape[1]), torch.randn(largest, weight.shape[0]), weight.clone())
            for weight in weights
        ]
        self.backward = [torch.empty_like(inputs) for _, inputs, _, _ in self.layers]
        self.forward = [torch.empty_like(outputs) for _, _, outputs, _ in self.layers]

    def __call__(self) -> None:
        for rows in self.rows:
            for layer, (weight, inputs, gradient, to_weight) in enumerate(self.layers):
                torch.mm(inputs[:rows], weight.T, out=self.forward[layer][:rows])
                torch.mm(gradient[:rows].T, inputs[:rows], out=to_weight)
                if layer:
                    torch.mm(gradient[:rows], weight, out=self.backward[layer][:rows])


def measure_training(count: int, rounds: int) -> None:
    """An epoch of the published network, on one thread and on all cores."""
    samples, nomenclature = simulated_samples(count)
    check_training(samples, nomenclature)
    fitting = prepared(samples, nomenclature)
    del samples
    size = len(fitting.batches.features)
    contenders = epochs(fitting, size / 1e3)
    for threads in sorted({1, CORES}):
        again = [Contender(one.name, one.run, one.amount) for one in contenders]
        with torch_threads(threads), limited(threads):
            take_turns(again, rounds)
        print()
        title = f"3. Training, {threads} thread(s): an epoch of {size:,} x 481, 20 classes, batch 4096"
        print(table(title, "k samples", again, ["products", "DataLoader"]))
    print(f"products: the matrix products alone.  valid: loss, matrix and metrics of {count - size:,} more samples")


def epochs(fitting: Fitting, amount: float) -> list[Contender]:
    """An epoch over the same samples: its matrix products, ours, and the peers', each with a network of its own."""
    train, labels = fitting.batches.features, fitting.batches.labels
    network = copy.deepcopy(fitting.network)
    loader = DataLoader(TensorDataset(train, labels), batch_size=4096, shuffle=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    epoch = partial(fitting.train_epoch, 1, always)
    contenders = [
        Contender("products", Products(network, fitting.batches.bounds), amount),
        Contender("ours", epoch, amount),
        Contender("ours + valid", lambda: (epoch(), fitting.evaluate()), amount),
        Contender("DataLoader", lambda: loader_epoch(loader, network, optimizer), amount),
    ]
    if MLPClassifier:
        widths = tuple(one.out_features for one in network.modules() if isinstance(one, torch.nn.Linear))
        peer = MLPClassifier(widths[:-1], batch_size=4096, learning_rate_init=1e-3, alpha=0, shuffle=True)
        fit = partial(peer.partial_fit, train.numpy(), labels.numpy(), classes=np.arange(20))
        contenders.append(Contender("scikit-learn", fit, amount))
    return contenders


def limited(threads: int) -> object:
    """NumPy's and scikit-learn's threads, as far as they can be held."""
    return threadpool_limits(threads) if MLPClassifier else torch_threads(None)
