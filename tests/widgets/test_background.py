"""Work beside the kernel: the latest request wins, errors are told, and no thread stays."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.widgets.background import Background, Poller


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before


def unexpected(error: Exception) -> None:
    raise AssertionError(error)


class Gate:
    """Work that waits until it is let through."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()
        self.calls: list[Any] = []

    def __call__(self, value: Any) -> Any:
        self.calls.append(value)
        self.begun.set()
        assert self.open.wait(10)
        return value


def test_ask_returns_at_once_and_the_result_arrives() -> None:
    gate, results = Gate(), []
    background = Background(gate, results.append, unexpected)
    background.ask("one")
    assert gate.begun.wait(5) and results == []
    assert not background.settle(0.01)
    gate.open.set()
    assert background.settle()
    assert results == ["one"]


def test_newer_calls_replace_those_that_wait() -> None:
    gate, results = Gate(), []
    background = Background(gate, results.append, unexpected)
    background.ask(0)
    gate.begun.wait(5)
    for number in range(1, 6):
        background.ask(number)
    gate.open.set()
    assert background.settle()
    assert gate.calls == results == [0, 5]


def test_work_runs_in_another_thread_and_one_at_a_time() -> None:
    running, most, names = 0, 0, set()

    def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        names.add(threading.current_thread())
        time.sleep(0.001)
        running -= 1

    background = Background(work, lambda _: None, unexpected)
    for _ in range(50):
        background.ask()
        time.sleep(0.0005)
    assert background.settle()
    assert most == 1
    assert threading.main_thread() not in names


@given(st.lists(st.integers(), min_size=1, max_size=30))
def test_the_last_request_is_always_answered(values: list[int]) -> None:
    results: list[int] = []
    background = Background(lambda value: value, results.append, unexpected)
    for value in values:
        background.ask(value)
    assert background.settle()
    assert results[-1] == values[-1]
    assert len(results) <= len(values)


def divide(value: int) -> float:
    return 1 / value


def test_an_error_is_told_and_the_next_request_works() -> None:
    results, errors = [], []
    background = Background(divide, results.append, errors.append)
    background.ask(0)
    assert background.settle()
    background.ask(2)
    assert background.settle()
    assert results == [0.5]
    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_an_error_of_showing_the_result_is_told_too() -> None:
    errors: list[Exception] = []
    background = Background(divide, lambda result: result.nothing, errors.append)  # type: ignore[attr-defined]
    background.ask(1)
    assert background.settle()
    assert [type(error) for error in errors] == [AttributeError]


def test_a_defect_in_the_telling_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    background = Background(divide, lambda _: None, unexpected)
    with caplog.at_level(logging.ERROR):
        background.ask(0)
        assert background.settle()
    assert "ZeroDivisionError" in caplog.text and "AssertionError" in caplog.text


def test_closed_background_begins_nothing_and_tells_nothing() -> None:
    gate, results = Gate(), []
    background = Background(gate, results.append, unexpected)
    background.ask(1)
    gate.begun.wait(5)
    background.ask(2)
    background.close()
    background.ask(3)
    gate.open.set()
    assert background.settle()
    assert gate.calls == [1] and results == []


def counting(looks: list[float], until: int) -> Callable[[], bool]:
    def look() -> bool:
        looks.append(time.monotonic())
        return len(looks) < until

    return look


def test_poller_looks_until_there_is_no_more_to_see() -> None:
    looks: list[float] = []
    poller = Poller(counting(looks, 4), unexpected, seconds=0.02)
    poller.start()
    assert poller.settle()
    assert len(looks) == 4
    assert min(after - before for before, after in pairwise(looks)) >= 0.02
    poller.start()
    assert poller.settle()
    assert len(looks) == 5


def test_poller_that_is_closed_ends_soon() -> None:
    looked = threading.Event()

    def look() -> bool:
        looked.set()
        return True

    poller = Poller(look, unexpected, seconds=60)
    poller.start()
    assert looked.wait(5)
    poller.close()
    assert poller.settle(5)
    poller.start()
    assert poller.settle(0)


def test_poller_started_again_while_it_looks_for_the_last_time_looks_once_more() -> None:
    gate, looks = Gate(), []

    def look() -> bool:
        looks.append(len(looks))
        if len(looks) == 1:
            gate("the last look")
        return False

    poller = Poller(look, unexpected)
    poller.start()
    gate.begun.wait(5)
    poller.start()
    gate.open.set()
    assert poller.settle()
    assert len(looks) == 2


def test_error_of_a_look_is_told_and_ends_it() -> None:
    errors: list[Exception] = []

    def look() -> bool:
        return bool(1 / 0)

    poller = Poller(look, errors.append)
    poller.start()
    assert poller.settle()
    assert [type(error) for error in errors] == [ZeroDivisionError]
