"""Training: an epoch of ours beside its matrix products alone, torch's `DataLoader`, skorch, Lightning, scikit-learn.

On samples as published: 481 features, 20 classes, batches of 4096, the network 481-240-60-60-20; the valid samples
are looked at with all metrics. skorch and Lightning are taken where `make bench-env` has put them.

    python benchmarks/learning.py          (or `make bench-learning`; about three minutes on two cores)
    python benchmarks/learning.py --long   1.8 million samples, as in the published run
"""

from __future__ import annotations

import argparse
import copy
import logging
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from from_disk import BATCH, CLASSES, FEATURES, RATE, pace, simulated_samples
from interleaved import BUSY, CORES, Contender, agree, table, take_turns, watched
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.batches import Batches, TrainingSamples
from toolkit.learning.devices import torch_threads
from toolkit.learning.fitting import Fitting, prepare
from toolkit.learning.inputs import InputLayout
from toolkit.learning.parameters import LearningParams
from toolkit.learning.ranks import ALONE, Ranks
from toolkit.samples.stored import StoredFeatures, StoredPart

sys.path.append(str(Path(__file__).parents[1] / ".venv-bench" / "beside-torch"))
try:
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits
except ImportError:
    MLPClassifier = None
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pytorch_lightning as lightning
        from skorch import NeuralNetClassifier
except ImportError:
    lightning = None

QUICK, LONG = 200_000, 1_800_000


def prepared(samples: TrainingSamples, nomenclature: Nomenclature, *, streamed: bool = False, **params: str) -> Fitting:
    """The published network and its samples, ready for an epoch; a learning rate at which one epoch shows."""
    settled = LearningParams(learning_rate=RATE, batch_size=BATCH, device="cpu", **params)  # type: ignore[arg-type]
    return prepare(samples, settled, 0, nomenclature, InputLayout.unnamed(FEATURES), streamed=streamed)[0]


def check_training(samples: TrainingSamples, nomenclature: Nomenclature) -> None:
    """One epoch of ours ends with the loss and the metrics of the same epoch in plain torch."""
    few = TrainingSamples(samples.features[:20_000], samples.codes[:20_000], samples.polygons[:20_000])  # type: ignore[index]
    fitting = prepared(few, nomenclature)
    plain = copy.deepcopy(fitting.network)
    optimizer = torch.optim.Adam(plain.parameters(), lr=RATE)
    order = fitting.batches
    loss = fitting.train_epoch(1, pace)
    valid_loss, matrix = fitting.evaluate()
    again = prepared(few, nomenclature)
    replayed: list[tuple[torch.Tensor, torch.Tensor]] = []
    again.batches = Recorder(order, replayed)  # type: ignore[assignment]
    again.train_epoch(1, pace)
    losses = [plain_step(plain, optimizer, *batch) for batch in replayed]
    mean = np.average(losses, weights=[len(labels) for _, labels in replayed])
    assert isinstance(fitting.valid, Batches) and loss is not None
    features, labels = fitting.valid.features, fitting.valid.labels
    with torch.inference_mode():
        logits = plain(features)
    agree("train loss with plain torch", abs(loss - mean), 1e-4)
    agree("valid loss with plain torch", abs(valid_loss - float(functional.cross_entropy(logits, labels))), 1e-4)
    agree("OA with plain torch", abs(matrix.oa - float((logits.argmax(1) == labels).float().mean())), 1e-3)
    others = {
        "bfloat16": prepared(few, nomenclature, precision="bfloat16"),
        "samples on disk": prepared(few, nomenclature, streamed=True),
    }
    fitting.train_epoch(2, pace)
    for name, other in others.items():
        for epoch in (1, 2):
            other.train_epoch(epoch, pace)
        agree(f"OA with {name}, after two epochs", abs(other.evaluate()[1].oa - fitting.evaluate()[1].oa), 2e-2)


