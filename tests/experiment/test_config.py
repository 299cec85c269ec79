from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from toolkit.experiment.config import SECTIONS, Experiment
from toolkit.ground.errors import ParameterError

MINIMAL = {
    "name": "mine",
    "series": {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-12-27"},
    "ground_truth": {"source": "parcels.gpkg"},
}


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    path = tmp_path / "experiment.yml"
    path.write_text(yaml.safe_dump(MINIMAL))
    return Experiment.load(path)


def test_defaults_are_the_published_run(experiment: Experiment) -> None:
    learning = experiment.learning
    assert (learning.epochs, learning.batch_size, learning.learning_rate) == (200, 4096, 1e-5)
    assert (learning.valid_ratio, learning.select_by) == (0.2, "f_score")
    assert (experiment.sampling.sampler, experiment.sampling.max_per_class) == ("periodic", 100_000)
    assert experiment.split.train_ratio == 0.75
    assert len(experiment.stack) == 481
    assert experiment.folder == experiment.path.parent / "runs" / "mine"


def test_saved_and_read_again_is_equal(experiment: Experiment, tmp_path: Path) -> None:
    experiment.set({"learning.learning_rate": 3e-4, "series.area": [1.0, 43.0, 1.5, 43.5], "seed": 7})
    again = Experiment.load(experiment.save(tmp_path / "again.yml"))
    assert again.params == experiment.params


def test_set_changes_all_or_nothing(experiment: Experiment) -> None:
    before = experiment.params
    with pytest.raises(ParameterError, match=r"learning\.batch_size = 0"):
        experiment.set({"learning.epochs": 5, "learning.batch_size": 0})
    assert experiment.params is before
    experiment.set(series={"start": "2019-01-01", "end": "2019-12-27"}, learning={"epochs": 5})
    assert str(experiment.series.start) == "2019-01-01"
    assert experiment.learning.epochs == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning.epoch": 5}, "did you mean 'epochs'"),
        ({"lerning.epochs": 5}, "did you mean 'learning'"),
        ({"learning.epochs": "many"}, "learning.epochs = 'many'"),
        ({"series.start": "2020-01-01"}, "before series.start"),
        ({"name": "../evil"}, "name = '../evil'"),
        ({"sampling.max_per_class": True}, "max_per_class = True: a number is needed"),
        ({"split.leave_out_tile": "31TDJ"}, "none of series.tiles"),
    ],
)
def test_what_cannot_be_is_refused(experiment: Experiment, changes: dict, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        experiment.set(changes)


def test_observers_hear_of_changes_only(experiment: Experiment) -> None:
    heard: list[int] = []
    end = experiment.observe(lambda one: heard.append(one.learning.epochs))
    experiment.set({"learning.epochs": 7})
    experiment.set({"learning.epochs": 7})
    end()
    experiment.set({"learning.epochs": 8})
    assert heard == [7]


def test_sections_are_attributes_and_unknown_ones_suggest(experiment: Experiment) -> None:
    assert "learning" in SECTIONS
    assert experiment.get("learning.network.name") == "mlp"
    with pytest.raises(AttributeError, match="did you mean 'learning'"):
        experiment.lerning  # noqa: B018
    with pytest.raises(ParameterError, match="did you mean 'epochs'"):
        experiment.get("learning.epoch")


def test_reload_keeps_the_old_where_the_file_is_wrong(experiment: Experiment) -> None:
    before = experiment.params
    experiment.path.write_text("name: [")
    with pytest.raises(ParameterError, match="not valid YAML"):
        experiment.reload()
    assert experiment.params is before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("just text", "must hold"),
        ("name: a\nname: b", "line 2: 'name' stands twice"),
        ("name: a\nseries: {start: 2018-02-30}", "not valid YAML: day is out of range"),
        ("name: !!python/object/apply:os.getcwd []", "not valid YAML"),
        (yaml.safe_dump({**MINIMAL, "seris": {}}), "did you mean 'series'"),
        (yaml.safe_dump({key: MINIMAL[key] for key in ("name", "series")}), "ground_truth is missing"),
    ],
)
def test_bad_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=words):
        Experiment.load(path)


def test_absent_file_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="landcover demo"):
        Experiment.load(tmp_path / "nowhere.yml")
