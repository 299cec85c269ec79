"""`LiveCurves`: loss, OA, Kappa and F-score of a training, drawn while it runs here or in a job."""

from __future__ import annotations

import logging
import math
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from IPython import get_ipython
from IPython.display import DisplayHandle, display

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.job_status import JobStatus
from toolkit.experiment.jobs import Job
from toolkit.experiment.stages import Stage
from toolkit.ground.errors import RunFolderError
from toolkit.learning.callbacks import Callback, Row, TrainingRun, read_history
from toolkit.learning.parameters import LearningParams
from toolkit.widgets.background import Poller

LOG = logging.getLogger(__name__)

Run = Sequence[Row] | Path | Experiment
"""A training to lay beside another: its history, its run folder, or its experiment."""

PHASES = {"running": "running", "stopped": "stopped", "failed": "failed"}
"""State of a job's stage -> what the curves say; anything else is done."""

COLUMNS = ("epoch", "train_loss", "valid_loss", "oa", "kappa", "f_score")
"""Columns of `LiveCurves.points`."""

METRICS = ("oa", "kappa", "f_score")

INTERVAL = 0.1
"""Seconds between two updates at least: Jupyter drops messages that come faster than it can pass on."""

MAX_POINTS = 300
"""Points sent at most: about one a pixel and curve, and under 10 kB an update, however long the training."""

MAX_COMPARED = 350
"""Points of all runs laid beside together."""

MOST_COMPARED = 6
"""Runs laid beside at most: with more, nobody tells them apart."""

PICTURE_SCALE = 1.25
"""The picture is shown this much larger than a figure by itself, to be as wide as the live curves were."""

HERE = resources.files("toolkit.widgets")


