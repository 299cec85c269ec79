"""The bar of an experiment: what is saved, load, undo, redo, copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.experiment.config import Experiment
from toolkit.widgets import ExperimentBar, form

TEXT = """\
name: mine   # ours
series: {source: s2, tiles: [31TCJ], start: 2018-01-01, end: 2018-12-27}
ground_truth: {source: parcels.gpkg}
"""


@pytest.fixture
def written(tmp_path: Path) -> Experiment:
    (tmp_path / "experiment.yml").write_text(TEXT)
    return Experiment.load(tmp_path / "experiment.yml")


@pytest.fixture
def bar(written: Experiment) -> ExperimentBar:
    return ExperimentBar(written)


def is_marked(bar: ExperimentBar) -> bool:
    return "not saved" in bar.title.value


def test_mark_follows_edits_saves_and_undo_from_anywhere(written: Experiment, bar: ExperimentBar) -> None:
    assert "mine" in bar.title.value and not is_marked(bar)
    form(written, "learning").fields["learning.epochs"].input.value = 3
    assert is_marked(bar)
    written.save()
    assert not is_marked(bar)
    written.undo()
    assert is_marked(bar)


def test_save_writes_the_file_with_its_comments(written: Experiment, bar: ExperimentBar) -> None:
    written.set({"seed": 4})
    bar.save.click()
    assert written.path.read_text() == TEXT + "seed: 4\n"
    assert "saved experiment.yml" in bar.said.value and not is_marked(bar)
    written.set({"seed": 5})
    assert bar.said.value == ""


def test_undo_and_redo_are_offered_where_there_is_something(written: Experiment, bar: ExperimentBar) -> None:
    assert bar.undo.disabled and bar.redo.disabled
    written.set({"seed": 4})
    assert not bar.undo.disabled and bar.redo.disabled
    bar.undo.click()
    assert written.seed == 0 and bar.undo.disabled and not bar.redo.disabled
    bar.redo.click()
    assert written.seed == 4


def test_a_file_changed_by_something_else_is_told_and_overwritten_on_request(
    written: Experiment, bar: ExperimentBar
) -> None:
    written.set({"seed": 4})
    theirs = TEXT + "runs: elsewhere\n"
    written.path.write_text(theirs)
    bar.save.click()
    assert written.path.read_text() == theirs
    assert "changed by something else" in bar.problem.value and bar.overwrite.layout.display == ""
    bar.overwrite.click()
    assert Experiment.load(written.path).params == written.params
    assert bar.problem.value == "" and bar.overwrite.layout.display == "none"


def test_load_takes_another_file_and_moves_the_widgets(written: Experiment, bar: ExperimentBar) -> None:
    edited = form(written, "learning")
    other = written.path.parent / "other.yml"
    other.write_text(TEXT.replace("mine", "other") + "learning: {epochs: 9}\n")
    bar.load.click()
    assert bar.path.value == str(written.path)
    bar.path.value = str(other)
    bar.load_path.click()
    assert written.path == other and not is_marked(bar) and "other" in bar.title.value
    assert edited.fields["learning.epochs"].input.value == 9
    bar.undo.click()
    assert written.path.name == "experiment.yml" and written.learning.epochs == 200


def test_a_file_that_cannot_be_loaded_is_told(written: Experiment, bar: ExperimentBar) -> None:
    bar.load.click()
    bar.path.value = str(written.path.parent / "nowhere.yml")
    bar.load_path.click()
    assert "nowhere.yml does not exist" in bar.problem.value
    assert written.name == "mine"


def test_copy_holds_the_cell_of_now(written: Experiment, bar: ExperimentBar) -> None:
    written.set({"learning.epochs": 3})
    assert bar.copy.text == written.to_python() and "'learning.epochs': 3" in bar.copy.text


def test_bar_stands_under_a_form_of_everything_only(written: Experiment) -> None:
    assert isinstance(form(written).bar, ExperimentBar)
    assert form(written, "learning").bar is None


def test_closed_bar_stops_following(written: Experiment, bar: ExperimentBar) -> None:
    bar.close()
    bar.close()
    written.set({"seed": 4})
    assert not is_marked(bar)
