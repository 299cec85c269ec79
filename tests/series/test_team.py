"""Threads that share the work on a block."""

import threading
import time
from collections.abc import Iterator

import pytest

from toolkit.series.buffers import SeriesBuffer
from toolkit.series.team import Team


def test_each_item_is_worked_on_once_and_by_more_than_one_thread() -> None:
    together, seen = threading.Barrier(3), []

    def work(item: int, buffer: SeriesBuffer) -> None:
        if item < 3:
            together.wait(20)  # only three threads at once get through
        seen.append((item, id(buffer)))

    with Team(SeriesBuffer(), 3) as team:
        team.each(work, range(20))
    assert sorted(item for item, _ in seen) == list(range(20))
    assert len({buffer for item, buffer in seen if item < 3}) == 3, "each has memory of its own"


def test_a_worker_alone_starts_no_thread() -> None:
    seen: list[tuple[int, str]] = []
    buffer = SeriesBuffer()
    with Team(buffer) as team:
        team.each(lambda item, given: seen.append((item, threading.current_thread().name)), range(5))
        team.share(lambda items, given: seen.append((sum(items), str(given is buffer))), range(5))
    assert seen == [*((item, threading.main_thread().name) for item in range(5)), (10, "True")]


@pytest.mark.parametrize("bad", ["worker", "helper"])
def test_an_error_ends_the_work_of_all_and_is_raised_when_nobody_works_any_more(bad: str) -> None:
    working, begun, main = [], threading.Barrier(2), threading.get_ident()

    def work(item: int, buffer: SeriesBuffer) -> None:
        if item < 2:
            begun.wait(20)
            if (threading.get_ident() == main) == (bad == "worker"):
                raise ValueError(f"item {item}")
            working.append(item)
            time.sleep(0.05)
            working.pop()
        time.sleep(0.001)

    def items() -> Iterator[int]:
        for item in range(100_000):
            taken.append(item)
            yield item

    taken: list[int] = []
    with Team(SeriesBuffer(), 2) as team:
        with pytest.raises(ValueError, match=r"item [01]"):
            team.each(work, items())
        assert not working
        assert len(taken) < 1000, "the others stop too"
        team.each(lambda item, buffer: working.append(item), range(3))
    assert sorted(working) == [0, 1, 2], "it works again"


def test_items_that_cannot_be_had_are_said() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("no more")

    with Team(SeriesBuffer(), 2) as team, pytest.raises(OSError, match="no more"):
        team.each(lambda item, buffer: None, items())


def test_memory_of_helpers_counts_and_stays_for_the_next_block() -> None:
    buffer = SeriesBuffer()
    for _ in range(2):
        with Team(buffer, 3) as team:
            team.share(lambda items, given: given.array("a", (1000,), "u1"), ())
            team.beside(0).share(lambda items, given: given.array("b", (10,), "u1"), ())
        assert buffer.nbytes == 3 * 1010
