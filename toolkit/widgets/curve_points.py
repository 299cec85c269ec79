"""The curves of a training as numbers that a browser takes: thinned out, packed, and those of trainings beside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import RunFolderError
from toolkit.learning.callbacks import Row, read_history
from toolkit.learning.parameters import LearningParams
from toolkit.learning.result import HISTORY, TRIES

Run = Sequence[Row] | Path | str | Experiment
"""A training to lay beside another: its history, its run folder, or its experiment."""

COLUMNS = ("epoch", "train_loss", "valid_loss", "oa", "kappa", "f_score")
"""Columns of `LiveCurves.points`."""

METRICS = ("oa", "kappa", "f_score")

MAX_POINTS = 300
"""Points sent at most: about one a pixel and curve, and under 10 kB an update, however long the training."""

MAX_COMPARED = 350
"""Points of all runs laid beside together."""

MOST_COMPARED = 6
"""Runs laid beside at most: with more, nobody tells them apart."""

MEAN = "mean"
"""How the name of a mean of several trainings begins."""


def best_epoch(history: Sequence[Row], params: LearningParams) -> int | None:
    """The epoch whose weights are kept: the first with the best value; None where there is none yet."""
    column, sign = params.select_column, -1 if params.select_by == "loss" else 1
    return max(history, key=lambda row: sign * row[column])["epoch"] if history else None


def lowest_metric(history: Sequence[Row], before: float = 1.0) -> float:
    """The lowest metric of these rows, at most `before`: the axis must not jump because points are thinned out."""
    return min([before, *(row[name] for row in history for name in METRICS if math.isfinite(row[name]))])


def history_of(run: Run) -> list[Row]:
    """The rows of a training, from where they are."""
    if isinstance(run, Experiment):
        run = run.folder
    if not isinstance(run, Path | str):
        return list(run)
    run = Path(run)
    history = read_history(RunFolder(run).history)
    if not history:
        raise RunFolderError(f"{run} holds no training to lay beside; name a run folder with learning/history.csv")
    return history


def table(history: Sequence[Row], chosen: np.ndarray) -> bytes:
    """These rows as float32, little-endian, of shape (point, 6)."""
    return np.array([[history[i][column] for column in COLUMNS] for i in chosen], dtype="<f4").tobytes()


def thin(count: int, most: int, keep: int) -> np.ndarray:
    """Positions of at most about `most` of `count` points: evenly spaced, with the last one and the one to keep.

    Returns:
        Sorted int64; a longer training keeps the positions that a shorter one had, or every second of them.
    """
    if not count:
        return np.empty(0, dtype=np.int64)
    step = 1
    while count > step * (most - 2):
        step *= 2
    return np.unique([*range(0, count, step), min(max(keep, 0), count - 1), count - 1])


def compared(beside: Mapping[str, Sequence[Row]]) -> list[dict[str, Any]]:
    """Trainings beside as `LiveCurves.compared`; the mean of several is marked."""
    most = MAX_COMPARED // max(1, len(beside))
    return [
        {"name": name, "points": table(rows, thin(len(rows), most, 0)), "mean": name.startswith(MEAN)}
        for name, rows in beside.items()
    ]


def mean_history(histories: Sequence[Sequence[Row]]) -> list[Row]:
    """The mean of several trainings, epoch by epoch, as far as all of them came."""
    return [
        {"epoch": rows[0]["epoch"], **{name: float(np.mean([row[name] for row in rows])) for name in COLUMNS[1:]}}
        for rows in zip(*histories, strict=False)
    ]


def tries_in(folder: Path) -> dict[str, list[Row]]:
    """Name -> history of the tries in a folder of learning, those without an epoch left out."""
    found = {path.parent.name: read_history(path) for path in sorted(folder.glob(f"{TRIES}/*/{HISTORY}"))}
    return {name: rows for name, rows in found.items() if rows}


def tries_beside(tries: Mapping[str, list[Row]], at_work: str = "") -> dict[str, list[Row]]:
    """Tries to lay beside, and of the seeds of each couple their mean.

    Args:
        tries: name -> history.
        at_work: name of the one that is drawn itself, which counts in the mean only.
    """
    couples: dict[str, list[list[Row]]] = {}
    for name, rows in tries.items():
        couples.setdefault(name.partition("_seed_")[0], []).append(rows)
    means = {
        f"{MEAN} of {len(histories)} seeds{f', {spoken(couple)}' if len(couples) > 1 else ''}": mean_history(histories)
        for couple, histories in couples.items()
        if len(histories) > 1
    }
    others = {spoken(name): rows for name, rows in tries.items() if name != at_work}
    return dict(list((others | means).items())[-MOST_COMPARED:])


def spoken(name: str) -> str:
    """The name of a try for people."""
    return name.replace("_", " ")


def class_table(epoch: int, labels: Sequence[str], matrix: ConfusionMatrix) -> dict[str, Any]:
    """A confusion matrix as `LiveCurves.classes`, of the classes that are in the reference or were predicted."""
    seen = (matrix.counts.sum(0) + matrix.counts.sum(1)) > 0
    return {
        "epoch": epoch,
        "labels": [label for label, one in zip(labels, seen, strict=True) if one],
        "scores": [round(float(score), 4) for score in matrix.f_scores[seen]],
        "counts": matrix.counts[np.ix_(seen, seen)].astype("<i4").tobytes(),
    }
