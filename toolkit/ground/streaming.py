"""Run a function over blocks with bounded memory, and go on where a killed run stopped.

Each block is one task, from read to written bytes: a worker computes its arrays, writes them to a file of their own
beside the result (aside, then renamed) and gives a receipt, which is entered in the ledger. A run that is started
again with the same key computes only the blocks whose file is what the ledger says; a run with another key starts
over. Assembling the result reads the files in order, so an interrupted run and an unbroken one end with the same bytes.

Who the workers are, threads or the processes of a cluster, is the crew's affair (crews.py, dask_crew.py).
"""

from __future__ import annotations

import logging
import queue
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from toolkit.ground.block_files import BlockResults, Progress, Receipt, StreamJob, Work, file_of, intact, no_progress
from toolkit.ground.crews import Crew, LocalCrew
from toolkit.ground.errors import LandcoverError
from toolkit.ground.grid import Block
from toolkit.ground.ledger import Ledger, Record, key_of, records
from toolkit.ground.writing import explained

LOG = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks at workers that say nothing."""
PATIENCE = 5.0
"""Seconds until a file that another machine wrote is to be seen on this one."""


def stream(
    work: Work,
    blocks: Sequence[Block],
    folder: Path,
    *,
    key: str,
    workers: int | None = None,
    executor: Executor | None = None,
    crew: Crew | None = None,
    progress: Progress = no_progress,
) -> BlockResults:
    """Apply `work` to every block: see `stream_all`.

    Args:
        workers: threads, default one a core.
        executor: anything with the interface of `concurrent.futures`, instead of threads.
        crew: others who do the work, instead of either.
    """
    job = StreamJob(work, blocks, folder, key, progress)
    if crew is not None:
        ((_, results),) = stream_all([job], crew)
        return results
    with LocalCrew(workers, executor=executor) as own:
        ((_, results),) = stream_all([job], own)
    return results


def stream_all(jobs: Iterable[StreamJob], crew: Crew) -> Iterator[tuple[StreamJob, BlockResults]]:
    """Work on the blocks of several jobs, as many at a time as the crew has room for; each job as it is done.

    Jobs are asked for one after the other, and only when there is room for their blocks: there may be more than
    memory could hold. While the caller looks at one that is done, the crew goes on.

    Raises:
        RunFolderError: the disk is full, or a folder cannot be written.
        ClusterError: there is nobody left to work.
        Exception: the first one that work raises, retries aside; blocks already done are kept for the next run.
    """
    flow = _Flow(crew)
    try:
        yield from flow.run(jobs)
    finally:
        flow.give_up()


class _Run:
    """A job at work: its ledger, and the blocks that are not done yet."""

    def __init__(self, job: StreamJob) -> None:
        self.job = job
        self.ledger = _open_ledger(job.folder, job.key, job.blocks)
        done = _blocks_done(job.folder)
        self.waiting = [block for block in job.blocks if block not in done]
        self.left = len(self.waiting)
        self.tell()

    def tell(self) -> None:
        self.job.progress(len(self.job.blocks) - self.left, len(self.job.blocks))

    def begin(self, block: Block) -> None:
        self.ledger.add(Record(block, "running"))

    def done(self, receipt: Receipt) -> None:
        what = (receipt.seconds, receipt.bytes, receipt.checksum, receipt.where)
        self.ledger.add(Record(receipt.block, "done", *what))
        self.left -= 1
        self.tell()

    def failed(self, block: Block, error: BaseException) -> None:
        self.ledger.add(Record(block, "failed", error=f"{type(error).__name__}: {error}"[:500]))


class _Flow:
    """Blocks of several jobs on their way through a crew."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.running: dict[Any, tuple[_Run, Block]] = {}
        self.since: dict[Any, float] = {}
        self.open: list[_Run] = []
        self.tries: dict[tuple[int, Block], int] = {}
        self.ready: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, jobs: Iterable[StreamJob]) -> Iterator[tuple[StreamJob, BlockResults]]:
        tasks = self._tasks(jobs)
        task = next(tasks, None)
        while task is not None or self.running:
            while task is not None and len(self.running) < self.crew.slots:
                run, block = task
                if block is not None:
                    self._send(run, block)
                elif not run.left:
                    yield self._close(run)
                task = next(tasks, None)
            for run in self._arrived():
                if not run.left:
                    yield self._close(run)

    def _tasks(self, jobs: Iterable[StreamJob]) -> Iterator[tuple[_Run, Block | None]]:
        """Each block to do; a job that has none is given with None instead."""
        for job in jobs:
            run = _Run(job)
            self.open.append(run)
            if run.waiting:
                self.crew.take_on(job)
            yield from ((run, block) for block in run.waiting or [None])  # type: ignore[list-item]

    def _send(self, run: _Run, block: Block) -> None:
        run.begin(block)
        task = self.crew.submit(run.job, block)
        self.running[task], self.since[task] = (run, block), time.monotonic()
        task.add_done_callback(self.ready.put)

    def _arrived(self) -> Iterator[_Run]:
        """The jobs of which a block has come, once one has."""
        self.crew.look_after(self.since)
        try:
            task = self.ready.get(timeout=LOOK_EVERY)
        except queue.Empty:
            return
        if task not in self.running:  # of a worker that was given up
            return
        run, block = self.running.pop(task)
        del self.since[task]
        try:
            receipt = task.result()
            if self.crew.is_elsewhere:
                _see(run.job.folder, receipt)
        except LandcoverError as error:  # a mistake in the data is the same the next time
            run.failed(block, error)
            raise
        except BaseException as error:
            self._again(run, block, error)
            return
        run.done(receipt)
        self.crew.noted(receipt)
        yield run

    def _again(self, run: _Run, block: Block, error: BaseException) -> None:
        """Do a block again that failed, or whose worker was lost."""
        run.failed(block, error)
        place = id(run), block
        self.tries[place] = self.tries.get(place, 0) + 1
        if self.tries[place] > self.crew.retries or isinstance(error, KeyboardInterrupt):
            raise error
        LOG.warning("block %s of %s is done again: %s: %s", block, run.job.name, type(error).__name__, error)
        self._send(run, block)

    def _close(self, run: _Run) -> tuple[StreamJob, BlockResults]:
        run.ledger.close()
        self.open.remove(run)
        if run.waiting:
            self.crew.leave(run.job)
        return run.job, BlockResults(run.job)

    def give_up(self) -> None:
        """Let go of all that is still on its way."""
        for task in self.running:
            task.cancel()
        for run in self.open:
            run.ledger.close()
            if run.waiting:
                self.crew.leave(run.job)


