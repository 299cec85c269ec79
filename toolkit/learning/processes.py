"""Several processes that train one network together, each on its share of every batch.

The process that was asked to train is the first one: it alone writes results, calls callbacks and decides. The others
follow it epoch by epoch: it has started them (`started.py`), or a launcher has started all (`launched.py`). torch's
`DistributedDataParallel` adds up the gradients, so that each batch moves the weights as it would in one process
(dropout and mixup draw otherwise in each). Where one of them ends, the others' next exchange fails, and all end.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from toolkit.ground.errors import ParameterError
from toolkit.learning.batches import Standardiser
from toolkit.learning.crew import Crew
from toolkit.learning.devices import choose_device, torch_threads
from toolkit.learning.fitting import Start, prepare
from toolkit.learning.launched import FOREVER, LaunchedTraining, sharing
from toolkit.learning.parameters import LearningParams
from toolkit.learning.ranks import ALONE, Pace, Ranks
from toolkit.learning.started import Started, meeting_in
from toolkit.learning.state import TrainingState

OVER = -1


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
        folder, count = Path(name), crew.params.processes
        crew.write(folder, start)
        others = _launched(folder, count) or Started(folder, count)
        with others.at_work(), _joined(others.meeting, 0, crew.params) as ranks, others.told():
            yield ranks


def _launched(folder: Path, count: int) -> LaunchedTraining | None:
    """The processes launched beside this one, which must be as many as are asked for; None where there are none."""
    launch = sharing()
    if launch is None:
        return None
    if launch.count != count:
        raise ParameterError(
            f"learning.processes = {count}, but {launch.count} were launched together: set it to {launch.count}"
        )
    return launch.training(folder)


class Gang(Ranks):
    """This process and the others, joined."""

    def __init__(self, rank: int, count: int, device: torch.device) -> None:
        self.rank, self.count, self.device = rank, count, device
        self._wrapped: list[DistributedDataParallel] = []

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
        device_ids = [self.device] if self.device.type == "cuda" else None
        self._wrapped.append(DistributedDataParallel(network, device_ids=device_ids))
        return self._wrapped[-1]

    def align(self, network: nn.Module) -> None:
        for values in network.state_dict().values():
            dist.broadcast(values, 0)

    def leave(self) -> None:
        """Leave the others; wrapped networks are of no use any more.

        They must not hold the group longer than this: its end waits for its threads, which wait for the interpreter
        where they still hold a tensor, and the end of a network does not let go of the interpreter meanwhile.
        """
        for one in self._wrapped:
            one.reducer = one.logger = one.process_group = None  # type: ignore[assignment]
        dist.destroy_process_group()

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
def _joined(meeting: dist.Store, rank: int, params: LearningParams) -> Iterator[Gang]:
    device = choose_device(params.device, rank)
    if "GLOO_SOCKET_IFNAME" not in os.environ and sys.platform.startswith("linux"):
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # all processes are on this machine
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=meeting, rank=rank, world_size=params.processes, timeout=FOREVER)
    gang = Gang(rank, params.processes, device)
    try:
        yield gang
    finally:
        gang.leave()


def follow(folder: Path, rank: int, meeting: dist.Store) -> None:
    """Be one of the other processes, in the training whose plan is in this folder."""
    crew = Crew.read(folder)
    start = None
    if (folder / "mean.npy").exists():  # the weights come from the first process
        start = Start({}, Standardiser(np.load(folder / "mean.npy"), np.load(folder / "std.npy"), crew.inputs.row))
    (folder / f"ready_{rank}").touch()
    with torch_threads(crew.params.threads), _joined(meeting, rank, crew.params) as ranks:
        fitting, _ = prepare(
            crew.samples, crew.params, crew.seed, crew.nomenclature, crew.inputs,
            streamed=crew.streamed, start=start, ranks=ranks,
        )  # fmt: skip
        state = TrainingState.read(crew.state, crew.key) if crew.state else None
        if state:
            fitting.restore(state.network, state.optimizer, state.average)
        while (epoch := ranks.next_epoch()) != OVER:
            loss = fitting.train_epoch(epoch, lambda done, batches: None)
            if loss is not None and math.isfinite(loss):  # with another one the first process ends the training
                fitting.evaluate()


if __name__ == "__main__":
    follow(Path(sys.argv[1]), int(sys.argv[2]), meeting_in(Path(sys.argv[1])))
