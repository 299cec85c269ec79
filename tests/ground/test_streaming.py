import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from toolkit.ground import streaming
from toolkit.ground.errors import RunFolderError
from toolkit.ground.grid import Block, blocks
from toolkit.ground.streaming import stream

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
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["000000_000000_16_16.npz", "key"]


def test_a_disk_that_is_full_at_the_start_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("mkdir", "write_text"):
        with monkeypatch.context() as patch, pytest.raises(RunFolderError, match="the disk is full"):
            patch.setattr(Path, name, full)
            stream(corner, COVER, tmp_path / "b", key="k")
