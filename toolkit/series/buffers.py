"""Memory for the series of a block, used again for the next: fresh memory costs more than filling it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from toolkit.products.edges import EdgeStore


class SeriesBuffer:
    """Room for the arrays of one block; grown where a larger one comes.

    Args:
        edges: lines of files' tiles that this and other buffers share.
    """

    def __init__(self, edges: EdgeStore | None = None) -> None:
        self.edges = edges
        self._rooms: dict[str, np.ndarray] = {}
        self._beside: dict[int | str, SeriesBuffer] = {}

    def beside(self, whose: int | str) -> SeriesBuffer:
        """Room beside it for the same block: for the series of a further sensor, by its place, or for a helper."""
        return self._beside.setdefault(whose, SeriesBuffer(self.edges))

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An array by its name, filled with what was there before.

        Room for more than twice as much is given back: blocks have become smaller then.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if name not in self._rooms or not size <= self._rooms[name].size <= 2 * size:
            self._rooms.pop(name, None)  # before there is more of it
            self._rooms[name] = np.empty(size, np.uint8)
        return self._rooms[name][:size].view(dtype).reshape(shape)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        own = sum(one.nbytes for one in self._rooms.values())
        return own + sum(one.nbytes for one in self._beside.values())


class BufferPool:
    """Buffers of a process's workers: as many as work at once. It travels to another process empty."""

    def __init__(self) -> None:
        self._idle: list[SeriesBuffer] = []
        self._lock = threading.Lock()
        self.edges = EdgeStore()
        self.most = 1 << 30

    @contextmanager
    def one(self) -> Iterator[SeriesBuffer]:
        """A buffer of one's own, while the block runs."""
        with self._lock:
            buffer = self._idle.pop() if self._idle else SeriesBuffer(self.edges)
        try:
            yield buffer
        finally:
            with self._lock:
                if len(self._idle) < self.most:
                    self._idle.append(buffer)

    def keep(self, most: int) -> None:
        """Keep at most so many; the others' memory is given back."""
        with self._lock:
            self.most = most
            del self._idle[most:]

    def clear(self) -> None:
        """Give back the memory of all that do not work now."""
        with self._lock:
            self._idle.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
