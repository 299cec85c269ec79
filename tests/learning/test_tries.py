"""Several trainings in one call."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.ground.errors import RunFolderError
from toolkit.learning.callbacks import Callback, TrainingRun
from toolkit.learning.checkpoint import Model
from toolkit.learning.result import TrainingResult
from toolkit.learning.tries import TriesParams, Try, choose, read_tries, spread, to_csv, tries_of

Train = Callable[..., TrainingResult]

GRID = TriesParams(batch_sizes=(32, 128), learning_rates=(1e-5, 5e-3), seeds=2)


def row(size: int, rate: float, seed: int, loss: float, f_score: float) -> dict[str, Any]:
    about = {"batch_size": size, "learning_rate": rate, "seed": seed, "best_epoch": 1}
    return about | {"valid_loss": loss, "oa": 0.5, "kappa": 0.5, "f_score": f_score}


def test_all_are_combined() -> None:
    found = tries_of(GRID, 4096, 1.0, 7)
    assert len(found) == len({one.name for one in found}) == 8
    assert found[0] == Try(32, 1e-5, 7) and found[1] == Try(32, 1e-5, 8)
    assert tries_of(TriesParams(seeds=2), 64, 0.1, 0) == [Try(64, 0.1, 0), Try(64, 0.1, 1)]
    assert not TriesParams().several


def test_a_couple_is_judged_by_its_mean() -> None:
    rows = [row(8, 0.1, 0, 0.1, 0.99), row(8, 0.1, 1, 0.9, 0.5), row(9, 0.1, 0, 0.4, 0.8), row(9, 0.1, 1, 0.3, 0.9)]
    assert choose(rows, "f_score") == 3
    assert choose(rows, "loss") == 3
    assert choose(rows[:2], "f_score") == 0


def test_spread_is_mean_and_deviation() -> None:
    rows = [row(8, 0.1, 0, 0.1, 0.9), row(8, 0.1, 1, 0.3, 0.7), row(9, 0.1, 0, 0.4, 0.8)]
    first, second = spread(rows)
    assert (first["batch_size"], first["seeds"], second["seeds"]) == (8, 2, 1)
    assert first["f_score"] == pytest.approx(0.8)
    assert first["valid_loss_std"] == pytest.approx(statistics.stdev([0.1, 0.3]))
    assert math.isnan(second["f_score_std"])


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [row(8, 1e-5, 0, 0.1, 1 / 3)]
    path = tmp_path / "tries.csv"
    assert read_tries(path) == []
    path.write_text(to_csv(rows))
    assert read_tries(path) == rows
    path.write_text("batch_size\nx\n")
    with pytest.raises(RunFolderError, match="damaged"):
        read_tries(path)


def test_the_best_is_kept(train: Train) -> None:
    result = train(epochs=8, tries=GRID)
    assert len(result.tries) == 8
    kept = result.tries[choose(result.tries, "f_score")]
    assert kept["learning_rate"] == 5e-3
    name = Try(kept["batch_size"], kept["learning_rate"], kept["seed"]).name
    for file in ("model/model.json", "model/weights.safetensors", "history.csv", "calibration.json"):
        assert (result.folder / file).read_bytes() == (result.folder / "tries" / name / file).read_bytes()
    assert Model.load(result.model_folder).seed == kept["seed"]
    assert result.best is not None and result.best["f_score"] == kept["f_score"]
    assert "±" in result._repr_html_() and "Tries" in result._repr_html_()
    lines, mean = repr(result).splitlines(), result.spread[0]
    assert len(lines) == 1 + len(result.spread)
    assert f"batch 32, rate 1e-05, seeds 2, OA {mean['oa']:.3f} ± {mean['oa_std']:.3f}, Kappa" in lines[1]
    assert [one["seeds"] for one in result.spread] == [2, 2, 2, 2]


def test_a_try_is_the_training_with_these_values_alone(train: Train) -> None:
    result = train("several", tries=TriesParams(batch_sizes=(32,), seeds=2), seed=4)
    alone = train("alone", batch_size=32, seed=5)
    other = result.folder / "tries" / Try(32, 1e-3, 5).name / "model" / "weights.safetensors"
    assert other.read_bytes() == (alone.model_folder / "weights.safetensors").read_bytes()


def test_broken_off_it_goes_on_where_it_was(train: Train) -> None:
    class Stop(Callback):
        trainings = 0

        def on_train_begin(self, run: TrainingRun) -> None:
            self.trainings += 1

        def on_epoch_begin(self, run: TrainingRun, epoch: int) -> None:
            if (self.trainings, epoch) == (3, 4):
                run.stop()

    watcher = Stop()
    whole = train("whole", tries=GRID)
    broken = train("broken", tries=GRID, callbacks=[watcher])
    assert broken.stopped and watcher.trainings == 3
    assert len(broken.history) == 3 and broken.folder == whole.folder.with_name("broken")
    assert Model.load(broken.model_folder).best["f_score"] > 0  # the best so far is kept
    again = train("broken", tries=GRID)
    assert again.tries == whole.tries
    assert (again.model_folder / "weights.safetensors").read_bytes() == (
        whole.model_folder / "weights.safetensors"
    ).read_bytes()
