"""Run a step once: skip it where it is up to date, refuse to write over other results, note what was done.

A step is up to date when its parameters, its input files, the steps it builds on and the toolkit's version are those
it was made with, and its outputs are there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from toolkit.experiment.config import Experiment
from toolkit.experiment.events import Event, note_event
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import Manifest, Record
from toolkit.ground.errors import RunFolderError
from toolkit.ground.locking import only_process_in
from toolkit.ground.params import Params, plain
from toolkit.ground.writing import write_text
from toolkit.learning.early_stop import EarlyStopParams
from toolkit.learning.losses import LossParams
from toolkit.learning.models import NO_INTERPOLATOR
from toolkit.learning.schedule import ScheduleParams
from toolkit.learning.tries import TriesParams
from toolkit.learning.updates import UpdateParams
from toolkit.series.methods import LINEAR

BY_OVERWRITE = "overwrite=True, on the command line --overwrite"
"""How results of other parameters are replaced; a panel says it otherwise."""

Standing = Literal["up to date", "waiting", "outdated"]
EVENTS_A_SECOND = 4.0

NOTED_SHARE, LONGEST_SILENCE = 1 / 400, 5.0
"""Progress is written down once in this share of the time that a step runs, at least every so many seconds: the file
of a training of ten hours has less than two megabytes."""


AS_BEFORE: Mapping[str, Any] = {
    "series.gap_filling": LINEAR,
    "features.representation": "gap_filled",
    "learning.interpolator": NO_INTERPOLATOR,
    "mapping.precision": "float32",
    "learning.loss": LossParams(),
    "learning.schedule": ScheduleParams(),
    "learning.updates": UpdateParams(),
    "learning.early_stop": EarlyStopParams(),
    "learning.tries": TriesParams(),
    "learning.calibrate": False,
    "learning.weight_power": 1.0,
    "learning.statistics_share": 1.0,
    "learning.probe_threads": False,
    "learning.precision": "float32",
    "learning.processes": 1,
}
"""Sections and parameters that came later, and the values that mean what was done before: with these, or without a
value, they are not part of a record."""

OF_NO_MATTER = ("learning.tensorboard",)
"""Parameters that no result depends on: they are not part of a record."""

Observer = Callable[[Event], None]
"""Called with each event; must be short."""


@dataclass(frozen=True)
class Step:
    """What a step depends on and what it leaves behind."""

    name: str
    sections: tuple[str, ...]
    """Sections or single parameters of the experiment, as dotted paths."""
    outputs: tuple[Path, ...]
    inputs: str = ""
    """Fingerprint of its input files."""
    after: tuple[str, ...] = ()
    """Steps it builds on."""
    may_grow: tuple[str, ...] = ()
    """Parameters that may be raised to go on from what is there."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the verb that the result depends on."""
    besides: tuple[str, ...] = ()
    """Parameters of its sections that it does not depend on."""
    is_shared: bool = False
    """Whether its outputs stand where other experiments put theirs; what is there then, the verb looks at itself."""


@dataclass(frozen=True)
class Stopped:
    """The outcome of a step that was stopped before its end."""

    message: str = ""
    reached: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of what was reached, such as fewer epochs; empty where nothing usable was."""


class StopRequest(BaseException):
    """Raised by an observer to stop the step; like KeyboardInterrupt, nothing but the step's end takes notice of it."""


@dataclass
class Reporter:
    """Writes events to `events.jsonl` and tells an observer."""

    path: Path
    observer: Observer | None = None
    _begun: float = field(default_factory=time.monotonic, repr=False)
    _told: float = field(default=0.0, repr=False)
    _noted: float = field(default=0.0, repr=False)

    def tell(self, event: Event) -> None:
        """Record an event."""
        note_event(self.path, event)
        if self.observer:
            self.observer(event)

    def progress(self, step: str, message: str = "", part: tuple[int, int] = (0, 1)) -> Callable[[int, int], None]:
        """A callback (done, total) that tells a few events a second, and records fewer the longer the step runs.

        Args:
            part: what the callback counts is the first (0), second (1), ... of so many parts of the same length.
        """
        before, parts = part

        def callback(done: int, total: int) -> None:
            now, at_end = time.monotonic(), done >= total
            if not at_end and now - self._told <= 1 / EVENTS_A_SECOND:
                return
            self._told = now
            event = Event(step, "running", before * total + done, parts * total, message)
            if at_end or now - self._noted >= min(LONGEST_SILENCE, NOTED_SHARE * (now - self._begun)):
                self._noted = now
                self.tell(event)
            elif self.observer:
                self.observer(event)

        return callback


