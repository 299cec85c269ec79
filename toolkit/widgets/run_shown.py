"""What a run panel shows, put together from a job and from what is in the run folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from toolkit.experiment.config import Experiment, ExperimentParams
from toolkit.experiment.events import PAUSED
from toolkit.experiment.job_status import JobStatus
from toolkit.experiment.stages import Stage, stages


@dataclass(frozen=True)
class Standing:
    """What was found in a run folder for a verb."""

    folder: Any
    params: ExperimentParams
    verb: str
    after: str | None
    """The job that was over by then; None where one was still at work."""
    stages: tuple[Stage, ...]
    """Of the verb."""
    chain: tuple[Stage, ...]
    """Of a run."""


def standing_of(experiment: Experiment, verb: str, after: str | None) -> Standing:
    """Look at every input file: not for a callback."""
    of_verb = tuple(stages(experiment, verb))
    chain = of_verb if verb == "run" else tuple(stages(experiment))
    return Standing(experiment.folder, experiment.params, verb, after, of_verb, chain)


@dataclass
class Shown:
    """What the panel shows, put together from the job and from what is in the run folder."""

    folder: Any = None
    status: JobStatus | None = None
    standing: Standing | None = None
    is_stale: bool = True
    """Whether a job has changed the run folder since it was looked at."""
    log_at: float = 0.0

    @property
    def is_running(self) -> bool:
        return self.status is not None and not self.status.is_over

    @property
    def is_paused(self) -> bool:
        return self.status is not None and any(one.message.startswith(PAUSED) for one in self.status.stages)

    @property
    def outdated(self) -> list[Stage]:
        """The stages whose results a run would be refused to replace."""
        return [one for one in self._found() if one.state == "outdated"]

    def is_known_of(self, experiment: Experiment) -> bool:
        """Whether what was found is how it stands to the parameters as they are now."""
        return not self.is_stale and self.standing is not None and self.standing.params == experiment.params

    def rows(self, names: list[str]) -> list[Stage]:
        """The stages of these names."""
        return [self.stage(name) or Stage(name) for name in names]

    def stage(self, name: str) -> Stage | None:
        """A stage as a person should see it; None where nothing is known of it."""
        job = {one.name: one for one in self.status.stages}.get(name) if self.status else None
        there = next((one for one in (*self._found(), *self._chain()) if one.name == name), None)
        if job is None or job.state == "waiting" or there is None:
            return there or job
        finished = job.state in ("done", "up to date")
        if self.is_running or self.is_stale or finished == (there.state == "up to date"):
            return job if job.message or finished else replace(job, message=there.message)
        return there

    def _found(self) -> tuple[Stage, ...]:
        return self.standing.stages if self.standing and self.standing.folder == self.folder else ()

    def _chain(self) -> tuple[Stage, ...]:
        return self.standing.chain if self.standing and self.standing.folder == self.folder else ()
