"""Work that takes longer than a callback may: in a thread beside the kernel, which stays free.

Functions given here run in that thread. What they show they set as traits, a few times a second at most: Jupyter
drops messages that come faster, and `print` or `display` in a thread end up in whichever cell runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

LOG = logging.getLogger(__name__)

LOOK_EVERY = 0.25
"""Seconds between two looks of a `Poller`."""
SAY_EVERY = 0.2
"""Seconds between two words on how far a work is."""


class Superseded(Exception):
    """Ends a work when another is wanted by now."""


def said_at_times(say: Callable[[int, int], None], wanted: Callable[[], bool]) -> Callable[[int, int], None]:
    """Progress of a work in a thread: said a few times a second, done and total.

    Args:
        wanted: whether the work is still wanted; else `Superseded` ends it, at its next progress.
    """
    before = 0.0

    def told(done: int, total: int) -> None:
        nonlocal before
        if not wanted():
            raise Superseded
        if time.monotonic() - before > SAY_EVERY:
            before = time.monotonic()
            say(done, total)

    return told


class Background(Generic[T]):
    """Runs one function at a time in a thread of its own; a newer call replaces those that wait.

    The thread ends when nothing waits.

    Args:
        work: takes the arguments of `ask`.
        done: called with each result.
        failed: called with an error of `work` or `done`.
    """

    def __init__(self, work: Callable[..., T], done: Callable[[T], None], failed: Callable[[Exception], None]) -> None:
        self._work, self._done, self._failed = work, done, failed
        self._lock = threading.Lock()
        self._waiting: tuple[Any, ...] | None = None
        self._closed = False
        self._thread = _Thread(self._next)

    def ask(self, *arguments: Any) -> None:
        """Have the work done with these arguments, soon; returns at once."""
        with self._lock:
            if self._closed:
                return
            self._waiting = arguments
        self._thread.wake()

    def close(self) -> None:
        """Begin nothing more, and tell nothing of what runs."""
        with self._lock:
            self._closed, self._waiting = True, None

    def settle(self, seconds: float = 10) -> bool:
        """Wait until nothing runs or waits; whether that came within `seconds`."""
        return self._thread.settle(seconds)

    def _next(self) -> bool:
        """Do what waits; false where nothing does."""
        with self._lock:
            arguments, self._waiting = self._waiting, None
        if arguments is None:
            return False
        try:
            result = self._work(*arguments)
            if not self._closed:
                self._done(result)
        except Exception as error:
            if not self._closed:
                _tell(self._failed, error)
        return True


class Poller:
    """Looks at something again and again, in a thread of its own, until it has come to its end.

    Args:
        look: shows what is to be seen; gives whether there will be more. Called once more for every `start`.
        failed: called with an error of `look`, which ends the looking.
    """

    def __init__(
        self, look: Callable[[], bool], failed: Callable[[Exception], None], *, seconds: float = LOOK_EVERY
    ) -> None:
        self._look, self._failed, self._seconds = look, failed, seconds
        self._ended = threading.Event()
        self._thread = _Thread(self._next)

    def start(self) -> None:
        """Look now, and again while there is more to see."""
        if not self._ended.is_set():
            self._thread.wake()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def settle(self, seconds: float = 10) -> bool:
        """Wait until there is no more to see; whether that came within `seconds`."""
        return self._thread.settle(seconds)

    def _next(self) -> bool:
        if self._ended.is_set():
            return False
        try:
            more = self._look()
        except Exception as error:
            _tell(self._failed, error)
            return False
        return more and not self._ended.wait(self._seconds)


class _Thread:
    """A thread that calls `next_one` until it gives false; `wake` begins it where it does not run."""

    def __init__(self, next_one: Callable[[], bool]) -> None:
        self._next_one = next_one
        self._changed = threading.Condition()
        self._running = False
        self._woken = False

    def wake(self) -> None:
        with self._changed:
            self._woken = True
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._go, name="landcover-background", daemon=True).start()

    def settle(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, seconds)

    def _go(self) -> None:
        while self._wanted():
            while self._next_one():
                pass

    def _wanted(self) -> bool:
        """Whether `wake` was called since; otherwise the thread ends, and the next `wake` begins another."""
        with self._changed:
            self._running, self._woken = self._woken, False
            if not self._running:
                self._changed.notify_all()
            return self._running


def _tell(failed: Callable[[Exception], None], error: Exception) -> None:
    """A defect in what shows an error must not hide it."""
    try:
        failed(error)
    except Exception:
        LOG.exception("the error of a background work could not be shown: %r", error)
