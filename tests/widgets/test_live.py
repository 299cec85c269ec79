"""Live curves: never too often, never too heavy, and the last state always arrives."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from toolkit import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.job_status import JobStatus
from toolkit.experiment.stages import Stage
from toolkit.figures.style import METRIC_COLOURS
from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import RunFolderError
from toolkit.learning.callbacks import HistoryFile, TrainingRun, checked_scale
from toolkit.learning.live_file import Live
from toolkit.learning.parameters import LearningParams
from toolkit.widgets import live
from toolkit.widgets.curve_points import (
    COLUMNS,
    MAX_COMPARED,
    MAX_POINTS,
    MOST_COMPARED,
    best_epoch,
    lowest_metric,
    thin,
)
from toolkit.widgets.live import LiveCurves


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(live.time, "sleep", lambda seconds: setattr(clock, "now", clock.now + seconds))
    return clock


class Recorded(LiveCurves):
    """Curves that note each message to the browser: when, and how many bytes."""

    def __init__(self, clock: Any) -> None:
        self.sent: list[tuple[float, int]] = []
        self.noting = False
        self.clock = clock
        super().__init__(clock=clock)
        self.noting = True

    def _send(self, msg: Any, buffers: Any = None) -> None:
        if self.noting:
            size = len(json.dumps(msg)) + sum(len(one) for one in buffers or [])
            self.sent.append((self.clock(), size))


def training(epochs: int) -> TrainingRun:
    return TrainingRun(LearningParams(epochs=epochs), ("a", "b"), 100, 20, 1000, "cpu")


def row(epoch: int) -> dict[str, Any]:
    score = 1 - 1 / (epoch + 1)
    return {
        "epoch": epoch,
        "train_loss": 2 / epoch,
        "valid_loss": 2.5 / epoch,
        "oa": score,
        "kappa": score - 0.05,
        "f_score": score - 0.1,
        "seconds": 0.5,
    }


def epoch(curves: LiveCurves, run: TrainingRun, number: int, best: int | None = None) -> None:
    run.history.append(row(number))
    run.best = row(best or number)
    curves.on_epoch_end(run, run.history[-1])


def points(curves: LiveCurves) -> np.ndarray:
    return np.frombuffer(curves.points, dtype="<f4").reshape(-1, len(COLUMNS))


def test_points_hold_the_history() -> None:
    curves, run = LiveCurves(clock=iter(range(100)).__next__), training(3)
    curves.on_train_begin(run)
    epoch(curves, run, 1)
    epoch(curves, run, 2, best=1)
    expected = [[row(number)[column] for column in COLUMNS] for number in (1, 2)]
    np.testing.assert_allclose(points(curves), expected, rtol=1e-6)
    assert curves.status["best"] == 1
    assert curves.status["epochs"] == 3
    assert curves.status["left"] == 0.5
    assert curves.history == run.history


def test_at_most_ten_updates_a_second(clock: Clock) -> None:
    curves, run = Recorded(clock), training(1000)
    curves.on_train_begin(run)
    for number in range(1, 501):
        clock.now += 0.004
        curves.on_batch_end(run, 1, 1)
        epoch(curves, run, number)
    moments = np.array([moment for moment, _ in curves.sent])
    assert np.diff(moments).min() >= live.INTERVAL - 1e-9
    assert 15 <= len(moments) <= 21


def test_last_state_always_arrives(clock: Clock) -> None:
    curves, run = Recorded(clock), training(40)
    curves.on_train_begin(run)
    for number in range(1, 41):
        epoch(curves, run, number, best=min(number, 17))
    curves.on_train_end(run)
    assert points(curves)[-1, 0] == 40
    assert curves.status["phase"] == "done" and curves.status["part"] == 1
    assert np.diff([moment for moment, _ in curves.sent]).min() >= live.INTERVAL - 1e-9


def test_what_was_held_back_goes_with_the_next_batch(clock: Clock) -> None:
    curves, run = Recorded(clock), training(5)
    curves.on_train_begin(run)
    epoch(curves, run, 1)
    assert len(points(curves)) == 0
    clock.now += 0.2
    curves.on_batch_end(run, 1, 50)
    assert len(points(curves)) == 1
    assert curves.status["part"] == pytest.approx((1 + 1 / 50) / 5)


@pytest.mark.parametrize("epochs", [200, 5000])
def test_updates_are_small_and_quick(epochs: int) -> None:
    class Always:
        """A clock by which every update is due."""

        now = 0.0

        def __call__(self) -> float:
            self.now += 1
            return self.now

    curves, run = Recorded(Always()), training(epochs)
    curves.on_train_begin(run)
    run.history += [row(number) for number in range(1, epochs - 20)]
    curves.on_train_begin(run)
    curves.sent.clear()
    seconds = []
    for number in range(epochs - 20, epochs + 1):
        before = time.perf_counter()
        epoch(curves, run, number)
        seconds.append(time.perf_counter() - before)
    assert max(size for _, size in curves.sent) < 10_000
    assert np.median(seconds) < 0.002


def test_resumed_training_shows_its_earlier_epochs() -> None:
    curves, run = LiveCurves(), training(10)
    run.history += [row(1), row(2)]
    run.best = row(2)
    curves.on_train_begin(run)
    assert points(curves)[:, 0].tolist() == [1, 2]
    assert curves.status["part"] == 0.2


def test_a_second_training_begins_anew() -> None:
    curves = LiveCurves()
    for epochs in (3, 2):
        run = training(epochs)
        curves.on_train_begin(run)
        for number in range(1, epochs + 1):
            epoch(curves, run, number)
        curves.on_train_end(run)
    assert points(curves)[:, 0].tolist() == [1, 2]


def test_stopped_training_says_so() -> None:
    curves, run = LiveCurves(), training(10)
    curves.on_train_begin(run)
    epoch(curves, run, 1)
    curves.on_stop(run)
    curves.on_train_end(run)
    assert curves.status["phase"] == "stopped"


def test_training_in_a_thread_updates_the_curves() -> None:
    curves, run = LiveCurves(), training(2)

    def work() -> None:
        curves.on_train_begin(run)
        epoch(curves, run, 1)
        curves.on_train_end(run)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert points(curves)[:, 0].tolist() == [1]


@pytest.mark.parametrize("count", [0, 1, 2, 299, 300, 301, 1000, 12_345])
def test_thinning_keeps_ends_and_best(count: int) -> None:
    keep = count // 3
    chosen = thin(count, MAX_POINTS, keep)
    assert len(chosen) <= min(count, MAX_POINTS)
    assert (np.diff(chosen) > 0).all()
    if count:
        assert {0, count - 1, keep} <= set(chosen.tolist())
    if count <= MAX_POINTS - 2:
        assert len(chosen) == count


def test_picture_for_export_is_a_png_of_the_history() -> None:
    curves, run = LiveCurves(), training(3)
    assert curves._picture() == ({}, {})
    curves.on_train_begin(run)
    epoch(curves, run, 1)
    epoch(curves, run, 2)
    data, metadata = curves._picture()
    assert data["image/png"].startswith("iVBORw0KGgo")
    assert metadata["image/png"]["width"] > 2 * metadata["image/png"]["height"]
    assert repr(curves) == "LiveCurves(2 epochs, best 2)"


def write_history(experiment: Experiment, epochs: int) -> None:
    run = training(epochs)
    run.history += [row(number) for number in range(1, epochs + 1)]
    HistoryFile(RunFolder(experiment.folder).history).on_train_begin(run)


class FakeJob:
    """A job whose status is what the test says."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self.verb = experiment, "train"
        self.order = SimpleNamespace(started="2026-01-01T00:00:00+00:00")
        self.asked: list[Any] = []
        self.looks: list[JobStatus] = []

    def look(self) -> JobStatus:
        return self.looks.pop(0)

    def pause(self) -> None:
        self.asked.append("pause")

    def go_on(self) -> None:
        self.asked.append("go on")

    def stop(self) -> None:
        self.asked.append("stop")

    def scale_rate(self, factor: float) -> None:
        self.asked.append(checked_scale(factor))


