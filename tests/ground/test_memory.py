"""How many blocks at once, by what was measured of those before."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from toolkit.ground import memory
from toolkit.ground.block_files import Receipt, StreamJob
from toolkit.ground.grid import Block, blocks
from toolkit.ground.memory import MemoryPace, PeakWatch, in_use, resident
from toolkit.ground.parts import PartSize, halved, in_parts, join_maps
from toolkit.ground.streaming import stream_all
from toolkit.series.buffers import BufferPool, SeriesBuffer

RECEIPT = Receipt(Block(0, 0, 1, 1), 1, "", 0.0, "here")


class Simulated:
    """A process that takes `base`, and `each` for every block at once."""

    def __init__(self, base: float, each: float) -> None:
        self.base, self.each, self.pace = base, each, None

    def take(self) -> int:
        return int(self.base + self.each * self.pace.slots)


def paced(monkeypatch: pytest.MonkeyPatch, *, base: float, each: float, estimate: float, limit: float, most: int = 8):
    """The numbers of blocks at once that a process goes through, and whether blocks were made smaller."""
    monkeypatch.setattr(memory, "resident", lambda: int(base))
    watch, shrunk = Simulated(base, each), []

    def shrink(why: str) -> None:
        shrunk.append(why)
        watch.each /= 2

    pace = MemoryPace(int(limit), most, int(estimate), watch, shrink=shrink)  # type: ignore[arg-type]
    watch.pace = pace
    seen, peak = [pace.slots], []
    for _ in range(20):
        peak.append(watch.take())
        pace.noted(RECEIPT)
        seen.append(pace.slots)
    return seen, peak, shrunk


def test_a_good_estimate_with_room_to_spare_begins_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, _, shrunk = paced(monkeypatch, base=500, each=100, estimate=110, limit=4000)
    assert set(seen) == {8} and not shrunk


def test_where_it_is_tight_the_first_block_shows_what_one_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, peak, shrunk = paced(monkeypatch, base=500, each=100, estimate=110, limit=1000)
    assert seen[0] == 1 and seen[-1] == 4, "as many as fit"
    assert max(peak) <= 1000 and not shrunk


def test_an_estimate_that_is_too_low_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, peak, _ = paced(monkeypatch, base=500, each=300, estimate=100, limit=2000)
    assert peak[-1] <= 2000
    assert seen[-1] == 5
    assert seen[-1] == seen[-2], "and is not tried again"


def test_where_one_block_alone_is_too_much_it_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, peak, shrunk = paced(monkeypatch, base=500, each=900, estimate=400, limit=1000)
    assert len(shrunk) == 1 and "GB were taken" in shrunk[0]
    assert peak[-1] <= 1000 and seen[-1] == 1


def test_the_peak_of_a_moment_is_seen() -> None:
    with PeakWatch() as watch:
        before = watch.take()
        large = np.ones(60_000_000, np.uint8)
        threading.Event().wait(0.1)
        del large
        assert watch.take() - before > 40e6
        assert watch.take() - before < 40e6


def test_halving_keeps_tiles_whole_while_it_can() -> None:
    size, seen = (1024, 1024), []
    for _ in range(5):
        size = halved(size, (512, 512))
        seen.append(size)
    assert seen == [(512, 1024), (512, 512), (256, 512), (256, 256), (128, 256)]
    assert halved((96, 10980), (1, 10980)) == (48, 10980), "strips: fewer rows"


def test_parts_make_the_whole() -> None:
    def work(block: Block) -> dict[str, np.ndarray]:
        rows, cols = np.mgrid[block.slices]
        return {"value": (rows * 1000 + cols).astype(np.int32)}

    block = Block(300, 500, 130, 70)
    size = PartSize((32, 32))
    assert np.array_equal(in_parts(work, block, size, join_maps)["value"], work(block)["value"])


def test_memory_that_is_short_for_everything_is_an_error() -> None:
    def never(block: Block) -> dict[str, np.ndarray]:
        raise MemoryError("Unable to allocate")

    size = PartSize((1024, 1024))
    with pytest.raises(MemoryError):
        in_parts(never, Block(0, 0, 1024, 1024), size, join_maps)
    assert size.size[0] * size.size[1] <= 64 * 64


def test_a_buffer_is_used_again_and_given_back_when_it_is_too_large() -> None:
    buffer = SeriesBuffer()
    values = buffer.array("values", (3, 2, 40, 50), np.int16)
    assert values.shape == (3, 2, 40, 50) and values.dtype == np.int16
    again = buffer.array("values", (3, 2, 40, 30), np.int16)
    assert np.shares_memory(values, again)
    assert not np.shares_memory(values, buffer.array("clear", (3, 40, 50), bool))
    before = buffer.nbytes
    buffer.array("values", (3, 2, 10, 10), np.int16)
    assert buffer.nbytes < before / 2


def test_a_pool_keeps_as_many_buffers_as_are_used() -> None:
    pool = BufferPool()
    with pool.one() as first, pool.one() as second:
        assert first is not second
    with pool.one() as again:
        assert again in (first, second)
    pool.keep(1)
    assert len(pool._idle) == 1


class Instant:
    """A crew whose blocks are done as soon as they are given out."""

    retries, is_elsewhere, slots = 0, False, 64

    def take_on(self, job: StreamJob) -> None: ...

    def submit(self, job: StreamJob, block: Block) -> Future[Receipt]:
        future: Future[Receipt] = Future()
        future.set_result(Receipt(block, 1, "0", 0.0, "there"))
        return future

    def noted(self, receipt: Receipt) -> None: ...

    def look_after(self, running: object) -> None: ...

    def leave(self, job: StreamJob) -> None: ...


def test_memory_does_not_grow_with_the_number_of_jobs(tmp_path: Path) -> None:
    def peak_of(count: int) -> int:
        def jobs():  # type: ignore[no-untyped-def]
            for number in range(count):
                yield StreamJob(len, list(blocks((50, 50), 10)), tmp_path / f"{count}_{number}", "k")  # type: ignore[arg-type]

        tracemalloc.start()
        done = sum(len(job.blocks) for job, _ in stream_all(jobs(), Instant()))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert done == 25 * count
        return peak

    peak_of(2)
    assert peak_of(40) < 1.3 * peak_of(8)


OF_GLIBC = pytest.mark.skipif(
    os.name == "nt" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the allocator is not glibc's"
)


@OF_GLIBC
def test_what_was_freed_is_not_counted_against_the_next_tile() -> None:
    blocks = [bytes(4000) for _ in range(50_000)]
    held = blocks[::100]  # here and there, so that the heap cannot shrink by itself
    full = resident()
    del blocks
    assert full - in_use() > 100e6
    assert len(held) == 500


FAULTS = """
import resource, sys
import numpy as np
from toolkit.ground.memory import keep_freed

if sys.argv[1] == "kept":
    keep_freed()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    np.ones(3_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@OF_GLIBC
def test_strips_get_the_memory_of_those_before_where_dask_asks_the_allocator_to_give_it_back() -> None:
    given_back, kept = (
        int(
            subprocess.run(
                [sys.executable, "-c", FAULTS, how],
                env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"},  # as a worker's nanny sets it
                check=True, stdout=subprocess.PIPE, text=True,
            ).stdout
        )
        for how in ("given back", "kept")
    )  # fmt: skip
    assert given_back > 20_000
    assert kept < 0.2 * given_back
