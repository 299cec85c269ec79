"""`TensorBoardFiles`: a training as event files, which TensorBoard draws.

tensorboard --logdir runs/oso_4_tiles/learning
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.ground.errors import ParameterError
from toolkit.ground.writing import explained
from toolkit.learning.callbacks import Callback, Row, TrainingRun

TENSORBOARD = "tensorboard"
"""Folder of the event files, beside the history."""

SUFFIX = ".landcover"
"""How the names of our event files end, so that those of others stay."""

SCALARS = {
    "loss/train": "train_loss",
    "loss/valid": "valid_loss",
    "valid/OA": "oa",
    "valid/Kappa": "kappa",
    "valid/F-score": "f_score",
    "training/learning rate": "learning_rate",
    "training/seconds an epoch": "seconds",
}
"""Name in TensorBoard -> column of the history."""


class TensorBoardFiles(Callback):
    """Writes loss, metrics, learning rate and the F-score of each class, an epoch a step.

    A training that goes on adds to what is there: no epoch is written twice, and those that a kill left out are
    written from the history.

    Args:
        folder: receives the event files.

    Raises:
        ParameterError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        _check_installed()
        self._writer: Any = None

    def on_train_begin(self, run: TrainingRun) -> None:
        """Open the files, and write the epochs that they lack."""
        from torch.utils.tensorboard.writer import SummaryWriter

        there = _epochs_in(self.folder)
        if there > len(run.history):  # of a training that was begun again
            self._delete()
            there = 0
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._writer = SummaryWriter(str(self.folder), filename_suffix=SUFFIX)
        for row in run.history[there:]:
            self._write(row, {})

    def on_epoch_end(self, run: TrainingRun, row: Row) -> None:
        """Write the epoch."""
        scores: Mapping[str, float] = {}
        if run.matrix is not None:
            found = zip(run.labels, run.matrix.f_scores, run.matrix.present, strict=True)
            scores = {label: float(score) for label, score, present in found if present}
        self._write(row, scores)

    def on_train_end(self, run: TrainingRun) -> None:
        """Close the files."""
        self._writer.close()

    def _write(self, row: Row, scores: Mapping[str, float]) -> None:
        for name, column in SCALARS.items():
            if column in row:
                self._writer.add_scalar(name, row[column], row["epoch"])
        for label, score in scores.items():
            self._writer.add_scalar(f"F-score of a class/{label}", score, row["epoch"])
        self._writer.flush()

    def _delete(self) -> None:
        for path in self.folder.glob(f"events.out.tfevents.*{SUFFIX}"):
            with explained(path):
                path.unlink()


def _check_installed() -> None:
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise ParameterError(
            "event files for TensorBoard need its package: pip install 'landcover-toolkit[tensorboard]' or pip install "
            "tensorboard; or set learning.tensorboard: false"
        ) from None


def _epochs_in(folder: Path) -> int:
    """The last epoch in our event files of a folder; 0 where there is none."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    paths = sorted(folder.glob(f"events.out.tfevents.*{SUFFIX}"))
    return max((event.step for path in paths for event in EventFileLoader(str(path)).Load()), default=0)
