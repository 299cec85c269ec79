"""The files of a job, `job/` in its run folder: by them any process starts it, follows it and stops it.

Quick to import: a job's process reads its order before it loads the toolkit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from toolkit.experiment.events import Event, State, note_event
from toolkit.ground.errors import RunFolderError
from toolkit.ground.locking import Holder
from toolkit.ground.params import build
from toolkit.ground.writing import write_text

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

TAIL = 32_768
"""Bytes of the log's end that are looked at."""


@dataclass(frozen=True)
class JobFiles:
    """Where the files of a run folder's job lie."""

    run_folder: Path

    @property
    def folder(self) -> Path:
        return self.run_folder / "job"

    @property
    def order(self) -> Path:
        return self.folder / "job.json"

    @property
    def log(self) -> Path:
        """What the job says, and what it is made to say by others: everything that is printed."""
        return self.folder / "log.txt"

    @property
    def stop(self) -> Path:
        """Asks the job to stop by being there."""
        return self.folder / "stop"

    @property
    def events(self) -> Path:
        return self.run_folder / "events.jsonl"

    def log_tail(self, lines: int) -> str:
        """The last lines of the log."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL))
                text = file.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


@dataclass(frozen=True)
class JobOrder:
    """What was ordered, as it stands in `job.json`."""

    id: str
    verb: str
    arguments: Mapping[str, Any]
    """Arguments of the verb, such as `overwrite`."""
    file: str
    """Path of the experiment file, which need not hold the parameters."""
    params: Mapping[str, Any]
    """The parameters as they were at the start."""
    stages: tuple[str, ...]
    """Names of the steps, in their order."""
    started: str
    """Time of the start, ISO 8601."""
    host: str
    pid: int | None
    """Process; None until it has begun."""
    thread: bool
    """Whether the job is a thread of that process instead of the whole process."""
    events_from: Annotated[int, Field(ge=0, lt=2**63)]
    """Place of its first event in `events.jsonl`, in bytes."""

    @classmethod
    def read(cls, files: JobFiles) -> JobOrder | None:
        """The order of the last job; None where there was none.

        Raises:
            RunFolderError: the file is damaged.
        """
        try:
            order = TypeAdapter(cls).validate_json(files.order.read_bytes())
            datetime.fromisoformat(order.started)
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise RunFolderError(f"{files.order} is damaged ({why}); delete it: no result is lost by that") from None
        return order

    def write(self, files: JobFiles) -> None:
        """Write `job.json`, whole."""
        write_text(files.order, json.dumps(asdict(self), indent=1, default=str))

    def begun_by(self, pid: int) -> JobOrder:
        """The same, once its process is known."""
        return replace(self, pid=pid)

    def experiment_then(self) -> Experiment:
        """The experiment as it was at the start.

        Raises:
            ParameterError: the parameters are not valid in this process, such as a network that only a notebook has.
        """
        from toolkit.experiment.config import Experiment, ExperimentParams

        return Experiment(build(ExperimentParams, self.params, self.file), self.file)

    @property
    def holder(self) -> Holder:
        """The job, as a lock names it."""
        since = datetime.fromisoformat(self.started).strftime("%H:%M")
        place = f"process {self.pid} on {self.host}" if self.pid else f"on {self.host}"
        return Holder(f"a job ({self.verb}, since {since}, {place})", self.id)

    def note(self, files: JobFiles, state: State, message: str = "") -> None:
        """Write an event of the job itself: its start or its end."""
        note_event(files.events, Event(f"job {self.verb}", state, message=message), job=self.id)
