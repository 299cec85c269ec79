"""Workers of a Dask cluster: one task is one block, from read to written bytes.

No graph is made: a few blocks for each worker are on their way at any time, however many there are, so that the
scheduler holds as little for ten million blocks as for a hundred. What the tasks of a job have in common (the series,
the model, the text of external features) is sent to each worker once, and to one that joins later as it joins; a task
itself is its place. Arrays never travel: workers read and write files that all of them see.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from distributed import Client, Future, WorkerPlugin, get_worker

from toolkit.ground.block_files import Receipt, StreamJob, work_and_write
from toolkit.ground.errors import ClusterError
from toolkit.ground.grid import Block
from toolkit.ground.memory import keep_freed

LOG = logging.getLogger(__name__)

AHEAD = 2
"""Blocks on their way for each worker: one at work, one waiting for it."""
TRIES = 5
"""How often the work of a job is sent to all workers, where some are lost while it is."""
ASK_EVERY = 1.0
"""Seconds between two questions about who is there."""


class BlockWork(WorkerPlugin):
    """The work of a job, on every worker."""

    def __init__(self, name: str, job: StreamJob) -> None:
        self.name, self.work, self.folder = name, job.work, job.folder

    def setup(self, worker: Any) -> None:
        """Make the worker's process ready."""
        keep_freed()
        settle = getattr(self.work, "settle", None)
        if settle is not None:
            settle()


def do_block(name: str, place: tuple[int, int, int, int]) -> Receipt:
    """What a worker does for a task."""
    own = get_worker().plugins[name]
    return work_and_write(own.work, Block(*place), own.folder)


class DaskCrew:
    """The workers of a cluster; those that join get work, the blocks of those that are lost are done by others.

    Args:
        client: connected to the cluster.
        retries: how often a block is done again before its failure ends the run.
        stalled: seconds after which a worker that has not finished a block is ended, and the block done by another.
        patience: seconds without any worker after which the run ends.
    """

    is_elsewhere = True

    def __init__(self, client: Client, *, retries: int = 3, stalled: float = 1800.0, patience: float = 600.0) -> None:
        self.client, self.retries, self.stalled, self.patience = client, retries, stalled, patience
        self._names: dict[int, str] = {}
        self._slots, self._asked, self._seen = 0, 0.0, time.monotonic()
        self._begun: dict[Any, tuple[str, float]] = {}
        """Block that a worker has been given -> the worker, and since when."""
        self._next_look = 0.0

    @property
    def slots(self) -> int:
        now = time.monotonic()
        if now - self._asked >= ASK_EVERY:
            self._slots, self._asked = AHEAD * sum(self.client.nthreads().values()), now
            self._seen = now if self._slots else self._seen
        return self._slots

    def take_on(self, job: StreamJob) -> None:
        """Send the work to all workers, and to those that come later."""
        name = f"landcover {job.name} {secrets.token_hex(4)}"
        self._names[id(job)] = name
        for _ in range(TRIES - 1):
            try:
                self.client.register_plugin(BlockWork(name, job), name=name)
                return
            except (OSError, TimeoutError) as error:  # a worker was lost just then; the others are asked again
                LOG.warning("the work of %s did not reach every worker (%s) and is sent again", job.name, error)
                time.sleep(ASK_EVERY)
        self.client.register_plugin(BlockWork(name, job), name=name)

    def submit(self, job: StreamJob, block: Block) -> Future:
        key = ("landcover-block", secrets.token_hex(8))
        place = (block.row, block.col, block.height, block.width)
        return self.client.submit(do_block, self._names[id(job)], place, key=key, pure=False)

    def noted(self, receipt: Receipt) -> None:
        """Nothing: each worker keeps to its own memory."""

    def look_after(self, running: Mapping[Any, float]) -> None:
        """End workers that have been at one block for too long; Dask gives their blocks to others.

        Raises:
            ClusterError: there has been no worker for long.
        """
        now = time.monotonic()
        if not self.slots and now - self._seen > self.patience:
            raise ClusterError(
                f"the cluster has had no worker for {self.patience:.0f} s; see to it, then start again: what is done "
                "is kept"
            )
        if now >= self._next_look:
            self._next_look = now + max(ASK_EVERY, self.stalled / 20)
            self._end_stalled({task.key for task in running}, now)

    def _end_stalled(self, own: set[Any], now: float) -> None:
        working = {key: one for one, keys in self.client.processing().items() for key in keys if key in own}
        self._begun = {
            key: (one, self._begun[key][1] if self._begun.get(key, ("", 0))[0] == one else now)
            for key, one in working.items()
        }
        for worker in {one for one, since in self._begun.values() if now - since > self.stalled}:
            self._end(worker)

    def leave(self, job: StreamJob) -> None:
        name = self._names.pop(id(job), None)
        if name is not None:
            with suppress(OSError, TimeoutError):  # a cluster that is gone needs no tidying
                self.client.unregister_worker_plugin(name)

    def _end(self, worker: str) -> None:
        LOG.warning("worker %s has not finished a block for %.0f s and is ended", worker, self.stalled)
        try:
            self.client.restart_workers([worker], timeout=30, raise_for_error=False)
        except (ValueError, OSError, TimeoutError) as error:  # a worker that nobody watches over
            LOG.warning("worker %s cannot be started anew (%s); it is left alone", worker, error)
            self.client.retire_workers([worker], close_workers=True)
