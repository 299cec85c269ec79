"""The verb `tune`: tries settings of the learning on folds of the train samples, and keeps the best.

Only samples of the train polygons are looked at. In each fold a network is trained on the other folds, its best epoch
kept by valid samples of its own, and then held against the fold: what a trial is scored by had no say in it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.experiment.config import Experiment
from toolkit.experiment.drawing import sources_of
from toolkit.experiment.events import PAUSED, Event
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import Record, fingerprint
from toolkit.experiment.stages import tune_step
from toolkit.experiment.steps import Observer, Reporter, Stopped, perform
from toolkit.experiment.tuning_result import METRICS, TuningResult, best_row, write_result
from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.learning.batches import TrainingSamples, derived_seed
from toolkit.learning.callbacks import Callback, StopSignal, TrainingRun
from toolkit.learning.checkpoint import Model
from toolkit.learning.control import ControlFile
from toolkit.learning.devices import choose_device
from toolkit.learning.folds import deal_polygons, deal_tiles
from toolkit.learning.parameters import Criterion, LearningParams
from toolkit.learning.space import Space, apply_setting, parse_space
from toolkit.learning.training import train_network
from toolkit.learning.tuning import Outcome, Pruning, Study, Trial, most_epochs
from toolkit.samples.store import SampleStore

STEP = "tune"

FOLDS_SEED = 2
"""Tells the seed of the folds from all others; never change it."""

FRACTIONS = 1000
"""Progress within a fold is told in so many parts."""


def tune(
    experiment: Experiment,
    space: Mapping[str, Any] | None = None,
    *,
    stop: StopSignal | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
    **tuning: Any,
) -> TuningResult:
    """Try settings of the learning and keep the best; go on where a tuning was stopped, killed, or given more trials.

        result = tune(experiment, {"learning.learning_rate": (1e-5, 1e-2), "learning.network.dropout": (0, 0.5)})
        result.apply(experiment)

    The score of a trial is the mean over the folds of `learning.select_by`. Test polygons take no part. Leaves
    `tuning/{trials.csv,best.json,study.sqlite}`, the first two anew after each trial.

    Args:
        space: instead of `tuning.space`: path -> the two ends of a range, a list of choices, or `{"choices": [...]}`.
        stop: an event or a callable, asked before each batch.
        tuning: other parameters of the section `tuning` for this call, such as `trials=50` or `folds_by="tile"`.

    Raises:
        ParameterError: a path or a value that cannot be tuned, or no trial could be trained.
        SampleError: fewer polygons or tiles than folds.
        RunFolderError: there is a tuning of other samples, parameters or another space.
    """
    experiment = Experiment(experiment.params, experiment.path)  # what is asked for here is not the person's own
    experiment.set(tuning={**({} if space is None else {"space": space}), **tuning})
    parsed = parse_space(experiment.tuning.space, experiment.learning)
    choose_device(experiment.learning.device)
    RunFolder(experiment.folder).control.unlink(missing_ok=True)  # nothing was asked of this tuning yet

    def work(reporter: Reporter, record: Record) -> str | Stopped:
        trials = _Trials(experiment, parsed, record.without(["tuning.trials"]).key, reporter, stop, overwrite)
        try:
            return trials.go()
        finally:
            trials.study.close()

    perform(experiment, tune_step(experiment), work, overwrite=overwrite, observer=observer)
    return TuningResult.load(RunFolder(experiment.folder).tuning)


class _Trials:
    """The trials of one call of `tune`."""

    def __init__(
        self,
        experiment: Experiment,
        space: Space,
        key: str,
        reporter: Reporter,
        stop: StopSignal | None,
        overwrite: bool,
    ) -> None:
        self._experiment, self._space, self._key, self._reporter, self._stop = experiment, space, key, reporter, stop
        self._run_folder = RunFolder(experiment.folder)
        self._params, self._select_by = experiment.tuning, experiment.learning.select_by
        self._longest = most_epochs(experiment.learning.epochs, space)
        self._samples = _Samples.of(experiment)  # a mistake about folds is told before anything is written
        self.study = self._open(overwrite)

    def go(self) -> str | Stopped:
        """Try settings until there are enough of them, or a stop is asked for."""
        self._write()
        while self.study.count < self._params.trials:
            trial = self.study.begin()
            outcome = self._try(trial)
            shutil.rmtree(self._at_work, ignore_errors=True)
            if outcome is None:
                return self._stopped()
            self.study.end(trial, outcome)
            self._write()
        self._write(weigh=True)
        rows = self.study.rows()
        best = best_row(rows, self._select_by)
        if best is None:
            raise ParameterError(f"no trial could be trained to its end; the first: {rows[0]['message']}")
        return f"best of {len(rows)} trials: {METRICS[self._select_by]} {best['score']:.4f} in trial {best['trial']}"

    @property
    def _at_work(self) -> Path:
        """What the trial at work leaves; deleted with its end."""
        return self._run_folder.tuning / "trial"

    def _open(self, overwrite: bool) -> Study:
        folder = self._run_folder.tuning
        for again in (overwrite, False):
            try:
                return Study(
                    folder / "study.sqlite", self._key, self._space, self._params,
                    seed=self._experiment.seed,
                    epochs=self._longest,
                    minimise=self._select_by == "loss",
                )  # fmt: skip
            except RunFolderError:
                if not again:
                    raise
                shutil.rmtree(folder, ignore_errors=True)
        raise AssertionError

    def _stopped(self) -> Stopped:
        count = self.study.count
        if best_row(self.study.rows(), self._select_by) is None:
            return Stopped()
        return Stopped(f"after {count} of {self._params.trials} trials", {"tuning.trials": count})

    def _write(self, weigh: bool = False) -> None:
        weights = self.study.importance() if weigh else {}
        write_result(self._run_folder.tuning, self.study.rows(), self._space, self._select_by, weights)

    def _try(self, trial: Trial) -> Outcome | None:
        """What comes of a trial; None where a stop was asked for."""
        begun = time.perf_counter()
        scores: list[float] = []
        try:
            learning = self._with_code(apply_setting(self._experiment.learning, trial.setting))
        except ParameterError as error:
            return Outcome(pruned=str(error), is_refused=True)
        for fold in range(self._params.folds):
            watcher = Pruning(trial, fold, tuple(scores), self._longest)
            try:
                score = self._fold(trial, fold, learning, watcher)
            except ParameterError as error:
                return Outcome(tuple(scores), str(error), time.perf_counter() - begun, is_refused=True)
            if watcher.pruned:
                return Outcome(tuple(scores), watcher.pruned, time.perf_counter() - begun)
            if score is None:
                return None
            scores.append(score)
        return Outcome(tuple(scores), seconds=time.perf_counter() - begun)

    def _with_code(self, learning: LearningParams) -> LearningParams:
        """The same, of a network of one's own with its file as it was read."""
        params = self._experiment.params.model_copy(update={"learning": learning})
        return Experiment(params, self._experiment.path).learning_with_code

    def _fold(self, trial: Trial, fold: int, learning: LearningParams, watcher: Pruning) -> float | None:
        """The score on one fold; None where the training was stopped."""
        samples, folder = self._samples, self._at_work / f"fold_{fold + 1}"
        done = trial.place * self._params.folds + fold
        progress = _Progress(self._reporter, self._words(trial, fold), done, self._params.trials * self._params.folds)
        result = train_network(
            samples.without(fold),
            learning,
            seed=self._experiment.seed,
            nomenclature=self._experiment.nomenclature,
            feature_names=samples.store.names,
            dates=samples.days,
            folder=folder,
            key=fingerprint([self._key, trial.place, fold]),
            callbacks=[watcher, progress, ControlFile(self._run_folder.control, several=True)],
            stop=self._stop,
            overwrite=True,  # of what another trial left when it was killed; this one's goes on
        )
        if result.stopped or result.best is None:
            return None
        if self._params.folds == 1:
            return float(result.best[learning.select_column])
        return samples.score(
            Model.load(folder / "model", network_file=self._experiment.network_file), fold, self._select_by
        )

    def _words(self, trial: Trial, fold: int) -> str:
        best = best_row(self.study.rows(), self._select_by)
        folds = f", fold {fold + 1} of {self._params.folds}" if self._params.folds > 1 else ""
        so_far = f", best so far {best['score']:.4f}" if best else ""
        return f"trial {trial.place + 1} of {self._params.trials}{folds}{so_far}"


