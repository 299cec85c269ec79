"""What a run would do, told without running anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit import Experiment, clean, sample, train
from toolkit.experiment.stages import VERBS, stage_names, stages, steps_of
from toolkit.ground.errors import CatalogError, ParameterError

CHAIN = [
    "clean",
    "sample",
    "train",
    *(f"classify {tile}" for tile in ("31TCJ", "31TCK", "31TDJ", "31TDK")),
    "mosaic",
    "validate",
]


def states(experiment: Experiment, verb: str = "run") -> dict[str, str]:
    return {one.name: one.state for one in stages(experiment, verb)}


def test_names_follow_the_chain(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    assert stage_names(experiment) == CHAIN
    assert stage_names(experiment, "classify") == CHAIN[3:7]
    assert stage_names(experiment, "cross_validate") == ["clean", "cross-validate"]
    for verb in VERBS:
        assert [step.name for step in steps_of(experiment, verb)] == stage_names(experiment, verb)
    with pytest.raises(ParameterError, match="'clasify' is not a verb; did you mean 'classify'"):
        stage_names(experiment, "clasify")


def test_stages_tell_what_is_there_and_what_is_outdated(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    assert set(states(experiment).values()) == {"waiting"}
    assert not experiment.folder.exists(), "looking leaves nothing behind"
    clean(experiment)
    sample(experiment)
    assert states(experiment) == {**dict.fromkeys(CHAIN, "waiting"), "clean": "up to date", "sample": "up to date"}

    experiment.set({"sampling.max_per_class": 20})
    found = {one.name: one for one in stages(experiment)}
    assert found["clean"].state == "up to date"
    assert found["sample"].state == "outdated"
    assert found["sample"].message == "made with sampling.max_per_class = 150 (now 20)"
    experiment.set({"sampling.max_per_class": 150})

    train(experiment)
    experiment.set({"learning.epochs": 5})
    (stage,) = stages(experiment, "train")
    assert stage.state == "waiting", "a training goes on"
    assert stage.message == "goes on from what was made with learning.epochs = 3 (now 5)"
    experiment.set({"learning.epochs": 3, "ground_truth.min_area_m2": 500.0})
    found = {one.name: one for one in stages(experiment)}
    assert [found[name].state for name in CHAIN[:4]] == ["outdated", "outdated", "outdated", "waiting"]
    assert found["sample"].message == "clean is to be made first"

    experiment.set({"ground_truth.min_area_m2": 0.0})
    (experiment.folder / "samples" / "class_counts.csv").unlink()
    assert states(experiment, "sample") == {"sample": "waiting"}, "what was deleted is not there"


def test_absent_images_are_told(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    experiment.set({"series.tiles": ["31TDH"]})
    with pytest.raises(CatalogError, match="31TDH"):
        stages(experiment)
