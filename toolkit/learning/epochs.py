"""The epochs of a training, and what is kept of them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.batches import Standardiser
from toolkit.learning.calibration import Calibration, calibrate
from toolkit.learning.callbacks import Callback, Row, StopSignal, TrainingRun, is_set, notify
from toolkit.learning.checkpoint import Model
from toolkit.learning.criteria import score
from toolkit.learning.early_stop import has_ended
from toolkit.learning.fitting import Fitting
from toolkit.learning.growing import TreeFitting
from toolkit.learning.parameters import LearningParams
from toolkit.learning.ranks import Pace
from toolkit.learning.result import CALIBRATION, MODEL, STATE, TrainingResult
from toolkit.learning.schedule import plateau_factor, rate_factor
from toolkit.learning.state import TrainingState

LOG = logging.getLogger(__name__)

WAIT = 0.05
"""Seconds between two looks whether a paused training goes on."""

MOST_LOGITS = 20_000_000
"""Numbers that a calibration looks at, at most: of a very large valid set every second, third, ... sample."""


@dataclass(frozen=True)
class Packing:
    """All that a model holds beside its weights and their epoch."""

    params: LearningParams
    feature_names: tuple[str, ...]
    nomenclature: Nomenclature
    dates: np.ndarray
    seed: int
    standardiser: Standardiser
    definitions: Mapping[str, str]
    recipe: Mapping[str, Any]

    def model(self, state: TrainingState, temperature: float = 1.0) -> Model:
        """The model of the best epoch. (Its seconds stay out: two equal trainings write equal files.)"""
        return Model(
            params=self.params.network,
            interpolator=self.params.interpolator,
            weights=state.best_network,
            standardiser=self.standardiser,
            feature_names=self.feature_names,
            nomenclature=self.nomenclature,
            dates=self.dates,
            seed=self.seed,
            best={name: value for name, value in state.best.items() if name != "seconds"},
            definitions=dict(self.definitions),
            recipe=dict(self.recipe),
            temperature=temperature,
        )


@dataclass
class Epochs:
    """The epochs, and what is kept of them."""

    fitting: Fitting | TreeFitting
    run: TrainingRun
    callbacks: Sequence[Callback]
    stop: StopSignal | None
    folder: Path
    key: str
    packing: Packing
    choices: dict[str, Any] = field(default_factory=dict)
    _held: float = field(default=0.0, init=False)
    """Seconds that the epoch was paused."""
    _rate: float = field(default=0.0, init=False)
    """Learning rate of the last batch."""

    def go(self, state: TrainingState | None) -> TrainingResult:
        """From the state, or from the beginning, to the last epoch, a stop, or an early end."""
        if state:
            self._restore(state)
        notify(self.callbacks, "on_train_begin", self.run)
        stopped = False
        while not (state and (state.finished or state.epoch >= self.run.params.epochs)):
            row = self._epoch(len(self.run.history) + 1)
            if row is None:
                stopped = True
                LOG.info("training stopped in epoch %d", len(self.run.history) + 1)
                notify(self.callbacks, "on_stop", self.run)
                break
            state = self._keep(row, state)
            notify(self.callbacks, "on_epoch_end", self.run, row)
        self.fitting.ranks.dismiss()
        if state and self.run.params.calibrate:
            self._calibrate(state)
        notify(self.callbacks, "on_train_end", self.run)
        return TrainingResult(list(self.run.history), self.run.best, self.folder, stopped, self.run.changes)

    def _epoch(self, epoch: int) -> Row | None:
        """The row of one epoch; None where a stop was asked for before its end."""
        notify(self.callbacks, "on_epoch_begin", self.run, epoch)
        start, self._held = time.perf_counter(), 0.0
        self.fitting.ranks.begin(epoch)
        train_loss = self.fitting.train_epoch(epoch, self._pace(epoch))
        if train_loss is None:
            return None
        notify(self.callbacks, "on_batch_end", self.run, len(self.fitting.batches), len(self.fitting.batches))
        if not math.isfinite(train_loss):
            self.fitting.ranks.dismiss()
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
            "seconds": time.perf_counter() - start - self._held,
            "learning_rate": self._rate,
        }

    def _pace(self, epoch: int) -> Pace:
        """The learning rate of each batch of an epoch, or the end where a stop is asked for.

        What a person does meanwhile (`run.stop()`, `run.paused`, `run.rate_scale`) counts from the next batch on.
        """
        params = self.run.params
        rate = params.learning_rate * plateau_factor(params.schedule, self.run.history)

        def pace(done: int, batches: int) -> float | None:
            if done:
                notify(self.callbacks, "on_batch_end", self.run, done, batches)
            self._wait()
            if self._is_to_stop:
                return None
            self._note_change(epoch)
            factor = rate_factor(params.schedule, (epoch - 1) * batches + done, batches, params.epochs)
            self.run.rate = self._rate = rate * factor * self.run.rate_scale
            return self._rate

        return pace

    @property
    def _is_to_stop(self) -> bool:
        return self.run.stopping or is_set(self.stop)

    def _wait(self) -> None:
        """Hold the training while it is paused."""
        start = time.perf_counter()
        while self.run.paused and not self._is_to_stop:
            notify(self.callbacks, "on_wait", self.run)
            time.sleep(WAIT)
        self._held += time.perf_counter() - start

    def _note_change(self, epoch: int) -> None:
        """Keep in mind that the rate was changed by hand."""
        changes, scale = self.run.changes, self.run.rate_scale
        if scale != (changes[-1]["rate_scale"] if changes else 1.0):
            changes.append({"epoch": epoch, "rate_scale": scale})
            LOG.info("the learning rate is multiplied by %g, by hand, from epoch %d on", scale, epoch)

    def _keep(self, row: Row, before: TrainingState | None) -> TrainingState:
        """Write the state after this epoch, and the model if the epoch is the best one."""
        params, weights = self.run.params, self.fitting.weights()
        average = self.fitting.watched_weights() if self.fitting.averages else {}
        best, best_weights = row, average or weights
        if before and score(row, params.select_by) <= score(before.best, params.select_by):
            best, best_weights = before.best, before.best_network
        self.run.history.append(row)
        self.run.best = best
        state = TrainingState(
            key=self.key,
            epochs=params.epochs,
            history=list(self.run.history),
            best=best,
            network=weights,
            best_network=best_weights,
            optimizer=self.fitting.moments(),
            average=average,
            rate_scale=self.run.rate_scale,
            changes=list(self.run.changes),
            finished=has_ended(self.run.history, params.early_stop),
            choices=self.choices,
        )
        state.write(self.folder / STATE)
        if best is row:
            self.packing.model(state).save(self.folder / MODEL)
        return state

    def _calibrate(self, state: TrainingState) -> None:
        """Scale the confidence of the best epoch's model."""
        found = self._calibration(state)
        found.write(self.folder / CALIBRATION)
        self.packing.model(state, found.temperature).save(self.folder / MODEL)

    def _calibration(self, state: TrainingState) -> Calibration:
        self.fitting.watch(state.best_network)
        every = -(-self.fitting.valid.count * len(self.fitting.codes) // MOST_LOGITS)
        chunks = [(logits[::every].cpu(), labels[::every].cpu()) for logits, labels in self.fitting.logits()]
        return calibrate(torch.cat([logits for logits, _ in chunks]), torch.cat([labels for _, labels in chunks]))

    def _restore(self, state: TrainingState) -> None:
        try:
            self.fitting.restore(state.network, state.optimizer, state.average)
        except (RuntimeError, ValueError, KeyError):
            raise RunFolderError(
                f"{self.folder / STATE} holds weights of another network; train with overwrite to begin again"
            ) from None
        self.run.history[:] = state.history
        self.run.best, self.run.rate_scale, self.run.changes = state.best, state.rate_scale, list(state.changes)
        # A kill between the state and the model leaves the model one epoch behind.
        self.packing.model(state).save(self.folder / MODEL)
        LOG.info("training goes on after epoch %d", state.epoch)
