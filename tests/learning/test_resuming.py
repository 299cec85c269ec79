"""A training with everything switched on, killed at any moment, ends as if it never had been."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from toolkit.ground.errors import ModelError, ParameterError, RunFolderError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.callbacks import Callback, TrainingRun
from toolkit.learning.checkpoint import Model
from toolkit.learning.early_stop import EarlyStopParams
from toolkit.learning.fitting import prepare
from toolkit.learning.inputs import InputLayout
from toolkit.learning.losses import LossParams
from toolkit.learning.models import GruParams, MlpParams
from toolkit.learning.parameters import LearningParams
from toolkit.learning.result import TrainingResult
from toolkit.learning.schedule import ScheduleParams
from toolkit.learning.state import TrainingState
from toolkit.learning.updates import UpdateParams

Train = Callable[..., TrainingResult]

RICH: dict[str, Any] = {
    "epochs": 60,
    "network": MlpParams(hidden=(16, 8), dropout=0.3, batch_norm=True),
    "loss": LossParams(kind="focal", label_smoothing=0.05, mixup=0.2),
    "schedule": ScheduleParams(kind="cosine", warmup_epochs=1.5, plateau_patience=3, plateau_factor=0.5),
    "updates": UpdateParams(micro_batch=16, clip_gradient=1.0, average=0.99),
    "early_stop": EarlyStopParams(patience=40, metric="kappa"),
    "weighted_classes": True,
    "statistics_share": 0.5,
    "optimizer": "adamw",
}

PROGRAM = """
import runpy, sys
from pathlib import Path
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.parameters import LearningParams
from toolkit.learning.training import train_network

