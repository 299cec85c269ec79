"""Threads that share the work on one block, where there are fewer blocks than processor cores.

A worker alone does a block: it reads files, then computes strip by strip. With helpers it shares both out, file by file
and strip by strip. Whoever is free takes the next; all have done with one thing before the next is begun.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from typing import Any, Self, TypeVar

from toolkit.series.buffers import SeriesBuffer

T = TypeVar("T")


class Team:
    """A worker on a block and its helpers.

    Args:
        buffer: memory of the worker; each helper has some of its own beside it.
        threads: the worker and its helpers.
    """

    def __init__(self, buffer: SeriesBuffer, threads: int = 1) -> None:
        self.buffer = buffer
        self._helpers = [buffer.beside(f"helper {number}") for number in range(1, threads)]
        self._pool = ThreadPoolExecutor(len(self._helpers), "landcover-helper") if self._helpers else None

    def beside(self, place: int) -> Team:
        """The same threads, with memory beside theirs: for the series of a further sensor, by its place."""
        other = copy(self)
        other.buffer, other._helpers = self.buffer.beside(place), [one.beside(place) for one in self._helpers]
        return other

    def each(self, work: Callable[[T, SeriesBuffer], None], items: Iterable[T]) -> None:
        """Work on each of these, in no order; who does it gives its memory.

        Raises:
            What the work raises: that of one which failed, when all have stopped.
        """

        def work_on(some: Iterator[T], buffer: SeriesBuffer) -> None:
            for item in some:
                work(item, buffer)

        self.share(work_on, items)

    def share(self, work: Callable[[Iterator[T], SeriesBuffer], None], items: Iterable[T]) -> None:
        """Have everyone work through the same items, each of which one of them gets.

        Raises:
            What the work raises: that of one which failed, when all have stopped.
        """
        if self._pool is None:
            work(iter(items), self.buffer)
            return
        shared = _Shared(items)

        def take_part(buffer: SeriesBuffer) -> None:
            try:
                work(shared, buffer)
            except BaseException:
                shared.stop()
                raise

        helping = [self._pool.submit(take_part, buffer) for buffer in self._helpers]
        try:
            take_part(self.buffer)
        finally:
            errors = [one.exception() for one in helping]
        for error in filter(None, errors):
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()


class _Shared(Iterator[Any]):
    """An iterator that several threads take from, until one of them says stop."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items, self._lock, self._over = iter(items), threading.Lock(), False

    def __next__(self) -> Any:
        with self._lock:
            if self._over:
                raise StopIteration
            return next(self._items)

    def stop(self) -> None:
        """Nobody gets another one."""
        self._over = True
