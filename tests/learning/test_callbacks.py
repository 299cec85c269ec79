"""The hooks, in their order, and the plain callbacks."""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.ground.errors import RunFolderError
from toolkit.learning.callbacks import COLUMNS, Callback, HistoryFile, TrainingRun, is_set, read_history
from toolkit.learning.parameters import LearningParams
from toolkit.learning.training import TrainingResult

Train = Callable[..., TrainingResult]


class Recorder(Callback):
    """Notes every call, and what it saw."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_train_begin(self, run: TrainingRun) -> None:
        self.run = run
        self.calls.append(("train_begin", len(run.history)))

    def on_epoch_begin(self, run: TrainingRun, epoch: int) -> None:
        self.calls.append(("epoch_begin", epoch))

    def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
        self.calls.append(("batch", batch, batches))

    def on_epoch_end(self, run: TrainingRun, row: dict[str, Any]) -> None:
        assert row is run.history[-1]
        assert run.matrix is not None
        self.calls.append(("epoch_end", row["epoch"]))

    def on_stop(self, run: TrainingRun) -> None:
        self.calls.append(("stop",))

    def on_train_end(self, run: TrainingRun) -> None:
        self.calls.append(("train_end", len(run.history)))


def make_run(history: list[dict[str, Any]] | None = None) -> TrainingRun:
    return TrainingRun(LearningParams(), ("a", "b"), 8, 2, 10, "cpu", history or [])


def row(epoch: int) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS, 1 / 3) | {"epoch": epoch}


def test_every_hook_of_the_base_is_empty() -> None:
    hooks = [hook for name, hook in inspect.getmembers(Callback, inspect.isfunction) if name.startswith("on_")]
    assert len(hooks) == 7
    for hook in hooks:
        arguments = [None] * len(inspect.signature(hook).parameters)
        assert hook(*arguments) is None
        assert hook.__doc__


def test_hooks_in_their_order(train: Train) -> None:
    recorder = Recorder()
    train(epochs=2, batch_size=200, callbacks=[recorder])
    epoch = [("batch", 1, 2), ("batch", 2, 2)]
    assert recorder.calls == [
        ("train_begin", 0),
        ("epoch_begin", 1),
        *epoch,
        ("epoch_end", 1),
        ("epoch_begin", 2),
        *epoch,
        ("epoch_end", 2),
        ("train_end", 2),
    ]


def test_what_a_callback_knows_of_the_run(train: Train) -> None:
    recorder = Recorder()
    result = train(epochs=2, callbacks=[recorder])
    run = recorder.run
    assert run.labels == ("class 2", "class 5", "class 9", "class 30", "class 200")
    assert (run.n_train, run.n_valid) == (384, 96)
    assert run.n_parameters == (20 * 10 + 10) + (10 * 15 + 15) + (15 * 15 + 15) + (15 * 5 + 5)
    assert run.device == "cpu"
    assert run.params.epochs == 2
    assert run.history == result.history
    assert run.matrix is not None and run.matrix.total == 96


def test_a_callback_may_stop_the_training(train: Train) -> None:
    class StopAt(Recorder):
        def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
            super().on_batch_end(run, batch, batches)
            if len(run.history) == 1 and batch == 2:
                run.stop()

    recorder = StopAt()
    result = train(callbacks=[recorder])
    assert result.stopped
    assert len(result.history) == 1
    assert recorder.calls[-3:] == [("batch", 2, 6), ("stop",), ("train_end", 1)]


def test_stop_signals() -> None:
    event = threading.Event()
    assert not is_set(None)
    assert not is_set(event)
    event.set()
    assert is_set(event)
    assert is_set(lambda: True)
    assert not is_set(lambda: False)


def test_history_file_is_whole_at_each_epoch(tmp_path: Path) -> None:
    path = tmp_path / "learning" / "history.csv"
    file, run = HistoryFile(path), make_run()
    file.on_train_begin(run)
    assert path.read_text() == ",".join(COLUMNS) + "\n"
    for epoch in (1, 2):
        run.history.append(row(epoch))
        file.on_epoch_end(run, run.history[-1])
        lines = path.read_text().splitlines()
        assert lines[0] == "epoch,train_loss,valid_loss,oa,kappa,f_score,seconds,learning_rate"
        assert len(lines) == 1 + epoch
        assert lines[-1] == f"{epoch},0.333333,0.333333,0.333333,0.333333,0.333333,0.333333,0.333333"
    assert [one.name for one in path.parent.iterdir()] == ["history.csv"]


def test_history_file_begins_with_the_epochs_of_an_earlier_part(tmp_path: Path) -> None:
    HistoryFile(tmp_path / "history.csv").on_train_begin(make_run([row(1), row(2)]))
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 3


def test_history_is_read_back(train: Train, tmp_path: Path) -> None:
    result = train(epochs=3)
    rows = read_history(result.folder / "history.csv")
    assert [one["epoch"] for one in rows] == [1, 2, 3]
    for ours, theirs in zip(rows, result.history, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)
    assert read_history(tmp_path / "absent.csv") == []


def test_history_of_an_earlier_version_is_read_and_small_rates_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(",".join(COLUMNS[:-1]) + "\n1,0.5,0.5,0.5,0.5,0.5,0.5\n")
    (old,) = read_history(path)
    assert old["epoch"] == 1 and "learning_rate" not in old
    HistoryFile(path).on_train_begin(make_run([old, row(2) | {"learning_rate": 1.25e-9}]))
    first, second = read_history(path)
    assert math.isnan(first["learning_rate"]) and second["learning_rate"] == 1.25e-9


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", ",".join(COLUMNS) + "\n1,2\n", ",".join(COLUMNS) + "\n" + "x," * 7 + "x\n"]
)
def test_a_damaged_history_is_told_with_its_mend(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(RunFolderError, match=r"history\.csv is damaged .* delete it"):
        read_history(tmp_path / "history.csv")