toy = runpy.run_path(sys.argv[1])
print("begun", flush=True)
train_network(
    toy["make_samples"](),
    LearningParams.model_validate_json(sys.argv[3]),
    seed=3,
    nomenclature=Nomenclature("toy", tuple(LandCoverClass(c, f"class {c}", f"#0000{c:02x}") for c in toy["CODES"])),
    feature_names=[f"B2_{number}" for number in range(20)],
    dates=toy["DATES"],
    folder=Path(sys.argv[2]),
    key="key",
)
"""


def state_of(result: TrainingResult) -> TrainingState:
    state = TrainingState.read(result.folder / "state.safetensors", "key")
    assert state is not None
    return state


def same_ends(one: TrainingResult, other: TrainingResult) -> bool:
    first, second = state_of(one), state_of(other)
    files = ("model/model.json", "model/weights.safetensors", "calibration.json")
    same_files = all((one.folder / file).read_bytes() == (other.folder / file).read_bytes() for file in files)
    weights = all(torch.equal(value, second.network[name]) for name, value in first.network.items())
    averages = all(torch.equal(value, second.average[name]) for name, value in first.average.items())
    moments = all(
        torch.equal(value, second.optimizer[position][name])
        for position, values in first.optimizer.items()
        for name, value in values.items()
    )
    return same_files and weights and averages and moments and bool(first.average)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_killed_at_any_moment_it_ends_as_unbroken(train: Train, tmp_path: Path) -> None:
    unbroken = train("unbroken", **RICH)
    params = LearningParams(**({"batch_size": 64, "learning_rate": 1e-3, "threads": 1} | RICH)).model_dump_json()
    rng, kills = random.Random(5), 0
    toy = Path(__file__).with_name("conftest.py")
    for _ in range(4):
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(toy), str(tmp_path / "broken"), params], stdout=subprocess.PIPE
        )
        assert program.stdout is not None and program.stdout.readline() == b"begun\n"
        time.sleep(rng.uniform(0.02, 0.6))
        program.send_signal(signal.SIGKILL)
        kills += program.wait() == -signal.SIGKILL
        program.stdout.close()
    assert kills > 0
    assert same_ends(train("broken", **RICH), unbroken)


@pytest.mark.parametrize("epoch", [1, 2, 7])
def test_interrupted_in_any_epoch_it_ends_as_unbroken(train: Train, epoch: int) -> None:
    options = RICH | {"epochs": 8}

    class Interrupt(Callback):
        def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
            if (len(run.history) + 1, batch) == (epoch, 3):
                raise KeyboardInterrupt

    unbroken = train("unbroken", **options)
    with pytest.raises(KeyboardInterrupt):
        train("broken", callbacks=[Interrupt()], **options)
    assert same_ends(train("broken", **options), unbroken)


def test_what_is_kept_is_the_average(train: Train) -> None:
    result = train(updates=UpdateParams(average=0.9), epochs=3)
    state = state_of(result)
    weights = Model.load(result.model_folder).weights
    assert result.best is not None and result.best["epoch"] == 3
    assert all(torch.equal(value, state.average[name]) for name, value in weights.items())
    assert not all(torch.equal(value, state.network[name]) for name, value in weights.items())


def test_it_ends_by_itself_and_is_then_done(train: Train) -> None:
    options: dict[str, Any] = {"epochs": 50, "learning_rate": 0.1, "early_stop": EarlyStopParams(patience=3)}
    result = train(**options)
    losses = [row["valid_loss"] for row in result.history]
    assert 4 <= len(losses) < 50
    assert min(losses) == losses[-4]
    assert not result.stopped and not TrainingResult.load(result.folder).stopped
    assert state_of(result).finished
    assert len(train(**options).history) == len(losses)
    assert len(train(**options | {"epochs": 60}).history) == len(losses)


def test_a_changed_rate_is_kept(train: Train) -> None:
    """What a person multiplies the rate by counts from the next batch on, and after a pause."""

    class Slow(Callback):
        def on_epoch_end(self, run: TrainingRun, row: dict[str, Any]) -> None:
            if row["epoch"] == 2:
                run.rate_scale = 1e-9

    class Stop(Callback):
        def on_epoch_end(self, run: TrainingRun, row: dict[str, Any]) -> None:
            if row["epoch"] == 3:
                run.stop()

    plain, slow = train("plain"), train("slow", callbacks=[Slow()])
    assert [row["valid_loss"] for row in slow.history[:2]] == [row["valid_loss"] for row in plain.history[:2]]
    assert slow.history[-1]["valid_loss"] == pytest.approx(slow.history[1]["valid_loss"], abs=1e-6)
    train("broken", callbacks=[Slow(), Stop()])
    assert train("broken").history[-1]["valid_loss"] == slow.history[-1]["valid_loss"]


def test_a_schedule_with_an_end_does_not_go_on_beyond_it(train: Train) -> None:
    cosine = ScheduleParams(kind="cosine")
    train(schedule=cosine)
    with pytest.raises(RunFolderError, match=r"spreads the rate; it cannot go on to 8"):
        train(schedule=cosine, epochs=8)
    assert len(train(schedule=cosine, epochs=8, overwrite=True).history) == 8


def test_it_starts_from_another_model(
    train: Train, toy: Callable[..., TrainingSamples], nomenclature: Nomenclature, tmp_path: Path
) -> None:
    first = train("first", epochs=20, learning_rate=5e-3)
    follower = {"start_from": str(tmp_path / "first"), "learning_rate": 1e-12, "epochs": 1}
    second = train("second", seed=3, **follower)
    assert first.best is not None and second.best is not None
    assert second.best["valid_loss"] == pytest.approx(first.best["valid_loss"], rel=1e-5)
    old, new = Model.load(first.model_folder), Model.load(second.model_folder)
    assert (old.standardiser.mean == new.standardiser.mean).all()
    with pytest.raises(ModelError, match=r"first has hidden None, not \[3\]; dropout 0\.0, not 0\.5 as here: set"):
        train("third", network=MlpParams(hidden=(3,), dropout=0.5), **follower)
    with pytest.raises(ModelError, match="first has network mlp, not gru as here"):
        train("third", network=GruParams(), **follower)
    with pytest.raises(ModelError, match="first has the classes of toy, not those of other as here"):
        train(
            "third", nomenclature=Nomenclature("other", nomenclature.classes[:-1]), samples=toy((2, 5, 9)), **follower
        )
    with pytest.raises(ModelError, match="nowhere"):
        train("fourth", start_from=str(tmp_path / "nowhere"))


def test_confidence_is_calibrated_and_classes_are_not_touched(train: Train, samples: TrainingSamples) -> None:
    options: dict[str, Any] = {"epochs": 30, "learning_rate": 5e-3}
    plain, scaled = train("plain", calibrate=False, **options), train("scaled", **options)
    assert plain.calibration is None and scaled.calibration is not None
    assert not (plain.folder / "calibration.json").exists()
    one, other = Model.load(plain.model_folder), Model.load(scaled.model_folder)
    assert one.temperature == 1 and other.temperature == scaled.calibration.temperature != 1
    classes, confidence = one.predict(samples.features.T)
    same, softer = other.predict(samples.features.T)
    assert (classes == same).all() and (confidence != softer).any()
    logits = torch.from_numpy(one.predict_probabilities(samples.features.T)).double().log() / other.temperature
    expected = torch.softmax(logits, 0).float()
    torch.testing.assert_close(
        torch.from_numpy(other.predict_probabilities(samples.features.T)), expected, atol=1e-5, rtol=1e-3
    )
    assert "calibration error" in repr(scaled) and "calibration error" not in repr(plain)


def test_statistics_of_a_share(train: Train, samples: TrainingSamples) -> None:
    whole, part = (
        Model.load(train(name, epochs=1, statistics_share=share).model_folder).standardiser
        for name, share in (("whole", 1.0), ("part", 0.3))
    )
    assert (whole.mean != part.mean).all()
    assert abs(whole.mean - part.mean).max() < 0.5 * whole.std.min()


def test_raw_series_are_not_mixed(nomenclature: Nomenclature) -> None:
    raw = TrainingSamples(np.zeros((4, 3), np.float32), np.array([2, 2, 5, 5], np.uint8), np.arange(4))
    inputs = InputLayout(("B8_*", "day_*", "valid_*"))
    with pytest.raises(ParameterError, match="cannot be mixed"):
        prepare(raw, LearningParams(loss=LossParams(mixup=0.2)), 0, nomenclature, inputs)