@pytest.fixture
def elsewhere(experiment: Experiment, tmp_path: Path) -> Experiment:
    """An experiment whose training another process writes."""
    return Experiment(experiment.params, tmp_path / "experiment.yml")


def test_job_s_training_is_shown_from_its_files(elsewhere: Experiment) -> None:
    curves, job = LiveCurves(show=False), FakeJob(elsewhere)
    curves.show_job(job, JobStatus("running", (Stage("clean", "running"), Stage("train"))))
    assert (curves.history, curves.status["phase"]) == ([], None)
    write_history(elsewhere, 3)
    stage = Stage("train", "running", "epoch 4 of 200", 31, 2000, left=90.0)
    curves.show_job(job, JobStatus("running", (Stage("clean", "done"), stage)))
    assert points(curves)[:, 0].tolist() == [1, 2, 3]
    expected = {"phase": "running", "epochs": 200, "best": 3, "low": 0.4, "part": 0.0155, "left": 90.0}
    assert curves.status == {**expected, "name": "", "controls": ["pause", "stop", "rate"]}
    assert curves.classes == {}
    curves.show_job(job, JobStatus("failed", (Stage("train", "failed"),), "full disk"))
    assert curves.status["phase"] == "failed" and curves.status["controls"] == []


def test_followed_job_s_last_state_arrives(elsewhere: Experiment, clock: Clock) -> None:
    curves, job = Recorded(clock), FakeJob(elsewhere)
    write_history(elsewhere, 200)
    running = JobStatus("running", (Stage("train", "running", "epoch", 1, 10),))
    job.looks = [running, running, JobStatus("done", (Stage("train", "done"),))]
    assert curves.follow(job) is curves
    assert curves._poller is not None and curves._poller.settle()
    assert points(curves)[-1, 0] == 200
    assert (curves.status["phase"], curves.status["part"]) == ("done", 1)
    assert len(curves.sent) == 2, "nothing is sent twice"
    curves.close()


