"""`LiveCurves`: loss, OA, Kappa and F-score of a training, drawn while it runs."""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from collections.abc import Callable
from importlib import resources
from typing import Any

import anywidget
import numpy as np
import traitlets
from IPython import get_ipython
from IPython.display import DisplayHandle, display

from toolkit.learning.callbacks import Callback, Row, TrainingRun

COLUMNS = ("epoch", "train_loss", "valid_loss", "oa", "kappa", "f_score")
"""Columns of `LiveCurves.points`."""

INTERVAL = 0.1
"""Seconds between two updates at least: Jupyter drops messages that come faster than it can pass on."""

MAX_POINTS = 300
"""Points sent at most: about one a pixel and curve, and under 10 kB an update, however long the training."""

PICTURE_SCALE = 1.25
"""The picture is shown this much larger than a figure by itself, to be as wide as the live curves were."""

HERE = resources.files("toolkit.widgets")


class LiveCurves(anywidget.AnyWidget, Callback):
    """A callback of `train` and a widget: `train(experiment, callbacks=[LiveCurves()])`.

    It shows itself when the training begins, unless it was displayed before, and then takes at most ten updates a
    second. When the training ends, a picture takes its place, which stays in the saved notebook; displaying the widget
    again gives the live curves, with values under the pointer.

    Args:
        show: whether to show itself; False inside a panel.
        clock: seconds, for tests.
    """

    _esm = (HERE / "curves.js").read_text(encoding="utf-8")
    _css = (HERE / "curves.css").read_text(encoding="utf-8")

    points = traitlets.Bytes(b"").tag(sync=True)
    """float32, little-endian, of shape (point, 6): a row of `COLUMNS` an epoch, thinned out to `MAX_POINTS`."""
    status = traitlets.Dict().tag(sync=True)
    """epochs asked for, best epoch, phase (running, stopped, done), part of the training done, seconds left."""

    def __init__(self, *, show: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._show, self._clock = show, clock
        self._history: list[Row] = []
        self._state: dict[str, Any] = {}
        self._handle: DisplayHandle | None = None
        self._sent_at = -np.inf
        self._select_by = "f_score"
        super().__init__()

    @property
    def history(self) -> list[Row]:
        """A row for each epoch so far."""
        return list(self._history)

    def on_train_begin(self, run: TrainingRun) -> None:
        """Show the curves, those of the epochs before a stop included."""
        self._history = list(run.history)
        self._state = {"phase": "running"}
        self._select_by = run.params.select_column
        self._follow(run)
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
        self._follow(run)
        self._deliver_when_due()

    def on_stop(self, run: TrainingRun) -> None:
        """Say that the training was stopped."""
        self._state["phase"] = "stopped"

    def on_train_end(self, run: TrainingRun) -> None:
        """Send the last state, and put a picture in the notebook."""
        if self._state.get("phase") == "running":
            self._state["phase"] = "done"
        self._follow(run)
        time.sleep(max(0.0, min(INTERVAL, self._sent_at + INTERVAL - self._clock())))
        self._deliver()
        if self._handle is not None and self._history:
            data, metadata = self._picture()
            self._handle.update(data, metadata=metadata, raw=True)
            self._handle = None

    def _follow(self, run: TrainingRun) -> None:
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
        table = [[self._history[i][column] for column in COLUMNS] for i in chosen]
        return np.array(table, dtype="<f4").tobytes()

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

        picture, size = curves_figure(self._history, self._select_by)._repr_png_()
        data = {"image/png": b64encode(picture).decode("ascii"), "text/plain": repr(self)}
        return data, {"image/png": {side: round(PICTURE_SCALE * pixels) for side, pixels in size.items()}}

    def __repr__(self) -> str:
        epochs = len(self._history)
        return f"LiveCurves({epochs} epoch{'s' * (epochs != 1)}, best {self._state.get('best') or 'none yet'})"


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
