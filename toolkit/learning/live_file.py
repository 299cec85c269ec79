"""`live.json`: how a training stands at this moment, for who follows it from another process.

Beside the curves, which are in `history.csv`: the confusion matrix of the last epoch, whether the training is paused,
and its learning rate. The file appears whole or not at all, a few times a second at most.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.writing import write_text
from toolkit.learning.callbacks import Callback, Row, TrainingRun

WRITE_EVERY = 0.25
"""Seconds between two writings at least."""


@dataclass(frozen=True)
class Live:
    """A training at one moment."""

    epoch: int
    """The last whole epoch, 0 before the first; that of the matrix."""
    epochs: int
    n_train: int
    paused: bool
    rate: float
    """The learning rate of the next batch."""
    rate_scale: float
    """What it was multiplied by, by hand; 1 where nobody changed it."""
    running: bool
    labels: tuple[str, ...]
    codes: tuple[int, ...]
    counts: list[list[int]]
    """Reference (row) against predicted (column) on the valid samples; empty where no epoch ended in this process."""

    @classmethod
    def of(cls, run: TrainingRun, *, running: bool = True) -> Live:
        """The training as its callbacks see it."""
        matrix = run.matrix
        return cls(
            epoch=len(run.history),
            epochs=run.params.epochs,
            n_train=run.n_train,
            paused=run.paused,
            rate=run.rate,
            rate_scale=run.rate_scale,
            running=running,
            labels=run.labels,
            codes=matrix.codes if matrix else (),
            counts=matrix.counts.tolist() if matrix else [],
        )

    @classmethod
    def read(cls, path: Path) -> Live | None:
        """What stands in the file; None where there is none, or one that nobody understands: it only informs."""
        try:
            found = TypeAdapter(cls).validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        sides = {len(found.counts), len(found.codes), *map(len, found.counts)}
        return found if len(sides) == 1 and (not found.codes or len(found.codes) == len(found.labels)) else None

    @property
    def matrix(self) -> ConfusionMatrix | None:
        """The confusion matrix of the last epoch; None where there is none."""
        return ConfusionMatrix(np.array(self.counts, dtype=np.int64), self.codes) if self.codes else None

    def write(self, path: Path) -> None:
        """Write the file, whole."""
        write_text(path, json.dumps(asdict(self), ensure_ascii=False) + "\n")


class LiveFile(Callback):
    """Writes `live.json` while a network is trained.

    Args:
        clock: seconds, for tests.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path, self._clock = path, clock
        self._written_at, self._written = -math.inf, (-1, False, 0.0)

    def on_train_begin(self, run: TrainingRun) -> None:
        """Replace what an earlier training left."""
        self._write(run)

    def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
        """Write what is new."""
        self._write_when_due(run)

    def on_wait(self, run: TrainingRun) -> None:
        """Write that the training is paused."""
        self._write_when_due(run)

    def on_epoch_end(self, run: TrainingRun, row: Row) -> None:
        """Write the epoch's matrix."""
        self._write_when_due(run)

    def on_train_end(self, run: TrainingRun) -> None:
        """Write the last matrix."""
        self._write(run, running=False)

    def _write_when_due(self, run: TrainingRun) -> None:
        if self._said(run) != self._written and self._clock() - self._written_at >= WRITE_EVERY:
            self._write(run)

    def _write(self, run: TrainingRun, **more: Any) -> None:
        self._written_at, self._written = self._clock(), self._said(run)
        Live.of(run, **more).write(self.path)

    @staticmethod
    def _said(run: TrainingRun) -> tuple[int, bool, float]:
        return len(run.history), run.paused, run.rate_scale
