"""The study: which setting is next, pruning, going on after a kill; without any training."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.ground.params import build
from toolkit.learning.callbacks import TrainingRun
from toolkit.learning.parameters import LearningParams
from toolkit.learning.space import Setting, parse_space
from toolkit.learning.tuning import Outcome, Pruning, Study, Trial, TuningParams, most_epochs

RATE, OPTIMIZER, DROPOUT = "learning.learning_rate", "learning.optimizer", "learning.network.dropout"
WORDS = {RATE: [1e-5, 1e-1], OPTIMIZER: ["adam", "sgd"], DROPOUT: [0, 0.5]}
SPACE = parse_space(WORDS, LearningParams())

Open = Callable[..., Study]


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Open]:
    """Opens studies, by default with six trials before the sampler learns; all are closed at the end."""
    opened: list[Study] = []

    def open_(name: str = "study", key: str = "k", seed: int = 0, minimise: bool = False, **params: object) -> Study:
        tuning = TuningParams(**{"startup_trials": 6, **params})
        path = tmp_path / f"{name}.sqlite"
        opened.append(Study(path, key, SPACE, tuning, seed=seed, epochs=8, minimise=minimise))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def goodness(setting: Setting) -> float:
    """Best at a learning rate of 0.003 with adam."""
    return -abs(setting[RATE] - 0.003) * 10 + (setting[OPTIMIZER] == "adam") - setting[DROPOUT]


def tried(study: Study, count: int) -> list[Setting]:
    """So many trials, each of one fold."""
    settings = []
    for _ in range(count):
        trial = study.begin()
        study.end(trial, Outcome((goodness(trial.setting),)))
        settings.append(trial.setting)
    return settings


def test_settings_are_within_the_space_and_follow_the_seed(study: Open) -> None:
    settings = tried(study(), 6)
    assert all(1e-5 <= one[RATE] <= 1e-1 and 0 <= one[DROPOUT] <= 0.5 for one in settings)
    assert {one[OPTIMIZER] for one in settings} == {"adam", "sgd"}
    assert min(one[RATE] for one in settings) < 1e-3, "a logarithmic range is drawn from logarithmically"
    assert len({one[RATE] for one in settings}) == 6
    assert tried(study("again"), 6) == settings
    assert tried(study("other", seed=1), 6) != settings


def test_the_bayesian_sampler_finds_more_than_chance(study: Open) -> None:
    learnt, drawn = tried(study("learnt"), 18)[9:], tried(study("drawn", sampler="random"), 18)[9:]
    assert sum(map(goodness, learnt)) > sum(map(goodness, drawn)) + 1


@pytest.mark.parametrize("sampler", ["bayesian", "random"])
def test_a_killed_study_goes_on_with_the_same_settings(study: Open, sampler: str) -> None:
    unbroken = tried(study("unbroken", sampler=sampler), 10)
    settings = []
    for _ in range(5):
        broken = study("broken", sampler=sampler)
        settings += tried(broken, 2)
        left = broken.begin()  # killed while this one is at work
        broken.close()
        assert left.setting == (unbroken[len(settings)] if len(settings) < 10 else left.setting)
    assert settings == unbroken
    last = study("broken", sampler=sampler)
    assert last.count == 10 and [row["trial"] for row in last.rows()] == list(range(1, 11))


def test_rows_and_importance(study: Open) -> None:
    one = study()
    tried(one, 10)
    one.end(one.begin(), Outcome((0.25,), "pruned in fold 2, epoch 4", 1.5))
    one.end(one.begin(), Outcome((), "the train loss is not a number", is_refused=True))
    rows = one.rows()
    assert [row["state"] for row in rows] == ["complete"] * 10 + ["pruned", "refused"]
    assert rows[0]["score"] == pytest.approx(goodness(rows[0]["setting"]))
    assert rows[10]["score"] is None and rows[10]["seconds"] == 1.5 and rows[10]["message"].startswith("pruned")
    weights = one.importance()
    assert set(weights) == set(WORDS) and sum(weights.values()) == pytest.approx(1)
    assert study("empty").importance() == {}


def test_another_tuning_is_not_mixed_in(study: Open, tmp_path: Path) -> None:
    study().close()
    with pytest.raises(RunFolderError, match="tune with overwrite to begin again, or choose another name"):
        study(key="another")
    (tmp_path / "study.sqlite").write_bytes(b"not a database, but long enough to be taken for one" * 20)
    with pytest.raises(RunFolderError, match="damaged"):
        study()


def follow(trial: Trial, scores: list[float], fold: int = 0, done: tuple[float, ...] = ()) -> tuple[Pruning, int]:
    """A training with these scores as the callback sees it; with the epochs it came to."""
    run = TrainingRun(LearningParams(), (), 0, 0, 0, "cpu")
    watcher = Pruning(trial, fold, done, longest=8)
    watcher.on_train_begin(run)
    for epoch, score in enumerate(scores, 1):
        run.history.append({"epoch": epoch, "f_score": score})
        watcher.on_epoch_end(run, run.history[-1])
        if run.stopping:
            break
    return watcher, len(run.history)


def test_a_trial_below_the_median_is_pruned_and_a_good_one_is_not(study: Open) -> None:
    one = study(prune="median")
    for end in (0.5, 0.6, 0.7, 0.8, 0.9):
        trial = one.begin()
        watcher, epochs = follow(trial, [end * part / 8 for part in range(1, 9)])
        assert not watcher.pruned and epochs == 8
        one.end(trial, Outcome((end,)))
    watcher, epochs = follow(one.begin(), [0.0] * 8)
    assert watcher.pruned == "pruned in fold 1, epoch 3" and epochs == 3, "not in the first quarter of its epochs"
    run, again = TrainingRun(LearningParams(), (), 0, 0, 0, "cpu"), Pruning(one.begin(), 0, (), longest=8)
    run.history[:] = [{"epoch": epoch, "f_score": 0.0} for epoch in (1, 2, 3)]
    again.on_train_begin(run)  # killed just before it was noted that it was pruned
    assert again.pruned == "pruned in fold 1, epoch 3" and run.stopping
    watcher, epochs = follow(one.begin(), [0.95 * part / 8 for part in range(1, 9)])
    assert not watcher.pruned and epochs == 8


def test_nothing_is_pruned_where_that_is_not_wanted(study: Open) -> None:
    one = study(prune="none")
    for end in (0.9, 0.9, 0.9, 0.9, 0.9, 0.1):
        trial = one.begin()
        watcher, _ = follow(trial, [end] * 8)
        assert not watcher.pruned
        one.end(trial, Outcome((end,)))


def test_hyperband_gives_up_most_bad_trials(study: Open) -> None:
    one = study(prune="hyperband", folds=1)
    pruned = 0
    for place in range(16):
        trial = one.begin()
        watcher, _ = follow(trial, [0.1 + 0.8 * (place % 4 == 0)] * 8)
        pruned += bool(watcher.pruned)
        one.end(trial, Outcome((0.5,), watcher.pruned))
    assert 3 <= pruned < 15


def test_a_later_fold_is_compared_with_later_folds(study: Open) -> None:
    one = study()
    trial = one.begin()
    follow(trial, [0.2, 0.6], fold=1, done=(0.4,))
    (noted,) = one._study.get_trials(deepcopy=False)
    assert noted.intermediate_values == {9: pytest.approx(0.3), 10: pytest.approx(0.5)}


def test_a_loss_is_minimised(study: Open) -> None:
    one = study(minimise=True)
    learnt = []
    for _ in range(18):
        trial = one.begin()
        one.end(trial, Outcome((-goodness(trial.setting),)))
        learnt.append(trial.setting)
    assert sum(map(goodness, learnt[9:])) > sum(map(goodness, learnt[:9]))


def test_parameters() -> None:
    made = build(TuningParams, {"space": {RATE: [1e-5, 1e-2]}, "prune": True}, "x")
    assert made.prune == "median" and made.space[RATE] == (1e-5, 1e-2)
    assert build(TuningParams, {"prune": False}, "x").prune == "none"
    assert hash(made.space) == hash(made.space), "frozen all through"
    with pytest.raises(ParameterError, match="trials = 0"):
        build(TuningParams, {"trials": 0}, "x")


def test_most_epochs() -> None:
    learning = LearningParams(epochs=7)
    assert most_epochs(7, SPACE) == 7
    assert most_epochs(7, parse_space({"learning.epochs": [5, 20]}, learning)) == 20
    assert most_epochs(7, parse_space({"learning.epochs": [5, 30, 20]}, learning)) == 30


def test_optuna_is_imported_on_first_use_only() -> None:
    code = "import sys, toolkit.learning.tuning; sys.exit('optuna' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