def test_best_epoch_is_the_one_that_training_keeps() -> None:
    history = [
        {**row(number), "f_score": score, "valid_loss": score} for number, score in ((1, 0.2), (2, 0.7), (3, 0.7))
    ]
    assert best_epoch(history, LearningParams()) == 2
    assert best_epoch(history, LearningParams(select_by="loss")) == 1
    assert best_epoch([], LearningParams()) is None


def test_runs_are_laid_beside(elsewhere: Experiment) -> None:
    write_history(elsewhere, 5)
    history = [row(number) for number in range(1, 3)]
    compare = {"first": elsewhere, "its folder": str(elsewhere.folder), "by hand": history}
    curves = LiveCurves(compare=compare)
    assert [(one["name"], len(one["points"]) // 24) for one in curves.compared] == [
        ("first", 5),
        ("its folder", 5),
        ("by hand", 2),
    ]
    curves.overlay("first", None)
    assert [one["name"] for one in curves.compared] == ["its folder", "by hand"]
    with pytest.raises(RunFolderError, match="holds no training"):
        curves.overlay("nothing", elsewhere.folder / "nowhere")
    curves._history = history
    data, _ = curves._picture()
    assert data["image/png"] != picture_alone(history)


def picture_alone(history: list[dict[str, Any]]) -> str:
    curves = LiveCurves()
    curves._history = history
    return str(curves._picture()[0]["image/png"])


def test_many_long_runs_beside_stay_small(clock: Clock) -> None:
    curves = Recorded(clock)
    for number in range(9):
        curves.overlay(f"run {number}", [row(epoch) for epoch in range(1, 3000)])
    assert len(curves.compared) == MOST_COMPARED and curves.compared[-1]["name"] == "run 8"
    assert sum(len(one["points"]) for one in curves.compared) <= 24 * MAX_COMPARED
    assert max(size for _, size in curves.sent) < 10_000


def test_colours_are_those_of_the_static_figures() -> None:
    script = (Path(live.__file__).parent / "curves.js").read_text(encoding="utf-8")
    drawn = re.findall(r'column: (\d), name: "[^"]+", colour: "(#\w+)"', script)
    assert {COLUMNS[int(column)]: colour for column, colour in drawn} == METRIC_COLOURS


def test_script_and_style_load_nothing_from_elsewhere() -> None:
    folder = Path(live.__file__).parent
    for path in [*folder.glob("*.js"), *folder.glob("*.css")]:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")  # a name; nothing is loaded
        assert not re.search(r"https?://|@import|\bimport\s*[\s({\"']|url\(", text), path.name


def test_the_lowest_metric_is_kept_though_points_are_thinned_out(clock: Clock, elsewhere: Experiment) -> None:
    history = [{**row(epoch), "oa": 0.9, "kappa": 0.9, "f_score": 0.9} for epoch in range(1, 2000)]
    history[998] |= {"kappa": 0.3, "oa": float("nan")}
    assert lowest_metric(history) == 0.3
    assert lowest_metric(history[:10], 0.2) == 0.2
    assert lowest_metric([]) == 1


MATRIX = ConfusionMatrix(np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]]), (4, 7, 9))


