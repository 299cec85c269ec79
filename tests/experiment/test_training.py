"""Training as a verb: what it depends on, samples on disk, another model to start from, the search of a rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.rates import find_rate
from toolkit.experiment.stages import stages, train_step
from toolkit.experiment.steps import record_of
from toolkit.experiment.verbs import clean, sample, train
from toolkit.ground.errors import ModelError, RunFolderError
from toolkit.learning.checkpoint import Model
from toolkit.samples.store import SampleStore


@pytest.fixture
def experiment(sampled_demo: Path) -> Experiment:
    return Experiment.load(sampled_demo)


def test_what_a_training_was_before_it_could_do_more_is_not_told(experiment: Experiment) -> None:
    """Results of a training with nothing but what there was before stay up to date."""
    experiment.set({"learning.calibrate": False})
    known = record_of(experiment, train_step(experiment), {}).params
    assert {name.split(".")[1] for name in known if name.startswith("learning.")} == {
        "network", "epochs", "batch_size", "optimizer", "learning_rate", "valid_ratio", "valid_by", "select_by",
        "weighted_classes", "device",
    }  # fmt: skip
    experiment.set({"learning.schedule.kind": "cosine"})
    assert record_of(experiment, train_step(experiment), {}).params["learning.schedule.kind"] == "cosine"


def test_samples_are_opened_as_they_are_loaded(experiment: Experiment) -> None:
    store = SampleStore(RunFolder(experiment.folder).samples)
    for clear in (1, 8):
        held, opened = store.load(clear), store.open(clear)
        assert opened.features.shape == held.features.shape
        np.testing.assert_array_equal(opened.features[np.arange(len(held))], held.features)
        np.testing.assert_array_equal(opened.codes, held.codes)
        np.testing.assert_array_equal(opened.polygons, held.polygons)


def test_samples_beyond_memory_train_too(experiment: Experiment) -> None:
    experiment.set({"learning.memory_gb": 1e-4})
    result = train(experiment)
    assert len(result.history) == 3 and result.best is not None
    assert result.calibration is not None
    assert Model.load(result.model_folder).temperature == result.calibration.temperature


def test_a_training_that_ends_early_says_so(experiment: Experiment) -> None:
    said: list[str] = []
    early = {"learning.early_stop.patience": 1, "learning.early_stop.tolerance": 99.0, "learning.epochs": 9}
    experiment.set(early)
    assert len(train(experiment, observer=lambda event: said.append(event.message)).history) == 2
    assert said[-1].endswith("on the valid samples; ended early, after epoch 2 of 9")
    train(experiment, observer=lambda event: said.append(event.message))  # up to date: nothing more to tell
    experiment.set({"learning.early_stop.patience": None, "learning.epochs": 2})
    train(experiment, overwrite=True, observer=lambda event: said.append(event.message))
    assert "early" not in said[-1]


def test_another_model_to_start_from_is_noticed(experiment: Experiment, sampled_demo: Path) -> None:
    first = train(experiment)
    other = Experiment.load(sampled_demo)
    other.set({"name": "second"})
    with pytest.raises(RunFolderError, match="sample"):
        train(other)
    sample_again(other)
    other.set({"learning.start_from": "runs/none"})
    with pytest.raises(ModelError, match=r"learning.start_from = runs/none: there is no model"):
        train(other)
    other.set({"learning.start_from": str(first.folder.relative_to(sampled_demo.parent))})
    other.set({"learning.epochs": 1})
    other.set({"learning.learning_rate": 1e-9})
    second = train(other)
    assert first.best is not None and second.best is not None
    assert second.best["valid_loss"] == pytest.approx(first.best["valid_loss"], rel=1e-3)
    assert {one.name: one.state for one in stages(other)}["train"] == "up to date"
    experiment.set({"learning.epochs": 5})
    train(experiment)
    assert {one.name: one.state for one in stages(other)}["train"] == "outdated"


def sample_again(experiment: Experiment) -> None:
    clean(experiment)
    sample(experiment)


def test_a_rate_is_found_on_the_samples(experiment: Experiment) -> None:
    found = find_rate(experiment, updates=60)
    assert 1e-6 < found.suggestion < 1
    assert not RunFolder(experiment.folder).learning.exists()
