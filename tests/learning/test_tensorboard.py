"""Event files, read back as TensorBoard reads them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.ground.errors import ParameterError
from toolkit.learning.callbacks import Callback, TrainingRun
from toolkit.learning.result import TrainingResult
from toolkit.learning.tensorboard import SCALARS, TensorBoardFiles
from toolkit.learning.tries import TriesParams

pytest.importorskip("tensorboard", reason="TensorBoard is not installed: pip install tensorboard")

Train = Callable[..., TrainingResult]


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Name -> (step, value) of every event, in all files together."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
    return found


class StopAt(Callback):
    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def on_epoch_end(self, run: TrainingRun, row: dict[str, float]) -> None:
        if row["epoch"] == self._epoch:
            run.stop()


def test_events_are_the_history_and_a_resume_doubles_none(train: Train) -> None:
    assert train(epochs=5, tensorboard=True, callbacks=[StopAt(2)]).stopped
    result = train(epochs=5, tensorboard=True)
    events = read(result.folder / "tensorboard")
    for name, column in SCALARS.items():
        assert [step for step, _ in events[name]] == [1, 2, 3, 4, 5]
        assert [value for _, value in events[name]] == pytest.approx([row[column] for row in result.history])
    classes = {name.partition("/")[2] for name in events if name.startswith("F-score of a class/")}
    assert classes == {"class 2", "class 5", "class 9", "class 200"}
    means = [
        sum(dict(events[f"F-score of a class/{one}"])[epoch] for one in classes) / len(classes) for epoch in range(1, 6)
    ]
    assert means == pytest.approx([row["f_score"] for row in result.history], abs=1e-5)
    assert Counter(step for step, _ in events["F-score of a class/class 2"]) == Counter(range(1, 6))


def test_epochs_before_it_was_asked_for_are_written_too(train: Train, tmp_path: Path) -> None:
    train(epochs=5, callbacks=[StopAt(3)])
    train(epochs=5, callbacks=[TensorBoardFiles(tmp_path / "events")])
    assert [step for step, _ in read(tmp_path / "events")["loss/train"]] == [1, 2, 3, 4, 5]


def test_a_training_begun_again_replaces_its_events_and_leaves_those_of_others(train: Train) -> None:
    folder = train(epochs=4, tensorboard=True).folder / "tensorboard"
    (folder / "events.out.tfevents.of.another").touch()
    train(epochs=2, tensorboard=True, key="other", overwrite=True)
    assert [step for step, _ in read(folder)["loss/train"]] == [1, 2]
    assert (folder / "events.out.tfevents.of.another").exists()


def test_each_of_several_trainings_has_events_of_its_own(train: Train) -> None:
    folder = train(epochs=1, tensorboard=True, tries=TriesParams(seeds=2)).folder
    assert len(list(folder.glob("tries/*/tensorboard/events.out.tfevents.*"))) == 2


def test_without_tensorboard_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ParameterError, match=r"pip install 'landcover-toolkit\[tensorboard\]'"):
        TensorBoardFiles(tmp_path)
