"""Jobs: long work in a process of its own, while the kernel or the terminal that started it stays free.

    job = Job.start(experiment, "train")
    job.stages
    job.stop(); job.wait()

Everything about a job is in the files of its run folder. Any process, on any machine that sees the folder, can find it
(`Job.latest`), follow it and stop it: another notebook, the same one after its kernel was restarted, the command line.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import toolkit
from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.job_files import JobFiles, JobOrder
from toolkit.experiment.job_process import run_in_thread
from toolkit.experiment.job_status import JobFollower, JobState, JobStatus
from toolkit.experiment.stages import Stage, stage_names
from toolkit.ground.locking import GUARDED, FolderLock
from toolkit.ground.writing import explained
from toolkit.learning.control import ask

LOG_LINES = 200
"""Lines of the log that are shown."""

LOOK_EVERY = 0.05


class Job:
    """A verb, or the whole chain, at work in a run folder, or the last one that was."""

    def __init__(self, order: JobOrder, files: JobFiles) -> None:
        self.order, self.files = order, files
        self._follower = JobFollower(order, files)
        self._lock = threading.Lock()

    @classmethod
    def start(
        cls,
        experiment: Experiment,
        verb: str = "run",
        *,
        overwrite: bool = False,
        by: str = "tile",
        thread: bool = False,
    ) -> Job:
        """Begin a job with the parameters as they are now, saved or not; returns at once.

        Args:
            verb: `run` for the whole chain, `clean`, `sample`, `train`, `classify`, `mosaic`, `validate`,
                `cross_validate` or `tune`.
            overwrite: replace results that were made with other parameters.
            by: what `cross_validate` makes folds by.
            thread: work in a thread of this process, for what is short: it begins at once, but ends with this process.

        Raises:
            ParameterError: no such verb.
            RunFolderError: a job or a verb is at work in the run folder, or it cannot be written.
        """
        order = _order(experiment, verb, {"overwrite": overwrite} | ({"by": by} if verb == "cross_validate" else {}))
        order = replace(order, thread=thread, pid=os.getpid() if thread else None)
        files = JobFiles(experiment.folder)
        lock = FolderLock.take(files.run_folder, order.holder)
        try:
            order = replace(order, events_from=_size(files.events))
            _clear(files)
            order.write(files)
            order.note(files, "running")
            if thread:
                run_in_thread(order, files, lock)
                return cls(order, files)
            order = order.begun_by(_start_process(files, lock))
        except BaseException:
            lock.release()
            raise
        lock.release()  # the new process has it now
        return cls(order, files)

    @classmethod
    def latest(cls, experiment: Experiment | Path) -> Job | None:
        """The last job of an experiment, or of a run folder, whether it runs or not; None where there was none.

        Raises:
            RunFolderError: its file is damaged.
        """
        files = JobFiles(experiment if isinstance(experiment, Path) else experiment.folder)
        order = JobOrder.read(files)
        return cls(order, files) if order else None

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.files.run_folder

    @property
    def id(self) -> str:
        return self.order.id

    @property
    def verb(self) -> str:
        return self.order.verb

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment with the parameters that the job was started with."""
        return self.order.experiment_then()

    @property
    def state(self) -> JobState:
        """running, stopping (it was asked to), stopped, done or failed."""
        return self.look().state

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Its steps in their order, with progress and seconds left."""
        return self.look().stages

    @property
    def error(self) -> str:
        """Why it failed, and what to do; empty where it did not."""
        return self.look().error

    @property
    def log(self) -> str:
        """The last lines of what it printed; empty once another job works in its place."""
        latest = Job.latest(self.files.run_folder)
        return self.files.log_tail(LOG_LINES) if latest and latest.id == self.id else ""

    def follow_log(self) -> Iterator[str]:
        """Each line of the log, as it comes, until the job ends."""
        with self.files.log.open(encoding="utf-8", errors="replace") as file:
            is_over, line = False, ""
            while not is_over:
                is_over = self.look().is_over
                for part in file:
                    line += part
                    if line.endswith("\n") or is_over:
                        yield line.rstrip("\n")
                        line = ""
                if not is_over:
                    time.sleep(LOOK_EVERY)

    def look(self) -> JobStatus:
        """State, stages and error at one moment."""
        with self._lock:
            return self._follower.look()

    def stop(self) -> None:
        """Ask it to stop; returns at once. What is done stays done, and the same verb goes on from there."""
        if self.state == "running":
            with explained(self.files.stop):
                self.files.stop.touch()

    def pause(self) -> None:
        """Hold the training at work before its next batch, until `go_on`; returns at once."""
        self._ask(paused=True)

    def go_on(self) -> None:
        """Let a paused training go on; returns at once."""
        self._ask(paused=False)

    def scale_rate(self, factor: float) -> None:
        """Have the training at work multiply the learning rate of its schedule by this from now on; returns at once.

        A training that was changed by hand is not repeated by its seed and parameters alone; its result says so.

        Raises:
            ParameterError: a rate cannot be multiplied by that.
        """
        self._ask(rate_scale=factor)

    def _ask(self, **wishes: Any) -> None:
        if self.state == "running":
            ask(RunFolder(self.folder).control, **wishes)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; whether that came within `seconds`."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self.look().is_over:
            if until is not None and time.monotonic() >= until:
                return False
            time.sleep(LOOK_EVERY)
        return True

    def __repr__(self) -> str:
        status = self.look()
        steps = ", ".join(f"{one.name} {one.state}" for one in status.stages)
        return f"Job({self._title(status)}: {status.error or steps})"

    def _repr_html_(self) -> str:
        status = self.look()
        rows = "".join(
            f"<tr><td>{escape(one.name)}</td><td>{one.state}</td><td>{escape(one.message)}</td></tr>"
            for one in status.stages
        )
        error = f"<p role='alert'>{escape(status.error)}</p>" if status.error else ""
        return f"<table><caption>Job: {escape(self._title(status))}</caption>{rows}</table>{error}"

    def _title(self, status: JobStatus) -> str:
        since = datetime.fromisoformat(self.order.started).strftime("%Y-%m-%d %H:%M")
        return f"{self.verb} in {self.files.run_folder}, {status.state}, started {since}"


def _order(experiment: Experiment, verb: str, arguments: dict[str, Any]) -> JobOrder:
    return JobOrder(
        id=secrets.token_hex(8),
        verb=verb,
        arguments=arguments,
        file=str(experiment.path),
        params=experiment.params.model_dump(mode="json"),
        stages=tuple(stage_names(experiment, verb)),
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        host=socket.gethostname(),
        pid=None,
        thread=False,
        events_from=0,
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _clear(files: JobFiles) -> None:
    """Take away what the job before left."""
    with explained(files.folder):
        files.folder.mkdir(parents=True, exist_ok=True)
        files.stop.unlink(missing_ok=True)
        RunFolder(files.run_folder).control.unlink(missing_ok=True)
        files.log.write_text("", encoding="utf-8")


def _start_process(files: JobFiles, lock: FolderLock) -> int:
    """Start the job's process, which takes the lock over; its number."""
    handed_on = [lock.descriptor] if GUARDED else []
    command = [sys.executable, "-P", "-u", "-m", "toolkit.experiment.job_process"]
    with files.log.open("ab") as log:
        process = subprocess.Popen(
            [*command, str(files.run_folder.resolve()), *map(str, handed_on)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(),
            pass_fds=handed_on,
            start_new_session=True,  # lives on when the kernel or the terminal ends
        )
    threading.Thread(target=process.wait, name="landcover-reaper", daemon=True).start()
    return process.pid


def _environment() -> dict[str, str]:
    """This process's, without what belongs to a kernel, and with the way to the toolkit where it is not installed."""
    environment = {name: value for name, value in os.environ.items() if name != "JPY_PARENT_PID"}
    if "matplotlib_inline" in environment.get("MPLBACKEND", ""):
        del environment["MPLBACKEND"]
    place = Path(toolkit.__file__).parents[1]
    if place.name not in ("site-packages", "dist-packages"):
        ways = [str(place), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(way for way in ways if way)
    return environment