def _see(folder: Path, receipt: Receipt) -> None:
    """Hold a file that another machine wrote against its receipt; it may take a while to be seen here.

    Raises:
        OSError: it is not there, or another one.
    """
    record, until = Record(receipt.block, "done", checksum=receipt.checksum), time.monotonic() + PATIENCE
    while intact(folder, record) is None:
        if time.monotonic() > until:
            path = file_of(folder, receipt.block)
            raise OSError(f"{path}, which {receipt.where} wrote, is not to be seen here or was damaged on its way")
        time.sleep(0.1)


def _open_ledger(folder: Path, key: str, blocks: Sequence[Block]) -> Ledger:
    """Make the folder ready for blocks of this key: as it is where they are its own, else empty."""
    with explained(folder):
        if key_of(folder) == key:
            return Ledger(folder)
        if folder.exists():
            _take_away(folder)
    return Ledger.begin(folder, key, blocks)


def _blocks_done(folder: Path) -> set[Block]:
    """The blocks whose file is what the ledger says."""
    return {block for block, record in records(folder).items() if intact(folder, record) is not None}


def _take_away(folder: Path) -> None:
    """Delete a folder; what cannot be deleted stands under another name, where no run looks for its blocks."""
    away = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
    folder.replace(away / folder.name)
    shutil.rmtree(away, ignore_errors=True)
