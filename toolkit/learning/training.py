"""Train a network on samples: `train_network`."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.ground.errors import ModelError, RunFolderError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import plain
from toolkit.ground.writing import aside, write_text
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.calibration import Calibration
from toolkit.learning.callbacks import Callback, HistoryFile, Row, StopSignal, TrainingRun, replay
from toolkit.learning.checkpoint import Model
from toolkit.learning.devices import torch_threads
from toolkit.learning.epochs import Epochs, Packing
from toolkit.learning.fitting import Fitting, Start, check_samples, prepare
from toolkit.learning.growing import TreeFitting, prepare_trees
from toolkit.learning.inputs import InputLayout
from toolkit.learning.live_file import LiveFile
from toolkit.learning.models import NetworkParams, OwnParams, TreeParams
from toolkit.learning.parameters import LearningParams
from toolkit.learning.processes import Crew, together
from toolkit.learning.result import CALIBRATION, HISTORY, LIVE, MODEL, STATE, TRIES, TRIES_TABLE, TrainingResult
from toolkit.learning.settling import settle
from toolkit.learning.state import TrainingState
from toolkit.learning.tensorboard import TENSORBOARD, TensorBoardFiles
from toolkit.learning.tries import Try, choose, to_csv, tried, tries_of

__all__ = ["TrainingResult", "train_network"]

LOG = logging.getLogger(__name__)


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
    recipe: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    stop: StopSignal | None = None,
    overwrite: bool = False,
    base: Path = Path(),
) -> TrainingResult:
    """Train a network and keep the weights of its best epoch; or several, and keep the best one.

    A training that was stopped or killed goes on from its last whole epoch when it is called again with the same
    `key`, and ends with the weights and metrics of an unbroken one, bit for bit (same machine, device and threads).

    Args:
        samples: not standardised; in memory or on disk.
        seed: of the split, the first weights, the order of the samples and dropout.
        nomenclature: the network has an output for each of its classes, those without samples included.
        feature_names: name of each column of the features.
        dates: time grid of the features, datetime64[D] (date,); kept with the model.
        folder: receives `model/` (at each better epoch), `history.csv` and `state.safetensors` (at each epoch),
            `live.json` (while it runs), `calibration.json` (at the end); of several trainings `tries.csv`, and each in
            a folder under `tries/`.
        key: fingerprint of the samples and of the parameters, `epochs` aside, which may be raised to go on.
        definitions: what the features are, in words; kept with the model.
        recipe: how they are made, as plain values that JSON can hold; kept with the model.
        callbacks: called after `history.csv` is written; of several trainings they see one after the other, and at
            the end the one that is kept.
        stop: asked before each batch.
        overwrite: begin again where the folder holds the state of another training, or of more epochs.
        base: folder from which `params.start_from` is a path.

    Raises:
        SampleError: a code outside the nomenclature, a single class, nothing left for valid, or a value that is
            not a number.
        RunFolderError: the folder holds the state of a training with another key, or cannot be written.
        ParameterError: the device is absent, the loss is not a number any more, or a process of several ended.
        ModelError: the model to start from does not fit.
    """
    check_samples(samples, nomenclature, feature_names)
    days = np.asarray(dates, "datetime64[D]")
    names, defined = tuple(feature_names), dict(definitions or {})
    params = params.as_trained
    made = dict(recipe or {})
    task = _Task(samples, params, seed, nomenclature, names, days, defined, made, callbacks, stop, overwrite, base)
    return task.tries(folder, key) if params.tries.several else task.one(folder, key)


@dataclass(frozen=True)
class _Task:
    """What is to be trained, and who looks on."""

    samples: TrainingSamples
    params: LearningParams
    seed: int
    nomenclature: Nomenclature
    feature_names: tuple[str, ...]
    dates: np.ndarray
    definitions: dict[str, str]
    recipe: dict[str, Any]
    callbacks: Sequence[Callback]
    stop: StopSignal | None
    overwrite: bool
    base: Path

    def one(self, folder: Path, key: str, name: str = "") -> TrainingResult:
        """One training in this folder, the one of this name where there are several."""
        state = _resumable(folder / STATE, key, self.params, self.overwrite)
        if state and _is_done(folder, state, self.params):
            replay([HistoryFile(folder / HISTORY), *self.callbacks], self.params, state.history, state.best)
            return TrainingResult.load(folder)
        inputs = InputLayout.of(self.feature_names, self.dates)
        choices = settle(
            self.params, inputs, len(self.nomenclature), self.samples.features.size, state.choices if state else None
        )
        params = choices.settled(self.params)
        start, before = self._start(), folder / STATE if state else None
        crew = Crew(self.samples, params, self.seed, self.nomenclature, inputs, choices.streamed, before, key)
        with torch_threads(params.threads), together(crew, start) as ranks:
            given = (self.samples, params, self.seed, self.nomenclature, inputs)
            fitting: Fitting | TreeFitting
            if isinstance(params.network, TreeParams):
                fitting, standardiser = prepare_trees(*given)
            else:
                fitting, standardiser = prepare(*given, streamed=choices.streamed, start=start, ranks=ranks)
            about = (self.feature_names, self.nomenclature, self.dates, self.seed)
            packing = Packing(params, *about, standardiser, self.definitions, self.recipe)
            run = TrainingRun(
                params=self.params,
                labels=tuple(one.label for one in self.nomenclature.classes),
                n_train=fitting.batches.count,
                n_valid=fitting.valid.count,
                n_parameters=fitting.n_parameters,
                device=str(fitting.device),
                rate=params.learning_rate,
                name=name,
            )
            watchers = [HistoryFile(folder / HISTORY), LiveFile(folder / LIVE), *self._event_files(folder)]
            watchers += self.callbacks
            return Epochs(fitting, run, watchers, self.stop, folder, key, packing, choices.as_dict()).go(state)

    def tries(self, folder: Path, key: str) -> TrainingResult:
        """Several trainings, each in a folder of its own, and the best one's files in this folder."""
        rows: list[Row] = []
        places: list[Path] = []
        for one in tries_of(self.params.tries, self.params.batch_size, self.params.learning_rate, self.seed):
            place = folder / TRIES / one.name
            LOG.info("training with %s", one.name.replace("_", " "))
            result = self._as(one).one(place, f"{key} {one.name}", one.name)
            if result.best:
                rows.append(tried(one, result.best))
                places.append(place)
            if result.stopped:
                break
            write_text(folder / TRIES_TABLE, to_csv(rows))
        if places:
            _copy(places[choose(rows, self.params.select_by)], folder, self.params)
        if result.stopped:
            return replace(result, folder=folder)  # of the one that was stopped, which goes on from there
        result = TrainingResult.load(folder)
        replay(self.callbacks, self.params, result.history, result.best)
        return result

    def _event_files(self, folder: Path) -> list[Callback]:
        return [TensorBoardFiles(folder / TENSORBOARD)] if self.params.tensorboard else []

    def _as(self, one: Try) -> _Task:
        values = {"batch_size": one.batch_size, "learning_rate": one.learning_rate}
        return replace(self, params=self.params.model_copy(update=values), seed=one.seed)

    def _start(self) -> Start | None:
        """Weights and normalisation of the model to start from."""
        if self.params.start_from is None:
            return None
        place = self.base / self.params.start_from
        model = _load(place / MODEL if (place / MODEL).is_dir() else place, self.params)
        model.check_features(self.feature_names, "learning.start_from: the samples here", self.definitions)
        different = _differences(model, self.params.network, self.nomenclature)
        if different:
            raise ModelError(
                f"learning.start_from = {self.params.start_from} has {different} as here: set learning.network and the "
                "nomenclature as they are there, or leave start_from empty"
            )
        return Start(model.weights, model.standardiser)


