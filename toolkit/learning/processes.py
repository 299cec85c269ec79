"""Several processes that train one network together, each on its share of every batch.

The process that was asked to train is the first one: it alone writes results, calls callbacks and decides. It starts
the others, which follow it epoch by epoch. torch's `DistributedDataParallel` adds up the gradients, so that each batch
moves the weights as it would in one process (dropout and mixup draw otherwise in each). Where one of them ends, the
others' next exchange fails, and all end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import ParameterError
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.batches import Standardiser, TrainingSamples
from toolkit.learning.devices import choose_device, torch_threads
from toolkit.learning.fitting import Start, prepare
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import OwnParams
from toolkit.learning.parameters import LearningParams
from toolkit.learning.ranks import ALONE, Pace, Ranks
from toolkit.learning.state import TrainingState
from toolkit.samples.stored import StoredFeatures, StoredPart

PATIENCE = 600.0
"""Seconds in which the other processes must have started."""
FOREVER = timedelta(days=365)
"""How long an exchange may take: a training may be held by whoever follows it. One that ended is noticed at once."""
OVER = -1


@dataclass(frozen=True)
class Crew:
    """What the other processes need to know."""

    samples: TrainingSamples
    params: LearningParams
    seed: int
    nomenclature: Nomenclature
    inputs: InputLayout
    streamed: bool
    state: Path | None
    """The state to go on from; None begins anew."""
    key: str

    def write(self, folder: Path, start: Start | None) -> None:
        """Leave it in a folder."""
        features = self.samples.features
        parts: list[str] = []
        if isinstance(features, StoredFeatures):
            parts = [str(part.path.resolve()) for part in features.parts]
            for number, part in enumerate(features.parts):
                np.save(folder / f"rows_{number}.npy", part.rows)
        else:
            np.save(folder / "features.npy", features)
        np.save(folder / "codes.npy", self.samples.codes)
        np.save(folder / "polygons.npy", self.samples.polygons)
        if start:
            np.save(folder / "mean.npy", start.standardiser.mean)
            np.save(folder / "std.npy", start.standardiser.std)
        network = self.params.network
        plan = {
            "params": self.params.model_dump(mode="json"),
            "seed": self.seed,
            "nomenclature": [self.nomenclature.name, [[c.code, c.label, c.colour] for c in self.nomenclature.classes]],
            "inputs": [self.inputs.names, self.inputs.dates, self.inputs.period],
            "streamed": self.streamed,
            "state": str(self.state.resolve()) if self.state else None,
            "key": self.key,
            "parts": parts,
            "code": asdict(network.code) if isinstance(network, OwnParams) else None,
            "width": features.shape[1],
        }
        (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Crew:
        """What another process left in a folder."""
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        name, classes = plan["nomenclature"]
        return cls(
            _samples(folder, plan),
            _params(plan),
            plan["seed"],
            Nomenclature(name, tuple(LandCoverClass(*one) for one in classes)),
            InputLayout(*(one and tuple(one) for one in plan["inputs"])),
            plan["streamed"],
            Path(plan["state"]) if plan["state"] else None,
            plan["key"],
        )


@contextmanager
def together(crew: Crew, start: Start | None) -> Iterator[Ranks]:
    """The processes of a training, while it lasts; this one alone where no more are asked for.

    Raises:
        ParameterError: one of the others ended.
    """
    if crew.params.processes == 1:
        yield ALONE
        return
    with tempfile.TemporaryDirectory(prefix="training-") as name:
        folder = Path(name)
        crew.write(folder, start)
        others = [_start(folder, rank) for rank in range(1, crew.params.processes)]
        try:
            with _told(folder, others):
                _wait(folder, others)
            with _joined(folder, 0, crew.params) as ranks, _told(folder, others):
                yield ranks
            for one in others:
                one.wait(timeout=PATIENCE)
        finally:
            for one in others:
                one.kill()
                one.wait()


class Gang(Ranks):
    """This process and the others, joined."""

    def __init__(self, rank: int, count: int, device: torch.device) -> None:
        self.rank, self.count, self.device = rank, count, device

    def share(self, rows: torch.Tensor) -> torch.Tensor:
        bounds = [len(rows) * rank // self.count for rank in (self.rank, self.rank + 1)]
        return rows[bounds[0] : bounds[1]]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values

    def agreed(self, pace: Pace) -> Pace:
        def shared(done: int, batches: int) -> float | None:
            rate = pace(done, batches) if not self.rank else None
            told = torch.tensor([float("nan") if rate is None else rate], dtype=torch.float64)
            dist.broadcast(told, 0)
            return None if bool(told.isnan()) else float(told)

        return shared

    def wrap(self, network: nn.Module) -> nn.Module:
        return DistributedDataParallel(network, device_ids=[self.device] if self.device.type == "cuda" else None)

    def align(self, network: nn.Module) -> None:
        for values in network.state_dict().values():
            dist.broadcast(values, 0)

    def begin(self, epoch: int) -> None:
        dist.broadcast(torch.tensor([epoch]), 0)

    def dismiss(self) -> None:
        self.begin(OVER)

    def next_epoch(self) -> int:
        """The epoch that the first process begins; `OVER` after the last."""
        epoch = torch.tensor([0])
        dist.broadcast(epoch, 0)
        return int(epoch)

    def silent(self, network: nn.Module, yes: bool) -> AbstractContextManager[object]:
        return network.no_sync() if yes else nullcontext()  # type: ignore[operator,no-any-return]


@contextmanager
def _joined(folder: Path, rank: int, params: LearningParams) -> Iterator[Gang]:
    device = choose_device(params.device, rank)
    if "GLOO_SOCKET_IFNAME" not in os.environ and sys.platform.startswith("linux"):
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # all processes are on this machine
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(
        backend,
        init_method=(folder / "meeting").as_uri(),
        rank=rank,
        world_size=params.processes,
        timeout=FOREVER,
    )
    try:
        yield Gang(rank, params.processes, device)
    finally:
        dist.destroy_process_group()


def _start(folder: Path, rank: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "toolkit.learning.processes", str(folder), str(rank)]
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with (folder / f"{rank}.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def _wait(folder: Path, others: list[subprocess.Popen[bytes]]) -> None:
    """Until all have started."""
    until = time.monotonic() + PATIENCE
    while not all((folder / f"ready_{rank}").exists() for rank in range(1, len(others) + 1)):
        if any(one.poll() is not None for one in others) or time.monotonic() > until:
            raise RuntimeError("not all processes have started")
        time.sleep(0.02)


@contextmanager
def _told(folder: Path, others: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Where an exchange fails, say which process ended and why, if one did."""
    try:
        yield
    except RuntimeError as error:
        time.sleep(0.5)  # what broke the exchange may be a moment ahead of the end of its process
        for rank, one in enumerate(others, 1):
            if (status := one.poll()) not in (None, 0):
                raise ParameterError(_obituary(folder, rank, len(others) + 1, int(status or 0))) from error
        raise