class LiveCurves(anywidget.AnyWidget, Callback):
    """A callback of `train` and a widget: `train(experiment, callbacks=[LiveCurves()])`, `LiveCurves().follow(job)`.

    It shows itself when the training begins, unless it was displayed before, and then takes at most ten updates a
    second. When the training ends, a picture takes its place, which stays in the saved notebook; displaying the widget
    again gives the live curves, with values under the pointer.

    Args:
        compare: name -> a training to draw beside, thin and dashed; see `overlay`.
        show: whether to show itself; False inside a panel.
        clock: seconds, for tests.
    """

    _esm = "".join((HERE / name).read_text(encoding="utf-8") for name in ("chart.js", "curves.js"))
    _css = (HERE / "curves.css").read_text(encoding="utf-8")

    points = traitlets.Bytes(b"").tag(sync=True)
    """float32, little-endian, of shape (point, 6): a row of `COLUMNS` an epoch, thinned out to `MAX_POINTS`."""
    status = traitlets.Dict().tag(sync=True)
    """epochs asked for, best epoch, lowest metric, phase (running, stopped, failed, done), part of the training done,
    seconds left."""
    compared = traitlets.List().tag(sync=True)
    """A dict with `name` and `points` for each training beside."""

    _poller: Poller | None = None

    def __init__(
        self,
        *,
        compare: Mapping[str, Run] | None = None,
        show: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show, self._clock = show, clock
        self._history: list[Row] = []
        self._state: dict[str, Any] = {}
        self._handle: DisplayHandle | None = None
        self._sent_at = -np.inf
        self._select_by = "f_score"
        self._beside: dict[str, list[Row]] = {}
        super().__init__()
        for name, run in (compare or {}).items():
            self.overlay(name, run)

    @property
    def history(self) -> list[Row]:
        """A row for each epoch so far."""
        return list(self._history)

    def overlay(self, name: str, run: Run | None) -> None:
        """Draw another training beside, thin and dashed; None takes it away.

        Raises:
            RunFolderError: the folder holds no training.
        """
        beside = {other: rows for other, rows in self._beside.items() if other != name}
        if run is not None:
            beside[name] = _history_of(run)
        self._beside = dict(list(beside.items())[-MOST_COMPARED:])
        most = MAX_COMPARED // max(1, len(self._beside))
        self.compared = [
            {"name": other, "points": _table(rows, thin(len(rows), most, 0))} for other, rows in self._beside.items()
        ]

    def follow(self, job: Job) -> LiveCurves:
        """Show the training of a job, while it runs and after; returns itself, to be displayed."""
        self._stop_following()
        self._poller = Poller(lambda: self._more_of(job), self._log)
        self._poller.start()
        return self

    def show_run(self, experiment: Experiment, stage: Stage | None = None) -> None:
        """Show the training that lies in the run folder of an experiment.

        Args:
            stage: how the training goes, where a job is at it.
        """
        self._history = read_history(RunFolder(experiment.folder).history)
        learning = experiment.learning.as_trained
        self._select_by = learning.select_column
        asked, done = learning.epochs, len(self._history)
        phase = PHASES.get(stage.state, "done") if stage else "done" if done >= asked else "stopped"
        self._state = {
            "phase": phase if done or phase == "running" else None,
            "epochs": asked,
            "best": best_epoch(self._history, learning),
            "low": lowest_metric(self._history),
            "part": round(stage.done / stage.total, 4) if stage and stage.total else round(done / asked, 4),
            "left": stage.left if stage else None,
        }
        self._deliver()

    def show_job(self, job: Job, status: JobStatus) -> None:
        """Show the training of a job as it stands."""
        stage = next((one for one in status.stages if one.name == "train"), None)
        begun = stage and (stage.total > 0 or stage.state not in ("waiting", "running"))
        self.show_run(job.experiment, stage if begun else None)

    def close(self) -> None:
        """Take the curves away, and follow no job any more."""
        self._stop_following()
        super().close()

    def on_train_begin(self, run: TrainingRun) -> None:
        """Show the curves, those of the epochs before a stop included."""
        self._history = list(run.history)
        self._state = {"phase": "running"}
        self._select_by = run.params.select_column
        self._state["low"] = lowest_metric(self._history)
        self._note(run)
        self._deliver()
        if self._show and self._handle is None and threading.current_thread() is threading.main_thread():
            self._ipython_display_()

    def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
        """Move the progress on, and send what was held back."""
        self._state["part"] = round((len(self._history) + batch / batches) / run.params.epochs, 4)
        self._deliver_when_due()

    def on_epoch_end(self, run: TrainingRun, row: Row) -> None:
        """Add the epoch to the curves."""
        self._history.append(row)
        self._state["low"] = lowest_metric([row], self._state["low"])
        self._note(run)
        self._deliver_when_due()

    def on_stop(self, run: TrainingRun) -> None:
        """Say that the training was stopped."""
        self._state["phase"] = "stopped"

    def on_train_end(self, run: TrainingRun) -> None:
        """Send the last state, and put a picture in the notebook."""
        if self._state.get("phase") == "running":
            self._state["phase"] = "done"
        self._note(run)
        time.sleep(max(0.0, min(INTERVAL, self._sent_at + INTERVAL - self._clock())))
        self._deliver()
        self._leave_picture()

    def _leave_picture(self) -> None:
        """Put a picture in the place of the live curves."""
        if self._handle is not None and self._history:
            data, metadata = self._picture()
            self._handle.update(data, metadata=metadata, raw=True)
            self._handle = None

    def _more_of(self, job: Job) -> bool:
        """Show how a job goes; whether there will be more."""
        status = job.look()
        self.show_job(job, status)
        if status.is_over:
            self._leave_picture()
        return not status.is_over

    def _stop_following(self) -> None:
        if self._poller is not None:
            self._poller.close()
            self._poller = None

    @staticmethod
    def _log(error: Exception) -> None:
        LOG.error("a job cannot be followed any more", exc_info=error)

    def _note(self, run: TrainingRun) -> None:
        done, asked = len(self._history), run.params.epochs
        seconds = [row["seconds"] for row in self._history[-10:]]
        self._state |= {
            "epochs": asked,
            "best": run.best["epoch"] if run.best else None,
            "part": round(done / asked, 4),
            "left": round(sum(seconds) / len(seconds) * (asked - done), 1) if seconds else None,
        }

    def _deliver_when_due(self) -> None:
        if self._clock() - self._sent_at >= INTERVAL:
            self._deliver()

    def _deliver(self) -> None:
        """Send the state to the browser in one message."""
        self._sent_at = self._clock()
        with self.hold_sync():
            self.points = self._thinned()
            self.status = dict(self._state)

    def _thinned(self) -> bytes:
        chosen = thin(len(self._history), MAX_POINTS, (self._state.get("best") or 1) - 1)
        return _table(self._history, chosen)

    def _ipython_display_(self) -> None:
        if get_ipython() is None:
            return
        bundle = super()._repr_mimebundle_()
        widget = dict(bundle[0] if isinstance(bundle, tuple) else bundle or {})
        data, metadata = self._picture()
        self._handle = display({**data, **widget}, metadata=metadata, raw=True, display_id=True)

    def _picture(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The curves as a picture and its size, for where no widget can be shown."""
        if not self._history:
            return {}, {}
        from toolkit.figures.curves import curves_figure  # matplotlib takes its time

        picture, size = curves_figure(self._history, self._select_by, compare=self._beside)._repr_png_()
        data = {"image/png": b64encode(picture).decode("ascii"), "text/plain": repr(self)}
        return data, {"image/png": {side: round(PICTURE_SCALE * pixels) for side, pixels in size.items()}}

    def __repr__(self) -> str:
        epochs = len(self._history)
        return f"LiveCurves({epochs} epoch{'s' * (epochs != 1)}, best {self._state.get('best') or 'none yet'})"


def best_epoch(history: Sequence[Row], params: LearningParams) -> int | None:
    """The epoch whose weights are kept: the first with the best value; None where there is none yet."""
    column, sign = params.select_column, -1 if params.select_by == "loss" else 1
    return max(history, key=lambda row: sign * row[column])["epoch"] if history else None


def lowest_metric(history: Sequence[Row], before: float = 1.0) -> float:
    """The lowest metric of these rows, at most `before`: the axis must not jump because points are thinned out."""
    return min([before, *(row[name] for row in history for name in METRICS if math.isfinite(row[name]))])


def _history_of(run: Run) -> list[Row]:
    """The rows of a training, from where they are."""
    if isinstance(run, Experiment):
        run = run.folder
    if not isinstance(run, Path):
        return list(run)
    history = read_history(RunFolder(run).history)
    if not history:
        raise RunFolderError(f"{run} holds no training to lay beside; name a run folder with learning/history.csv")
    return history


def _table(history: Sequence[Row], chosen: np.ndarray) -> bytes:
    """These rows as float32, little-endian, of shape (point, 6)."""
    return np.array([[history[i][column] for column in COLUMNS] for i in chosen], dtype="<f4").tobytes()


def thin(count: int, most: int, keep: int) -> np.ndarray:
    """Positions of at most about `most` of `count` points: evenly spaced, with the last one and the one to keep.

    Returns:
        Sorted int64; a longer training keeps the positions that a shorter one had, or every second of them.
    """
    if not count:
        return np.empty(0, dtype=np.int64)
    step = 1
    while count > step * (most - 2):
        step *= 2
    return np.unique([*range(0, count, step), min(max(keep, 0), count - 1), count - 1])