@dataclass(frozen=True)
class _Samples:
    """The train samples, and the fold of each."""

    samples: TrainingSamples
    fold: np.ndarray
    """(sample,) int64; -1 everywhere where nothing is held out."""
    store: SampleStore
    days: np.ndarray

    @classmethod
    def of(cls, experiment: Experiment) -> _Samples:
        folder, params = RunFolder(experiment.folder), experiment.tuning
        store = SampleStore(folder.samples)
        found = store.load(experiment.sampling.min_clear_dates)
        sources = sources_of(folder, found.polygons)
        if params.folds == 1:
            fold = np.full(len(sources), -1)
        elif params.folds_by == "polygon":
            rng = np.random.default_rng(derived_seed(experiment.seed, FOLDS_SEED))
            fold = deal_polygons(sources, found.codes, params.folds, rng)
        else:
            fold = deal_tiles(sources, _tiles_of(folder, found.polygons), params.folds)
        return cls(TrainingSamples(found.features, found.codes, sources), fold, store, experiment.stack.days)

    def without(self, fold: int) -> TrainingSamples:
        """What is trained on while this fold is held out."""
        if (self.fold < 0).all():
            return self.samples
        kept = self.fold != fold
        return TrainingSamples(self.samples.features[kept], self.samples.codes[kept], self.samples.polygons[kept])

    def score(self, model: Model, fold: int, select_by: Criterion) -> float:
        """How good a model is on the fold that was held out."""
        held = self.fold == fold
        features, codes = self.samples.features[held].T, self.samples.codes[held]
        if select_by == "loss":
            rows = model.nomenclature.index(codes)
            probability = model.predict_probabilities(features)[rows, np.arange(len(rows))]
            return float(-np.log(np.maximum(probability, 1e-12)).mean())
        classes, _ = model.predict(features)
        return float(getattr(ConfusionMatrix.of(codes, classes, model.nomenclature.codes.tolist()), select_by))


