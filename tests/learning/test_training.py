"""Training from samples to a model: what it leaves, what it refuses, and that it goes on as if never stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from toolkit.ground.errors import ParameterError, RunFolderError, SampleError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import build
from toolkit.learning import training
from toolkit.learning.batches import TrainingSamples, derived_seed, split_samples
from toolkit.learning.callbacks import Callback, TrainingRun
from toolkit.learning.checkpoint import Model
from toolkit.learning.fitting import Purpose
from toolkit.learning.models import MlpParams
from toolkit.learning.parameters import LearningParams
from toolkit.learning.state import TrainingState
from toolkit.learning.training import TrainingResult

Train = Callable[..., TrainingResult]
Toy = Callable[..., TrainingSamples]


class At(Callback):
    """Does something after one batch of one epoch."""

    def __init__(self, epoch: int, batch: int, action: Callable[[TrainingRun], Any]) -> None:
        self.place, self.action = (epoch, batch), action

    def on_batch_end(self, run: TrainingRun, batch: int, batches: int) -> None:
        if (len(run.history) + 1, batch) == self.place:
            self.action(run)


def interrupt(run: TrainingRun) -> None:
    raise KeyboardInterrupt


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def assert_same_training(one: TrainingResult, other: TrainingResult) -> None:
    """Equal to the last bit: history, model files, state."""
    assert without_seconds(one.history) == without_seconds(other.history)
    for file in ("model.json", "weights.safetensors"):
        assert (one.model_folder / file).read_bytes() == (other.model_folder / file).read_bytes()
    first, second = (TrainingState.read(result.folder / "state.safetensors", "key") for result in (one, other))
    assert first is not None and second is not None
    assert (first.epochs, without_seconds(first.history)) == (second.epochs, without_seconds(second.history))
    for name, value in (first.network | {f"best {key}": value for key, value in first.best_network.items()}).items():
        theirs = second.best_network[name[5:]] if name.startswith("best ") else second.network[name]
        assert torch.equal(value, theirs), name
    for position, moments in first.optimizer.items():
        assert all(torch.equal(value, second.optimizer[position][name]) for name, value in moments.items())


def test_defaults_are_the_published_ones() -> None:
    params = LearningParams()
    assert (params.epochs, params.batch_size, params.learning_rate, params.valid_ratio) == (200, 4096, 1e-5, 0.2)
    assert (params.network.name, params.optimizer, params.select_by) == ("mlp", "adam", "f_score")
    assert params.valid_by == "polygon"


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"learning_rate": 0}, {"valid_ratio": 1}, {"select_by": "auc"}, {"threads": 0}]
)
def test_parameters_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        build(LearningParams, wrong, "experiment.yml")


def test_it_learns_and_says_so(train: Train) -> None:
    result = train(epochs=40, learning_rate=5e-3)
    assert result.best is not None
    assert result.best["f_score"] > 0.95
    assert result.history[-1]["train_loss"] < 0.2 * result.history[0]["train_loss"]
    assert [row["epoch"] for row in result.history] == list(range(1, 41))
    assert all(row["seconds"] > 0 for row in result.history)
    assert not result.stopped


def test_what_a_training_leaves(train: Train) -> None:
    result = train()
    assert sorted(path.name for path in result.folder.iterdir()) == [
        "calibration.json",
        "history.csv",
        "live.json",
        "model",
        "state.safetensors",
    ]
    assert len((result.folder / "history.csv").read_text().splitlines()) == 6
    model = Model.load(result.model_folder)
    assert model.seed == 3
    assert len(model.feature_names) == 20
    assert model.dates.tolist() == np.array(["2018-01-01", "2018-01-11"], "M8[D]").tolist()
    assert result.best is not None
    assert model.best == {name: value for name, value in result.best.items() if name != "seconds"}


def test_metrics_are_those_of_the_kept_model_on_the_valid_samples(train: Train, samples: TrainingSamples) -> None:
    """The row of the best epoch, from the saved model alone and scikit-learn."""
    result = train()
    rng = np.random.default_rng(derived_seed(3, Purpose.SPLIT))
    _, valid = split_samples(samples.codes, samples.polygons, 0.2, "polygon", rng)
    codes, _ = Model.load(result.model_folder).predict(samples.features[valid].T)
    truth = samples.codes[valid]
    assert result.best is not None
    assert result.best["oa"] == pytest.approx(accuracy_score(truth, codes))
    assert result.best["kappa"] == pytest.approx(cohen_kappa_score(truth, codes))
    expected = f1_score(truth, codes, labels=np.unique(truth), average="macro", zero_division=0)
    assert result.best["f_score"] == pytest.approx(expected)


def test_normalisation_is_that_of_the_train_samples_only(train: Train, samples: TrainingSamples) -> None:
    result = train()
    rng = np.random.default_rng(derived_seed(3, Purpose.SPLIT))
    rows, _ = split_samples(samples.codes, samples.polygons, 0.2, "polygon", rng)
    found = Model.load(result.model_folder).standardiser
    np.testing.assert_allclose(found.mean, samples.features[rows].mean(0, dtype=np.float64))
    np.testing.assert_allclose(found.std, samples.features[rows].astype(np.float64).std(0))


@pytest.mark.parametrize(("criterion", "pick"), [("f_score", max), ("oa", max), ("kappa", max), ("valid_loss", min)])
def test_the_best_epoch_is_kept(train: Train, criterion: str, pick: Callable[..., float]) -> None:
    # So high a rate that the metrics go up and down.
    result = train(epochs=12, learning_rate=0.1, select_by=criterion.removeprefix("valid_"))
    values = [row[criterion] for row in result.history]
    assert result.best is not None
    assert result.best["epoch"] == 1 + values.index(pick(values))
    assert len(set(values)) > 3
    assert Model.load(result.model_folder).best["epoch"] == result.best["epoch"]


def test_outputs_are_the_whole_nomenclature(train: Train, toy: Toy) -> None:
    probabilities = Model.load(train().model_folder).predict_probabilities(toy().features[:4].T)
    assert probabilities.shape == (5, 4)  # class 30 has no samples


def test_same_seed_same_bytes(train: Train, dropout: MlpParams) -> None:
    torch.manual_seed(0)
    one = train("one", network=dropout)
    torch.manual_seed(1)
    two = train("two", network=dropout)
    assert_same_training(one, two)
    texts = [(result.folder / "history.csv").read_text() for result in (one, two)]
    first, second = ([line.split(",")[:6] + line.split(",")[7:] for line in text.splitlines()] for text in texts)
    assert first == second


def test_another_seed_another_training(train: Train) -> None:
    one, two = train("one", seed=1), train("two", seed=2)
    assert one.history[-1]["train_loss"] != two.history[-1]["train_loss"]


def test_the_callers_generators_are_left_alone(train: Train) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    train(epochs=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_threads_are_as_before(train: Train) -> None:
    seen = []
    before = torch.get_num_threads()
    train(epochs=1, threads=2, callbacks=[At(1, 1, lambda run: seen.append(torch.get_num_threads()))])
    assert seen == [2]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("epoch", "batch"), [(1, 6), (2, 1), (3, 3), (5, 5)])
def test_stopped_and_gone_on_equals_unbroken(train: Train, dropout: MlpParams, epoch: int, batch: int) -> None:
    unbroken = train("unbroken", network=dropout)
    event = threading.Event()
    stopped = train("broken", network=dropout, stop=event, callbacks=[At(epoch, batch, lambda run: event.set())])
    whole = epoch if batch == 6 else epoch - 1  # six batches an epoch: the last one ends it
    assert stopped.stopped
    assert len(stopped.history) == whole
    assert (stopped.best is not None) == (whole > 0)
    if whole:
        assert Model.load(stopped.model_folder).best["epoch"] == stopped.best["epoch"]  # type: ignore[index]
    again = train("broken", network=dropout)
    assert not again.stopped
    assert_same_training(again, unbroken)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_every_optimizer_goes_on_as_if_unbroken(train: Train, dropout: MlpParams, optimizer: str) -> None:
    options = {"network": dropout, "optimizer": optimizer}
    unbroken = train("unbroken", **options)
    train("broken", callbacks=[At(3, 2, lambda run: run.stop())], **options)
    assert_same_training(unbroken, train("broken", **options))


def test_optimizers_differ(train: Train) -> None:
    losses = {name: train(name, optimizer=name).history[-1]["train_loss"] for name in ("adam", "adamw", "sgd")}
    assert len(set(losses.values())) == 3


def test_interrupted_and_gone_on_equals_unbroken(train: Train, dropout: MlpParams) -> None:
    unbroken = train("unbroken", network=dropout)
    for epoch in (1, 2, 4):
        with pytest.raises(KeyboardInterrupt):
            train("broken", network=dropout, callbacks=[At(epoch, 3, interrupt)])
    assert_same_training(train("broken", network=dropout), unbroken)


def test_interrupted_before_the_model_is_saved(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of an epoch is on disk, its better model is not: going on writes it."""
    unbroken = train("unbroken", epochs=1)

    def killed(self: Model, folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Model, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            train("broken", epochs=1)
    assert_same_training(train("broken", epochs=1), unbroken)


KILLED = """
import os, runpy, signal, sys
from pathlib import Path
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.callbacks import Callback
from toolkit.learning.models import MlpParams
from toolkit.learning.parameters import LearningParams
from toolkit.learning.training import train_network

class Kill(Callback):
    def on_batch_end(self, run, batch, batches):
        if (len(run.history) + 1, batch) == (int(sys.argv[3]), 2):
            os.kill(os.getpid(), signal.SIGKILL)

toy = runpy.run_path(sys.argv[1])
train_network(
    toy["make_samples"](),
    LearningParams(epochs=5, batch_size=64, learning_rate=1e-3, threads=1,
                   network=MlpParams(hidden=(16, 8), dropout=0.3, batch_norm=True)),
    seed=3,
    nomenclature=Nomenclature("toy", tuple(LandCoverClass(c, f"class {c}", f"#0000{c:02x}") for c in toy["CODES"])),
    feature_names=[f"B2_{number}" for number in range(20)],
    dates=toy["DATES"],
    folder=Path(sys.argv[2]),
    key="key",
    callbacks=[Kill()],
)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_and_gone_on_equals_unbroken(train: Train, dropout: MlpParams, tmp_path: Path) -> None:
    unbroken = train("unbroken", network=dropout)
    script = [sys.executable, "-c", KILLED, str(Path(__file__).with_name("conftest.py")), str(tmp_path / "broken"), "3"]
    root = Path(__file__).parents[2]
    ended = subprocess.run(script, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    left = TrainingResult.load(tmp_path / "broken")
    assert len(left.history) == 2
    assert left.stopped
    assert_same_training(train("broken", network=dropout), unbroken)


def test_raised_epochs_go_on(train: Train) -> None:
    unbroken = train("unbroken", epochs=6)
    train("raised", epochs=2)
    seen = []
    raised = train("raised", epochs=6, callbacks=[At(3, 1, lambda run: seen.append(len(run.history)))])
    assert seen == [2]
    assert_same_training(raised, unbroken)


def test_a_finished_training_is_not_done_again(train: Train) -> None:
    result = train()
    batches: list[int] = []
    again = train(callbacks=[At(1, 1, lambda run: batches.append(1)), At(6, 1, lambda run: batches.append(6))])
    assert not batches
    assert again == result


def test_fewer_epochs_than_there_are_is_refused(train: Train) -> None:
    train(epochs=3)
    with pytest.raises(RunFolderError, match=r"has 3 epochs already, learning.epochs asks for 2: set 3 or more"):
        train(epochs=2)


def test_another_key_is_refused_unless_overwritten(train: Train) -> None:
    train(key="one")
    with pytest.raises(RunFolderError, match="other samples or parameters"):
        train(key="two")
    result = train(key="two", epochs=2, overwrite=True)
    assert len(result.history) == 2


def test_weights_of_another_network_are_refused(train: Train) -> None:
    train(network=MlpParams(hidden=(4,)))
    with pytest.raises(RunFolderError, match="weights of another network"):
        train(network=MlpParams(hidden=(5,)))


def test_a_stop_before_the_first_epoch_leaves_no_model(train: Train) -> None:
    result = train(stop=lambda: True)
    assert result.stopped
    assert result.best is None
    assert result.history == []
    assert not result.model_folder.exists()
    assert "none yet" in result._repr_html_()
    assert TrainingResult.load(result.folder) == result


def test_weighted_classes_help_a_rare_one(train: Train, toy: Toy) -> None:
    common = toy(codes=(2, 5), polygons=30, features=20)
    rare = toy(codes=(9,), polygons=4, pixels=5, features=20)
    both = TrainingSamples(
        np.concatenate([common.features, rare.features]),
        np.concatenate([common.codes, rare.codes]),
        np.concatenate([common.polygons, rare.polygons + 5000]),
    )
    plain, weighted = (
        train(f"weighted {flag}", samples=both, epochs=14, weighted_classes=flag) for flag in (False, True)
    )
    recalls = []
    for result in (plain, weighted):
        codes, _ = Model.load(result.model_folder).predict(both.features.T)
        recalls.append(np.mean(codes[both.codes == 9] == 9))
    assert recalls[1] > recalls[0] + 0.3


def test_a_code_outside_the_nomenclature_is_named(train: Train, toy: Toy) -> None:
    with pytest.raises(SampleError, match="class 77, which is not in nomenclature toy"):
        train(samples=toy(codes=(2, 77)))


def test_a_single_class_is_refused(train: Train, toy: Toy) -> None:
    with pytest.raises(SampleError, match="only class 5 to learn from"):
        train(samples=toy(codes=(5,)))


def test_no_sample_is_refused(train: Train) -> None:
    empty = TrainingSamples(np.zeros((0, 20), np.float32), np.zeros(0, np.uint8), np.zeros(0, np.int64))
    with pytest.raises(SampleError, match="no sample to learn from"):
        train(samples=empty)


def test_too_few_polygons_for_valid(train: Train, toy: Toy) -> None:
    single = toy(polygons=1)
    with pytest.raises(SampleError, match="no valid samples"):
        train(samples=single)


def test_valid_by_sample_is_warned_of(train: Train, toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    train("polygon", epochs=1)
    assert not caplog.records
    assert train(samples=toy(polygons=1), valid_by="sample", epochs=1).best is not None
    assert "metrics are too good" in caplog.text


def test_a_value_that_is_not_a_number_is_refused(train: Train, samples: TrainingSamples) -> None:
    samples.features[7, 11] = np.nan
    with pytest.raises(SampleError, match="feature B2_11 is not a number"):
        train()


def test_a_rate_too_high_is_named(train: Train) -> None:
    with pytest.raises(ParameterError, match=r"not a number: lower learning.learning_rate, which is 1e\+30"):
        train(learning_rate=1e30)


def test_names_and_features_must_agree(samples: TrainingSamples, nomenclature: Nomenclature, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="20 features with 1 names"):
        training.train_network(
            samples,
            LearningParams(),
            seed=0,
            nomenclature=nomenclature,
            feature_names=["B2"],
            dates=np.array([], "M8[D]"),
            folder=tmp_path,
            key="",
        )


def test_result_in_words_and_in_a_table(train: Train) -> None:
    result = train()
    assert result.best is not None
    assert f"best epoch {result.best['epoch']}, OA {result.best['oa']:.3f}" in repr(result)
    html = result._repr_html_()
    assert html.startswith("<table>") and html.count("<tr>") == html.count("</tr>") == 9
    assert TrainingResult.load(result.folder) == result
