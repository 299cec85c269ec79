"""How much memory this process takes, and how many blocks may be worked on at once within a budget."""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil  # type: ignore[import-untyped]

from toolkit.ground.block_files import Receipt

LOG = logging.getLogger(__name__)

LOOK_EVERY = 0.02
"""Seconds between two looks at the memory taken: a block takes seconds."""
MALLOPT_TRIM_THRESHOLD, MALLOPT_MMAP_THRESHOLD = -1, -3
"""The names of options of glibc's allocator, from malloc.h."""
KEPT_BYTES = 32 * 2**20
"""Arrays up to this size are kept: the most that glibc takes, and twice a strip's features."""


def resident() -> int:
    """Bytes of this process in memory now."""
    return int(psutil.Process().memory_info().rss)


def in_use() -> int:
    """As `resident`, once what was freed is given back to the system: the allocator keeps it, where that is glibc's.

    Each thread has a heap, which stays as large as it once was: the files of one tile leave a gigabyte and more, and
    the next tile of the process would have so much less of its budget. It takes a tenth of a second.
    """
    trim = _of_allocator("malloc_trim")
    if trim is not None:
        trim(0)
    return resident()


def keep_freed() -> None:
    """Have the allocator keep what strips of a block give back, for the next strip, where it is glibc's (mallopt(3)).

    Else each array of some MB may be fresh memory from the system, which is zeroed page by page: a fifth of a map's
    time in Dask's workers, whose environment asks for that.
    """
    option = _of_allocator("mallopt")
    if option is not None:
        option(MALLOPT_MMAP_THRESHOLD, KEPT_BYTES)
        option(MALLOPT_TRIM_THRESHOLD, 2 * KEPT_BYTES)


def _of_allocator(function: str) -> Any:
    return None if os.name == "nt" else getattr(ctypes.CDLL(None), function, None)


def free_memory() -> int:
    """Bytes that the machine could give to processes now."""
    return int(psutil.virtual_memory().available)


class PeakWatch:
    """Looks at the memory of this process, in a thread, and keeps the most that it was."""

    def __init__(self) -> None:
        self._peak, self._over = resident(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="landcover-memory", daemon=True)

    def take(self) -> int:
        """The most since the last call, bytes."""
        peak, self._peak = max(self._peak, resident()), 0
        return peak

    def __enter__(self) -> PeakWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._over.wait(LOOK_EVERY):
            self._peak = max(self._peak, int(process.memory_info().rss))


class MemoryPace:
    """How many blocks at once, by what those before took: more while there is room, one less above the budget.

    Where the estimate says that there is room for all workers with something to spare, all begin; else the first block
    is worked on alone and shows what one takes.

    Args:
        limit: bytes that this process may take in all.
        workers: blocks at once at most.
        worker_bytes: what each is estimated to take.
        watch: measures.
        shrink: makes blocks take less, where one alone is above the budget already; is told why.
        changed: is told the number of blocks at once when it changes.
    """

    SURE = 0.95
    """Share of the budget below which an estimate is relied on."""

    def __init__(
        self,
        limit: int,
        workers: int,
        worker_bytes: int,
        watch: PeakWatch,
        *,
        shrink: Callable[[str], None],
        changed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.limit, self.workers, self.worker_bytes = limit, workers, worker_bytes
        self._watch, self._shrink, self._changed = watch, shrink, changed
        sure = resident() + workers * worker_bytes <= self.SURE * limit
        self.slots = workers if sure else 1
        self._settling = 0.0

    def noted(self, receipt: Receipt) -> None:
        """A block is done: look at what was taken meanwhile."""
        peak = self._watch.take()
        if peak > self.limit:
            self._take_less(peak)
        elif time.monotonic() >= self._settling:
            fitting = int((self.limit - peak) // max(1, self.worker_bytes))
            self._set(min(self.workers, self.slots + min(fitting, self.workers)), receipt.seconds)

    def _take_less(self, peak: int) -> None:
        words = f"{peak / 1e9:.2f} GB were taken of {self.limit / 1e9:.2f} GB"
        if self.slots == 1:
            self._shrink(words)
            return
        LOG.warning("%s: %d blocks at once instead of %d", words, self.slots - 1, self.slots)
        self._set(self.slots - 1, 0.0)
        self.workers = self.slots  # what was too much once is not tried again

    def _set(self, slots: int, seconds: float) -> None:
        """Another number of blocks at once; what they take is known when all of them have got through one."""
        if slots != self.slots:
            self.slots, self._settling = slots, time.monotonic() + 1.5 * seconds
            self._changed(slots)
