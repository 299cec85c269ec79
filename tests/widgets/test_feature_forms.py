"""Features in a form: formulas as tags, external features as a line of YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit import Experiment
from toolkit.widgets.forms import form


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    return Experiment.load(tiny_demo)


def test_a_formula_is_a_tag_and_a_wrong_one_is_pointed_at(experiment: Experiment) -> None:
    field = form(experiment, "features").fields["features.indices"]
    field.input.value = ["ndvi", "mine = max(B8, B4)"]
    assert experiment.features.indices == ("ndvi", "mine = max(B8, B4)")
    field.input.value = ["ndvi", "mine = max(B8, B4", "evi"]
    assert experiment.features.indices == ("ndvi", "mine = max(B8, B4)")
    assert "never closed" in field.refusal
    assert "<pre" in field.refusal and "    mine = max(B8, B4\n              ^</pre>" in field.refusal


def test_external_features_are_edited_and_nothing_of_them_is_run(experiment: Experiment) -> None:
    mark = experiment.path.parent / "was_run"
    (experiment.path.parent / "mine.py").write_text(f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n")
    field = form(experiment, "features").fields["features.external"]
    field.input.value = "[{name: mine, file: mine.py, params: {radius: 3}}, phenology]"
    assert [one.name for one in experiment.features.external] == ["mine", "phenology"]
    assert "file: mine.py" in field.input.value
    field.input.value = "[{name: texture, params: {radius: 99, day: 2018-07-01}}]"
    assert "radius = 99" in field.refusal
    assert not mark.exists()


def test_a_function_that_ships_is_offered_with_its_parameters(experiment: Experiment) -> None:
    field = form(experiment, "features").fields["features.external"]
    for wanted in ("phenology", "texture"):
        offered = [value for _, value in field.input.pick.options if value]
        field.input.pick.value = next(
            one for one in offered if one.rstrip("]}").rpartition("{name: ")[2].startswith(wanted)
        )
        assert not field.refusal
    phenology, texture = experiment.features.external
    assert phenology.params == {"index": "NDVI", "threshold": 0.5}
    assert texture.params["radius"] == 3 and texture.params["day"].year == 2018
