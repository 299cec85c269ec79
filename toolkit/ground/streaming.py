"""Run a function over blocks with bounded memory, and go on where a killed run stopped.

Each block's arrays are written to a file of their own beside the result (aside, then renamed), so a file that
exists is whole. A run that is started again with the same key computes only the blocks that are not there; a
run with another key starts over. Assembling the result reads the files in order, so an interrupted run and an
unbroken one end with the same bytes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.ground.grid import Block
from toolkit.ground.writing import aside, explained, write_text

Arrays = Mapping[str, np.ndarray]
Work = Callable[[Block], Arrays]
Progress = Callable[[int, int], None]
"""Called with (done, total)."""


def no_progress(done: int, total: int) -> None:
    """A progress callback that says nothing."""


class BlockResults:
    """The arrays of each block, on disk, in the order of the blocks."""

    def __init__(self, folder: Path, blocks: Sequence[Block]) -> None:
        self.folder = folder
        self.blocks = blocks

    def __iter__(self) -> Iterator[tuple[Block, dict[str, np.ndarray]]]:
        for block in self.blocks:
            with np.load(_file_of(self.folder, block), allow_pickle=False) as arrays:
                yield block, dict(arrays)

    def discard(self) -> None:
        """Delete the files, once the result they were for is written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def stream(
    work: Work,
    blocks: Sequence[Block],
    folder: Path,
    *,
    key: str,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> BlockResults:
    """Apply `work` to every block, keeping at most twice `workers` blocks in flight.

    Args:
        work: takes a block, gives named arrays; picklable if `executor` runs other processes.
        folder: holds the ledger and the blocks' files until the caller discards them.
        key: fingerprint of everything the arrays depend on; files made with another key are thrown away.
        workers: threads, default one a core.
        executor: anything with the interface of `concurrent.futures`; a Dask cluster gives one by
            `Client.get_executor()`. Default: threads.

    Raises:
        RunFolderError: the disk is full, or `folder` cannot be written.
        Exception: the first one that `work` raises; blocks already done are kept for the next run.
    """
    workers = workers or os.cpu_count() or 1
    _open_ledger(folder, key)
    waiting = [block for block in blocks if not _file_of(folder, block).exists()]
    done = len(blocks) - len(waiting)
    progress(done, len(blocks))
    pool = executor or ThreadPoolExecutor(workers)
    running: set[Future[Any]] = set()
    try:
        for block in waiting:
            if len(running) >= 2 * workers:
                done, running = _collect(running, done, len(blocks), progress)
            running.add(pool.submit(_work_and_write, work, block, folder))
        while running:
            done, running = _collect(running, done, len(blocks), progress)
    finally:
        for future in running:
            future.cancel()
        if executor is None:
            pool.shutdown(wait=True)
    return BlockResults(folder, blocks)


def _collect(running: set[Future[Any]], done: int, total: int, progress: Progress) -> tuple[int, set[Future[Any]]]:
    finished, running = wait(running, return_when=FIRST_COMPLETED)
    for future in finished:
        future.result()
        done += 1
        progress(done, total)
    return done, running


def _open_ledger(folder: Path, key: str) -> None:
    """Make the folder ready for blocks of this key: as it is where they are its own, else empty."""
    ledger = folder / "key"
    with explained(folder):
        if ledger.exists() and ledger.read_text(encoding="utf-8") == key:
            return
        if folder.exists():
            _take_away(folder)
    write_text(ledger, key)


def _take_away(folder: Path) -> None:
    """Delete a folder; what cannot be deleted stands under another name, where no run looks for its blocks."""
    away = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
    folder.replace(away / folder.name)
    shutil.rmtree(away, ignore_errors=True)


def _work_and_write(work: Work, block: Block, folder: Path) -> None:
    arrays = work(block)
    with aside(_file_of(folder, block)) as part:
        np.savez(part, **arrays)  # type: ignore[arg-type]


def _file_of(folder: Path, block: Block) -> Path:
    return folder / f"{block.row:06d}_{block.col:06d}_{block.height}_{block.width}.npz"
