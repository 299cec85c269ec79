"""A training that is paused, gone on with and whose rate is changed while it runs, by file and by hand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.ground.errors import ParameterError
from toolkit.learning.callbacks import Callback, TrainingRun, read_history
from toolkit.learning.control import ControlFile, Wishes, ask
from toolkit.learning.live_file import Live, LiveFile
from toolkit.learning.parameters import LearningParams
from toolkit.learning.result import TrainingResult
from toolkit.learning.state import TrainingState

Train = Callable[..., TrainingResult]


def make_run() -> TrainingRun:
    return TrainingRun(LearningParams(), ("a", "b"), 8, 2, 10, "cpu")


class At(Callback):
    """Does something after a batch of an epoch."""

    def __init__(self, epoch: int, what: Callable[[TrainingRun], Any]) -> None:
        self._epoch, self._what = epoch, what

    def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
        if len(run.history) + 1 == self._epoch and batch == 2:
            self._what(run)


class Held(Callback):
    """Goes on after some looks at a paused training, and notes how long it stood."""

    def __init__(self, looks: int, then: Callable[[TrainingRun], Any]) -> None:
        self.looks, self._most, self._then = 0, looks, then

    def on_wait(self, run: TrainingRun) -> None:
        self.looks += 1
        if self.looks == self._most:
            self._then(run)


def pause(run: TrainingRun) -> None:
    run.paused = True


def go_on(run: TrainingRun) -> None:
    run.paused = False


def test_a_paused_training_stands_still_and_ends_as_if_it_never_had(train: Train) -> None:
    whole = train("whole", epochs=3)
    held = Held(5, go_on)
    result = train("held", epochs=3, callbacks=[At(2, pause), held])
    assert held.looks == 5
    metrics = ("train_loss", "valid_loss", "oa", "kappa", "f_score", "learning_rate")
    assert [[row[name] for name in metrics] for row in result.history] == [
        [row[name] for name in metrics] for row in whole.history
    ]
    weights = "model/weights.safetensors"
    assert (result.folder / weights).read_bytes() == (whole.folder / weights).read_bytes()
    assert result.history[1]["seconds"] < 0.2, "a pause is no time of training"
    assert result.changes == []


def test_a_paused_training_can_be_stopped_and_keeps_its_best(train: Train) -> None:
    held = Held(2, TrainingRun.stop)
    result = train(epochs=5, callbacks=[At(3, pause), held])
    assert (result.stopped, held.looks, len(result.history)) == (True, 2, 2)
    assert (result.model_folder / "model.json").is_file()
    assert len(train(epochs=5).history) == 5
    event = threading.Event()
    stopped = train("other", epochs=5, stop=event, callbacks=[At(2, pause), Held(2, lambda run: event.set())])
    assert stopped.stopped and len(stopped.history) == 1


def test_a_changed_rate_counts_from_the_next_batch_and_is_kept(train: Train) -> None:
    def halve(run: TrainingRun) -> None:
        run.rate_scale = 0.5

    result = train(epochs=4, callbacks=[At(2, halve), At(3, TrainingRun.stop)])
    assert [row["learning_rate"] for row in result.history] == [1e-3, 5e-4]
    assert result.changes == [{"epoch": 2, "rate_scale": 0.5}]
    state = TrainingState.read(result.folder / "state.safetensors", "key")
    assert state is not None and state.changes == result.changes and state.rate_scale == 0.5

    resumed = train(epochs=4)
    assert [row["learning_rate"] for row in resumed.history] == [1e-3, 5e-4, 5e-4, 5e-4]
    assert [row["learning_rate"] for row in read_history(resumed.folder / "history.csv")] == [1e-3, 5e-4, 5e-4, 5e-4]
    again = TrainingResult.load(resumed.folder)
    assert again.changes == [{"epoch": 2, "rate_scale": 0.5}]
    assert "rate changed by hand × 0.5 from epoch 2" in repr(again)
    assert train("plain", epochs=4).history[-1]["train_loss"] != resumed.history[-1]["train_loss"]


def test_the_file_is_obeyed_and_taken_away(tmp_path: Path) -> None:
    path, now = tmp_path / "job" / "control.json", 0.0
    ask(path, paused=True)
    file, run = ControlFile(path, clock=lambda: now), make_run()
    file.on_train_begin(run)
    assert not path.exists() and not run.paused, "what was asked of another training is not meant for this one"
    ask(path, paused=True)
    file.on_batch_end(run, 1, 9)
    assert run.paused and run.rate_scale == 1
    ask(path, rate_scale=0.25)
    file.on_wait(run)
    assert run.rate_scale == 1, "not looked at again so soon"
    now = 1.0
    file.on_wait(run)
    assert run.paused and run.rate_scale == 0.25
    run.rate_scale = 0.75  # by a callback
    ask(path, paused=False)
    now = 2.0
    file.on_wait(run)
    assert not run.paused
    file.on_train_end(run)
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"rate_scale": "x"}', '{"rate_scale": -1}', '{"rate_scale": NaN}', "null"])
def test_a_file_that_nobody_understands_asks_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "control.json").write_text(text)
    assert Wishes.read(tmp_path / "control.json") == Wishes()


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_rate_is_not_multiplied_by_anything(tmp_path: Path, scale: float) -> None:
    with pytest.raises(ParameterError, match="cannot be multiplied"):
        ask(tmp_path / "control.json", rate_scale=scale)
    assert not (tmp_path / "control.json").exists()


def test_another_process_pauses_changes_and_goes_on(train: Train, tmp_path: Path) -> None:
    path, live = tmp_path / "control.json", tmp_path / "learning" / "live.json"
    results: list[TrainingResult] = []
    thread = threading.Thread(
        target=lambda: results.append(train(epochs=100_000, stop=stop, callbacks=[ControlFile(path)]))
    )
    stop = threading.Event()
    thread.start()

    def until(condition: Callable[[Live], bool]) -> Live:
        end = time.monotonic() + 30
        while not ((found := Live.read(live)) and condition(found)):
            assert time.monotonic() < end, found
            time.sleep(0.02)
        return found

    until(lambda one: one.epoch > 1)
    ask(path, paused=True)
    epoch = until(lambda one: one.paused).epoch
    time.sleep(0.6)
    found = Live.read(live)
    assert found is not None and found.epoch == epoch and found.matrix is not None and found.matrix.total == 96
    ask(path, paused=False, rate_scale=0.1)
    found = until(lambda one: not one.paused and one.epoch > epoch + 1 and one.rate_scale == 0.1)
    assert found.rate == pytest.approx(1e-4)
    stop.set()
    thread.join(30)
    assert results[0].stopped and results[0].changes[0]["rate_scale"] == 0.1
    end = Live.read(live)
    assert end is not None and not end.running and end.epoch == len(results[0].history)
    assert not path.exists()


def test_live_file_is_written_when_something_is_new_and_not_too_often(tmp_path: Path) -> None:
    path, now = tmp_path / "live.json", 0.0
    file, run = LiveFile(path, clock=lambda: now), make_run()
    file.on_train_begin(run)
    first = path.stat().st_mtime_ns
    now = 5.0
    file.on_batch_end(run, 1, 2)
    assert path.stat().st_mtime_ns == first, "nothing is new"
    run.paused = True
    file.on_wait(run)
    found = Live.read(path)
    assert found is not None and found.paused and found.matrix is None
    run.paused = False
    file.on_batch_end(run, 1, 2)
    found = Live.read(path)
    assert found is not None and found.paused, "too soon"


@pytest.mark.parametrize("change", [{"counts": [[1]]}, {"codes": [1]}, {"epoch": "x"}, {"labels": ["a"]}])
def test_a_damaged_live_file_tells_nothing(train: Train, change: dict[str, Any]) -> None:
    path = train(epochs=1).folder / "live.json"
    assert Live.read(path) is not None
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert Live.read(path) is None