def record_of(experiment: Experiment, step: Step, records: Mapping[str, Record]) -> Record:
    """What the step would be made from now."""
    params: dict[str, Any] = dict(step.arguments)
    for path in step.sections:
        params.update(_flatten(path, experiment.get(path)))
    params = {path: value for path, value in params.items() if path not in step.besides}
    return Record(params, step.inputs, {name: records[name].key for name in step.after if name in records})


def perform(
    experiment: Experiment,
    step: Step,
    work: Callable[[Reporter, Record], str | Stopped],
    *,
    overwrite: bool = False,
    observer: Observer | None = None,
    alone: bool = True,
    since: float | None = None,
) -> None:
    """Run `work` unless the step is up to date.

    The record of an earlier result is dropped before `work` begins and written when it has ended, so that a result
    half replaced is never taken for a finished one.

    Args:
        work: called with the reporter and the record of what the result is made from; gives a line about the result,
            or `Stopped`.
        overwrite: replace results that were made with other parameters.
        alone: whether nobody writes in the folder meanwhile, so that what is half written there was left by others.
        since: time of `time.perf_counter` at which the step began, where that was before `work`.

    Raises:
        RunFolderError: there are results made with other parameters, a step it builds on is missing, or another
            process works in the run folder.
    """
    folder = RunFolder(experiment.folder)
    manifest, reporter = Manifest(folder.manifest), Reporter(folder.events, observer)
    if _is_up_to_date(experiment, step, manifest.records()):
        reporter.tell(Event(step.name, "up to date"))
        return
    start = time.perf_counter() if since is None else since
    with only_process_in(folder.root):
        wanted = may_run(experiment, step, folder, manifest.records(), overwrite)
        if alone:
            sweep(folder.root)
        with _failure_told(step, reporter):
            manifest.drop(step.name, experiment.seed)
            outcome = work(reporter, wanted)
            reached = outcome.reached if isinstance(outcome, Stopped) else {}
            if not isinstance(outcome, Stopped) or reached:
                write_text(folder.experiment, experiment.to_yaml())
                record = replace(wanted, params={**wanted.params, **reached})
                manifest.add(step.name, record, experiment.seed)
    seconds = round(time.perf_counter() - start, 2)
    if isinstance(outcome, Stopped):
        reporter.tell(Event(step.name, "stopped", 1, 1, outcome.message, seconds))
    else:
        reporter.tell(Event(step.name, "done", 1, 1, outcome, seconds))


def standing(experiment: Experiment, step: Step, records: Mapping[str, Record]) -> tuple[Standing, str]:
    """How the results of a step stand to the experiment as it is now, and why.

    Returns:
        `up to date`; `waiting`, where they are not there yet, or go on from what is there; `outdated`, where they were
        made from something else.
    """
    made = _made(step, records)
    if made is None:
        return "waiting", ""
    if _is_up_to_date(experiment, step, records):
        return "up to date", ""
    wanted = record_of(experiment, step, records)
    if made.key == wanted.key and all(name in records for name in step.after):
        return "waiting", ""  # a file of it is not there, such as a layer that is asked for now
    differences = "; ".join(made.differences(wanted)[:4]) or "what it builds on is not there any more"
    if _grows(made, wanted, step.may_grow):
        return "waiting", f"goes on from what was made with {differences}"
    return "outdated", f"made with {differences}"


def _is_up_to_date(experiment: Experiment, step: Step, records: Mapping[str, Record]) -> bool:
    made = records.get(step.name)
    if made is None or not all(path.exists() for path in step.outputs) or any(one not in records for one in step.after):
        return False
    return made.key == record_of(experiment, step, records).key


