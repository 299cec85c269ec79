"""Values that are valid only together with another one: they wait until that is given.

All forms of an experiment share them, so that each shows what waits, and the other value may come from any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

Watcher = Callable[[], None]


class Drafts:
    """What waits in an experiment; get it by `drafts_of`."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Any, str]] = {}
        self._watchers: list[Watcher] = []

    @property
    def values(self) -> dict[str, Any]:
        """Dotted path -> value of what waits."""
        return {path: value for path, (value, _) in self._waiting.items()}

    @property
    def reasons(self) -> Mapping[str, str]:
        """Dotted path -> why it waits, in words."""
        return {path: reason for path, (_, reason) in self._waiting.items()}

    def wait(self, path: str, value: Any, reason: str) -> None:
        """Keep a value that is not valid yet."""
        self._waiting[path] = (value, reason)
        self._tell()

    def drop(self, paths: Iterable[str]) -> None:
        """Forget these, because they were taken or given up."""
        if dropped := self._waiting.keys() & set(paths):
            self._waiting = {path: one for path, one in self._waiting.items() if path not in dropped}
            self._tell()

    def observe(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher()` after every change; the function returned ends that."""
        self._watchers.append(watcher)

        def end() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        return end

    def _tell(self) -> None:
        for watcher in list(self._watchers):
            watcher()


_ALL: WeakKeyDictionary[Experiment, Drafts] = WeakKeyDictionary()


def drafts_of(experiment: Experiment) -> Drafts:
    """The drafts that all forms of this experiment share."""
    return _ALL.setdefault(experiment, Drafts())
