"""The verb `tune`: folds of the train samples only, going on after a kill, what is left, and the best applied."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from toolkit import Experiment, tune
from toolkit.experiment import tuning as module
from toolkit.experiment.events import PAUSED, Event
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.jobs import Job
from toolkit.experiment.tuning_result import TuningResult
from toolkit.ground.errors import ParameterError, RunFolderError, SampleError
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.control import ask

RATE, HIDDEN = "learning.learning_rate", "learning.network.hidden"
SPACE = {RATE: (1e-4, 1e-2), HIDDEN: [[16], [32, 16]]}
QUICK = {"trials": 3, "folds": 2, "startup_trials": 2}


@pytest.fixture
def experiment(sampled_demo: Path) -> Experiment:
    """An experiment of its own with samples, whose trainings are short."""
    experiment = Experiment.load(sampled_demo)
    experiment.set({"learning.epochs": 2})
    return experiment


def test_trials_best_and_what_is_left(experiment: Experiment) -> None:
    before, events = experiment.params, []
    result = tune(experiment, SPACE, observer=events.append, **QUICK)
    assert experiment.params == before, "a call changes nothing of the experiment"
    assert list(result.trials.columns) == ["trial", "state", "score", "spread", RATE, HIDDEN, "seconds", "message"]
    complete = result.trials[result.trials["state"] == "complete"]
    assert len(result.trials) == 3 and len(complete) >= 1
    assert result.score == pytest.approx(complete["score"].max(), abs=1e-6)
    first = result.ranking.iloc[0]
    assert first[RATE] == result.best[RATE] and first[HIDDEN] == result.best[HIDDEN]
    assert (complete["spread"] > 0).all()
    assert sorted(path.name for path in result.folder.iterdir()) == ["best.json", "study.sqlite", "trials.csv"]
    assert f"best F-score {result.score:.4f}" in repr(result) and RATE in repr(result)
    assert "Tuning, the best trials" in result._repr_html_() and "learning_rate" in result._repr_html_()

    words = [event.message for event in events]
    assert any("trial 3 of 3" in one and "best so far 0." in one for one in words)
    moving = [event.done / event.total for event in events if event.state == "running" and event.total]
    assert moving == sorted(moving) and moving[-1] == 1

    assert tune(experiment, SPACE, **QUICK).best == result.best
    events.clear()
    tune(experiment, SPACE, observer=events.append, **QUICK)
    assert [event.state for event in events] == ["up to date"]


def test_held_it_ends_as_if_it_never_was(experiment: Experiment) -> None:
    control = RunFolder(experiment.folder).control
    said: list[str] = []
    control.parent.mkdir(parents=True)

    def person(event: Event) -> None:
        held = [one for one in said if one.startswith(PAUSED)]
        said.append(event.message)
        if event.message.startswith(PAUSED):
            ask(control, paused=False, rate_scale=0.1)  # the rate belongs to the trial
        elif event.message.startswith("trial") and not held:
            ask(control, paused=True)

    held = tune(experiment, SPACE, observer=person, **QUICK).trials
    told = [one for one in said if one.startswith(PAUSED)]
    assert len(told) == 1 and told[0].startswith("paused in trial 1 of 3, fold ")
    shutil.rmtree(RunFolder(experiment.folder).tuning)
    ask(control, paused=True)  # left by a tuning that was stopped while it was held
    never = tune(experiment, SPACE, **QUICK).trials
    pd.testing.assert_frame_equal(held.drop(columns="seconds"), never.drop(columns="seconds"))


def test_the_best_is_applied_and_the_tuning_stays_up_to_date(experiment: Experiment) -> None:
    experiment.set(tuning={"space": SPACE, **QUICK})
    result = tune(experiment)
    before = experiment.params
    result.apply(experiment)
    assert experiment.get(RATE) == result.best[RATE] and list(experiment.get(HIDDEN)) == result.best[HIDDEN]
    assert experiment.learning.epochs == before.learning.epochs
    events: list[Event] = []
    assert TuningResult.load(result.folder).best == tune(experiment, observer=events.append).best
    assert [event.state for event in events] == ["up to date"], (
        "what is tuned is no part of what the tuning is made from"
    )
    experiment.undo()
    assert experiment.params == before


def test_another_space_is_refused_and_more_trials_go_on(experiment: Experiment) -> None:
    first = tune(experiment, SPACE, **QUICK)
    more = tune(experiment, SPACE, **{**QUICK, "trials": 4})
    assert more.trials.head(3).equals(first.trials) and len(more.trials) == 4
    other = {RATE: (1e-3, 1e-2)}
    with pytest.raises(RunFolderError, match=r"holds a result of `tune` made with tuning\.space.*overwrite=True"):
        tune(experiment, other, **QUICK)
    again = tune(experiment, other, overwrite=True, **QUICK)
    assert list(again.best) == [RATE] and len(again.trials) == 3


def test_only_train_polygons_and_no_polygon_in_two_folds(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[set[int], set[int]]] = []
    score, frame = module._Samples.score, GroundTruth.read(experiment.folder / "ground_truth" / "train.gpkg").frame

    def watched(self: Any, model: Any, fold: int, select_by: Any) -> float:
        held = self.fold == fold
        seen.append((set(self.samples.polygons[held]), set(self.without(fold).polygons)))
        assert len(self.without(fold)) + held.sum() == len(self.samples)
        return score(self, model, fold, select_by)

    monkeypatch.setattr(module._Samples, "score", watched)
    tune(experiment, SPACE, trials=1, folds=3)
    assert len(seen) == 3
    for held, trained in seen:
        assert held and trained and not held & trained
        assert held | trained <= set(frame["source"]), "test polygons take no part"
    assert not set.intersection(*(held for held, _ in seen))


def test_folds_by_tile(experiment: Experiment) -> None:
    experiment.set(tuning={"space": SPACE, "folds": 4, "folds_by": "tile"})
    samples = module._Samples.of(experiment)
    frame = GroundTruth.read(experiment.folder / "ground_truth" / "clean.gpkg").frame.set_index("source")
    tiles = [set(frame.loc[samples.samples.polygons[samples.fold == fold], "tile"]) for fold in range(4)]
    assert sorted(len(one) for one in tiles) == [1, 1, 1, 1]
    with pytest.raises(SampleError, match=r"tuning\.folds = 5, but the samples are of 4 tiles only"):
        tune(experiment, folds=5)
    assert not (experiment.folder / "tuning").exists(), "nothing is written for a tuning that cannot be"


@pytest.mark.parametrize("select_by", ["loss", "kappa"])
def test_the_score_is_the_metric_that_selects(experiment: Experiment, select_by: str) -> None:
    experiment.set({"learning.select_by": select_by})
    result = tune(experiment, SPACE, **QUICK)
    complete = result.trials["score"].dropna()
    assert result.score == pytest.approx(complete.min() if select_by == "loss" else complete.max(), abs=1e-6)


def test_one_fold_is_scored_by_the_training_itself(experiment: Experiment) -> None:
    result = tune(experiment, SPACE, trials=2, folds=1)
    assert result.trials["spread"].isna().all() and result.score is not None


def test_a_mistake_in_the_space_is_told_first(experiment: Experiment) -> None:
    with pytest.raises(ParameterError, match=r"learning\.network\.dropout = 2"):
        tune(experiment, {"learning.network.dropout": [0, 2]})
    with pytest.raises(ParameterError, match=r"tuning\.space is empty"):
        tune(experiment)
    with pytest.raises(ParameterError, match="folders"):
        tune(experiment, SPACE, folders=2)
    assert not (experiment.folder / "tuning").exists()


def test_a_setting_that_cannot_be_trained_is_a_refused_trial(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_network = module.train_network

    def diverging(samples: TrainingSamples, params: Any, **named: Any) -> Any:
        if params.learning_rate > limit:
            raise ParameterError(f"the train loss of epoch 1 is not a number: lower {params.learning_rate}")
        return train_network(samples, params, **named)

    monkeypatch.setattr(module, "train_network", diverging)
    limit = 5e-4
    result = tune(experiment, SPACE, **{**QUICK, "trials": 5})
    assert {"refused", "complete"} <= set(result.trials["state"])
    assert result.trials.set_index("state").loc["refused", "message"].str.contains("is not a number").all()
    limit = 0.0
    with pytest.raises(ParameterError, match="no trial could be trained to its end; the first: the train loss"):
        tune(experiment, {RATE: (1e-3, 1e-2)}, overwrite=True, **QUICK)


@pytest.fixture
def twin(experiment: Experiment, tmp_path: Path) -> Experiment:
    """The same experiment with the same samples in another place."""
    shutil.copytree(experiment.path.parent, tmp_path / "twin", symlinks=True, copy_function=shutil.copy2)
    twin = Experiment.load(tmp_path / "twin" / experiment.path.name)
    twin.set({"learning.epochs": experiment.learning.epochs})
    return twin


def settled(result: TuningResult) -> list[list[str]]:
    """The table of trials without the time they took."""
    return [list(map(str, row)) for row in result.trials.drop(columns="seconds").to_numpy()]


def test_a_stop_keeps_what_is_done_and_the_same_call_goes_on(experiment: Experiment, twin: Experiment) -> None:
    states: list[str] = []

    def after_two() -> bool:
        return len(trials_in(experiment.folder / "tuning")) == 2

    broken = tune(experiment, SPACE, stop=after_two, observer=lambda event: states.append(event.state), **QUICK)
    assert len(broken.trials) == 2 and states[-1] == "stopped" and broken.best
    whole = tune(experiment, SPACE, **QUICK)
    assert settled(whole)[:2] == settled(broken)
    assert settled(whole) == settled(tune(twin, SPACE, **QUICK)) and len(whole.trials) == 3


def test_killed_at_any_moment_it_ends_as_if_it_never_was(experiment: Experiment, twin: Experiment) -> None:
    asked = {"space": SPACE, "trials": 5, "folds": 2, "startup_trials": 2}
    for one in (experiment, twin):
        one.set({"learning.epochs": 4})
        one.set(tuning=asked)
    rng, folder, kills = np.random.default_rng(0), experiment.folder / "tuning", 0
    for _ in range(3):
        job, count = Job.start(experiment, "tune"), len(trials_in(folder))
        until = time.monotonic() + 120
        while not job.look().is_over and len(trials_in(folder)) <= count and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.4))
        if not job.look().is_over:
            os.kill(job.order.pid or 0, signal.SIGKILL)
            kills += 1
        assert job.wait(60)
    killed = tune(experiment)
    assert kills >= 1 and len(killed.trials) == 5 and not (folder / "trial").exists()
    unbroken = tune(twin)
    assert settled(killed) == settled(unbroken)
    assert (killed.best, killed.importance) == (unbroken.best, unbroken.importance)


def trials_in(folder: Path) -> list[str]:
    path = folder / "trials.csv"
    return path.read_text().splitlines()[1:] if path.exists() else []


def test_as_a_job_it_is_stopped_and_followed(experiment: Experiment) -> None:
    experiment.set({"learning.epochs": 100_000})
    experiment.set(tuning={"space": SPACE, "prune": "none"})
    job = Job.start(experiment, "tune")
    until = time.monotonic() + 120
    while not any(one.total for one in job.stages) and time.monotonic() < until:
        assert not job.look().is_over, job.error
        time.sleep(0.05)
    assert "trial 1 of 30, fold 1 of 3: " not in job.stages[0].message and job.stages[0].message.startswith("trial 1")
    job.stop()
    assert job.wait(60) and job.state == "stopped"
    assert TuningResult.load(experiment.folder / "tuning").score is None
    with pytest.raises(RunFolderError, match="no complete trial"):
        TuningResult.load(experiment.folder / "tuning").apply(experiment)


def test_damaged_or_absent_files(experiment: Experiment) -> None:
    folder = experiment.folder / "tuning"
    with pytest.raises(RunFolderError, match="run `tune` first"):
        TuningResult.load(folder)
    tune(experiment, SPACE, **{**QUICK, "trials": 1})
    content = json.loads((folder / "best.json").read_text())
    assert content["trial"] == 1 and content["select_by"] == "f_score"
    (folder / "best.json").write_text("{")
    with pytest.raises(RunFolderError, match="damaged"):
        TuningResult.load(folder)
