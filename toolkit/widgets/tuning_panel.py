"""`TuningPanel`: what a tuning tries, its job, and its trials as they come, as a picture and a table."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as W
import traitlets

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.tuning_result import BEST, METRICS, TuningResult, is_absent
from toolkit.ground.errors import RunFolderError
from toolkit.learning.space import apply_setting, parse_space, word
from toolkit.widgets.background import Background
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_frame import PanelFrame
from toolkit.widgets.panel_parts import beside, forms_of
from toolkit.widgets.run_panel import RunPanel
from toolkit.widgets.space_form import SpaceForm

HERE = resources.files("toolkit.widgets")

SETTINGS = ("trials", "sampler", "folds", "folds_by", "prune")


class TrialsView(anywidget.AnyWidget):
    """Parallel coordinates of the trials above their table; a row and its line are marked together."""

    _esm = (HERE / "tuning.js").read_text(encoding="utf-8")
    _css = (HERE / "tuning.css").read_text(encoding="utf-8")

    state = traitlets.Dict().tag(sync=True)
    """`axes` and `trials` as `view_state` makes them; empty where there is no tuning."""


class TuningPanel(Panel):
    """Tunes parameters of the learning: `TuningPanel(experiment)`.

    The job is a process of its own, as in a `RunPanel`; closed, the panel leaves it running. `start` and `use_best` are
    its buttons; `run` is the panel of the job.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problem, self.unread = ErrorBox(), ErrorBox()
        guard = self.problem.guard
        self.space = SpaceForm(experiment, guard)
        self.forms = forms_of(experiment, [f"tuning.{name}" for name in SETTINGS])
        self.run = RunPanel(experiment, verb="tune")
        self.run.run_button.tooltip = "Tune in a process of its own; the samples must be there"
        self.view = TrialsView()
        self.use = W.Button(
            description="Use the best setting", icon="check", disabled=True, layout=W.Layout(width="auto")
        )
        self.use.on_click(guard(lambda _: self.use_best()))
        self.said = W.HTML()
        self.result: TuningResult | None = None
        """What was found so far; None where nothing was."""
        self._read_at: tuple[Path, int] | None = None
        self._reading = Background(_read, self._show, self.unread.tell)
        best = W.HBox([self.use, self.said])
        best.add_class("lc-above")
        left = [self.space, *self.forms, self.problem]
        super().__init__([PanelFrame(), *beside(left, [self.run, best, self.view, self.unread])])
        self._dom_classes = ("lc-panel", "lc-tuning", "lc-keys")
        self.run.stage_list.observe(guard(lambda _: self._look(), clears=False), "state")
        self._end_with(experiment.observe(guard(lambda _: self._follow())), self._reading.close)
        self._look()

    def start(self) -> None:
        """Start or go on with the tuning.

        Raises:
            ParameterError: the space is empty, or holds what cannot be tuned.
            RunFolderError: something is at work in the run folder, or another tuning would have to be replaced.
        """
        parse_space(self.experiment.tuning.space, self.experiment.learning)
        self.run.verb.value = "tune"
        self.run.start()

    async def ended(self) -> None:
        """Wait for the end of the tuning, `await panel.ended()`.

        Raises:
            RunFolderError: it failed or was stopped.
        """
        await self.run.ended()

    def use_best(self) -> None:
        """Put the best setting into the experiment; undo takes it back.

        Raises:
            RunFolderError: there is none yet.
        """
        if self.result is None:
            raise RunFolderError(f"{self.experiment.folder} holds no tuning yet; start one")
        self.result.apply(self.experiment)

    def settle(self, seconds: float = 10) -> bool:
        """Wait until what is shown is the last state; whether that came within `seconds`."""
        return self.run.settle(seconds) and self._reading.settle(seconds)

    def _follow(self) -> None:
        self.space.refresh()
        self._look()
        self._tell_best()

    def _look(self) -> None:
        """Read the trials where there are new ones; short, for it is called with every bit of progress."""
        folder = RunFolder(self.experiment.folder).tuning
        try:
            now = folder, (folder / BEST).stat().st_mtime_ns
        except FileNotFoundError:
            now = folder, 0
        if now != self._read_at:
            self._read_at = now
            self._reading.ask(folder)

    def _show(self, found: TuningResult | None) -> None:
        """In a thread."""
        self.unread.clear()
        self.result = found
        self.view.state = view_state(found) if found else {}
        self._tell_best()

    def _tell_best(self) -> None:
        found = self.result
        if found is None or not found.best:
            self.use.disabled, self.said.value = True, ""
            return
        self.use.disabled = apply_setting(self.experiment.learning, found.best) == self.experiment.learning
        words = "is in the experiment" if self.use.disabled else "not yet in the experiment"
        self.said.value = f"<span class='lc-quiet'>best {METRICS[found.select_by]} {found.score:.4f}, {words}</span>"


def _read(folder: Path) -> TuningResult | None:
    return TuningResult.load(folder) if (folder / BEST).is_file() else None


def view_state(result: TuningResult) -> dict[str, Any]:
    """A tuning as the browser takes it.

    Returns:
        `axes`: name, ticks (height from 0 to 1, text), importance in words; the last is the score. `trials`, the best
        first: trial, state, score and values in words, the height on each axis (None where the line passes it over).
    """
    scores = result.trials["score"].dropna()
    low, high = (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 1.0)
    axes: list[dict[str, Any]] = [
        {
            "name": axis.name.removeprefix("network."),
            "ticks": list(axis.ticks().items()),
            "weight": f"{result.importance[axis.path]:.0%}" if axis.path in result.importance else "",
        }
        for axis in result.space
    ]
    ends = [(0.0, f"{low:.3f}"), (1.0, f"{high:.3f}")] if len(scores) else []
    axes.append({"name": METRICS[result.select_by], "ticks": ends, "weight": ""})
    trials = [_trial(row, result, low, high) for row in result.ranking.to_dict("records")]
    return {"axes": axes, "trials": trials}


def _trial(row: dict[str, Any], result: TuningResult, low: float, high: float) -> dict[str, Any]:
    values = [row[axis.path] for axis in result.space]
    score = None if is_absent(row["score"]) else float(row["score"])
    height = None if score is None else (score - low) / (high - low) if high > low else 0.5
    spread = "" if is_absent(row["spread"]) else f" ± {row['spread']:.3f}"
    return {
        "trial": int(row["trial"]),
        "state": row["state"],
        "score": "" if score is None else f"{score:.4f}{spread}",
        "values": ["" if is_absent(one) else word(one) for one in values],
        "heights": [*(axis.height(one) for axis, one in zip(result.space, values, strict=True)), height],
        "seconds": f"{row['seconds']:.1f} s",
        "message": row["message"],
    }