class Recorder:
    """Batches that are kept as they go by."""

    def __init__(self, batches: object, kept: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.batches, self.kept = batches, kept

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def shuffled(self, seed: int, ranks: Ranks = ALONE) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
        for features, labels in self.batches.shuffled(seed):  # type: ignore[attr-defined]
            self.kept.append((features.clone(), labels.clone()))
            yield features, labels


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

    def __init__(
        self, network: torch.nn.Module, batches: list[tuple[int, int]], dtype: torch.dtype = torch.float32
    ) -> None:
        weights = [one.weight.detach().to(dtype) for one in network.modules() if isinstance(one, torch.nn.Linear)]
        self.rows = [stop - start for start, stop in batches]
        largest = max(self.rows)
        self.layers = [
            (
                weight,
                torch.randn(largest, weight.shape[1]).to(dtype),
                torch.randn(largest, weight.shape[0]).to(dtype),
                weight.clone(),
            )
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


def measure_training(count: int, rounds: int, on_threads: Sequence[int] = (1, CORES)) -> None:
    """An epoch of the published network, on one thread and on all cores."""
    samples, nomenclature = simulated_samples(count)
    check_training(samples, nomenclature)
    with tempfile.TemporaryDirectory(prefix="landcover-bench-") as folder:
        path = Path(folder) / "features.npy"
        np.save(path, samples.features)
        part = StoredPart(path, np.arange(count))
        stored = TrainingSamples(StoredFeatures([part], FEATURES), samples.codes, samples.polygons)
        ways = {
            "ours": prepared(samples, nomenclature),
            "ours, bfloat16": prepared(samples, nomenclature, precision="bfloat16"),
            "ours, on disk": prepared(stored, nomenclature, streamed=True),
            "ours, on disk, bfloat16": prepared(stored, nomenclature, streamed=True, precision="bfloat16"),
        }
        del samples
        size = ways["ours"].batches.count
        for threads in sorted(set(on_threads)):
            with torch_threads(threads), limited(threads):
                contenders = epochs(ways, size / 1e3)
                take_turns(contenders, rounds)
            print()
            title = f"Training, {threads} thread(s): an epoch of {size:,} x 481, 20 classes, batch 4096"
            print(table(title, "k samples", contenders, ["products", "DataLoader", "ours"]))
            print(metrics_share(contenders))
        print("products: the matrix products alone, forward and backward, without optimiser, loss or shuffling")
        print(f"with valid: and loss, matrix and metrics of {count - size:,} more samples")
        print(peak_memory(path, count))


def epochs(ways: dict[str, Fitting], amount: float) -> list[Contender]:
    """An epoch over the same samples: its matrix products, ours, and the peers', each with a network of its own."""
    fitting = ways["ours"]
    contenders = [
        Contender("products", Products(fitting.network, fitting.batches.bounds), amount),
        Contender("products, bfloat16", Products(fitting.network, fitting.batches.bounds, torch.bfloat16), amount),
    ]
    contenders += [Contender(name, partial(way.train_epoch, 1, pace), amount) for name, way in ways.items()]
    contenders += [
        Contender("ours, with valid", lambda: (fitting.train_epoch(1, pace), fitting.evaluate()), amount),
        Contender("  valid, forward alone", lambda: forward(fitting), amount),
        Contender("  valid, with metrics", fitting.evaluate, amount),
    ]
    return contenders + peers(fitting, amount)


def peers(fitting: Fitting, amount: float) -> list[Contender]:
    assert isinstance(fitting.batches, Batches)
    train, labels = fitting.batches.features, fitting.batches.labels
    network = copy.deepcopy(fitting.network)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)

    def loader(workers: int) -> Callable[[], None]:
        made = DataLoader(TensorDataset(train, labels), batch_size=BATCH, shuffle=True, num_workers=workers)
        return lambda: loader_epoch(made, network, optimizer)

    found = [Contender("DataLoader", loader(0), amount), Contender("DataLoader, 2 workers", loader(2), amount)]
    if lightning:
        found += [
            Contender("skorch", skorch_epoch(network, train, labels), amount),
            Contender("Lightning", lightning_epoch(network, train, labels), amount),
        ]
    if MLPClassifier:
        widths = tuple(one.out_features for one in network.modules() if isinstance(one, torch.nn.Linear))
        peer = MLPClassifier(widths[:-1], batch_size=BATCH, learning_rate_init=RATE, alpha=0, shuffle=True)
        fit = partial(peer.partial_fit, train.numpy(), labels.numpy(), classes=np.arange(CLASSES))
        found.append(Contender("scikit-learn", fit, amount))
    return found


def skorch_epoch(network: torch.nn.Module, train: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    peer = NeuralNetClassifier(
        copy.deepcopy(network), criterion=torch.nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=RATE, max_epochs=1,
        batch_size=BATCH, train_split=None, verbose=0, iterator_train__shuffle=True, callbacks="disable",
    )  # fmt: skip
    peer.initialize()
    return lambda: peer.partial_fit(train, labels)


def lightning_epoch(network: torch.nn.Module, train: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    class Peer(lightning.LightningModule):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.network = copy.deepcopy(network)

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], number: int) -> torch.Tensor:
            return functional.cross_entropy(self.network(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=RATE)

    peer, loader = Peer(), DataLoader(TensorDataset(train, labels), batch_size=BATCH, shuffle=True)

    def epoch() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lightning.Trainer(
                max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
                enable_progress_bar=False, enable_model_summary=False,
            ).fit(peer, loader)  # fmt: skip

    return epoch


@torch.inference_mode()
def forward(fitting: Fitting) -> None:
    """The valid samples through the network, and nothing else."""
    network = fitting.network.eval()
    for features, _ in fitting.valid.in_order():
        network(features)


def metrics_share(contenders: list[Contender]) -> str:
    """What loss, matrix and metrics take of an epoch."""
    seconds = {one.name.strip(): min(one.seconds) for one in contenders}
    alone, looked = seconds["valid, forward alone"], seconds["valid, with metrics"]
    share = (looked - alone) / seconds["ours, with valid"]
    valid = looked / seconds["ours, with valid"]
    return f"metrics beyond the forward pass: {share:.1%} of an epoch; all of valid: {valid:.1%}"


def peak_memory(path: Path, count: int) -> str:
    """Memory of a process that trains from disk, in float32 and bfloat16."""
    peaks = []
    for precision in ("float32", "bfloat16"):
        command = [sys.executable, str(Path(__file__).with_name("from_disk.py")), str(path), str(count), precision]
        peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    features = count * FEATURES * 4 / 1e9
    return f"on disk: {features:.2f} GB of samples; peak memory of the process {peaks[0]:.2f} and {peaks[1]:.2f} GB"


def limited(threads: int) -> object:
    """NumPy's and scikit-learn's threads, as far as they can be held."""
    return threadpool_limits(threads) if MLPClassifier else torch_threads(None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="1.8 million samples instead of 200,000; needs 16 GB")
    parser.add_argument("--rounds", type=int, default=3, help="turns of every contender (default: 3)")
    parser.add_argument("--samples", type=int, help="another number of samples")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, CORES], help="of torch (default: 1 and all)")
    options = parser.parse_args()
    count = options.samples or (LONG if options.long else QUICK)
    if not lightning:
        print("skorch and Lightning are absent: `make bench-env` installs them")
    with watched() as others:
        measure_training(count, options.rounds, options.threads)
    print(f"\nOther programs took {others[0]:.2f} cores on average: {'BUSY' if others[0] > BUSY else 'quiet'} machine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
