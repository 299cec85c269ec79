"""Who works on blocks: what is asked of any crew, and the workers of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Protocol

from toolkit.ground.block_files import Receipt, StreamJob, work_and_write
from toolkit.ground.grid import Block


class Task(Protocol):
    """A block on its way: a future, of `concurrent.futures` or of Dask."""

    def add_done_callback(self, fn: Callable[[Any], Any]) -> Any: ...
    def result(self) -> Receipt: ...
    def cancel(self) -> Any: ...


class Crew(Protocol):
    """Those who work on blocks."""

    retries: int
    """How often a block is done again before its failure ends the run."""
    is_elsewhere: bool
    """Whether they write on other machines, so that what they wrote is looked at when they say it is done."""

    @property
    def slots(self) -> int:
        """How many blocks may be on their way now; it may change while they work."""

    def take_on(self, job: StreamJob) -> None:
        """Make a job known, before its first block."""

    def submit(self, job: StreamJob, block: Block) -> Task:
        """Begin with a block."""

    def noted(self, receipt: Receipt) -> None:
        """A block is done."""

    def look_after(self, running: Mapping[Any, float]) -> None:
        """See to workers that take too long; `running` has the time of `time.monotonic` at which each task began.

        Raises:
            ClusterError: there is nobody left to work.
        """

    def leave(self, job: StreamJob) -> None:
        """A job is done, or given up."""


class Pace(Protocol):
    """How many blocks may be worked on at once, as it is found out while they are."""

    @property
    def slots(self) -> int:
        """Blocks at once, now."""

    def noted(self, receipt: Receipt) -> None:
        """A block is done."""


class LocalCrew:
    """Workers that each read, compute and write a block: independent, so that none waits for another.

    Threads do as well as processes, for reading, computing and compressing all let go of the interpreter, and they
    share memory. A failure is not tried again: on one machine it would be the same.

    Args:
        workers: blocks at a time, default one a core.
        executor: does the work instead of threads of its own; it is not shut down.
        pace: how many blocks at a time, where that is found out meanwhile; at most `workers`.
    """

    retries = 0
    is_elsewhere = False

    def __init__(
        self, workers: int | None = None, *, executor: Executor | None = None, pace: Pace | None = None
    ) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._pool = executor or ThreadPoolExecutor(self.workers, thread_name_prefix="landcover-block")
        self._is_own, self._pace = executor is None, pace

    @property
    def slots(self) -> int:
        return min(self.workers, self._pace.slots) if self._pace else self.workers

    def take_on(self, job: StreamJob) -> None:
        """Nothing is needed: the work is here."""

    def submit(self, job: StreamJob, block: Block) -> Future[Receipt]:
        return self._pool.submit(work_and_write, job.work, block, job.folder)

    def noted(self, receipt: Receipt) -> None:
        if self._pace:
            self._pace.noted(receipt)

    def look_after(self, running: Mapping[Any, float]) -> None:
        """Threads are neither lost nor late."""

    def leave(self, job: StreamJob) -> None:
        """Nothing was kept."""

    def __enter__(self) -> LocalCrew:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_own:
            self._pool.shutdown(wait=True, cancel_futures=True)
