"""`RunPanel`: runs the steps of an experiment as a job, beside the kernel, and shows how it goes.

The panel holds nothing: the job is in the files of the run folder. A panel made anew, after the page was reloaded or
the kernel restarted, finds the job that runs there.
"""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import datetime
from html import escape
from importlib import resources
from typing import Any

import anywidget
import ipywidgets as W
import traitlets

from toolkit.experiment.config import Experiment
from toolkit.experiment.job_status import JobStatus
from toolkit.experiment.jobs import Job
from toolkit.experiment.stages import CROSS_VALIDATION, VERBS, Stage, stage_names
from toolkit.experiment.steps import BY_OVERWRITE
from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.widgets.background import Background, Poller
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.live import LiveCurves
from toolkit.widgets.panel import Panel
from toolkit.widgets.run_shown import Shown, Standing, standing_of

HERE = resources.files("toolkit.widgets")
STYLE = (HERE / "run_panel.css").read_text(encoding="utf-8")

NAMES = {"run": "whole chain", "cross_validate": CROSS_VALIDATION}
"""What a verb is called in the list, where not by its own name."""

TRAINING = ("run", "train")
"""Verbs whose panel shows the curves of the training."""

AWAIT_EVERY = 0.1
"""Seconds between two looks of a cell that waits for the end."""

LOG_EVERY = 1.0
"""Seconds between two updates of the log at least."""

REPLACE = "Replace outdated results"

WORDS = {"stopping": "Stopping", "stopped": "Stopped", "failed": "Failed", "done": "Done"}


class StageList(anywidget.AnyWidget):
    """The list of stages."""

    _esm = "".join((HERE / name).read_text(encoding="utf-8") for name in ("chart.js", "run_panel.js"))
    _css = STYLE

    state = traitlets.Dict().tag(sync=True)
    """headline, and stages: a dict each with name, state, message, part done (0 to 1 or None), left and seconds."""


class JobLog(anywidget.AnyWidget):
    """The last lines of a job's log, folded."""

    _esm = (HERE / "job_log.js").read_text(encoding="utf-8")

    text = traitlets.Unicode("").tag(sync=True)
    is_open = traitlets.Bool(False).tag(sync=True)
    """Whether a person looks at it; it is not sent otherwise."""