def asked(curves: LiveCurves, **message: Any) -> list[dict[str, Any]]:
    """What the browser hears after a click."""
    heard: list[dict[str, Any]] = []
    curves.send = lambda content, buffers=None: heard.append(content)  # type: ignore[method-assign]
    curves._handle_custom_msg(message, [])
    return heard


def test_classes_of_the_last_epoch_without_those_that_nobody_saw(clock: Clock) -> None:
    curves, run = LiveCurves(clock=clock), training(3)
    run.labels, run.matrix = ("wheat", "maize", "vines"), MATRIX
    curves.on_train_begin(run)
    assert curves.classes == {} and curves.status["classes"] == 3, "room is kept for them"
    clock.now += 1
    epoch(curves, run, 1)
    assert curves.classes["epoch"] == 1 and curves.classes["labels"] == ["wheat", "maize"]
    assert curves.classes["scores"] == pytest.approx(MATRIX.f_scores[:2], abs=1e-4)
    assert np.frombuffer(curves.classes["counts"], "<i4").tolist() == [8, 2, 1, 9]
    clock.now += 0.2
    epoch(curves, run, 2)
    assert curves.classes["epoch"] == 1, "matrices are heavy: two a second"
    curves.on_train_end(run)
    assert curves.classes["epoch"] == 2, "the last one arrives"


def test_epoch_time_and_speed(clock: Clock) -> None:
    curves, run = LiveCurves(clock=clock), training(3)
    curves.on_train_begin(run)
    clock.now += 1
    epoch(curves, run, 1)
    assert (curves.status["seconds"], curves.status["speed"]) == (0.5, 200)


def test_clicks_steer_the_training_of_this_kernel(clock: Clock) -> None:
    curves, run = LiveCurves(clock=clock), training(9)
    assert asked(curves, id="0", ask="pause") == [{"heard": "0", "problem": "no training is at work"}]
    curves.on_train_begin(run)
    assert curves.status["controls"] == ["pause", "stop", "rate"]
    assert asked(curves, id="1", ask="pause") == [{"heard": "1", "problem": ""}]
    assert run.paused
    clock.now += 1
    curves.on_wait(run)
    assert curves.status["paused"]
    asked(curves, id="2", ask="go on")
    assert not run.paused
    asked(curves, id="3", ask="rate", factor=0.5)
    assert run.rate_scale == 0.5
    (refused,) = asked(curves, id="4", ask="rate", factor=0)
    assert "cannot be multiplied by 0" in refused["problem"] and run.rate_scale == 0.5
    (odd,) = asked(curves, id="5", ask="fly")
    assert odd["problem"].startswith("Defect of the toolkit: KeyError")
    asked(curves, id="6", ask="stop")
    assert run.stopping
    curves.on_train_end(run)
    assert curves.status["controls"] == []
    assert asked(curves, id="7", ask="stop")[0]["problem"] == "no training is at work"


