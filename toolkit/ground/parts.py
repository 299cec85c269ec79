"""Work on a block in parts, ever smaller ones where memory does not suffice.

A block is the unit of the ledger, a part the unit of memory. What a block's arrays are does not depend on its parts, so
these may change while a run goes on, and on another machine.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from toolkit.ground.block_files import Arrays, Work
from toolkit.ground.grid import Block, aligned_blocks

LOG = logging.getLogger(__name__)

SMALLEST_PART = 64 * 64
"""Pixels of a part that is not halved any more: where it does not fit, nothing does."""

WHOLE_BLOCKS = (1 << 30, 1 << 30)
"""The size of parts where a block is not divided."""

Say = Callable[[str], None]

Join = Callable[[Block, Sequence[tuple[Block, Arrays]]], Arrays]
"""Makes the arrays of a block out of those of its parts."""


def halved(size: tuple[int, int], finest: tuple[int, int]) -> tuple[int, int]:
    """A part half as large: rows are halved first, and no file's tile (`finest`) is cut while there is another way."""
    height, width = size
    if height > finest[0] or (width <= finest[1] and height >= width):
        return -(-height // 2), width
    return height, -(-width // 2)


class PartSize:
    """How large a part of a block may be; shared by all workers of a process, and made smaller by any of them.

    Args:
        size: rows and columns.
        finest: of the smallest tile of the files.
        say: is told in words when it changes.
    """

    def __init__(self, size: tuple[int, int], finest: tuple[int, int] = (1, 1), say: Say | None = None) -> None:
        self.size, self.finest, self._say = size, finest, say
        self._lock = threading.Lock()

    def of(self, block: Block) -> list[Block]:
        """The parts of a block."""
        height, width = self.size
        return [
            Block(block.row + one.row, block.col + one.col, one.height, one.width)
            for one in aligned_blocks((block.height, block.width), (height, width), (0, 0))
        ]

    def halve(self, failed: tuple[int, int], why: str) -> bool:
        """Make parts smaller than one that failed; whether that is possible.

        Several workers may fail at once; the size is then halved once.
        """
        with self._lock:
            now = self.size
            if now[0] * now[1] < failed[0] * failed[1]:
                return True
            if now[0] * now[1] <= SMALLEST_PART:
                return False
            self.size = halved(now, self.finest)
            text = f"{why}: blocks are worked on in parts of {self.size[0]} x {self.size[1]} pixels from now on"
        LOG.warning(text)
        if self._say:
            self._say(text)
        return True

    def __getstate__(self) -> dict[str, Any]:
        return {"size": self.size, "finest": self.finest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["size"], state["finest"])  # type: ignore[misc]


def in_parts(work: Work, block: Block, size: PartSize, join: Join) -> Arrays:
    """The arrays of a block, from its parts one after the other; a part that memory does not suffice for is halved.

    Raises:
        MemoryError, or torch's error of the kind: it does not suffice for the smallest part either.
    """
    parts = size.of(block)
    if len(parts) == 1:
        return _or_halved(work, block, size, join)
    return join(block, [(part, _or_halved(work, part, size, join)) for part in parts])


def join_maps(block: Block, parts: Sequence[tuple[Block, Arrays]]) -> Arrays:
    """Arrays (…, y, x) of a block."""
    joined = {
        name: np.empty((*array.shape[:-2], block.height, block.width), array.dtype)
        for name, array in parts[0][1].items()
    }
    for part, arrays in parts:
        rows, cols = Block(part.row - block.row, part.col - block.col, part.height, part.width).slices
        for name, array in arrays.items():
            joined[name][..., rows, cols] = array
    return joined


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice: Python's and NumPy's own, torch's (also on a GPU), GDAL's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = str(error).lower()
    return isinstance(error, Exception) and ("allocate memory" in words or "out of memory" in words)


def _or_halved(work: Work, part: Block, size: PartSize, join: Join) -> Arrays:
    try:
        return work(part)
    except Exception as error:
        if not is_out_of_memory(error) or not _may_halve(part, size, error):
            raise
    return join(part, list(_halves(work, part, size, join)))


def _halves(work: Work, part: Block, size: PartSize, join: Join) -> Iterator[tuple[Block, Arrays]]:
    """The parts of a part, one size smaller than it at least."""
    smaller = halved((part.height, part.width), size.finest)
    for block in aligned_blocks((part.height, part.width), smaller, (0, 0)):
        one = Block(part.row + block.row, part.col + block.col, block.height, block.width)
        yield one, in_parts(work, one, size, join)


def _may_halve(part: Block, size: PartSize, error: Exception) -> bool:
    if part.height * part.width <= SMALLEST_PART:
        return False
    words = str(error).splitlines()[0] if str(error) else type(error).__name__
    size.halve((part.height, part.width), f"memory did not suffice for {part.height} x {part.width} pixels ({words})")
    return True