def _differences(model: Model, network: NetworkParams, nomenclature: Nomenclature) -> str:
    """What tells a network from that of a model, in words."""
    there, here = plain(model.params), plain(network)
    if there["name"] != here["name"]:
        return f"network {there['name']}, not {here['name']}"
    names = [name for name in here if there.get(name) != here[name]]
    words = [f"{name} {there.get(name)}, not {here[name]}" for name in names]
    if not np.array_equal(model.nomenclature.codes, nomenclature.codes):
        words.append(f"the classes of {model.nomenclature.name}, not those of {nomenclature.name}")
    return "; ".join(words)


def start_fingerprint(params: LearningParams, base: Path) -> str:
    """The hash of the weights that a training starts from, so that others are noticed; empty where there are none.

    Raises:
        ModelError: there is no such model.
    """
    if params.start_from is None:
        return ""
    place = base / params.start_from
    path = (place / MODEL if (place / MODEL).is_dir() else place) / "weights.safetensors"
    if not path.is_file():
        raise ModelError(
            f"learning.start_from = {params.start_from}: there is no model in {place}; name the folder of a saved one"
        )
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_done(folder: Path, state: TrainingState, params: LearningParams) -> bool:
    """Whether nothing is left to do: all epochs, the model of the best one, and its calibration."""
    if not (state.finished or state.epoch >= params.epochs):
        return False
    try:
        model, calibration = _load(folder / MODEL, params), Calibration.read(folder / CALIBRATION)
    except (ModelError, RunFolderError):
        return False
    wanted = calibration.temperature if calibration else 1.0
    calibrated = calibration is not None if params.calibrate else True
    same = model.params == params.network and model.best["epoch"] == state.best["epoch"]
    return same and calibrated and model.temperature == wanted


def _load(folder: Path, params: LearningParams) -> Model:
    """A model of this network, which may be a person's own."""
    network = params.network
    return Model.load(folder, network_file=Path(network.code.path) if isinstance(network, OwnParams) else None)


def _copy(kept: Path, folder: Path, params: LearningParams) -> None:
    """Copy the files of a training, the state last: with it the folder counts as a training."""
    _load(kept / MODEL, params).save(folder / MODEL)
    for name in (HISTORY, CALIBRATION, LIVE, STATE):
        if (kept / name).exists():
            with aside(folder / name) as part:
                shutil.copyfile(kept / name, part)
        else:
            (folder / name).unlink(missing_ok=True)


def _resumable(path: Path, key: str, params: LearningParams, overwrite: bool) -> TrainingState | None:
    """The state to go on from, if there is one."""
    try:
        state = TrainingState.read(path, key)
        if state:
            _check_epochs(path, state, params)
    except RunFolderError:
        if overwrite:
            return None
        raise
    return state


def _check_epochs(path: Path, state: TrainingState, params: LearningParams) -> None:
    if state.epoch > params.epochs:
        raise RunFolderError(
            f"{path} has {state.epoch} epochs already, learning.epochs asks for {params.epochs}: "
            f"set {state.epoch} or more to go on, or train with overwrite to begin again"
        )
    if params.schedule.needs_an_end and state.epochs != params.epochs:
        raise RunFolderError(
            f"{path} is of a training of {state.epochs} epochs, over which learning.schedule.kind = "
            f"{params.schedule.kind} spreads the rate; it cannot go on to {params.epochs}: train with overwrite to "
            "begin again, or set learning.start_from to its model in an experiment of another name"
        )
