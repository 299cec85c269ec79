"""How a job goes, told from its files: its state, its stages with progress and time left, its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from toolkit.experiment.events import EventReader
from toolkit.experiment.job_files import JobFiles, JobOrder
from toolkit.experiment.stages import Stage
from toolkit.ground.locking import GUARDED, holder_of

JobState = Literal["running", "stopping", "stopped", "done", "failed"]

VANISHED = (
    "the process ended without a word (killed, out of memory, or the disk is full; see its log); "
    "Resume goes on from there"
)

LEAST_SECONDS = 1.0
"""Time that must have passed before the time left is estimated from it."""


@dataclass(frozen=True)
class JobStatus:
    """A job at one moment."""

    state: JobState
    stages: tuple[Stage, ...]
    error: str = ""
    """Why it failed, with the mend; empty where it did not."""

    @property
    def is_over(self) -> bool:
        return self.state in ("stopped", "done", "failed")


class JobFollower:
    """Tells the status of one job, reading only what was added to `events.jsonl` since it was asked last."""

    def __init__(self, order: JobOrder, files: JobFiles) -> None:
        self._order, self._files = order, files
        self._reader = EventReader(files.events, order.events_from)
        self._progress = {name: _StageProgress(Stage(name)) for name in order.stages}
        self._end: tuple[JobState, str] | None = None
        self._replaced = False

    def look(self) -> JobStatus:
        """The status now."""
        alive = self._is_alive()  # before the events: a job writes its end before its lock ends
        for line in self._reader.read():
            if not self._replaced:
                self._take(line)
        state, error = self._end or self._state_without_end(alive)
        stages = [one.stage for one in self._progress.values()]
        return JobStatus(state, tuple(_ended(stages, state) if state in ("stopped", "failed") else stages), error)

    def _is_alive(self) -> bool:
        holder = holder_of(self._files.run_folder)
        return holder.id == self._order.id if holder else not GUARDED and not self._replaced

    def _state_without_end(self, alive: bool) -> tuple[JobState, str]:
        asked = not self._replaced and self._files.stop.exists()
        if alive:
            return ("stopping" if asked else "running"), ""
        return ("stopped", "") if asked else ("failed", VANISHED)

    def _take(self, line: Mapping[str, Any]) -> None:
        if "job" not in line:
            name = line["step"]
            self._progress.setdefault(name, _StageProgress(Stage(name))).take(line)
        elif line["job"] != self._order.id:
            self._replaced = True
        elif line["state"] != "running":
            self._end = line["state"], line["message"]


class _StageProgress:
    """A stage, with what its time left is estimated from."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._since: tuple[float, int] | None = None

    def take(self, line: Mapping[str, Any]) -> None:
        """Take in an event of this stage."""
        done, total = line["done"], line["total"]
        if line["state"] != "running":
            self.stage = Stage(self.stage.name, line["state"], line["message"], seconds=line["seconds"])
            return
        said = line["message"] or (self.stage.message if self.stage.state == "running" else "")  # progress has no words
        now = datetime.fromisoformat(line["time"]).timestamp()
        if self._since is None or total != self.stage.total or done < self.stage.done:
            self._since = now, done
        seconds, counted = now - self._since[0], done - self._since[1]
        left = seconds / counted * (total - done) if counted > 0 and seconds >= LEAST_SECONDS else None
        self.stage = Stage(self.stage.name, "running", said, done, total, left=left)


def _ended(stages: list[Stage], state: Literal["stopped", "failed"]) -> list[Stage]:
    """The stages of a job that came to this end: so did the one that ran, or else the one that could not begin."""
    if any(one.state in ("stopped", "failed") for one in stages):
        return stages
    at = next((one for one in stages if one.state == "running"), None)
    if at is None and state == "failed":
        at = next((one for one in stages if one.state == "waiting"), None)
    return [replace(one, state=state, left=None) if one is at else one for one in stages]
