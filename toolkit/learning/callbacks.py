"""What may watch a training: `Callback` and its empty hooks, and the plain callbacks.

A row is a plain dict with `epoch` (from 1), `train_loss`, `valid_loss`, `oa`, `kappa`, `f_score`, `seconds` (without
pauses) and `learning_rate`, that of its last batch.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.ground.writing import write_text
from toolkit.learning.parameters import LearningParams

Row = dict[str, Any]
StopSignal = threading.Event | Callable[[], bool]
"""Asked before each batch; an event that is set, or a callable that gives True, stops the training."""

COLUMNS = ("epoch", "train_loss", "valid_loss", "oa", "kappa", "f_score", "seconds", "learning_rate")
"""Of a history; files of earlier versions are without the last."""

LEAST_SCALE, MOST_SCALE = 1e-6, 1e6
"""Between these a learning rate may be changed by hand."""


@dataclass
class TrainingRun:
    """A training as its callbacks see it."""

    params: LearningParams
    labels: tuple[str, ...]
    """Label of each class, in the order of the outputs."""
    n_train: int
    n_valid: int
    n_parameters: int
    """Weights that are learnt."""
    device: str
    history: list[Row] = field(default_factory=list)
    """A row for each whole epoch, those before a stop included."""
    best: Row | None = None
    """The row of the epoch whose weights are kept."""
    matrix: ConfusionMatrix | None = None
    """Confusion matrix of the valid samples after the last epoch; None before the first one of this process."""
    stopping: bool = False
    paused: bool = False
    """Whether it is held before its next batch."""
    rate_scale: float = 1.0
    """What the learning rate is multiplied by, beside its schedule, from the next batch on; kept in the state."""
    rate: float = 0.0
    """The learning rate of the next batch, the steps of its schedule left out."""
    changes: list[dict[str, float]] = field(default_factory=list)
    """Each change of the rate by hand: from which `epoch` on, and its `rate_scale`. With one, the seed and the
    parameters alone do not give the same weights again."""
    name: str = ""
    """Of several trainings, which one it is."""

    def stop(self) -> None:
        """Ask the training to stop before its next batch; the best weights are kept."""
        self.stopping = True

    def pause(self) -> None:
        """Hold the training before its next batch, until `go_on`; from any thread but its own."""
        self.paused = True

    def go_on(self) -> None:
        """Let a paused training go on."""
        self.paused = False

    def scale_rate(self, factor: float) -> None:
        """Multiply the learning rate of the schedule by this from the next batch on.

        Raises:
            ParameterError: a rate cannot be multiplied by that.
        """
        self.rate *= checked_scale(factor) / self.rate_scale
        self.rate_scale = factor


class Callback:
    """Base of the callbacks: every hook is empty. A hook runs in the training's thread and must be short."""

    def on_train_begin(self, run: TrainingRun) -> None:
        """Called once, before the first epoch; `run.history` has the epochs of an earlier part."""

    def on_epoch_begin(self, run: TrainingRun, epoch: int) -> None:
        """Called before the first batch of an epoch."""

    def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
        """Called after each batch: the `batch`-th (from 1) of `batches`."""

    def on_wait(self, run: TrainingRun) -> None:
        """Called again and again while the training is paused."""

    def on_epoch_end(self, run: TrainingRun, row: Row) -> None:
        """Called after each epoch, once its state is on disk."""

    def on_stop(self, run: TrainingRun) -> None:
        """Called where the training was stopped, before `on_train_end`."""

    def on_train_end(self, run: TrainingRun) -> None:
        """Called once, with the best model on disk."""


class HistoryFile(Callback):
    """Writes the history as CSV, whole, at each epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, run: TrainingRun) -> None:
        write_text(self.path, _csv(run.history))

    def on_epoch_end(self, run: TrainingRun, row: Row) -> None:
        write_text(self.path, _csv(run.history))


def read_history(path: Path) -> list[Row]:
    """The rows of a `history.csv`; none where there is no file.

    Raises:
        RunFolderError: the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        columns, *lines = (line.split(",") for line in path.read_text(encoding="utf-8").splitlines())
        rows = [dict(zip(columns, map(float, line), strict=True)) for line in lines]
        if not set(COLUMNS[:-1]) <= set(columns):
            raise ValueError("columns are missing")
        return [{**row, "epoch": int(row["epoch"])} for row in rows]
    except (ValueError, OverflowError) as error:
        raise RunFolderError(f"{path} is damaged ({error}); delete it: training writes it anew") from None


def notify(callbacks: Iterable[Callback], hook: str, *arguments: Any) -> None:
    """Call one hook of each callback, in order."""
    for callback in callbacks:
        getattr(callback, hook)(*arguments)


def replay(callbacks: Iterable[Callback], params: LearningParams, history: list[Row], best: Row | None) -> None:
    """Show a training that was done before to callbacks that did not see it."""
    run = TrainingRun(params, (), 0, 0, 0, "", list(history), best)
    for hook in ("on_train_begin", "on_train_end"):
        notify(callbacks, hook, run)


def checked_scale(scale: float) -> float:
    """A factor of the learning rate.

    Raises:
        ParameterError: it is no number, or none that a rate can be multiplied by.
    """
    if not (math.isfinite(scale) and LEAST_SCALE <= scale <= MOST_SCALE):
        raise ParameterError(
            f"the learning rate cannot be multiplied by {scale:g}: choose a factor from {LEAST_SCALE:g} to "
            f"{MOST_SCALE:g}"
        )
    return scale


def is_set(stop: StopSignal | None) -> bool:
    """Whether a stop is asked for."""
    if stop is None:
        return False
    return stop.is_set() if isinstance(stop, threading.Event) else bool(stop())


def _csv(history: list[Row]) -> str:
    lines = [",".join(_text(column, row.get(column, math.nan)) for column in COLUMNS) for row in history]
    return "\n".join([",".join(COLUMNS), *lines]) + "\n"


def _text(column: str, value: float) -> str:
    if column == "learning_rate":  # may be as small as it likes
        return f"{value:.6g}"
    return str(value) if isinstance(value, int) else f"{value:.6f}"