def test_what_a_job_tells_beside_its_history_and_clicks_go_to_it(elsewhere: Experiment) -> None:
    write_history(elsewhere, 3)
    run = training(200)
    run.history += [row(1)] * 3
    run.labels, run.matrix, run.paused, run.rate, run.rate_scale = ("a", "b", "c"), MATRIX, True, 5e-4, 0.5
    Live.of(run).write(RunFolder(elsewhere.folder).learning / "live.json")
    curves, job = LiveCurves(show=False), FakeJob(elsewhere)
    going = JobStatus("running", (Stage("train", "running", "paused in epoch 4", 3, 200),))
    curves.show_job(job, going, ("pause", "rate"))
    assert curves.classes["epoch"] == 3 and curves.classes["labels"] == ["a", "b"]
    told = {name: curves.status[name] for name in ("paused", "rate", "scale", "seconds", "speed", "controls")}
    assert told == {
        "paused": True, "rate": 5e-4, "scale": 0.5, "seconds": 0.5, "speed": 200, "controls": ["pause", "rate"],
    }  # fmt: skip
    asked(curves, id="1", ask="pause")
    asked(curves, id="2", ask="rate", factor=0.1)
    assert job.asked == ["pause", 0.1]
    curves.show_job(job, JobStatus("stopped", (Stage("train", "stopped"),)))
    assert not curves.status["paused"] and curves.status["controls"] == []
    assert curves.classes["epoch"] == 3, "what was reached stays in view"


def test_seeds_of_one_run_lie_beside_with_their_mean(elsewhere: Experiment) -> None:
    learning = RunFolder(elsewhere.folder).learning
    for seed in range(3):
        place = learning / "tries" / f"batch_64_rate_0.001_seed_{seed}"
        run = training(200)
        run.history += [{**row(number), "oa": 0.5 + 0.1 * seed} for number in range(1, 4 + seed)]
        HistoryFile(place / "history.csv").on_train_begin(run)
        Live.of(run).write(place / "live.json")
    curves, job = LiveCurves(show=False), FakeJob(elsewhere)
    curves.show_job(job, JobStatus("running", (Stage("train", "running", "", 9, 200),)))
    assert curves.status["name"] == "batch 64 rate 0.001 seed 2" and len(curves.history) == 5
    names = [(one["name"], one["mean"]) for one in curves.compared]
    assert names == [
        ("batch 64 rate 0.001 seed 0", False),
        ("batch 64 rate 0.001 seed 1", False),
        ("mean of 3 seeds", True),
    ]
    mean = np.frombuffer(curves.compared[-1]["points"], "<f4").reshape(-1, len(COLUMNS))
    assert mean[:, 0].tolist() == [1, 2, 3] and mean[:, 3] == pytest.approx(0.6), "as far as all of them came"


def test_trainings_of_one_call_lie_beside_each_other_with_their_mean(clock: Clock) -> None:
    curves = LiveCurves(clock=clock)

    def tried(name: str) -> list[str]:
        run = training(1)
        run.name = name
        curves.on_train_begin(run)
        epoch(curves, run, 1)
        curves.on_train_end(run)
        return [one["name"] for one in curves.compared]

    first, second, third = (f"batch_64_rate_0.001_seed_{seed}" for seed in range(3))
    assert tried(first) == []
    assert tried(second) == ["batch 64 rate 0.001 seed 0"]
    names = tried(third)
    assert names[:2] == ["batch 64 rate 0.001 seed 0", "batch 64 rate 0.001 seed 1"] and names[2] == "mean of 2 seeds"
    assert curves.status["name"] == "batch 64 rate 0.001 seed 2"
    assert tried("")[-1] == "mean of 3 seeds", "the one that is kept, shown at the end"
    assert tried(first) == [], "another call"


def test_the_fold_at_work_is_shown(elsewhere: Experiment) -> None:
    folds = RunFolder(elsewhere.folder).cross_validation
    write_history(elsewhere, 7)  # of the training, which is not what runs
    curves, job = LiveCurves(show=False), FakeJob(elsewhere)
    job.verb = "cross_validate"
    going = JobStatus("running", (Stage("clean", "done"), Stage("cross-validate", "running", "", 30, 100)))
    curves.show_job(job, going)
    assert curves.history == [], "no fold trains yet"
    for fold in ("31TCJ", "31TCK"):
        run = training(200)
        run.history += [row(1), row(2)]
        HistoryFile(folds / fold / "learning" / "history.csv").on_train_begin(run)
        Live.of(run).write(folds / fold / "learning" / "live.json")
        curves.show_job(job, going)
        assert (curves.status["name"], len(curves.history), curves.status["part"]) == (f"fold {fold}", 2, 0.3)
