"""`LiveCurves`: loss, OA, Kappa and F-score of a training, drawn while it runs here or in a job."""

from __future__ import annotations

import logging
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
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
from toolkit.experiment.stages import CROSS_VALIDATION, Stage
from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.learning.callbacks import Callback, Row, TrainingRun, read_history
from toolkit.learning.live_file import Live
from toolkit.learning.result import HISTORY, LIVE, TRIES, TRIES_TABLE
from toolkit.widgets.background import Poller
from toolkit.widgets.curve_points import (
    MAX_POINTS,
    MOST_COMPARED,
    Run,
    best_epoch,
    class_table,
    compared,
    history_of,
    lowest_metric,
    spoken,
    table,
    thin,
    tries_beside,
    tries_in,
)
from toolkit.widgets.steering import ALL, Steered, let_clicks_through, obey

LOG = logging.getLogger(__name__)

PHASES = {"running": "running", "stopped": "stopped", "failed": "failed"}
"""State of a job's stage -> what the curves say; anything else is done."""

INTERVAL = 0.1
"""Seconds between two updates at least: Jupyter drops messages that come faster than it can pass on."""

CLASSES_EVERY = 0.5
"""Seconds between two confusion matrices at least."""

SCRIPTS = ("chart.js", "classes.js", "steering.js", "curves.js")

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

    _esm = "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    _css = (HERE / "curves.css").read_text(encoding="utf-8")

    points = traitlets.Bytes(b"").tag(sync=True)
    """float32, little-endian, of shape (point, 6): a row of `COLUMNS` an epoch, thinned out to `MAX_POINTS`."""
    status = traitlets.Dict().tag(sync=True)
    """epochs asked for, best epoch, lowest metric, phase (waiting, running, stopped, failed, done), part done, seconds
    left, name of one of several trainings, seconds an epoch, samples a second, paused, learning rate, its scale by
    hand, number of classes, and what can be asked of it (controls)."""
    classes = traitlets.Dict().tag(sync=True)
    """Of the last epoch: epoch, labels, F-scores, and counts, int32 of shape (class, class); empty where not known."""
    compared = traitlets.List().tag(sync=True)
    """A dict with `name`, `points` and `mean` (whether it is one of several) for each training beside."""

    _poller: Poller | None = None
    _controls: tuple[str, ...] = ()
    _name = ""
    _matrix: tuple[int, tuple[str, ...], ConfusionMatrix] | None = None

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
        self._tries: tuple[Any, dict[str, list[Row]]] = (None, {})
        self._tried: dict[str, list[Row]] = {}
        self._steered: Steered | None = None
        self._classes_at = -np.inf
        super().__init__()
        let_clicks_through(self)
        self.on_msg(lambda _, content, buffers: self._asked(content))
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
            beside[name] = history_of(run)
        self._beside = dict(list(beside.items())[-MOST_COMPARED:])
        self._send_compared()

    def follow(self, job: Job) -> LiveCurves:
        """Show the training of a job, while it runs and after; returns itself, to be displayed."""
        self._stop_following()
        self._poller = Poller(lambda: self._more_of(job), self._log)
        self._poller.start()
        return self

    def show_run(
        self, experiment: Experiment, stage: Stage | None = None, folder: Path | None = None, *, waiting: bool = False
    ) -> None:
        """Show a training that lies in the run folder of an experiment.

        Args:
            stage: how the training goes, where a job is at it.
            folder: that of the training, where it is one of several.
            waiting: whether a job is going to go on with it, or to make it anew.
        """
        if stage is None:
            self._steered, self._controls = None, ()
        home = RunFolder(experiment.folder).learning
        place = folder or home
        self._history = read_history(place / HISTORY)
        learning = experiment.learning.as_trained
        self._select_by = learning.select_column
        asked, done = learning.epochs, len(self._history)
        phase = PHASES.get(stage.state, "done") if stage else "done" if done >= asked else "stopped"
        phase = "waiting" if waiting else phase
        self._state = {
            "phase": phase if done or phase == "running" else None,
            "epochs": asked,
            "best": best_epoch(self._history, learning),
            "low": lowest_metric(self._history),
            "part": round(stage.done / stage.total, 4) if stage and stage.total else round(done / asked, 4),
            "left": stage.left if stage else None,
            "name": "" if place == home else _name_of(place),
        }
        self._note_live(Live.read(place / LIVE), running=phase == "running")
        self._show_tries(home, place)
        self._deliver()

    def show_job(self, job: Job, status: JobStatus, controls: Sequence[str] = ALL) -> None:
        """Show the training of a job as it stands.

        Args:
            controls: what can be asked of it here.
        """
        stage = next((one for one in status.stages if one.name in ("train", CROSS_VALIDATION)), None)
        begun = stage and (stage.total > 0 or stage.state not in ("waiting", "running"))
        running = bool(begun and stage and stage.state == "running")
        self._steered, self._controls = (job, tuple(controls)) if running else (None, ())
        folder = None
        if begun and running:
            since = datetime.fromisoformat(job.order.started).timestamp()
            folder = RunFolder(job.experiment.folder).training_at_work(job.verb, since)
        waiting = bool(stage and not begun and not status.is_over)
        self.show_run(job.experiment, stage if begun else None, folder, waiting=waiting)

    def close(self) -> None:
        """Take the curves away, and follow no job any more."""
        self._stop_following()
        super().close()

    def on_train_begin(self, run: TrainingRun) -> None:
        """Show the curves, those of the epochs before a stop included."""
        self._note_try(run.name)
        self._name, self._steered, self._controls = run.name, run, ALL
        self._history = list(run.history)
        self._state = {"phase": "running", "name": spoken(run.name), "classes": len(run.labels)}
        self._matrix = None
        self._select_by = run.params.select_column
        self._state["low"] = lowest_metric(self._history)
        self._note(run)
        self._deliver()
        if self._show and self._handle is None and threading.current_thread() is threading.main_thread():
            self._ipython_display_()

    def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
        """Move the progress on, and send what was held back."""
        self._state["part"] = round((len(self._history) + batch / batches) / run.params.epochs, 4)
        self._note_rate(run)
        self._deliver_when_due()

    def on_wait(self, run: TrainingRun) -> None:
        """Say that the training is paused."""
        self._note_rate(run)
        self._deliver_when_due()

    def on_epoch_end(self, run: TrainingRun, row: Row) -> None:
        """Add the epoch to the curves."""
        self._history.append(row)
        self._state["low"] = lowest_metric([row], self._state["low"])
        self._note(run)
        if run.matrix is not None:
            self._matrix = (row["epoch"], run.labels, run.matrix)
        self._deliver_when_due()

    def on_stop(self, run: TrainingRun) -> None:
        """Say that the training was stopped."""
        self._state["phase"] = "stopped"

    def on_train_end(self, run: TrainingRun) -> None:
        """Send the last state, and put a picture in the notebook."""
        if self._state.get("phase") == "running":
            self._state["phase"] = "done"
        self._steered, self._controls = None, ()
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
        self._note_speed(run.n_train)
        self._note_rate(run)

    def _note_rate(self, run: TrainingRun) -> None:
        self._state |= {"paused": run.paused, "rate": run.rate, "scale": run.rate_scale}

    def _note_speed(self, samples: int) -> None:
        """Seconds of an epoch and samples a second, of the last ten epochs."""
        seconds = [row["seconds"] for row in self._history[-10:]]
        if seconds and sum(seconds) > 0 and samples:
            mean = sum(seconds) / len(seconds)
            self._state |= {"seconds": float(f"{mean:.3g}"), "speed": float(f"{samples / mean:.3g}")}

    def _note_live(self, live: Live | None, *, running: bool) -> None:
        """What the training of another process tells beside its history."""
        self._matrix = None
        if live is None:
            return
        if live.matrix is not None:
            self._matrix = (live.epoch, live.labels, live.matrix)
        self._note_speed(live.n_train)
        self._state |= {"rate": live.rate, "scale": live.rate_scale, "paused": live.paused and running}
        self._state["classes"] = len(live.labels) if running else 0

    def _note_try(self, name: str) -> None:
        """Another training begins: that before was one of several, or else what lies beside is of an earlier call."""
        tried = self._tried | ({self._name: self._history} if self._name and self._history else {})
        self._tried = tried if self._name and name not in tried else {}
        self._tries = (None, tries_beside(self._tried))
        self._send_compared()

    def _show_tries(self, home: Path, place: Path) -> None:
        """Lay the other trainings of several beside."""
        key = (place, self._state["phase"])
        if self._tries[0] == key:
            return
        mine = place.parent == home / TRIES or (place == home and (home / TRIES_TABLE).exists())
        self._tries = (key, tries_beside(tries_in(home), place.name) if mine else {})
        self._send_compared()

    def _send_compared(self) -> None:
        beside = compared(self._beside | self._tries[1])
        if beside != self.compared:
            self.compared = beside

    def _asked(self, content: Mapping[str, Any]) -> None:
        """A person asks something of the training; answered at once, which may be in a thread beside its own."""
        problem = obey(self._steered, dict(content))
        self.send({"heard": content.get("id"), "problem": problem})

    def _deliver_when_due(self) -> None:
        if self._clock() - self._sent_at >= INTERVAL:
            self._deliver()

    def _deliver(self) -> None:
        """Send the state to the browser in one message."""
        self._sent_at = self._clock()
        with self.hold_sync():
            self.points = self._thinned()
            self.status = {**self._state, "controls": list(self._controls)}
            self._deliver_classes()

    def _deliver_classes(self) -> None:
        """Put the last confusion matrix into the message, where it is new and not too soon after the one before."""
        epoch, labels, matrix = self._matrix or (0, (), None)
        if matrix is None:
            self.classes = {}
            return
        due = self.classes.get("epoch") != epoch and self._clock() - self._classes_at >= CLASSES_EVERY
        if due or self._state.get("phase") != "running":
            self._classes_at = self._clock()
            self.classes = class_table(epoch, labels, matrix)

    def _thinned(self) -> bytes:
        chosen = thin(len(self._history), MAX_POINTS, (self._state.get("best") or 1) - 1)
        return table(self._history, chosen)

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

        picture, size = curves_figure(
            self._history, self._select_by, compare=self._beside | self._tries[1]
        )._repr_png_()
        data = {"image/png": b64encode(picture).decode("ascii"), "text/plain": repr(self)}
        return data, {"image/png": {side: round(PICTURE_SCALE * pixels) for side, pixels in size.items()}}

    def __repr__(self) -> str:
        epochs = len(self._history)
        return f"LiveCurves({epochs} epoch{'s' * (epochs != 1)}, best {self._state.get('best') or 'none yet'})"


def _name_of(place: Path) -> str:
    """What a training in this folder is called: one of several tries, or a fold."""
    return f"fold {place.parent.name}" if place.name == "learning" else spoken(place.name)
