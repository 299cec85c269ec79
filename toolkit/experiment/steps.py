"""Run a step once: skip it where it is up to date, refuse to write over other results, note what was done.

A step is up to date when its parameters, its input files, the steps it builds on and the toolkit's version are those
it was made with, and its outputs are there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    params: dict[str, Any] = {}
    for path in step.sections:
        params.update(_flatten(path, experiment.get(path)))
    return Record(params, step.inputs, {name: records[name].key for name in step.after if name in records})


def perform(
    experiment: Experiment,
    step: Step,
    work: Callable[[Reporter, Record], str | None],
    *,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> bool:
    """Run `work` unless the step is up to date.

    Args:
        work: called with the reporter and the record of what the result is made from; gives a line about the
            result, or None if it was stopped before its end.
        overwrite: replace results that were made with other parameters.

    Returns:
        Whether the step is finished (false if it was stopped).

    Raises:
        RunFolderError: there are results made with other parameters, a step it builds on is missing, or another
            process works in the run folder.
    """
    folder = RunFolder(experiment.folder)
    manifest, reporter = Manifest(folder.manifest), Reporter(folder.events, observer)
    records = manifest.records()
    for name in step.after:
        if name not in records:
            raise RunFolderError(f"{folder.root} has no result of `{name}`, which `{step.name}` needs; run it first")
    wanted = record_of(experiment, step, records)
    made = records.get(step.name) if all(path.exists() for path in step.outputs) else None
    if made and made.key == wanted.key:
        reporter.tell(Event(step.name, "up to date"))
        return True
    if made and not overwrite and not _grows(made, wanted, step.may_grow):
        raise RunFolderError(_other_results(step, made, wanted, folder))
    with only_process_in(folder.root), _timed(step, reporter) as finish:
        message = work(reporter, wanted)
        if message is not None:
            write_text(folder.experiment, experiment.to_yaml())
            manifest.add(step.name, wanted, experiment.seed)
        finish(message)
    return message is not None


@contextmanager
def _timed(step: Step, reporter: Reporter) -> Iterator[Callable[[str | None], None]]:
    start = time.perf_counter()

    def finish(message: str | None) -> None:
        state: State = "stopped" if message is None else "done"
        reporter.tell(Event(step.name, state, 1, 1, message or "", round(time.perf_counter() - start, 2)))

    reporter.tell(Event(step.name, "running"))
    try:
        yield finish
    except BaseException as error:
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
        "or say overwrite to replace it"
    )


def _flatten(path: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Params):
        return {
            name: leaf
            for child in type(value).model_fields
            for name, leaf in _flatten(f"{path}.{child}", getattr(value, child)).items()
        }
    return {path: json.loads(json.dumps(value, default=str))}