def may_run(
    experiment: Experiment, step: Step, folder: RunFolder, records: Mapping[str, Record], overwrite: bool
) -> Record:
    """What the step would be made from, once it is sure that nothing is lost by running it.

    Raises:
        RunFolderError: there are results made with other parameters, or a step it builds on is missing or outdated.
    """
    for name in step.after:
        if name not in records:
            raise RunFolderError(f"{folder.root} has no result of `{name}`, which `{step.name}` needs; run it first")
        check_current(name, records, folder, step.name)
    wanted, made = record_of(experiment, step, records), _made(step, records)
    if made and made.key != wanted.key and not overwrite and not _grows(made, wanted, step.may_grow):
        raise RunFolderError(_other_results(step, made, wanted, folder))
    return wanted


def _made(step: Step, records: Mapping[str, Record]) -> Record | None:
    """What the results of a step that are there were made from; None where nothing of them is there."""
    are_there = (all if step.is_shared else any)(path.exists() for path in step.outputs)
    return records.get(step.name) if are_there else None


def check_current(name: str, records: Mapping[str, Record], folder: RunFolder, needed_by: str) -> None:
    """Refuse a result that was made from others than those that are there now.

    Raises:
        RunFolderError: it was; the message says which step to run again.
    """
    if other := _changed_since(name, records):
        raise RunFolderError(
            f"{folder.root}: the result of `{name}`, which `{needed_by}` needs, was made from another result of "
            f"`{other}` than the one that is there now; run `{name}` again first"
        )


def _changed_since(name: str, records: Mapping[str, Record]) -> str:
    """A step whose result is not the one that this one's was made from, at once or through others; empty for none."""
    waiting, seen = [name], {name}
    while waiting:
        for before, key in records[waiting.pop()].after.items():
            if before not in records or records[before].key != key:
                return before
            if before not in seen:
                seen.add(before)
                waiting.append(before)
    return ""


def sweep(root: Path) -> None:
    """Delete what a killed process left half written; no other process works here now."""
    for part in root.rglob(".*.part*"):
        if part.is_file():
            part.unlink(missing_ok=True)


@contextmanager
def _failure_told(step: Step, reporter: Reporter) -> Iterator[None]:
    """Tell that the step begins, and how it ends where it does not end well."""
    reporter.tell(Event(step.name, "running"))
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, StopRequest | KeyboardInterrupt)
        event = Event(step.name, "stopped" if stopped else "failed", message="" if stopped else words_of(error))
        with suppress(RunFolderError):  # a full disk must not hide the error itself
            reporter.tell(event)
        raise


def words_of(error: BaseException) -> str:
    """What an error says, or what kind it is where it says nothing."""
    return str(error) or type(error).__name__


def _grows(made: Record, wanted: Record, may_grow: Sequence[str]) -> bool:
    """Whether nothing differs but parameters that were raised to go on."""
    raised = {name: wanted.params[name] for name in may_grow if wanted.params[name] > made.params.get(name, 0)}
    return bool(raised) and Record({**made.params, **raised}, made.inputs, made.after, made.version).key == wanted.key


def _other_results(step: Step, made: Record, wanted: Record, folder: RunFolder) -> str:
    differences = "; ".join(made.differences(wanted)[:4])
    return (
        f"{folder.root} holds a result of `{step.name}` made with {differences}. Give the experiment another `name`, "
        f"or replace it: {BY_OVERWRITE}"
    )


def _flatten(path: str, value: Any) -> dict[str, Any]:
    if path in OF_NO_MATTER or AS_BEFORE.get(path) == value:
        return {}
    if isinstance(value, Params):
        return {
            name: leaf
            for child in type(value).model_fields
            for name, leaf in _flatten(f"{path}.{child}", getattr(value, child)).items()
        }
    if value in ({}, ()):  # nothing given is as in results made before there was such a parameter
        return {}
    return {path: json.loads(json.dumps(plain(value), default=str))}
