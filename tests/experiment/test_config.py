from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from toolkit.experiment.config import SECTIONS, Experiment
from toolkit.experiment.history import History
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
    experiment.set(name="second", seed=7)
    assert (experiment.name, experiment.seed) == ("second", 7)
    with pytest.raises(ParameterError, match="sede"):
        experiment.set(sede=7)


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
        ("name: a\nseries: {start: 2018-02-30}", "series.start = '2018-02-30': input should be a valid date"),
        ("name: !!python/object/apply:os.getcwd []", "not valid YAML"),
        (yaml.safe_dump({**MINIMAL, "seris": {}}), "did you mean 'series'"),
        (yaml.safe_dump({key: MINIMAL[key] for key in ("name", "ground_truth")}), "series is missing"),
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


WRITTEN = """\
# The fields around Toulouse.
name: mine
series:   {source: s2, tiles: [31TCJ, 31TCK], start: 2018-01-01, end: 2018-12-27}   # a year
ground_truth: {source: parcels.gpkg}

learning:
    epochs: 20        # enough for a first look
    batch_size: 512
"""


@pytest.fixture
def written(tmp_path: Path) -> Experiment:
    path = tmp_path / "written.yml"
    path.write_text(WRITTEN)
    return Experiment.load(path)


def test_saving_keeps_what_a_person_wrote(written: Experiment) -> None:
    written.save()
    assert written.path.read_text() == WRITTEN
    written.set({"learning.epochs": 30, "learning.learning_rate": 1e-3, "sampling.class_caps": {11: 500}})
    written.save()
    assert written.path.read_text() == (
        WRITTEN.replace("epochs: 20 ", "epochs: 30 ") + "    learning_rate: 0.001\nsampling: {class_caps: {11: 500}}\n"
    )
    assert Experiment.load(written.path).params == written.params


def test_a_copy_has_the_comments_too(written: Experiment, tmp_path: Path) -> None:
    written.set({"seed": 3})
    copy = written.save(tmp_path / "copies" / "copy.yml")
    assert copy.read_text() == WRITTEN + "seed: 3\n"
    assert written.path.read_text() == WRITTEN
    assert not written.is_saved


def test_a_file_changed_by_something_else_is_not_overwritten(written: Experiment) -> None:
    written.set({"seed": 3})
    theirs = "# mine now\n" + WRITTEN.replace("512", "64")
    written.path.write_text(theirs)
    assert written.file_has_changed
    with pytest.raises(ParameterError, match=r"changed by something else.*reload.*overwrite=True"):
        written.save()
    assert written.path.read_text() == theirs
    written.save(overwrite=True)
    assert written.path.read_text() == "# mine now\n" + WRITTEN + "seed: 3\n"
    assert written.is_saved and not written.file_has_changed


def test_reload_takes_a_changed_file_and_saving_goes_on(written: Experiment) -> None:
    written.path.write_text(WRITTEN.replace("512", "64"))
    written.reload()
    assert written.learning.batch_size == 64
    written.set({"seed": 3})
    written.save()
    assert written.path.read_text().endswith("64\nseed: 3\n")


def test_a_file_that_was_never_read_is_not_overwritten(written: Experiment, tmp_path: Path) -> None:
    other = Experiment(written.params, written.path)
    with pytest.raises(ParameterError, match="is there already"):
        other.save()
    assert written.path.read_text() == WRITTEN
    fresh = Experiment(written.params, tmp_path / "fresh.yml")
    assert not fresh.is_saved
    assert Experiment.load(fresh.save()).params == written.params
    assert fresh.is_saved


def test_values_shared_by_anchors_are_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "shared.yml"
    path.write_text(
        "name: mine\n"
        "series: {source: s2, tiles: [31TCJ], start: &day 2018-01-01, end: *day}\n"
        "ground_truth: {source: parcels.gpkg}\n"
    )
    experiment = Experiment.load(path)
    before = path.read_text()
    experiment.set({"series.end": "2018-06-01"})
    with pytest.raises(ParameterError, match="anchors"):
        experiment.save()
    assert path.read_text() == before
    experiment.save(overwrite=True)
    assert Experiment.load(path).params == experiment.params


