"""What a training left behind: `TrainingResult`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path

from toolkit.learning.calibration import Calibration
from toolkit.learning.callbacks import Row
from toolkit.learning.state import read_progress
from toolkit.learning.tries import read_tries, spread

STATE, MODEL, HISTORY, LIVE = "state.safetensors", "model", "history.csv", "live.json"
CALIBRATION, TRIES_TABLE, TRIES = "calibration.json", "tries.csv", "tries"

METRIC_NAMES = {"OA": "oa", "Kappa": "kappa", "F-score": "f_score", "valid loss": "valid_loss"}
"""What the metrics of a row are called."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training left behind."""

    history: list[Row]
    """A row for each epoch: epoch, train_loss, valid_loss, oa, kappa, f_score, seconds."""
    best: Row | None
    """The row of the epoch whose weights are kept; None, and no model, if stopped in the first epoch."""
    folder: Path
    """Holds `model/`, `history.csv` and the state to go on from."""
    stopped: bool = False
    """Whether a stop was asked for before the last epoch."""
    changes: list[dict[str, float]] = field(default_factory=list)
    """Each change of the learning rate by hand while it ran: `epoch` from which it held, and `rate_scale`. With one,
    the seed and the parameters alone do not give the same weights again."""

    @classmethod
    def load(cls, folder: Path) -> TrainingResult:
        """What the last training in this folder left behind; without a row where it ended no epoch.

        Raises:
            RunFolderError: the state is damaged.
        """
        if not (folder / STATE).exists():
            return cls([], None, folder, stopped=True)
        progress = read_progress(folder / STATE)
        return cls(progress.history, progress.best, folder, not progress.finished, progress.changes)

    @property
    def model_folder(self) -> Path:
        return self.folder / MODEL

    @cached_property
    def calibration(self) -> Calibration | None:
        """What the calibration of the confidence did; None where there was none."""
        return Calibration.read(self.folder / CALIBRATION)

    @cached_property
    def tries(self) -> list[Row]:
        """Of several trainings, a row for each: batch_size, learning_rate, seed, best_epoch and metrics; else none."""
        return read_tries(self.folder / TRIES_TABLE)

    @property
    def spread(self) -> list[Row]:
        """Of several trainings, the mean and the standard deviation (`*_std`) of the metrics over the seeds."""
        return spread(self.tries)

    def __repr__(self) -> str:
        head = f"TrainingResult({', '.join(f'{name} {cell}' for name, cell in self._cells().items())})"
        return "\n".join(
            [head, *(", ".join(f"{name} {cell}" for name, cell in one.items()) for one in self._couples())]
        )

    def _repr_html_(self) -> str:
        cells = self._cells() | {"model": str(self.model_folder) if self.best else "none yet"}
        head = "<tr><th style='text-align:left'>"
        rows = "".join(f"{head}{name}</th><td>{escape(cell)}</td></tr>" for name, cell in cells.items())
        return f"<table><caption>Training</caption>{rows}</table>{self._tries_html()}"

    def _cells(self) -> dict[str, str]:
        cells = {"epochs": f"{len(self.history)}{' (stopped)' if self.stopped else ''}"}
        if self.best:
            cells["best epoch"] = str(self.best["epoch"])
            cells |= {name: f"{self.best[column]:.3f}" for name, column in METRIC_NAMES.items()}
        if self.calibration:
            before, after = self.calibration.ece_before, self.calibration.ece_after
            cells["calibration error"] = f"{after:.3f}, without temperature {before:.3f}"
        if self.changes:
            cells["rate changed by hand"] = rate_changes(self.changes)
        return cells | {"time": f"{sum(row['seconds'] for row in self.history):.1f} s"}

    def _tries_html(self) -> str:
        couples = self._couples()
        if not couples:
            return ""
        head = "".join(f"<th>{name}</th>" for name in couples[0])
        rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in one.values())}</tr>" for one in couples)
        return f"<table><caption>Tries</caption><tr>{head}</tr>{rows}</table>"

    def _couples(self) -> list[dict[str, str]]:
        """Of several trainings, each couple of batch size and rate, with mean and spread over its seeds, in words."""
        return [
            {"batch": f"{row['batch_size']:,}", "rate": f"{row['learning_rate']:g}", "seeds": str(row["seeds"])}
            | {
                name: f"{row[column]:.3f}" + (f" ± {row[f'{column}_std']:.3f}" if row["seeds"] > 1 else "")
                for name, column in METRIC_NAMES.items()
            }
            for row in self.spread
        ]


def rate_changes(changes: Sequence[Mapping[str, float]]) -> str:
    """Changes of the learning rate in words."""
    return ", ".join(f"× {one['rate_scale']:g} from epoch {one['epoch']:.0f}" for one in changes)
