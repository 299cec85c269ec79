"""What a person asks of a training while it runs, from another process: `control.json`, and who obeys it.

    {"paused": false, "rate_scale": 0.5}

The file appears whole or not at all, is looked at a few times a second, and belongs to one training, or to all of a
tuning: it is taken away when that begins and when a training ends.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from toolkit.ground.errors import ParameterError
from toolkit.ground.writing import explained, write_text
from toolkit.learning.callbacks import Callback, Row, TrainingRun, checked_scale

LOG = logging.getLogger(__name__)

LOOK_EVERY = 0.25
"""Seconds between two looks at the file."""


@dataclass(frozen=True)
class Wishes:
    """What is asked of a training."""

    paused: bool = False
    rate_scale: float | None = None
    """What the learning rate is to be multiplied by; None leaves it as it is."""

    @classmethod
    def read(cls, path: Path) -> Wishes:
        """What stands in the file; nothing is asked where there is none, or one that nobody understands."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            scale = content.get("rate_scale")
            return cls(bool(content.get("paused", False)), None if scale is None else checked_scale(float(scale)))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, AttributeError, ParameterError) as error:
            LOG.warning("%s is not obeyed (%s)", path, error)
            return cls()

    def write(self, path: Path) -> None:
        """Write the file, whole.

        Raises:
            RunFolderError: it cannot be written.
        """
        write_text(path, json.dumps(asdict(self)) + "\n")


def ask(path: Path, *, paused: bool | None = None, rate_scale: float | None = None) -> None:
    """Ask something of a training; what is not given stays as it was asked before.

    Raises:
        ParameterError: a rate cannot be multiplied by that.
        RunFolderError: the file cannot be written.
    """
    wishes = Wishes.read(path)
    if paused is not None:
        wishes = replace(wishes, paused=paused)
    if rate_scale is not None:
        wishes = replace(wishes, rate_scale=checked_scale(rate_scale))
    wishes.write(path)


class ControlFile(Callback):
    """Has a training obey its `control.json`.

    Args:
        clock: seconds, for tests.
        several: the file is for several trainings, one after the other, which can be held but not changed.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic, *, several: bool = False) -> None:
        self.path, self._clock, self._several = path, clock, several
        self._looked_at, self._seen = -math.inf, (0, 0)

    def on_train_begin(self, run: TrainingRun) -> None:
        """Nothing was asked of this training yet."""
        if not self._several:
            self._clear()

    def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
        """Obey what is new in the file."""
        self._look(run)

    def on_wait(self, run: TrainingRun) -> None:
        """Obey what is new in the file: it may say that the training goes on."""
        self._look(run)

    def on_epoch_end(self, run: TrainingRun, row: Row) -> None:
        """Obey what is new in the file, also where an epoch has one batch only."""
        self._look(run)

    def on_train_end(self, run: TrainingRun) -> None:
        """There is no training any more of which something could be asked."""
        if not self._several:
            self._clear()

    def _look(self, run: TrainingRun) -> None:
        now = self._clock()
        if now - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = now
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen, wishes = stamp, Wishes.read(self.path)
        run.paused = wishes.paused
        if wishes.rate_scale is not None and not self._several:
            run.scale_rate(wishes.rate_scale)

    def _stamp(self) -> tuple[int, int]:
        """Tells one file from the next in its place."""
        try:
            found = self.path.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_ino

    def _clear(self) -> None:
        with explained(self.path):
            self.path.unlink(missing_ok=True)
        self._seen = (0, 0)