def test_is_saved_follows_the_file(written: Experiment) -> None:
    heard: list[bool] = []
    written.observe(lambda one: heard.append(one.is_saved))
    assert written.is_saved
    written.set({"seed": 3})
    written.set({"seed": 0})
    written.set({"seed": 4})
    written.save()
    assert heard == [False, True, False, True]


def test_undo_and_redo(written: Experiment) -> None:
    first = written.params
    assert not written.undo() and not written.redo()
    written.set({"seed": 1})
    written.set({"seed": 2})
    assert written.undo() and written.seed == 1
    assert written.can_undo and written.can_redo
    assert written.undo() and written.params == first and not written.can_undo
    assert written.redo() and written.redo() and written.seed == 2 and not written.can_redo
    written.undo()
    written.set({"seed": 9})
    assert not written.redo() and written.seed == 9


def test_history_is_bounded() -> None:
    history: History[int] = History(limit=3)
    for state in range(10):
        history.leave(state)
    assert [history.back(10), history.back(9), history.back(8), history.back(7)] == [9, 8, 7, None]
    assert history.forward(7) == 8


def test_open_becomes_another_experiment_and_undo_comes_back(written: Experiment, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "other.yml"
    other.parent.mkdir()
    other.write_text(WRITTEN.replace("name: mine", "name: other"))
    here = written.path
    written.open(other)
    assert (written.name, written.path, written.is_saved) == ("other", other, True)
    assert written.folder == other.parent / "runs" / "other"
    written.undo()
    assert (written.name, written.path, written.is_saved) == ("mine", here, True)


def test_open_of_a_wrong_file_changes_nothing(written: Experiment, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("name: [")
    before = written.params, written.path
    with pytest.raises(ParameterError, match="not valid YAML"):
        written.open(tmp_path / "bad.yml")
    assert (written.params, written.path) == before


CHANGED = {
    "learning.epochs": 7,
    "learning.learning_rate": 1e-7,
    "learning.network.hidden": (64, 32),
    "sampling.class_caps": {12: 3, 11: 500},
    "series.start": "2018-02-01",
    "series.area": (1.0, 43.0, 1.5, 43.5),
    "split.leave_out_tile": "31TCJ",
    "runs": "else where",
}


def executed(code: str) -> Experiment:
    names: dict = {}
    exec(code, names)
    return names["experiment"]


def test_python_cell_of_a_file_sets_what_differs_from_it(written: Experiment) -> None:
    assert ".set(" not in written.to_python()
    written.set(CHANGED)
    code = written.to_python()
    assert [f"'{path}'" in code for path in CHANGED] == [True] * len(CHANGED)
    assert "batch_size" not in code
    again = executed(code)
    assert (again.params, again.path) == (written.params, written.path)


def test_python_cell_names_the_file_as_from_here(written: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written.path.parent)
    assert "Experiment.load('written.yml')" in written.to_python()
    assert executed(written.to_python()).params == written.params


def test_python_cell_of_an_experiment_without_a_file_makes_it(written: Experiment, tmp_path: Path) -> None:
    made = Experiment(written.params, tmp_path / "nowhere.yml")
    made.set(CHANGED)
    code = made.to_python()
    assert "valid_ratio" not in code
    again = executed(code)
    assert (again.params, again.path) == (made.params, made.path)


def test_numbers_without_end_are_refused(written: Experiment) -> None:
    for value in (float("nan"), float("inf"), ".inf"):
        with pytest.raises(ParameterError, match="learning_rate"):
            written.set({"learning.learning_rate": value})


def test_a_refusal_names_the_values_that_cannot_be(written: Experiment) -> None:
    for changes, places in (
        ({"learning.epochs": 0}, ("learning.epochs",)),
        ({"learning.network.hidden": (3, 0)}, ("learning.network.hidden.1",)),
        ({"series.start": "2020-01-01"}, ("series",)),
        ({"split.leave_out_tile": "31TDJ"}, ("",)),
    ):
        with pytest.raises(ParameterError) as caught:
            written.set(changes)
        assert caught.value.places == places
