"""Train a network on samples: `train_network`."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.batches import Standardiser, TrainingSamples
from toolkit.learning.callbacks import Callback, HistoryFile, Row, StopSignal, TrainingRun, is_set, notify
from toolkit.learning.checkpoint import Model
from toolkit.learning.devices import default_threads, torch_threads
from toolkit.learning.fitting import Fitting, check_samples, prepare
from toolkit.learning.growing import TreeFitting, prepare_trees
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import TreeParams
from toolkit.learning.parameters import Criterion, LearningParams
from toolkit.learning.state import TrainingState, read_progress

LOG = logging.getLogger(__name__)

STATE, MODEL, HISTORY = "state.safetensors", "model", "history.csv"


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

    @classmethod
    def load(cls, folder: Path) -> TrainingResult:
        """What the last training in this folder left behind; without a row where it ended no epoch.

        Raises:
            RunFolderError: the state is damaged.
        """
        if not (folder / STATE).exists():
            return cls([], None, folder, stopped=True)
        epochs, history, best = read_progress(folder / STATE)
        return cls(history, best, folder, stopped=len(history) < epochs)

    @property
    def model_folder(self) -> Path:
        return self.folder / MODEL

    def __repr__(self) -> str:
        return f"TrainingResult({', '.join(f'{name} {cell}' for name, cell in self._cells().items())})"

    def _repr_html_(self) -> str:
        cells = self._cells() | {"model": str(self.model_folder) if self.best else "none yet"}
        head = "<tr><th style='text-align:left'>"
        rows = "".join(f"{head}{name}</th><td>{escape(cell)}</td></tr>" for name, cell in cells.items())
        return f"<table><caption>Training</caption>{rows}</table>"

    def _cells(self) -> dict[str, str]:
        cells = {"epochs": f"{len(self.history)}{' (stopped)' if self.stopped else ''}"}
        if self.best:
            cells["best epoch"] = str(self.best["epoch"])
            names = {"OA": "oa", "Kappa": "kappa", "F-score": "f_score", "valid loss": "valid_loss"}
            cells |= {name: f"{self.best[column]:.3f}" for name, column in names.items()}
        return cells | {"time": f"{sum(row['seconds'] for row in self.history):.1f} s"}


def train_network(
    samples: TrainingSamples,
    params: LearningParams,
    *,
    seed: int,
    nomenclature: Nomenclature,
    feature_names: Sequence[str],
    dates: np.ndarray,
    folder: Path,
    key: str,
    definitions: Mapping[str, str] | None = None,
    callbacks: Sequence[Callback] = (),
    stop: StopSignal | None = None,
    overwrite: bool = False,
) -> TrainingResult:
    """Train a network and keep the weights of its best epoch.

    A training that was stopped or killed goes on from its last whole epoch when it is called again with the same
    `key`, and ends with the weights and metrics of an unbroken one, bit for bit (same machine, device and threads).

    Args:
        samples: not standardised.
        seed: of the split, the first weights, the order of the samples and dropout.
        nomenclature: the network has an output for each of its classes, those without samples included.
        feature_names: name of each column of the features.
        dates: time grid of the features, datetime64[D] (date,); kept with the model.
        folder: receives `model/` (at each better epoch), `history.csv` and `state.safetensors` (at each epoch).
        key: fingerprint of the samples and of the parameters, `epochs` aside, which may be raised to go on.
        definitions: what the features are, in words; kept with the model.
        callbacks: called after `history.csv` is written.
        stop: asked before each batch.
        overwrite: begin again where the folder holds the state of another training, or of more epochs.

    Raises:
        SampleError: a code outside the nomenclature, a single class, nothing left for valid, or a value that is
            not a number.
        RunFolderError: the folder holds the state of a training with another key, or cannot be written.
        ParameterError: the device is absent, or the loss is not a number any more.
    """
    check_samples(samples, nomenclature, feature_names)
    params = params.as_trained
    state = _resumable(folder / STATE, key, params.epochs, overwrite)
    days = np.asarray(dates, "datetime64[D]")
    with torch_threads(params.threads or default_threads(params.batch_size)):
        inputs, prepared = (
            InputLayout.of(feature_names, days),
            prepare_trees if isinstance(params.network, TreeParams) else prepare,
        )
        fitting, standardiser = prepared(samples, params, seed, nomenclature, inputs)
        run = TrainingRun(
            params=params,
            labels=tuple(one.label for one in nomenclature.classes),
            n_train=len(fitting.batches.features),
            n_valid=len(fitting.valid[0]),
            n_parameters=fitting.n_parameters,
            device=str(fitting.device),
        )
        packing = _Packing(params, tuple(feature_names), nomenclature, days, seed, standardiser, definitions or {})
        watchers = [HistoryFile(folder / HISTORY), *callbacks]
        return _Training(fitting, run, watchers, stop, folder, key, packing).go(state)


@dataclass(frozen=True)
class _Packing:
    """All that a model holds beside its weights and their epoch."""

    params: LearningParams
    feature_names: tuple[str, ...]
    nomenclature: Nomenclature
    dates: np.ndarray
    seed: int
    standardiser: Standardiser
    definitions: Mapping[str, str]

    def model(self, state: TrainingState) -> Model:
        """The model of the best epoch. (Its seconds stay out: two equal trainings write equal files.)"""
        return Model(
            params=self.params.network,
            weights=state.best_network,
            standardiser=self.standardiser,
            feature_names=self.feature_names,
            nomenclature=self.nomenclature,
            dates=self.dates,
            seed=self.seed,
            best={name: value for name, value in state.best.items() if name != "seconds"},
            definitions=dict(self.definitions),
        )


@dataclass
class _Training:
    """The epochs, and what is kept of them."""

    fitting: Fitting | TreeFitting
    run: TrainingRun
    callbacks: Sequence[Callback]
    stop: StopSignal | None
    folder: Path
    key: str
    packing: _Packing

    def go(self, state: TrainingState | None) -> TrainingResult:
        if state:
            self._restore(state)
        notify(self.callbacks, "on_train_begin", self.run)
        stopped = False
        for epoch in range(len(self.run.history) + 1, self.run.params.epochs + 1):
            row = self._epoch(epoch)
            stopped = row is None
            if row is None:
                LOG.info("training stopped in epoch %d", epoch)
                notify(self.callbacks, "on_stop", self.run)
                break
            state = self._keep(row, state)
            notify(self.callbacks, "on_epoch_end", self.run, row)
        notify(self.callbacks, "on_train_end", self.run)
        return TrainingResult(list(self.run.history), self.run.best, self.folder, stopped)

    def _epoch(self, epoch: int) -> Row | None:
        """The row of one epoch; None where a stop was asked for before its end."""
        notify(self.callbacks, "on_epoch_begin", self.run, epoch)
        start = time.perf_counter()
        train_loss = self.fitting.train_epoch(epoch, self._go_on)
        if train_loss is None:
            return None
        notify(self.callbacks, "on_batch_end", self.run, len(self.fitting.batches), len(self.fitting.batches))
        if not math.isfinite(train_loss):
            rate = self.run.params.learning_rate
            raise ParameterError(
                f"the train loss of epoch {epoch} is not a number: lower learning.learning_rate, which is {rate:g}"
            )
        valid_loss, matrix = self.fitting.evaluate()
        self.run.matrix = matrix
        return {
            "epoch": epoch,
            "train_loss": train_loss,
            "valid_loss": valid_loss,
            "oa": matrix.oa,
            "kappa": matrix.kappa,
            "f_score": matrix.f_score,
            "seconds": time.perf_counter() - start,
        }

    def _go_on(self, done: int, batches: int) -> bool:
        if done:
            notify(self.callbacks, "on_batch_end", self.run, done, batches)
        return not (self.run.stopping or is_set(self.stop))

    def _keep(self, row: Row, before: TrainingState | None) -> TrainingState:
        """Write the state after this epoch, and the model if the epoch is the best one."""
        select_by, weights = self.run.params.select_by, self.fitting.weights()
        best, best_weights = row, weights
        if before and _score(row, select_by) <= _score(before.best, select_by):
            best, best_weights = before.best, before.best_network
        self.run.history.append(row)
        self.run.best = best
        state = TrainingState(
            key=self.key,
            epochs=self.run.params.epochs,
            history=list(self.run.history),
            best=best,
            network=weights,
            best_network=best_weights,
            optimizer=self.fitting.moments(),
        )
        state.write(self.folder / STATE)
        if best is row:
            self.packing.model(state).save(self.folder / MODEL)
        return state

    def _restore(self, state: TrainingState) -> None:
        try:
            self.fitting.restore(state.network, state.optimizer)
        except (RuntimeError, ValueError, KeyError):
            raise RunFolderError(
                f"{self.folder / STATE} holds weights of another network; train with overwrite to begin again"
            ) from None
        self.run.history[:] = state.history
        self.run.best = state.best
        # A kill between the state and the model leaves the model one epoch behind.
        self.packing.model(state).save(self.folder / MODEL)
        LOG.info("training goes on after epoch %d", state.epoch)


def _score(row: Row, criterion: Criterion) -> float:
    """Greater is better."""
    return -row["valid_loss"] if criterion == "loss" else row[criterion]


def _resumable(path: Path, key: str, epochs: int, overwrite: bool) -> TrainingState | None:
    """The state to go on from, if there is one."""
    try:
        state = TrainingState.read(path, key)
        if state and state.epoch > epochs:
            raise RunFolderError(
                f"{path} has {state.epoch} epochs already, learning.epochs asks for {epochs}: "
                f"set {state.epoch} or more to go on, or train with overwrite to begin again"
            )
    except RunFolderError:
        if overwrite:
            return None
        raise
    return state
