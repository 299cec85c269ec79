"""The verbs: each finds its inputs in the experiment's folder and leaves its result there.

    clean -> sample -> train -> classify -> mosaic -> postprocess -> validate

Each can start alone, from a notebook, the command line or a job. Each skips what is up to date.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from toolkit.experiment.chosen_model import recipe_of
from toolkit.experiment.classifying import classify_by_threads, classify_on_cluster
from toolkit.experiment.config import Experiment
from toolkit.experiment.drawing import (
    cleaned_polygons,
    extract_over_tiles,
    locate_over_tiles,
    pixels_of,
    sources_of,
    train_first,
)
from toolkit.experiment.events import PAUSED, Event
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.items import note_maps
from toolkit.experiment.map_products import postprocess
from toolkit.experiment.plan import tiles_to_classify
from toolkit.experiment.provenance import Record, provenance_tags
from toolkit.experiment.reporting import report_validation
from toolkit.experiment.stages import (
    GROWING,
    clean_step,
    mosaic_step,
    sample_step,
    train_step,
    validate_step,
)
from toolkit.experiment.steps import Observer, Reporter, Stopped, perform
from toolkit.experiment.tiles import check_tiles, open_series
from toolkit.ground.errors import ParameterError
from toolkit.ground.writing import write_text
from toolkit.ground_truth.cleaning_report import CleaningReport
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.ground_truth.splits import split_ground_truth
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.callbacks import Callback, StopSignal, TrainingRun, replay
from toolkit.learning.control import ControlFile
from toolkit.learning.cost import network_shape
from toolkit.learning.inputs import InputLayout
from toolkit.learning.result import rate_changes
from toolkit.learning.training import TrainingResult, train_network
from toolkit.mapping.classify import layers_of
from toolkit.mapping.mosaic import mosaic_tiles
from toolkit.mapping.vrt import write_vrt
from toolkit.samples.counts import count_samples
from toolkit.samples.sampling import draw_over_tiles
from toolkit.samples.store import SampleStore
from toolkit.validation.assess import assess_map
from toolkit.validation.metrics import MATRIX_FILES, Assessment, write_metrics


def clean(experiment: Experiment, *, overwrite: bool = False, observer: Observer | None = None) -> CleaningReport:
    """Clean the ground truth: reproject, repair, remove what cannot be used, give each polygon its tile.

    The file of the ground truth is never touched. Leaves `ground_truth/clean.gpkg` and `cleaning_report.json`.

    Raises:
        GroundTruthError: no CRS, no class field, a class that is not in the nomenclature, no polygon in the tiles.
        ProductError, CatalogError: the tiles' images are not found or not readable.
    """
    experiment.nomenclature  # noqa: B018 - a mistake in it is told before any image is looked at
    folder = RunFolder(experiment.folder)

    def work(reporter: Reporter, record: Record) -> str:
        series = open_series(experiment, reporter.progress("clean", "reading headers"))
        ground_truth, report = cleaned_polygons(experiment, series)
        ground_truth.save(folder.polygons("clean"))
        write_text(folder.cleaning_report, report.to_json())
        return report.headline

    perform(experiment, clean_step(experiment), work, overwrite=overwrite, observer=observer)
    return CleaningReport.from_json(folder.cleaning_report.read_text(encoding="utf-8"))


def sample(experiment: Experiment, *, overwrite: bool = False, observer: Observer | None = None) -> pd.DataFrame:
    """Split the polygons into train and test, draw the train pixels, and compute their features.

    Leaves `ground_truth/{train,test,left_out}.gpkg`, `samples/` and `samples/class_counts.csv`.

    Returns:
        One row a class: code, label, polygons, pixels, and pixels in each tile.

    Raises:
        GroundTruthError: nothing to train on. ProductError: an image cannot be read.
        ParameterError: a cap of a class that is not in the nomenclature.
    """
    experiment.sampling.check_codes(experiment.nomenclature)
    folder = RunFolder(experiment.folder)

    def work(reporter: Reporter, record: Record) -> str:
        ground_truth = split_ground_truth(GroundTruth.read(folder.polygons("clean")), experiment.split, experiment.seed)
        for kind in ("train", "test", "left_out"):
            chosen = (ground_truth.frame["role"] == kind).to_numpy()
            folder.polygons(kind).unlink(missing_ok=True)  # of an earlier split, with other parameters
            if chosen.any():
                ground_truth.where(chosen).save(folder.polygons(kind))
        series = open_series(experiment, reporter.progress("sample", "reading headers"))
        train = ground_truth.where((ground_truth.frame["role"] == "train").to_numpy())
        found = pixels_of(train, locate_over_tiles(train_first(ground_truth), series))
        drawn = draw_over_tiles(
            {tile: one["code"] for tile, one in found.items()}, experiment.sampling, experiment.seed
        )
        chosen = {tile: one[drawn[tile]] for tile, one in found.items()}
        store = extract_over_tiles(experiment, series, chosen, folder.samples, record.key, reporter, "sample")
        counts = count_samples(store, train, experiment.nomenclature, experiment.sampling.min_clear_dates)
        write_text(folder.class_counts, counts.to_csv(index=False))
        return f"{counts['pixels'].sum():,} pixels of {(counts['pixels'] > 0).sum()} classes"

    perform(experiment, sample_step(experiment), work, overwrite=overwrite, observer=observer)
    return pd.read_csv(folder.class_counts)


def train(
    experiment: Experiment,
    *,
    callbacks: Sequence[Callback] = (),
    stop: StopSignal | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> TrainingResult:
    """Train the network; go on from the last epoch where a training was stopped or `epochs` was raised.

    Leaves `learning/history.csv` and `learning/model/`.

    Args:
        callbacks: watch the training, such as `widgets.LiveCurves()`.
        stop: an event or a callable, asked before each batch; the best epoch so far is kept.

    Raises:
        SampleError: the samples do not suffice. RunFolderError: a model made with other parameters is there.
    """
    folder = RunFolder(experiment.folder)
    watched = False

    def work(reporter: Reporter, record: Record) -> str | Stopped:
        nonlocal watched
        watched = True
        store = SampleStore(folder.samples)
        samples = store.open(experiment.sampling.min_clear_dates)
        result = train_network(
            TrainingSamples(samples.features, samples.codes, sources_of(folder, samples.polygons)),
            experiment.learning_with_code,
            seed=experiment.seed,
            nomenclature=experiment.nomenclature,
            feature_names=store.names,
            definitions=store.definitions,
            recipe=recipe_of(experiment),
            dates=experiment.stack.days,
            folder=folder.learning,
            key=record.without(GROWING).key,
            callbacks=[EpochProgress(reporter), ControlFile(folder.control), *callbacks],
            stop=stop,
            overwrite=overwrite,
            base=experiment.path.parent,
        )
        if result.best is None:
            return Stopped()
        if result.stopped:
            return Stopped(f"after epoch {len(result.history)}", {"learning.epochs": len(result.history)})
        return _trained_words(result, experiment.learning.as_trained.epochs)

    perform(experiment, train_step(experiment), work, overwrite=overwrite, observer=observer)
    result = TrainingResult.load(folder.learning)
    if not watched:
        replay(callbacks, experiment.learning.as_trained, result.history, result.best)
    return result


def _trained_words(result: TrainingResult, epochs: int) -> str:
    """The headline of a training that was not stopped."""
    assert result.best is not None
    count = len(result.history)
    early = f"; ended early, after epoch {count} of {epochs}" if count < epochs else ""
    by_hand = f"; rate changed by hand {rate_changes(result.changes)}" if result.changes else ""
    best = f"best epoch {result.best['epoch']}: F-score {result.best['f_score']:.3f} on the valid samples"
    return f"{best}{early}{by_hand}"


class EpochProgress(Callback):
    """Reports the batches of a training as progress of a step.

    Args:
        part: which part of the step the training is, and of how many.
    """

    def __init__(
        self, reporter: Reporter, step: str = "train", message: str = "", part: tuple[int, int] = (0, 1)
    ) -> None:
        self._reporter, self._step, self._message, self._part = reporter, step, message, part
        self._epoch, self._paused, self._changes = 0, False, 0

    def on_train_begin(self, run: TrainingRun) -> None:
        """What was changed in an earlier part is told already."""
        self._changes, self._paused = len(run.changes), False

    def on_epoch_begin(self, run: TrainingRun, epoch: int) -> None:
        """The next batches are of this epoch."""
        self._epoch = epoch
        message = f"{self._message}epoch {epoch} of {run.params.epochs}"
        self._progress = self._reporter.progress(self._step, message, self._part)

    def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
        """One more batch is done."""
        self._paused = False
        if len(run.changes) > self._changes:
            self._changes = len(run.changes)
            self._tell(run, f"learning rate {rate_changes(run.changes[-1:])}, by hand")
        self._progress((self._epoch - 1) * batches + batch, run.params.epochs * batches)

    def on_wait(self, run: TrainingRun) -> None:
        """Say once that the training is paused."""
        if not self._paused:
            self._paused = True
            self._tell(run, f"{PAUSED} epoch {self._epoch} of {run.params.epochs}")

    def _tell(self, run: TrainingRun, words: str) -> None:
        before, parts = self._part
        done, total = (self._epoch - 1, run.params.epochs)
        self._reporter.tell(Event(self._step, "running", before * total + done, parts * total, self._message + words))


def classify(experiment: Experiment, *, overwrite: bool = False, observer: Observer | None = None) -> dict[str, Path]:
    """Classify every tile, block by block, within `mapping.memory_gb`, here or on the cluster of `cluster`.

    Leaves `mapping/<tile>/{classes,confidence,validity}.tif`, and the other layers that `mapping` asks for. A tile
    that is done stays done, and a killed run goes on with the block it was at.

    Returns:
        Tile -> folder of its maps.

    Raises:
        ModelError: the model was trained on other features. ProductError: an image cannot be read.
        ParameterError: the memory is not enough. ClusterError: the cluster cannot be reached.
    """
    if experiment.cluster.kind == "none":
        check_tiles(experiment, list(tiles_to_classify(experiment)))
        for tile in experiment.series.tiles:
            classify_by_threads(experiment, tile, overwrite, observer)
    else:
        classify_on_cluster(experiment, overwrite, observer)
    folder = RunFolder(experiment.folder)
    return {tile: folder.tile(tile) for tile in experiment.series.tiles}


def mosaic(experiment: Experiment, *, overwrite: bool = False, observer: Observer | None = None) -> Path:
    """Mosaic the classified tiles into `mapping/{classes,confidence,…}.tif`, cloud-optimised GeoTIFFs.

    Returns:
        Path of the class map.

    Raises:
        RunFolderError: a tile is not classified yet.
    """
    folder = RunFolder(experiment.folder)

    def work(reporter: Reporter, record: Record) -> str:
        tiles = [folder.tile(tile) for tile in experiment.series.tiles]
        mosaic_tiles(
            tiles,
            folder.mapping,
            experiment.nomenclature,
            layers=layers_of(experiment.mapping),
            crs=experiment.mapping.crs,
            tags=provenance_tags(experiment, record),
            progress=reporter.progress("mosaic"),
        )
        write_vrt([tile / "classes.tif" for tile in tiles], folder.map().with_suffix(".vrt"), experiment.nomenclature)
        note_maps(experiment, record, folder.mapping)
        return f"{len(tiles)} tile{'s' * (len(tiles) > 1)} in {folder.map().relative_to(folder.root)}"

    perform(experiment, mosaic_step(experiment), work, overwrite=overwrite, observer=observer)
    return folder.map()


def validate(experiment: Experiment, *, overwrite: bool = False, observer: Observer | None = None) -> Assessment:
    """Hold the map against the test polygons, and against those of the left-out tile if there is one.

    Leaves `validation/{confusion_matrix.csv,metrics.json,report.html}`. Where post-processing is asked for, its map is
    measured too: see `postprocessed_assessment`.

    Returns:
        The confusion matrix over the test polygons (same area as the train polygons), with its metrics.

    Raises:
        GroundTruthError: there are no test polygons.
    """
    folder = RunFolder(experiment.folder)

    def work(reporter: Reporter, record: Record) -> str:
        codes = experiment.nomenclature.codes.tolist()
        measured = {"test": (folder.map(), "test"), "left_out": (folder.map(), "left_out")}
        if experiment.postprocess.is_asked:
            measured["postprocessed"] = (folder.postprocessed, "test")
            measured["postprocessed_left_out"] = (folder.postprocessed, "left_out")
        found = {
            role: assess_map(path, GroundTruth.read(folder.polygons(kind)).frame, codes)
            for role, (path, kind) in measured.items()
            if folder.polygons(kind).exists()
        }
        if "test" not in found:
            raise ParameterError(f"split.train_ratio = {experiment.split.train_ratio} left no test polygon; lower it")
        others = {role: one for role, one in found.items() if role != "test"}
        write_metrics(folder.validation, found["test"], experiment.nomenclature, **others)
        report_validation(experiment, found)
        after = found.get("postprocessed")
        return in_words(found["test"]) + (f"; post-processed {in_words(after)}" if after else "")

    perform(experiment, validate_step(experiment), work, overwrite=overwrite, observer=observer)
    return Assessment.load(folder.validation)


def in_words(assessment: Assessment) -> str:
    """The headline of an assessment."""
    matrix = assessment.matrix
    return f"OA {matrix.oa:.3f}, Kappa {matrix.kappa:.3f}, F-score {matrix.f_score:.3f}"


def left_out_assessment(folder: RunFolder) -> Assessment | None:
    """What `validate` found of the polygons of the left-out tile; None where no tile is left out."""
    return Assessment.load(folder.validation, "left_out") if folder.polygons("left_out").exists() else None


def postprocessed_assessment(folder: RunFolder) -> Assessment | None:
    """What `validate` found of the post-processed map and the test polygons; None where there was none."""
    found = (folder.validation / MATRIX_FILES["postprocessed"]).exists()
    return Assessment.load(folder.validation, "postprocessed") if found else None


CHAIN = {
    "clean": clean,
    "sample": sample,
    "train": train,
    "classify": classify,
    "mosaic": mosaic,
    "postprocess": postprocess,
    "validate": validate,
}
"""The verbs of a whole run, in their order."""


def run(experiment: Experiment, *, overwrite: bool = False, observer: Observer | None = None) -> Assessment:
    """The whole chain, from polygons and images to a validated map; what is up to date is skipped.

    Raises:
        LandcoverError: as the verbs do.
    """
    check_network(experiment)
    result = None
    for verb in CHAIN.values():
        result = verb(experiment, overwrite=overwrite, observer=observer)  # type: ignore[operator]
    assert isinstance(result, Assessment)
    return result


def check_network(experiment: Experiment) -> None:
    """Refuse a network that cannot read the features of the experiment, before hours of sampling for it.

    Raises:
        ParameterError: with the mend.
    """
    learning, stack = experiment.learning_with_code, experiment.stack
    inputs = InputLayout.of(stack.names, stack.days)
    network_shape(learning.network, inputs, len(experiment.nomenclature), learning.interpolator)