def _obituary(folder: Path, rank: int, count: int, status: int) -> str:
    words = (folder / f"{rank}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    how = f"by signal {-status}" if status < 0 else f"with status {status}"
    last = f" ({words[-1]})" if words else ""
    return (
        f"process {rank + 1} of the {count} of the training ended {how}{last}, and all end with it. The last whole "
        "epoch is kept: train again to go on, with fewer learning.processes if memory was short"
    )


def _params(plan: dict[str, Any]) -> LearningParams:
    params = LearningParams.model_validate(plan["params"])
    if not isinstance(params.network, OwnParams):
        return params
    return params.model_copy(update={"network": params.network.with_code(SourceFile(**plan["code"]))})


def _samples(folder: Path, plan: dict[str, Any]) -> TrainingSamples:
    features: np.ndarray | StoredFeatures
    if plan["parts"]:
        rows = [np.load(folder / f"rows_{number}.npy") for number in range(len(plan["parts"]))]
        parts = [StoredPart(Path(path), one) for path, one in zip(plan["parts"], rows, strict=True)]
        features = StoredFeatures(parts, plan["width"])
    else:
        features = np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False)
    return TrainingSamples(features, np.load(folder / "codes.npy"), np.load(folder / "polygons.npy"))


def _follow(folder: Path, rank: int) -> None:
    """Be one of the other processes."""
    crew = Crew.read(folder)
    start = None
    if (folder / "mean.npy").exists():  # the weights come from the first process
        start = Start({}, Standardiser(np.load(folder / "mean.npy"), np.load(folder / "std.npy"), crew.inputs.row))
    (folder / f"ready_{rank}").touch()
    with torch_threads(crew.params.threads), _joined(folder, rank, crew.params) as ranks:
        fitting, _ = prepare(
            crew.samples, crew.params, crew.seed, crew.nomenclature, crew.inputs,
            streamed=crew.streamed, start=start, ranks=ranks,
        )  # fmt: skip
        state = TrainingState.read(crew.state, crew.key) if crew.state else None
        if state:
            fitting.restore(state.network, state.optimizer, state.average)
        while (epoch := ranks.next_epoch()) != OVER:
            if fitting.train_epoch(epoch, lambda done, batches: None) is not None:
                fitting.evaluate()


if __name__ == "__main__":
    _follow(Path(sys.argv[1]), int(sys.argv[2]))
