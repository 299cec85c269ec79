"""Spatial cross-validation: leave out one tile (or one value of a field) after the other.

Every model is tested twice: on the test polygons of the area it was trained in, and on what was left out. The
difference between the two is what a map of unseen land must expect.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.experiment.chosen_model import recipe_of
from toolkit.experiment.config import Experiment
from toolkit.experiment.drawing import extract_over_tiles, locate_over_tiles, sources_of
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import Record, fingerprint
from toolkit.experiment.stages import CROSS_VALIDATION as STEP
from toolkit.experiment.stages import GROWING, cross_validation_step
from toolkit.experiment.steps import Observer, Reporter, perform
from toolkit.experiment.tiles import open_series
from toolkit.experiment.verbs import EpochProgress, check_network, clean
from toolkit.figures.folds import folds_figure
from toolkit.figures.style import png
from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import GroundTruthError, did_you_mean
from toolkit.ground.grid import TILE_PATTERN
from toolkit.ground.writing import aside, write_text
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.ground_truth.splits import split_ground_truth
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.checkpoint import Model
from toolkit.learning.control import ControlFile
from toolkit.learning.training import train_network
from toolkit.samples.sampling import draw_over_tiles
from toolkit.samples.store import SampleStore

ROLES = {"train": "train", "test": "same_area", "left_out": "left_out"}
METRICS = ("oa", "kappa", "f_score")


@dataclass(frozen=True)
class Fold:
    """What a fold trains and tests on."""

    name: str
    """The left-out tile, or value of the field."""
    drawn: Mapping[str, Mapping[str, np.ndarray]]
    """Role -> tile -> (pixel,) bool over all located pixels."""


@dataclass(frozen=True)
class CrossValidation:
    """Result of a cross-validation."""

    metrics: Mapping[str, Any]
    """`folds` (name, same_area, left_out), `mean` and `std` (of a sample: n - 1) of each, `pooled_left_out`."""
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> CrossValidation:
        """Read `metrics.json`."""
        return cls(json.loads((folder / "metrics.json").read_text(encoding="utf-8")), folder)

    def __repr__(self) -> str:
        lines = [
            f"{fold['name']:>12}  {_triple(fold['same_area'])}  {_triple(fold['left_out'])}" for fold in self._rows()
        ]
        head = f"{'left out':>12}  {'same area: OA Kappa F':<21}  {'left out: OA Kappa F':<21}"
        return "\n".join([head, *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th colspan=3 style='text-align:center'>{name}</th>" for name in ("same area", "left out"))
        names = "<th>OA</th><th>Kappa</th><th>F-score</th>" * 2
        rows = "".join(
            f"<tr><td>{escape(str(fold['name']))}</td>"
            + "".join(f"<td>{fold[side][name]:.3f}</td>" for side in ("same_area", "left_out") for name in METRICS)
            + "</tr>"
            for fold in self._rows()
        )
        return f"<table><tr><th></th>{head}</tr><tr><th>fold</th>{names}</tr>{rows}</table>"

    def _rows(self) -> list[dict[str, Any]]:
        summary = [{"name": name, **self.metrics[name]} for name in ("mean", "std")]
        return [*self.metrics["folds"], *summary]


def cross_validate(
    experiment: Experiment, by: str = "tile", *, overwrite: bool = False, observer: Observer | None = None
) -> CrossValidation:
    """Train one model a fold on everything but that fold, and test it on the same area and on what was left out.

    The features of every tile are extracted once, not once a fold. Each side is tested on at most
    `sampling.max_per_class` pixels a class (or its `class_caps`), drawn as for training; `validate` takes every pixel
    of a map. Leaves `cross_validation/` with `metrics.json`, `folds.png` and a sub-folder for each fold.

    Args:
        by: `"tile"`, or a field of the ground truth.

    Raises:
        GroundTruthError: no such field, or fewer than two folds.
        LandcoverError: as `clean`, `sample` and `train` do.
    """
    experiment.sampling.check_codes(experiment.nomenclature)
    clean(experiment, overwrite=overwrite, observer=observer)
    _groups(GroundTruth.read(RunFolder(experiment.folder).polygons("clean")), by)  # before any result by another field
    folder = RunFolder(experiment.folder).cross_validation
    step = cross_validation_step(experiment, by)

    def work(reporter: Reporter, record: Record) -> str:
        check_network(experiment)
        ground_truth = GroundTruth.read(RunFolder(experiment.folder).polygons("clean"))
        folds, store = _prepare(experiment, ground_truth, by, folder, record, reporter)
        _remove_other_folds(folder, folds)
        matrices = {
            fold.name: _run_fold(experiment, fold, store, folder / file_name(fold.name), record, progress)
            for fold, progress in zip(folds, _progress_of(folds, reporter), strict=True)
        }
        return _conclude(matrices, by, folder)

    perform(experiment, step, work, overwrite=overwrite, observer=observer)
    return CrossValidation.load(folder)


def _remove_other_folds(folder: Path, folds: Sequence[Fold]) -> None:
    """Folders of folds of an earlier cross-validation, by something else."""
    names = {file_name(fold.name) for fold in folds}
    for metrics in folder.glob("*/validation/metrics.json"):
        if metrics.parents[1].name not in names:
            shutil.rmtree(metrics.parents[1])


def _prepare(
    experiment: Experiment, ground_truth: GroundTruth, by: str, folder: Path, record: Record, reporter: Reporter
) -> tuple[list[Fold], SampleStore]:
    """The folds, and a store with every pixel that one of them needs."""
    series = open_series(experiment, reporter.progress(STEP, "reading headers"))
    located = locate_over_tiles(ground_truth, series)
    folds = [_fold(experiment, ground_truth, name, group, located) for name, group in _groups(ground_truth, by)]
    needed = {
        tile: np.logical_or.reduce([drawn[tile] for fold in folds for drawn in fold.drawn.values()]) for tile in located
    }
    pixels = {tile: found[needed[tile]] for tile, found in located.items()}
    key = record.without([name for name in record.params if name.startswith("learning.")]).key
    store = extract_over_tiles(experiment, series, pixels, folder / "samples", key, reporter, STEP)
    return [_within(fold, needed) for fold in folds], store


def _groups(ground_truth: GroundTruth, by: str) -> list[tuple[str, np.ndarray]]:
    """Name of each fold, and which polygons are in it."""
    frame = ground_truth.frame
    if by not in frame.columns:
        known = [str(name) for name in frame.columns if name not in ("geometry", "polygon", "source")]
        raise GroundTruthError(f"the ground truth has no field {by!r} to make folds by{did_you_mean(by, known)}")
    empty = int(frame[by].isna().sum())
    if empty:
        raise GroundTruthError(
            f"field {by!r} of the ground truth is empty in {empty} polygons; fill it to make folds by it"
        )
    values = frame[by].astype(str).to_numpy()
    names = sorted(set(values))
    if len(names) < 2:
        raise GroundTruthError(
            f"field {by!r} of the ground truth has one value only ({names[0]}); two folds are needed"
        )
    return [(name, values == name) for name in names]


def _fold(
    experiment: Experiment, ground_truth: GroundTruth, name: str, group: np.ndarray, located: Mapping[str, np.ndarray]
) -> Fold:
    split = split_ground_truth(ground_truth, experiment.split, experiment.seed, left_out=group).frame
    drawn = {}
    for role in ROLES:
        polygons = split["polygon"].to_numpy()[(split["role"] == role).to_numpy()]
        inside = {tile: np.isin(found["polygon"], polygons) for tile, found in located.items()}
        codes = {tile: found["code"][inside[tile]] for tile, found in located.items()}
        picked = draw_over_tiles(codes, experiment.sampling, experiment.seed)
        drawn[role] = {tile: _spread(inside[tile], picked[tile]) for tile in located}
    return Fold(name, drawn)


def _spread(inside: np.ndarray, picked: np.ndarray) -> np.ndarray:
    """`picked` says which of the true entries of `inside` stay true."""
    result = inside.copy()
    result[inside] = picked
    return result


def file_name(value: str) -> str:
    """A value of a field as the name of a folder: a tile as it is, anything else with a short hash.

    So no value can leave the folder, meet another file in it, or another value where capitals make no difference.
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", value).lstrip(".")
    return plain if TILE_PATTERN.match(value) else f"{plain}_{fingerprint(value)[:6]}"


