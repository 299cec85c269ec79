"""Events and results as lines on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.experiment.events import Event
from toolkit.experiment.folder import RunFolder

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment
    from toolkit.ground.accuracy import ConfusionMatrix


class Printer:
    """Prints events: a line for each finished step, and on a terminal a line that moves while it runs."""

    def __init__(self) -> None:
        self.moving = sys.stdout.isatty()
        self.start = time.perf_counter()

    def __call__(self, event: Event) -> None:
        if event.state == "running" and event.total:
            self._move(f"{event.step:<16} {bar_of(event.done, event.total)} {event.message}")
        elif event.state in ("done", "up to date", "stopped"):
            seconds = f"{event.seconds:6.1f} s" if event.state == "done" else " " * 8
            self._line(f"{event.step:<16} {event.state:<11}{seconds}  {event.message}")

    def bar(self, name: str) -> Callable[[int, int], None]:
        """A progress callback (done, total) for work that is not a step."""
        return lambda done, total: self._move(f"{name:<16} {bar_of(done, total)}")

    def end(self) -> None:
        """Leave the moving line."""
        if self.moving:
            _write("\n")

    def _move(self, text: str) -> None:
        if self.moving:
            _write(f"\r\033[K{text}")

    def _line(self, text: str) -> None:
        _write(f"\r\033[K{text}\n" if self.moving else f"{text}\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def bar_of(done: int, total: int, width: int = 24) -> str:
    """A bar of characters, and the percentage."""
    part = done / max(total, 1)
    full = round(width * part)
    return f"[{'#' * full}{'.' * (width - full)}] {part:4.0%}"


def accuracy_line(matrix: ConfusionMatrix, tested: str) -> str:
    """The headline of an assessment."""
    return f"OA {matrix.oa:.3f}   Kappa {matrix.kappa:.3f}   F-score {matrix.f_score:.3f}   ({matrix.total:,} {tested})"


def more_accuracies(folder: RunFolder) -> list[str]:
    """The lines of what else `validate` measured."""
    from toolkit.experiment.verbs import left_out_assessment, postprocessed_assessment

    found = {
        "pixels of the left-out tile": left_out_assessment(folder),
        "test pixels, post-processed map": postprocessed_assessment(folder),
    }
    return [accuracy_line(one.matrix, tested) for tested, one in found.items() if one]


def shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def size_in_words(count: float) -> str:
    """Bytes, as a person reads them: `1.4 GB`."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def conclusion(verb: str, experiment: Experiment, result: Any) -> str:
    """What is said when a verb has ended."""
    folder = RunFolder(experiment.folder)
    if verb in ("run", "validate"):
        lines = [accuracy_line(result.matrix, "test pixels"), *more_accuracies(folder)]
        return "\n".join([*lines, f"map     {shown(folder.map())}", f"report  {shown(folder.report)}"])
    if verb == "cross-validate":
        return f"{result!r}\n\nfigure  {shown(result.folder / 'folds.png')}"
    if verb == "tune":
        return f"{result!r}\n\ntrials  {shown(result.folder / 'trials.csv')}"
    if verb == "sample":
        return str(result.drop(columns=list(experiment.series.tiles), errors="ignore").to_string(index=False))
    if verb in ("classify", "prepare"):
        return "\n".join(f"{tile}  {shown(path)}" for tile, path in result.items())
    return shown(result) if isinstance(result, Path) else repr(result)
