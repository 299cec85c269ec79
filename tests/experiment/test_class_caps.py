"""Caps of single classes through the chain: obeyed, refused early, and part of what a result is made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.cli import _changes, _parser
from toolkit.experiment.config import Experiment, ExperimentParams
from toolkit.experiment.steps import Event, Step, record_of
from toolkit.experiment.verbs import clean, sample
from toolkit.ground.errors import ParameterError

STEP = Step("sample", ("sampling", "seed"), ())


def test_caps_are_obeyed_and_the_same_caps_are_up_to_date(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    clean(experiment)
    plain = sample(experiment).set_index("code")["pixels"]
    code = int(plain[plain > 20].index[0])
    experiment.set({"sampling.class_caps": {code: 9}})
    capped = sample(experiment, overwrite=True).set_index("code")["pixels"]
    assert capped[code] == 9
    assert capped.drop(code).equals(plain.drop(code))

    states: list[str] = []
    path = experiment.save()
    sample(Experiment.load(path), observer=lambda event: states.append(event.state))
    assert states == ["up to date"]


def test_cap_of_an_unknown_class_is_refused_before_anything_is_done(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    experiment.set({"sampling.class_caps": {24: 9}})
    heard: list[Event] = []
    with pytest.raises(ParameterError, match="class 24 is not in nomenclature oso_23"):
        sample(experiment, observer=heard.append)
    assert heard == [] and not experiment.folder.exists()


@pytest.mark.parametrize(
    ("text", "caps"),
    [("11=500,12=2000", {11: 500, 12: 2000}), ("{11: 500}", {11: 500}), ("11: 500", {11: 500}), ("none", {}), ("", {})],
)
def test_caps_on_the_command_line(text: str, caps: dict[int, int]) -> None:
    series = {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-12-27"}
    experiment = Experiment(ExperimentParams(name="trial", series=series, ground_truth={"source": "polygons"}))
    experiment.set({"sampling.class_caps": {1: 1}})
    experiment.set(_changes(_parser("sample")[0].parse_args(["sample", "e.yml", f"--sampling.class_caps={text}"])))
    assert experiment.sampling.class_caps == caps


def test_no_caps_are_as_if_there_was_no_such_parameter(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    without = record_of(experiment, STEP, {})
    assert not any("caps" in name for name in without.params)
    experiment.set({"sampling.class_caps": {11: 9}})
    capped = record_of(experiment, STEP, {})
    assert capped.params["sampling.class_caps"] == {"11": 9}
    assert capped.key != without.key
    assert without.differences(capped) == ["sampling.class_caps = not given (now {'11': 9})"]
