"""The processes that a training starts itself, and ends: `Started`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist

from toolkit.ground.errors import ParameterError

PATIENCE = 600.0
"""Seconds in which the others must have started."""


class Started:
    """The other processes of a training.

    Args:
        folder: holds its plan.
        count: processes of the training, this one among them.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count
        self._others: list[subprocess.Popen[bytes]] = []

    @property
    def meeting(self) -> dist.Store:
        """Where all of them meet."""
        return meeting_in(self._folder)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have them take part in the training."""
        self._others = [start(self._folder, rank) for rank in range(1, self._count)]
        try:
            with self.told():
                self._wait()
            yield
            for one in self._others:
                one.wait(timeout=PATIENCE)
        finally:
            for one in self._others:
                one.kill()
                one.wait()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Where an exchange fails, say which process ended and why, if one did."""
        try:
            yield
        except RuntimeError as error:
            time.sleep(0.5)  # what broke the exchange may be a moment ahead of the end of its process
            for rank, one in enumerate(self._others, 1):
                if (status := one.poll()) not in (None, 0):
                    raise ParameterError(self._obituary(rank, int(status or 0))) from error
            raise

    def _wait(self) -> None:
        """Until all have started."""
        until = time.monotonic() + PATIENCE
        while not all((self._folder / f"ready_{rank}").exists() for rank in range(1, self._count)):
            if any(one.poll() is not None for one in self._others) or time.monotonic() > until:
                raise RuntimeError("not all processes have started")
            time.sleep(0.02)

    def _obituary(self, rank: int, status: int) -> str:
        words = (self._folder / f"{rank}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        last = f" ({words[-1]})" if words else ""
        return (
            f"process {rank + 1} of the {self._count} of the training ended {how}{last}, and all end with it. The last "
            "whole epoch is kept: train again to go on, with fewer learning.processes if memory was short"
        )


def meeting_in(folder: Path) -> dist.Store:
    """Where the processes meet whose plan is in this folder."""
    return dist.FileStore(str(folder / "meeting"))


def start(folder: Path, rank: int) -> subprocess.Popen[bytes]:
    """Start the process of this number, from 1."""
    command = [sys.executable, "-m", "toolkit.learning.processes", str(folder), str(rank)]
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with (folder / f"{rank}.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