def _within(fold: Fold, kept: Mapping[str, np.ndarray]) -> Fold:
    """The fold's choices over the pixels of the store instead of all located ones."""
    drawn = {role: {tile: one[kept[tile]] for tile, one in tiles.items()} for role, tiles in fold.drawn.items()}
    return Fold(fold.name, drawn)


def _progress_of(folds: Sequence[Fold], reporter: Reporter) -> list[EpochProgress]:
    """Each fold's training as a part of the whole."""
    parts = [(place, len(folds)) for place in range(len(folds))]
    return [
        EpochProgress(reporter, STEP, f"without {fold.name}: ", part) for fold, part in zip(folds, parts, strict=True)
    ]


def _run_fold(
    experiment: Experiment, fold: Fold, store: SampleStore, folder: Path, record: Record, progress: EpochProgress
) -> dict[str, ConfusionMatrix]:
    """Train and test one fold; its learning goes on where it was stopped."""
    nomenclature = experiment.nomenclature
    samples = store.open(experiment.sampling.min_clear_dates, fold.drawn["train"])
    train_network(
        TrainingSamples(samples.features, samples.codes, sources_of(RunFolder(experiment.folder), samples.polygons)),
        experiment.learning_with_code,
        seed=experiment.seed,
        nomenclature=nomenclature,
        feature_names=store.names,
        definitions=store.definitions,
        recipe=recipe_of(experiment),
        dates=experiment.stack.days,
        folder=folder / "learning",
        key=record.without(GROWING).key,
        callbacks=[progress, ControlFile(RunFolder(experiment.folder).control)],
        overwrite=True,  # of the state of another training; this one's goes on
        base=experiment.path.parent,
    )
    model = Model.load(folder / "learning" / "model", network_file=experiment.network_file)
    matrices = {}
    for role, side in ROLES.items():
        if role != "train":
            tested = store.load(1, fold.drawn[role])
            classes, _ = model.predict(tested.features.T)
            matrices[side] = ConfusionMatrix.of(tested.codes, classes, nomenclature.codes.tolist())
    labels = {one.code: one.label for one in nomenclature.classes}
    content = {side: matrix.metrics(labels) for side, matrix in matrices.items()}
    write_text(folder / "validation" / "metrics.json", json.dumps(content, indent=1))
    return matrices


