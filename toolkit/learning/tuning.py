"""The trials of a tuning: which setting is tried next, which trial is not worth its end, and what came of each.

The trials lie in a SQLite file. What a trial tries depends on the seed and on the finished trials before it, and on
nothing else: a tuning that was killed goes on with the setting it was at, and ends as one that was never killed.

Sampler: tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for hyper-parameter optimization", NIPS
24), or random. Pruning: by the median, or Hyperband (Li et al. 2018, JMLR 18). Importance: PED-ANOVA (Watanabe et al.
2023, IJCAI). All by optuna (Akiba et al. 2019, KDD), which is imported on first use.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, field_validator

from toolkit.ground.errors import RunFolderError
from toolkit.ground.params import FrozenTable, Params, param
from toolkit.ground.writing import explained
from toolkit.learning.batches import derived_seed
from toolkit.learning.callbacks import Callback, Row, TrainingRun
from toolkit.learning.folds import FoldsBy
from toolkit.learning.space import Axis, Setting, Space, label_of

if TYPE_CHECKING:
    import optuna

NAME = "tuning"
"""Of the study in its file; part of what Hyperband draws its brackets by."""

SAMPLER_SEED = 1
"""Tells the seeds of the sampler from all others; never change it."""

COMPARED = 5
"""Complete trials that the median is taken of at least."""

SPARED = 4
"""No trial is pruned in this part (a quarter) of its first epochs: a low learning rate begins slowly."""

WEIGHED = 10
"""Complete trials from which the importance of parameters can be told at least."""


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return FrozenTable({str(key): _frozen(one) for key, one in value.items()})
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


class TuningParams(Params):
    """How the parameters of the learning are tuned."""

    space: Annotated[dict[str, Any], AfterValidator(_frozen)] = param(
        {},
        "What is tuned: the path of a parameter of learning, and its values. Two numbers are the ends of a range, such "
        "as {learning.learning_rate: [1.0e-5, 1.0e-2]}; anything else is a list of choices; {choices: [20, 40]} are "
        "two numbers to choose from.",
    )
    trials: int = param(30, "Settings that are tried. It may be raised to go on.", unit="trials", ge=1)
    sampler: Literal["bayesian", "random"] = param(
        "bayesian", "How the next setting is chosen: bayesian learns from the trials before it (TPE), random does not."
    )
    startup_trials: int = param(
        10, "Trials at random before the bayesian sampler begins to learn from them.", unit="trials", ge=1
    )
    folds: int = param(
        3,
        "Parts of the train samples that are held out in turn; a trial's score is the mean over them. 1: the score of "
        "the training's own valid samples, in a third of the time, and less sure.",
        unit="folds",
        ge=1,
        le=20,
    )
    folds_by: FoldsBy = param(
        "polygon", "What is held out: whole polygons, or whole tiles, which asks for a setting that holds elsewhere."
    )
    prune: Literal["median", "hyperband", "none"] = param(
        "median",
        "Which trials are not trained to their end: those below the median of the trials before at the same epoch, "
        "those that hyperband gives up, or none.",
    )

    @field_validator("prune", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        return {True: "median", False: "none"}[value] if isinstance(value, bool) else value


@dataclass(frozen=True)
class Trial:
    """A setting that is tried."""

    place: int
    """Its place among the trials that count, from 0."""
    setting: Setting
    asked: optuna.Trial


@dataclass(frozen=True)
class Outcome:
    """What came of a trial."""

    scores: tuple[float, ...] = ()
    """The metric on each fold that was held out."""
    pruned: str = ""
    """Why it was not trained to its end; empty where it was."""
    seconds: float = 0.0
    is_refused: bool = False
    """Whether it could not be trained at all, or its loss was not a number any more."""

    @property
    def score(self) -> float:
        return sum(self.scores) / len(self.scores)


class Study:
    """The trials of a tuning in their SQLite file, which is made where there is none.

    Args:
        key: fingerprint of the samples, the space and all else that the trials depend on.
        epochs: of a fold at most, in any trial.
        minimise: whether a lower score is better, as with a loss.

    Raises:
        RunFolderError: the file holds the trials of another tuning, is damaged, or cannot be written.
    """

    def __init__(
        self, path: Path, key: str, space: Space, params: TuningParams, *, seed: int, epochs: int, minimise: bool
    ) -> None:
        self.path, self.space, self.params, self.seed = path, space, params, seed
        self._storage, self._study = _opened(path, "minimize" if minimise else "maximize")
        there = self._study.user_attrs.get("key")
        if there not in (None, key):
            self.close()
            raise RunFolderError(
                f"{path} holds the trials of a tuning of other samples, parameters or another space; tune with "
                "overwrite to begin again, or choose another name for the experiment"
            )
        self._study.set_user_attr("key", key)
        self._study.pruner = _pruner(params, epochs)
        self._fail_what_was_left()

    def close(self) -> None:
        """Leave the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    @property
    def count(self) -> int:
        """Trials that are finished: trained to their end, pruned or refused."""
        return len(self._finished())

    def begin(self) -> Trial:
        """The next setting to try."""
        place = self.count
        # A sampler of its own for each place: what it draws does not depend on how often the tuning was killed.
        self._study.sampler = _sampler(self.params, derived_seed(self.seed, SAMPLER_SEED, place))
        asked = self._study.ask()
        setting = self.space.draw(lambda axis: _suggest(asked, axis))
        asked.set_user_attr("place", place)
        asked.set_user_attr("setting", {path: label_of(value) for path, value in setting.items()})
        return Trial(place, setting, asked)

    def end(self, trial: Trial, outcome: Outcome) -> None:
        """Note what came of a trial."""
        from optuna.trial import TrialState

        trial.asked.set_user_attr("scores", list(outcome.scores))
        trial.asked.set_user_attr("seconds", round(outcome.seconds, 3))
        trial.asked.set_user_attr("message", outcome.pruned)
        trial.asked.set_user_attr("refused", outcome.is_refused)
        if outcome.pruned:
            self._study.tell(trial.asked, state=TrialState.PRUNED)
        else:
            self._study.tell(trial.asked, outcome.score)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each finished trial: trial (from 1), state, score, scores, setting, seconds, message.

        The state is `complete`, `pruned` or `refused`; only a complete trial has a score.
        """
        return [_row(one) for one in self._finished()]

    def importance(self) -> dict[str, float]:
        """Share of each parameter in how much the scores differ; empty where there are too few trials to tell."""
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        scores = [row["score"] for row in self.rows() if row["state"] == "complete"]
        if len(scores) < WEIGHED or len(set(scores)) < 2:
            return {}
        return dict(get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator()))

    def _finished(self) -> list[optuna.trial.FrozenTrial]:
        from optuna.trial import TrialState

        return self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))

    def _fail_what_was_left(self) -> None:
        """Trials of a process that was killed are done again: the sampler takes no notice of failed ones."""
        from optuna.trial import TrialState

        for one in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(one.number, state=TrialState.FAIL)


class Pruning(Callback):
    """Tells a study how a trial does after each epoch, and stops it where that is not worth its end.

    A trial is compared at the same epoch of the same fold: the mean of the folds that are done, and of the best epoch
    so far of this one on the training's valid samples.

    Args:
        fold: place of the fold, from 0.
        done: scores of the folds before.
        longest: epochs of a fold at most, in any trial.
    """

    def __init__(self, trial: Trial, fold: int, done: tuple[float, ...], longest: int) -> None:
        self._trial, self._fold, self._done, self._longest = trial, fold, done, longest
        self.pruned = ""
        """Why the trial is not worth its end; empty while it is."""

    def on_train_begin(self, run: TrainingRun) -> None:
        """Epochs of a part before, if the training goes on: the last may be the one at which it was to be pruned."""
        for end in range(1, len(run.history) + 1):
            self._compare(run, run.history[:end])

    def on_epoch_end(self, run: TrainingRun, row: Row) -> None:
        """One more epoch to compare."""
        self._compare(run, run.history)

    def _compare(self, run: TrainingRun, history: list[Row]) -> None:
        if self.pruned:
            return
        self._tell(run, history)
        if self._trial.asked.should_prune():
            self.pruned = f"pruned in fold {self._fold + 1}, epoch {len(history)}"
            run.stop()

    def _tell(self, run: TrainingRun, history: list[Row]) -> None:
        values = [row[run.params.select_column] for row in history]
        best = min(values) if run.params.select_by == "loss" else max(values)
        scores = (*self._done, best)
        self._trial.asked.report(sum(scores) / len(scores), self._fold * self._longest + len(history))


def _opened(path: Path, direction: Literal["minimize", "maximize"]) -> tuple[Any, optuna.Study]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    _check_file(path)
    quick = {"connect_args": {"factory": _Connection}}
    storage = optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs=quick)
    return storage, optuna.create_study(storage=storage, study_name=NAME, direction=direction, load_if_exists=True)


class _Connection(sqlite3.Connection):
    """A connection that does not wait for the disk, ten times a trial.

    A killed process loses nothing by that. A power cut may damage the file; the tuning then begins again.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.execute("PRAGMA synchronous=OFF")