def _tiles_of(folder: RunFolder, polygons: np.ndarray) -> np.ndarray:
    frame = GroundTruth.read(folder.polygons("clean")).frame
    return frame.set_index("polygon")["tile"].loc[polygons].to_numpy(str)


class _Progress(Callback):
    """Reports the epochs of a fold as progress of the whole tuning."""

    def __init__(self, reporter: Reporter, words: str, done: int, folds: int) -> None:
        self._reporter, self._words = reporter, words
        self._report = reporter.progress(STEP, words)
        self._done, self._folds, self._epoch, self._paused = done, folds, 0, False

    def on_epoch_begin(self, run: TrainingRun, epoch: int) -> None:
        """The next batches are of this epoch."""
        self._epoch = epoch

    def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
        """One more batch is done."""
        self._paused = False
        part = (self._epoch - 1 + batch / batches) / run.params.epochs
        self._report(int(FRACTIONS * (self._done + part)), FRACTIONS * self._folds)

    def on_wait(self, run: TrainingRun) -> None:
        """Say once that the tuning is paused."""
        if not self._paused:
            self._paused = True
            part = (self._epoch - 1) / run.params.epochs
            done, total = int(FRACTIONS * (self._done + part)), FRACTIONS * self._folds
            self._reporter.tell(Event(STEP, "running", done, total, f"{PAUSED} {self._words}"))