class RunPanel(Panel):
    """Runs one verb or the whole chain in a process of its own; the kernel stays free.

    It finds the job that runs in the run folder, whoever started it; closed, it leaves it running. `start`, `stop` and
    `resume` are its buttons; `job` is the job shown, None where there was none.

    Args:
        verb: what is chosen at first; the verb of the job, where one runs.
        thread: work in a thread of the kernel: for what is short, since it begins at once, but ends with the kernel.
    """

    job_state = traitlets.Unicode("")
    """State of the job shown, for what hangs on its end; empty where there was none."""
    chain = traitlets.List()
    """The stages of a whole run, whatever verb is chosen, as the browser takes them."""

    def __init__(self, experiment: Experiment, verb: str = "run", *, thread: bool = False) -> None:
        stage_names(experiment, verb)
        self.experiment, self._in_thread = experiment, thread
        self.job: Job | None = None
        self.problem, self.folder_problem, self.job_problem = ErrorBox(), ErrorBox(), ErrorBox()
        self.curves = LiveCurves(show=False)
        self.stage_list, self.job_log = StageList(), JobLog()
        self._shown = Shown()
        self._chosen = verb
        """The verb to go back to when the job of another one has ended."""
        self._drawing = threading.RLock()
        self._standing = Background(standing_of, self._take_standing, self._standing_failed)
        self._poller = Poller(self._look, self.problem.tell)
        self._make_controls(verb)
        problems = [self.problem, self.folder_problem, self.job_problem]
        super().__init__([self._controls, *problems, self.stage_list, self.curves, self.job_log])
        self.add_class("lc-run")
        self.problem.guard(self._attach)()
        unobserve = experiment.observe(self.problem.guard(lambda *_: self._follow_edit()))
        self._end_with(unobserve, self._poller.close, self._standing.close)

    def start(self) -> None:
        """Start a job for the chosen verb, with the experiment as it is, saved or not.

        Raises:
            RunFolderError: something is at work in the run folder already, or results there would have to be replaced.
        """
        self._refuse_to_replace()
        self._begin(self.verb.value, self.overwrite.value)

    def stop(self) -> None:
        """Ask the job to stop; what is done stays done."""
        if self.job is not None:
            self.job.stop()
            self._poller.start()

    def _hold_or_go_on(self) -> None:
        if self.job is not None:
            (self.job.go_on if self._shown.is_paused else self.job.pause)()

    def resume(self) -> None:
        """Start the verb of the last job again: it goes on where that one ended.

        Raises:
            RunFolderError: something is at work in the run folder already.
        """
        if self.job is not None:
            overwrite = self._is_job_of_now and self.job.order.arguments.get("overwrite", False)
            self._begin(self.job.verb, self.overwrite.value or overwrite)

    async def ended(self) -> None:
        """Wait for the end of the job, `await panel.ended()`; the buttons go on answering meanwhile.

        Raises:
            RunFolderError: the job failed or was stopped, so that cells below do not go on without its results.
        """
        while self.job is not None and not (status := self.job.look()).is_over:
            await asyncio.sleep(AWAIT_EVERY)
        if self.job is not None and status.state != "done":
            raise RunFolderError(status.error or f"the job was stopped; press Resume, or run {self.job.verb} again")

    def refresh(self) -> None:
        """Look again what is in the run folder, such as results of verbs that were called in a cell."""
        self._attach()

    def settle(self, seconds: float = 10) -> bool:
        """Wait until what is shown is the last state; whether that came within `seconds`."""
        until = time.monotonic() + seconds
        return self._poller.settle(seconds) and self._standing.settle(max(0.0, until - time.monotonic()))

    def _make_controls(self, verb: str) -> None:
        guard = self.problem.guard
        options = [(NAMES.get(one, one), one) for one in VERBS]
        self.verb = W.Dropdown(options=options, value=verb, tooltip="What to run")
        self.run_button = W.Button(description="Run", button_style="primary", tooltip="Run it in a process of its own")
        self.pause_button = W.Button(tooltip="Hold it, and go on: nothing else changes")
        self.stop_button = W.Button(description="Stop", tooltip="What is done stays done", disabled=True)
        self.resume_button = W.Button(description="Resume", tooltip="Go on with what was stopped", disabled=True)
        self.overwrite = W.Checkbox(description=REPLACE, indent=False)
        self.overwrite.layout.visibility = "hidden"
        self.run_button.on_click(guard(lambda _: self.start()))
        self.pause_button.on_click(guard(lambda _: self._hold_or_go_on()))
        self.stop_button.on_click(guard(lambda _: self.stop()))
        self.resume_button.on_click(guard(lambda _: self.resume()))
        self.verb.observe(guard(lambda _: self._choose(), clears=False), "value")
        self.job_log.observe(guard(lambda _: self._show_log(at_once=True), clears=False), "is_open")
        buttons = [self.verb, self.run_button, self.pause_button, self.stop_button, self.resume_button, self.overwrite]
        self._controls = W.HBox(buttons)
        self._controls.add_class("lc-controls")

    def _refuse_to_replace(self) -> None:
        """Say at once what a job would say after a while: results are there, and the box is not ticked."""
        found = self._shown.outdated
        if found and not self.overwrite.value and self._shown.is_known_of(self.experiment):
            self._look_into_folder()  # a verb called in a cell may have made them anew
            raise RunFolderError(
                f"the results of `{found[0].name}` are outdated: {found[0].message}. Tick “{REPLACE}”, or give the "
                "experiment another `name`"
            )

    @property
    def _is_job_of_now(self) -> bool:
        """Whether the job was started with the parameters as they are now."""
        try:
            return self.job is not None and self.job.experiment.params == self.experiment.params
        except ParameterError:  # those of the job are none any more
            return False

    def _begin(self, verb: str, overwrite: bool) -> None:
        self._chosen = verb
        try:
            job = Job.start(self.experiment, verb, overwrite=overwrite, thread=self._in_thread)
        except Exception:
            self._attach()  # what runs there is shown
            raise
        self.run_button.disabled = True
        self._follow_job(job)

    def _attach(self) -> None:
        """Show the job of the run folder, and what is there."""
        self._shown.folder = self.experiment.folder
        self._follow_job(Job.latest(self.experiment))
        self._ask_standing()

    def _follow_job(self, job: Job | None) -> None:
        with self._drawing:
            self.job, self._shown.status, self._shown.is_stale = job, None, True
        self._poller.start()

    def _follow_edit(self) -> None:
        """The experiment was changed: its results may be outdated, or its run folder another one."""
        if self.experiment.folder != self._shown.folder:
            self._attach()
        else:
            self._ask_standing()

    def _choose(self) -> None:
        """Another verb was chosen, by a person, or by the job that is followed."""
        if not self._shown.is_running:
            self._chosen = self.verb.value
        self._ask_standing()

    def _ask_standing(self) -> None:
        self._draw()
        self._look_into_folder()

    def _look_into_folder(self) -> None:
        experiment = Experiment(self.experiment.params, self.experiment.path)
        self._standing.ask(experiment, self.verb.value, self._job_that_is_over())

    def _job_that_is_over(self) -> str | None:
        """Empty where there was no job; None while one runs, or was not looked at yet."""
        if self.job is None:
            return ""
        return self.job.id if self._shown.status is not None and self._shown.status.is_over else None

    def _take_standing(self, found: Standing) -> None:
        """What is in the run folder was looked at, in another thread."""
        with self._drawing:
            self.folder_problem.clear()
            if found.folder == self.experiment.folder and found.verb == self.verb.value:
                self._shown.standing = found
                self._shown.is_stale = found.after is None or found.after != self._job_that_is_over()
                self._draw()
                self._show_curves()

    def _standing_failed(self, error: Exception) -> None:
        """The run folder could not be looked at: nothing is known of it."""
        with self._drawing:
            self._shown.standing = None
            self.folder_problem.tell(error)
            self._draw()

    def _look(self) -> bool:
        """Show how the job goes; whether there will be more. Called a few times a second while it runs."""
        with self._drawing:
            job = self.job
            self._shown.status = status = job.look() if job else None
            running = self._shown.is_running
            self.verb.value = job.verb if job and running else self._chosen
            self._draw()
            self._show_curves()
            self._show_log(at_once=not running)
            if status is not None and not running and self._shown.is_stale:
                self._look_into_folder()
        self.job_state = status.state if status else ""
        return running

    def _draw(self) -> None:
        """Set what the browser shows, in one message a widget."""
        with self._drawing:
            status = self._shown.status
            rows = self._shown.rows(stage_names(self.experiment, self.verb.value))
            self.stage_list.state = {"headline": self._headline(status), "stages": [_row(one) for one in rows]}
            self.chain = [_row(one) for one in self._shown.rows(stage_names(self.experiment))]
            running = self._shown.is_running
            self.verb.disabled = self.run_button.disabled = running
            self.pause_button.layout.display = "" if self._can_be_held(status) else "none"
            self.pause_button.description = "Go on" if self._shown.is_paused else "Pause"
            self.stop_button.disabled = status is None or status.state != "running"
            self.resume_button.disabled = not self._can_resume(status)
            refused = status is not None and "overwrite" in status.error  # the state of another training is no result
            outdated = not running and (refused or bool(self._shown.outdated))
            self.overwrite.layout.visibility = "visible" if outdated else "hidden"
            self.overwrite.value = self.overwrite.value and outdated
            said = escape(status.error) in self.folder_problem.value if status is not None else True
            if status is not None and status.error and not said:
                self.job_problem.show(_for_the_panel(status.error))
            else:
                self.job_problem.clear()

    def _can_be_held(self, status: JobStatus | None) -> bool:
        """Whether it is a tuning at work; a training has buttons at its curves."""
        begun = status is not None and status.state == "running" and status.stages[0].state == "running"
        return begun and self.job is not None and self.job.verb == "tune"

    def _can_resume(self, status: JobStatus | None) -> bool:
        """Whether the last job did not end well, and would not be refused now."""
        broken = status is not None and status.state in ("stopped", "failed")
        return broken and (self._is_job_of_now or not self._shown.outdated)

    def _headline(self, status: JobStatus | None) -> str:
        if self.job is None or status is None:
            return "No job yet" if self.job is None else ""
        what = NAMES.get(self.job.verb, self.job.verb)
        since = datetime.fromisoformat(self.job.order.started).strftime("%H:%M")
        if status.state == "running":
            begun = any(one.state != "waiting" for one in status.stages)
            return f"Running: {what}, since {since}" if begun else f"Starting: {what}"
        mend = ". Resume goes on from there" if status.state == "stopped" and self._can_resume(status) else ""
        if self.job.verb != self.verb.value:  # the list below is not of it
            return f"Last job: {what}, begun {since}, {WORDS[status.state].lower()}{mend}"
        return f"{WORDS[status.state]}: {what}, begun {since}{mend}"

    def _show_curves(self) -> None:
        if self.job is not None and self._shown.status is not None and self._shown.is_running:
            self.curves.show_job(self.job, self._shown.status, ("pause", "rate"))
        else:
            self.curves.show_run(self.experiment)
        at_fold = self._shown.is_running and self.job is not None and self.job.verb == "cross_validate"
        shown = self.curves.history and (at_fold or self.verb.value in TRAINING)
        self.curves.layout.display = "" if shown else "none"

    def _show_log(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if self.job is not None and self.job_log.is_open and (at_once or now - self._shown.log_at >= LOG_EVERY):
            self._shown.log_at = now
            self.job_log.text = self.job.log


def _for_the_panel(error: str) -> str:
    """An error of a job, which speaks of calls and commands, for one who has a box to tick."""
    box = f"tick “{REPLACE}”"
    return error.replace(BY_OVERWRITE, box).replace("train with overwrite", box)


def _row(stage: Stage) -> dict[str, Any]:
    """A stage as the browser takes it; small differences of time left are no news."""
    part = round(stage.done / stage.total, 3) if stage.state == "running" and stage.total else None
    left = None if stage.left is None else round(stage.left)
    return {"name": stage.name, "state": stage.state, "message": stage.message, "part": part, "left": left} | {
        "seconds": round(stage.seconds, 1)
    }
