import errno
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from toolkit.ground import ledger, streaming
from toolkit.ground.block_files import StreamJob, file_of
from toolkit.ground.crews import LocalCrew
from toolkit.ground.errors import RunFolderError
from toolkit.ground.grid import Block, blocks
from toolkit.ground.ledger import LEDGER, Ledger, Record, records
from toolkit.ground.streaming import stream, stream_all

COVER = list(blocks((50, 40), 16))


def corner(block: Block) -> dict[str, np.ndarray]:
    return {"value": np.full((block.height, block.width), block.row * 100 + block.col)}


def assemble(results: object) -> np.ndarray:
    whole = np.full((50, 40), -1)
    for block, arrays in results:  # type: ignore[attr-defined]
        whole[block.slices] = arrays["value"]
    return whole


def test_every_block_once_in_order(tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    results = stream(corner, COVER, tmp_path / "b", key="k", workers=3, progress=lambda *now: said.append(now))
    whole = assemble(results)
    assert whole[17, 33] == 1632
    assert (whole >= 0).all()
    assert said[0] == (0, len(COVER))
    assert said[-1] == (len(COVER), len(COVER))
    results.discard()
    assert not (tmp_path / "b").exists()


def test_goes_on_where_it_failed(tmp_path: Path) -> None:
    calls: list[Block] = []

    def fails_late(block: Block) -> dict[str, np.ndarray]:
        if len(calls) == 5:
            raise OSError("no more")
        calls.append(block)
        return corner(block)

    with pytest.raises(OSError, match="no more"):
        stream(fails_late, COVER, tmp_path, key="k", workers=1)
    again: list[Block] = []
    results = stream(lambda block: again.append(block) or corner(block), COVER, tmp_path, key="k", workers=1)
    assert len(again) == len(COVER) - 5
    assert not set(again) & set(calls)
    assert np.array_equal(assemble(results), assemble(stream(corner, COVER, tmp_path / "x", key="k")))


def test_another_key_starts_over(tmp_path: Path) -> None:
    stream(corner, COVER, tmp_path, key="one")
    again: list[Block] = []
    stream(lambda block: again.append(block) or corner(block), COVER, tmp_path, key="two")
    assert len(again) == len(COVER)


def test_half_written_block_does_not_count(tmp_path: Path) -> None:
    stream(corner, COVER[:1], tmp_path, key="k")
    done = next(tmp_path.glob("*.npz"))
    done.rename(done.with_name("." + done.stem + ".part.npz"))
    again: list[Block] = []
    stream(lambda block: again.append(block) or corner(block), COVER[:1], tmp_path, key="k")
    assert len(again) == 1


def test_few_blocks_are_in_flight(tmp_path: Path) -> None:
    class Counting(ThreadPoolExecutor):
        most = 0

        def submit(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            Counting.most = max(Counting.most, self._work_queue.qsize())
            return super().submit(*args, **kwargs)

    with Counting(2) as pool:
        stream(corner, list(blocks((640, 640), 16)), tmp_path, key="k", workers=2, executor=pool)
    assert Counting.most <= 4


def test_a_block_that_cannot_be_deleted_is_not_taken_for_one_of_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "b"
    stream(corner, COVER, folder, key="one")
    monkeypatch.setattr(streaming.shutil, "rmtree", lambda *_, **__: None)
    again: list[Block] = []
    stream(lambda block: again.append(block) or corner(block), COVER, folder, key="two")
    assert len(again) == len(COVER)


def test_another_key_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    stream(corner, COVER, tmp_path / "b", key="one")
    stream(corner, COVER[:1], tmp_path / "b", key="two")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["000000_000000_16_16.npz", "ledger.jsonl"]


def test_a_disk_that_is_full_at_the_start_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("mkdir", "open"):
        with monkeypatch.context() as patch, pytest.raises(RunFolderError, match="the disk is full"):
            patch.setattr(Path, name, full)
            stream(corner, COVER, tmp_path / "b", key="k")


SLOW_RUN = """
import sys, time
from pathlib import Path
import numpy as np
from toolkit.ground.grid import blocks
from toolkit.ground.streaming import stream

def slow(block):
    with open(sys.argv[2], "a") as file:
        file.write(f"{block.row} {block.col}\\n")
    time.sleep(0.004)
    return {"value": np.full((block.height, block.width), block.row * 100 + block.col)}

stream(slow, list(blocks((50, 40), 4)), Path(sys.argv[1]), key="k", workers=2)
"""


def test_killed_at_any_moment_it_repeats_at_most_what_was_in_flight(tmp_path: Path) -> None:
    """kill -9 of a process at random moments, until one of them gets to the end."""
    cover, rng, kills = list(blocks((50, 40), 4)), random.Random(0), 0
    begun = tmp_path / "begun.txt"
    command = [sys.executable, "-c", SLOW_RUN, str(tmp_path / "b"), str(begun)]
    while True:
        process = subprocess.Popen(command)
        while not begun.exists() and process.poll() is None:
            time.sleep(0.001)
        seen = begun.stat().st_size
        while kills < 6 and process.poll() is None and begun.stat().st_size == seen:
            time.sleep(0.001)
        if kills < 6:
            time.sleep(rng.random() * 0.06)
            process.kill()
            kills += 1
        if process.wait() != -signal.SIGKILL:
            break
    assert process.returncode == 0
    assert kills == 6
    started = begun.read_text().splitlines()
    assert len(set(started)) == len(cover)
    assert len(started) <= len(cover) + 2 * kills, "two workers: at most two blocks again for each kill"
    unbroken = stream(corner, cover, tmp_path / "x", key="k")
    for block in unbroken.blocks:
        assert file_of(tmp_path / "b", block).read_bytes() == file_of(unbroken.folder, block).read_bytes()


def test_a_damaged_block_is_found_and_done_again(tmp_path: Path) -> None:
    whole = assemble(stream(corner, COVER, tmp_path, key="k"))
    path = file_of(tmp_path, COVER[3])
    content = bytearray(path.read_bytes())
    content[-300] ^= 1
    path.write_bytes(content)
    file_of(tmp_path, COVER[5]).unlink()
    again: list[Block] = []
    results = stream(lambda block: again.append(block) or corner(block), COVER, tmp_path, key="k")
    assert sorted(again, key=COVER.index) == [COVER[3], COVER[5]]
    assert np.array_equal(assemble(results), whole)


def test_a_block_damaged_after_the_run_is_made_again_where_it_is_read(tmp_path: Path) -> None:
    results = stream(corner, COVER, tmp_path, key="k")
    whole = assemble(results)
    file_of(tmp_path, COVER[2]).write_bytes(b"nothing of the kind")
    assert np.array_equal(assemble(results), whole)


@pytest.mark.parametrize("cut", [1, 20])
def test_a_line_cut_short_is_no_record(tmp_path: Path, cut: int) -> None:
    stream(corner, COVER, tmp_path, key="k", workers=1)
    path = tmp_path / LEDGER
    path.write_bytes(path.read_bytes()[:-cut])
    again: list[Block] = []
    stream(lambda block: again.append(block) or corner(block), COVER, tmp_path, key="k")
    assert again == [COVER[-1]]
    assert len(records(tmp_path)) == len(COVER)
    assert {one.state for one in records(tmp_path).values()} == {"done"}


def test_the_ledger_says_what_became_of_each_block(tmp_path: Path) -> None:
    def fails_once(block: Block) -> dict[str, np.ndarray]:
        if block == COVER[1]:
            raise ValueError("not this one")
        return corner(block)

    with pytest.raises(ValueError, match="not this one"):
        stream(fails_once, COVER, tmp_path, key="k", workers=1)
    found = records(tmp_path)
    assert [one.state for one in found.values()] == ["done", "failed"]
    first, second = found.values()
    assert first.bytes == file_of(tmp_path, COVER[0]).stat().st_size
    assert first.where.endswith(str(os.getpid())) and first.seconds >= 0 and first.time
    assert second.error == "ValueError: not this one"


def test_a_disk_that_is_full_amid_a_run_is_told_and_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes, name = Path.write_bytes, file_of(tmp_path, COVER[4]).stem

    def no_room(self: Path, data: bytes) -> int:
        if name in self.name:
            write_bytes(self, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(self, data)

    with monkeypatch.context() as patch, pytest.raises(RunFolderError, match="the disk is full"):
        patch.setattr(Path, "write_bytes", no_room)
        stream(corner, COVER, tmp_path / "b", key="k", workers=1)
    again: list[Block] = []
    stream(lambda block: again.append(block) or corner(block), COVER, tmp_path / "b", key="k", workers=1)
    assert again == COVER[4:]


def test_a_ledger_without_room_for_its_line_says_so(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / LEDGER).symlink_to(full)
    with pytest.raises(RunFolderError, match="the disk is full"):
        Ledger(tmp_path).add(Record(COVER[0], "running"))


def test_a_ledger_of_another_format_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream(corner, COVER, tmp_path / "b", key="k")
    monkeypatch.setattr(ledger, "FORMAT", 2)
    again: list[Block] = []
    stream(lambda block: again.append(block) or corner(block), COVER, tmp_path / "b", key="k")
    assert len(again) == len(COVER)


def test_jobs_are_asked_for_only_when_there_is_room(tmp_path: Path) -> None:
    asked: list[int] = []

    def jobs():  # type: ignore[no-untyped-def]
        for number in range(20):
            asked.append(number)
            yield StreamJob(corner, COVER[:2], tmp_path / str(number), "k")

    with LocalCrew(2) as crew:
        flow = stream_all(jobs(), crew)
        next(flow)
        assert len(asked) <= 3
        assert sum(1 for _ in flow) == 19
    assert all(len(records(tmp_path / str(number))) == 2 for number in range(20))


def test_a_job_with_nothing_to_do_comes_back_at_once(tmp_path: Path) -> None:
    def job() -> StreamJob:
        return StreamJob(corner, COVER, tmp_path / "a", "k")

    with LocalCrew(2) as crew:
        list(stream_all([job()], crew))
        ((_, results),) = stream_all([job()], crew)
        assert (assemble(results) >= 0).all()
        ((_, nothing),) = stream_all([StreamJob(corner, [], tmp_path / "b", "k")], crew)
        assert not list(nothing)
