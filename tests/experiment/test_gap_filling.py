"""The method of gap-filling through the experiment: set, said on the command line, written, part of a result."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.cli import _changes, _parser
from toolkit.experiment.config import Experiment, ExperimentParams
from toolkit.experiment.steps import Step, record_of
from toolkit.experiment.verbs import clean, sample
from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.series.akima import AkimaParams
from toolkit.series.methods import LinearParams
from toolkit.series.savitzky_golay import SavitzkyGolayParams
from toolkit.series.whittaker import WhittakerParams

STEP = Step("sample", ("series", "features"), ())


@pytest.fixture
def experiment() -> Experiment:
    series = {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-12-27"}
    return Experiment(ExperimentParams(name="trial", series=series, ground_truth={"source": "polygons"}))


def test_another_method_keeps_what_both_have(experiment: Experiment) -> None:
    experiment.set({"series.gap_filling.smoothing": 5, "series.gap_filling.method": "whittaker"})
    experiment.set({"series.gap_filling.max_gap_days": 60})
    assert experiment.series.gap_filling == WhittakerParams(smoothing=5, max_gap_days=60)
    experiment.set({"series.gap_filling.method": "akima"})
    assert experiment.series.gap_filling == AkimaParams(max_gap_days=60)
    experiment.set({"series.gap_filling": {"method": "savitzky_golay", "window": 7}})
    assert experiment.series.gap_filling == SavitzkyGolayParams(window=7)
    with pytest.raises(ParameterError, match=r"series\.gap_filling\.smoothing is not a parameter"):
        experiment.set({"series.gap_filling.smoothing": 5})
    with pytest.raises(ParameterError, match=r"smooting is not a parameter"):
        experiment.set({"series.gap_filling.smooting": 5})


def test_a_file_that_names_no_method_means_the_usual_one(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    experiment.set({"series.gap_filling.max_gap_days": 60})
    experiment.save()
    assert "gap_filling: {max_gap_days: 60}" in tiny_demo.read_text()
    assert Experiment.load(tiny_demo).series.gap_filling == LinearParams(max_gap_days=60)
    with pytest.raises(ParameterError, match=r"method = 'akimo': must be one of .* did you mean 'akima'"):
        experiment.set({"series.gap_filling": {"method": "akimo"}})


def test_method_on_the_command_line(experiment: Experiment) -> None:
    words = ["--series.gap_filling.smoothing", "7", "--series.gap_filling.method", "whittaker"]
    experiment.set(_changes(_parser("sample")[0].parse_args(["sample", "e.yml", *words])))
    assert experiment.series.gap_filling == WhittakerParams(smoothing=7)


def test_the_usual_method_is_as_if_there_was_no_such_parameter(experiment: Experiment) -> None:
    without = record_of(experiment, STEP, {})
    assert not any("gap_filling" in name for name in without.params)
    experiment.set({"series.gap_filling.max_gap_days": 60})
    limited = record_of(experiment, STEP, {})
    assert limited.params["series.gap_filling.max_gap_days"] == 60 and limited.key != without.key
    experiment.set({"series.gap_filling": LinearParams().model_dump()})
    assert record_of(experiment, STEP, {}).key == without.key


def test_a_sampling_by_another_method_is_another_result(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    clean(experiment)
    sample(experiment)
    experiment.set({"series.gap_filling.method": "whittaker"})
    with pytest.raises(RunFolderError, match="gap_filling"):
        sample(experiment)
    counts = sample(experiment, overwrite=True)
    assert counts["pixels"].sum() > 0
    experiment.save()
    assert Experiment.load(tiny_demo).series.gap_filling == WhittakerParams()
