"""The processes that `torchrun` launched together: the first one works, the others take part in its trainings.

    torchrun --nproc-per-node 2 -m toolkit.cli train experiment.yml

All run the same command, which the first one obeys alone. The others wait for its trainings, and are in each what it
would otherwise have started itself (`processes.py`). They hear of them from the store that the launcher names in the
environment, and meet there; the samples are in a folder of this machine.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.ground.errors import LandcoverError, ParameterError

if TYPE_CHECKING:
    from torch.distributed import Store

LOOK_EVERY = 0.05
"""Seconds between two looks for the next training."""

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

PATIENCE = timedelta(minutes=5)
"""In which all must have been launched."""

FOREVER = timedelta(days=365)
"""How long an exchange may take: a training may be held by whoever follows it. One that ended is noticed at once."""


class Launch:
    """This process, as one of several that were launched together.

    Args:
        rank: number of this process, from 0.
        count: processes, 2 at least.
    """

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count
        self._numbers = itertools.count(1)

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Launch | None:
        """What the environment says; None where this process is alone.

        Raises:
            ParameterError: some of the processes are on another machine.
        """
        if any(name not in environment for name in NEEDED):
            return None
        rank, count = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        here = int(environment.get("LOCAL_WORLD_SIZE", count))
        if here != count:
            raise ParameterError(
                f"{count} processes were launched, {here} of them on this machine: only those of one machine can train "
                "together; launch them with --nnodes 1"
            )
        return cls(rank, count) if count > 1 else None

    @cached_property
    def store(self) -> Store:
        """What all of them read and write."""
        from torch.distributed.rendezvous import rendezvous

        store: Store = next(rendezvous("env://", self.rank, self.count, timeout=PATIENCE))[0]
        store.set_timeout(FOREVER)
        return store

    def training(self, folder: Path | None) -> LaunchedTraining:
        """The next training of the first process, whose plan is in this folder; None where there will be no more."""
        training = LaunchedTraining(self, next(self._numbers))
        self.store.set(training.name, str(folder or ""))
        return training

    def follow(self, take_part: Callable[[Path, int, Store], None]) -> None:
        """Be one of the others, until there are no more trainings.

        Args:
            take_part: be the process of this number in the training whose plan is in this folder and which meets there.
        """
        for number in self._numbers:
            training = LaunchedTraining(self, number)
            while not self.store.check([training.name]):  # while `get` waits, nothing interrupts it
                time.sleep(LOOK_EVERY)
            folder = self.store.get(training.name).decode()
            if not folder:
                return
            with training.forgiven():
                take_part(Path(folder), self.rank, training.meeting)


@dataclass(frozen=True)
class LaunchedTraining:
    """One training of processes that were launched together."""

    launch: Launch
    number: int

    @property
    def name(self) -> str:
        """Under which the store has its folder."""
        return f"training {self.number}"

    @property
    def meeting(self) -> Store:
        """Where all of them meet. (Not in a file, which the first process deletes before the others have left.)"""
        from torch.distributed import PrefixStore

        return PrefixStore(f"{self.name}, meeting", self.launch.store)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """They are at work already."""
        yield

    @contextmanager
    def told(self) -> Iterator[None]:
        """Where an exchange fails, say why, if one of the others knows."""
        store, count = self.launch.store, self.launch.count
        try:
            yield
        except RuntimeError as error:
            time.sleep(0.5)  # what broke the exchange may be a moment ahead of its words
            for rank in range(1, count):
                if store.check([self._words_of(rank)]):
                    words = store.get(self._words_of(rank)).decode()
                    raise ParameterError(f"process {rank + 1} of the {count} of the training: {words}") from error
            raise
        finally:  # before this process leaves the exchange, which the others notice
            store.set(f"{self.name} is over", "")

    @contextmanager
    def forgiven(self) -> Iterator[None]:
        """Go on to the next training, if there is one, where the first process left this one; else all are ended."""
        try:
            yield
        except LandcoverError as error:  # a mistake in samples or parameters, which the first process tells
            self.launch.store.set(self._words_of(self.launch.rank), str(error))
        except RuntimeError:  # an exchange failed: it should be the first process that left
            if not self.launch.store.check([f"{self.name} is over"]):
                raise

    def _words_of(self, rank: int) -> str:
        return f"{self.name}, words of {rank}"


_SHARING: list[Launch] = []
"""The launch of this process, while it works for all."""


def sharing() -> Launch | None:
    """The launch whose processes take part in the trainings of this one; None where there is none."""
    return _SHARING[-1] if _SHARING else None


def share(work: Callable[[], int], launch: Launch) -> int:
    """Work in the first of the processes launched together; in any other, take part in its trainings, and give 0.

    A training is shared where `learning.processes` is the number of the processes.
    """
    if launch.rank:
        from toolkit.learning.processes import follow

        logging.disable(logging.WARNING)  # what there is to say, the first process says
        launch.follow(follow)
        return 0
    _SHARING.append(launch)
    try:
        return work()
    finally:
        _SHARING.pop()
        launch.training(None)
