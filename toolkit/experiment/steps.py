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
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import Manifest, Record
from toolkit.ground.errors import RunFolderError
from toolkit.ground.locking import only_process_in
from toolkit.ground.params import Params
from toolkit.ground.writing import append_line, write_text

State = Literal["running", "done", "up to date", "stopped", "failed"]
EVENTS_A_SECOND = 4.0


@dataclass(frozen=True)
class Event:
    """A change of a step's state, or its progress."""

    step: str
    state: State
    done: int = 0
    total: int = 0
    message: str = ""
    seconds: float = 0.0


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


@dataclass(frozen=True)
class Stopped:
    """The outcome of a step that was stopped before its end."""

    message: str = ""
    reached: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of what was reached, such as fewer epochs; empty where nothing usable was."""


@dataclass
class Reporter:
    """Writes events to `events.jsonl` and tells an observer."""

    path: Path
    observer: Observer | None = None
    _last: float = field(default=0.0, repr=False)

    def tell(self, event: Event) -> None:
        """Record an event."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S"), **vars(event)}
        append_line(self.path, json.dumps(line, ensure_ascii=False))
        if self.observer:
            self.observer(event)

    def progress(self, step: str, message: str = "") -> Callable[[int, int], None]:
        """A callback (done, total) that records a few events a second."""

        def callback(done: int, total: int) -> None:
            now = time.monotonic()
            if done >= total or now - self._last > 1 / EVENTS_A_SECOND:
                self._last = now
                self.tell(Event(step, "running", done, total, message))

        return callback


def record_of(experiment: Experiment, step: Step, records: Mapping[str, Record]) -> Record:
    """What the step would be made from now."""
    params: dict[str, Any] = dict(step.arguments)
    for path in step.sections:
        params.update(_flatten(path, experiment.get(path)))
    return Record(params, step.inputs, {name: records[name].key for name in step.after if name in records})


def perform(
    experiment: Experiment,
    step: Step,
    work: Callable[[Reporter, Record], str | Stopped],
    *,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> None:
    """Run `work` unless the step is up to date.

    The record of an earlier result is dropped before `work` begins and written when it has ended, so that a result
    half replaced is never taken for a finished one.

    Args:
        work: called with the reporter and the record of what the result is made from; gives a line about the result,
            or `Stopped`.
        overwrite: replace results that were made with other parameters.

    Raises:
        RunFolderError: there are results made with other parameters, a step it builds on is missing, or another
            process works in the run folder.
    """
    folder = RunFolder(experiment.folder)
    manifest, reporter = Manifest(folder.manifest), Reporter(folder.events, observer)
    if _is_up_to_date(experiment, step, manifest.records()):
        reporter.tell(Event(step.name, "up to date"))
        return
    with only_process_in(folder.root):
        wanted = _may_run(experiment, step, folder, manifest.records(), overwrite)
        _sweep(folder.root)
        with _timed(step, reporter) as finish:
            manifest.drop(step.name, experiment.seed)
            outcome = work(reporter, wanted)
            reached = outcome.reached if isinstance(outcome, Stopped) else {}
            if not isinstance(outcome, Stopped) or reached:
                write_text(folder.experiment, experiment.to_yaml())
                record = replace(wanted, params={**wanted.params, **reached})
                manifest.add(step.name, record, experiment.seed)
            finish(outcome)


def _is_up_to_date(experiment: Experiment, step: Step, records: Mapping[str, Record]) -> bool:
    made = records.get(step.name)
    if made is None or not all(path.exists() for path in step.outputs) or any(one not in records for one in step.after):
        return False
    return made.key == record_of(experiment, step, records).key


def _may_run(
    experiment: Experiment, step: Step, folder: RunFolder, records: Mapping[str, Record], overwrite: bool
) -> Record:
    """What the step would be made from, once it is sure that nothing is lost by running it."""
    for name in step.after:
        if name not in records:
            raise RunFolderError(f"{folder.root} has no result of `{name}`, which `{step.name}` needs; run it first")
    wanted = record_of(experiment, step, records)
    made = records.get(step.name) if all(path.exists() for path in step.outputs) else None
    if made and made.key != wanted.key and not overwrite and not _grows(made, wanted, step.may_grow):
        raise RunFolderError(_other_results(step, made, wanted, folder))
    return wanted


def _sweep(root: Path) -> None:
    """Delete what a killed process left half written; no other process works here now."""
    for part in root.rglob(".*.part*"):
        if part.is_file():
            part.unlink(missing_ok=True)


@contextmanager
def _timed(step: Step, reporter: Reporter) -> Iterator[Callable[[str | Stopped], None]]:
    start = time.perf_counter()

    def finish(outcome: str | Stopped) -> None:
        state: State = "stopped" if isinstance(outcome, Stopped) else "done"
        message = outcome.message if isinstance(outcome, Stopped) else outcome
        reporter.tell(Event(step.name, state, 1, 1, message, round(time.perf_counter() - start, 2)))

    reporter.tell(Event(step.name, "running"))
    try:
        yield finish
    except BaseException as error:
        with suppress(RunFolderError):  # a full disk must not hide the error itself
            reporter.tell(Event(step.name, "failed", message=str(error) or type(error).__name__))
        raise


def _grows(made: Record, wanted: Record, may_grow: Sequence[str]) -> bool:
    """Whether nothing differs but parameters that were raised to go on."""
    raised = {name: wanted.params[name] for name in may_grow if wanted.params[name] > made.params.get(name, 0)}
    return bool(raised) and Record({**made.params, **raised}, made.inputs, made.after, made.version).key == wanted.key


def _other_results(step: Step, made: Record, wanted: Record, folder: RunFolder) -> str:
    differences = "; ".join(made.differences(wanted)[:4])
    return (
        f"{folder.root} holds a result of `{step.name}` made with {differences}. Give the experiment another `name`, "
        "or replace it: overwrite=True, on the command line --overwrite"
    )


def _flatten(path: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Params):
        return {
            name: leaf
            for child in type(value).model_fields
            for name, leaf in _flatten(f"{path}.{child}", getattr(value, child)).items()
        }
    return {path: json.loads(json.dumps(value, default=str))}
