"""The states that an experiment was in: undo and redo."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

LIMIT = 200
"""Changes that can be undone; parameters are small, and share what did not change."""


class History(Generic[T]):
    """States to go back to, and after that forward again."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._past: deque[T] = deque(maxlen=limit)
        self._future: list[T] = []

    @property
    def has_past(self) -> bool:
        return bool(self._past)

    @property
    def has_future(self) -> bool:
        return bool(self._future)

    def leave(self, state: T) -> None:
        """Note the state that a change is about to leave; what was undone before cannot come back."""
        self._past.append(state)
        self._future.clear()

    def back(self, now: T) -> T | None:
        """The state before the last change; None where there is none."""
        if not self._past:
            return None
        self._future.append(now)
        return self._past.pop()

    def forward(self, now: T) -> T | None:
        """The state that was last gone back from; None where there is none."""
        if not self._future:
            return None
        self._past.append(now)
        return self._future.pop()