def _conclude(matrices: Mapping[str, Mapping[str, ConfusionMatrix]], by: str, folder: Path) -> str:
    folds = [
        {"name": name, **{side: _summary(matrix) for side, matrix in sides.items()}} for name, sides in matrices.items()
    ]
    sides = ("same_area", "left_out")
    pooled = sum_matrices([one["left_out"] for one in matrices.values()])
    content = {
        "by": by,
        "folds": folds,
        "mean": {side: _over(folds, side, np.mean) for side in sides},
        "std": {side: _over(folds, side, partial(np.std, ddof=1)) for side in sides},
        "pooled_left_out": _summary(pooled),
    }
    with aside(folder / "folds.png") as part:
        part.write_bytes(png(folds_figure(content)))
    write_text(folder / "metrics.json", json.dumps(content, indent=1))
    same, out = (content["mean"][side]["f_score"] for side in sides)  # type: ignore[index]
    return f"F-score {same:.3f} in the same area, {out:.3f} +- {content['std']['left_out']['f_score']:.3f} left out"  # type: ignore[index]


def sum_matrices(matrices: Sequence[ConfusionMatrix]) -> ConfusionMatrix:
    """All counts together."""
    total = matrices[0]
    for matrix in matrices[1:]:
        total = total + matrix
    return total


def _summary(matrix: ConfusionMatrix) -> dict[str, float]:
    return {**{name: float(getattr(matrix, name)) for name in METRICS}, "pixels": matrix.total}


def _over(folds: Sequence[Mapping[str, Any]], side: str, how: Any) -> dict[str, float]:
    return {name: float(how([fold[side][name] for fold in folds])) for name in METRICS}


def _triple(metrics: Mapping[str, float]) -> str:
    return " ".join(f"{metrics[name]:.3f}" for name in METRICS).ljust(21)