def _check_file(path: Path) -> None:
    if not path.exists():
        return
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("PRAGMA quick_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    finally:
        connection.close()
    if found != "ok":
        raise RunFolderError(f"{path} is damaged ({found}); delete it: the tuning begins again")


def _sampler(params: TuningParams, seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    seed %= 2**32
    if params.sampler == "random":
        return optuna.samplers.RandomSampler(seed)
    return optuna.samplers.TPESampler(n_startup_trials=params.startup_trials, seed=seed)


def _pruner(params: TuningParams, epochs: int) -> optuna.pruners.BasePruner:
    import optuna

    first = -(-epochs // SPARED)
    if params.prune == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=first, max_resource=epochs * params.folds)
    if params.prune == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=COMPARED, n_warmup_steps=first + 1)
    return optuna.pruners.NopPruner()


def _suggest(asked: optuna.Trial, axis: Axis) -> Any:
    if axis.choices:
        labels = {label_of(one): one for one in axis.choices}
        return labels[asked.suggest_categorical(axis.path, list(labels))]
    if axis.whole:
        return asked.suggest_int(axis.path, int(axis.low), int(axis.high), log=axis.log)
    return asked.suggest_float(axis.path, axis.low, axis.high, log=axis.log)


def _row(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    noted = trial.user_attrs
    is_complete = trial.state.name == "COMPLETE"
    return {
        "trial": noted["place"] + 1,
        "state": "complete" if is_complete else "refused" if noted["refused"] else "pruned",
        "score": trial.value if is_complete else None,
        "scores": noted["scores"],
        "setting": {path: json.loads(label) for path, label in noted["setting"].items()},
        "seconds": noted["seconds"],
        "message": noted["message"],
    }


def most_epochs(epochs: int, space: Space) -> int:
    """Epochs of any trial of this space at most."""
    axis = next((one for one in space if one.path == "learning.epochs"), None)
    if axis is None:
        return epochs
    return int(max(axis.choices)) if axis.choices else int(axis.high)
