"""The features panel: functions as typed forms, a file run only when asked for, pixels by several methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from toolkit import Experiment
from toolkit.widgets.external_features import ExternalFeatures
from toolkit.widgets.features_panel import FeaturesPanel, list_html

MINE = """
import pathlib
from toolkit import external_feature
from toolkit.ground.params import param

with pathlib.Path("FOLDER", "runs_of_mine").open("a") as marks:
    marks.write("run ")


@external_feature(outputs=["mine_{radius}"])
def mine(block, radius: int = param(..., "How far.", unit="pixels", ge=1, le=20), kind: str = "mean"):
    \"\"\"Something of my own.\"\"\"
    return block.filled("NDVI")[0]
"""


def mine(folder: Path) -> str:
    return MINE.replace("FOLDER", str(folder))


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    experiment = Experiment.load(tiny_demo)
    experiment.set({"series.tiles": ("31TCK",)})
    (tiny_demo.parent / "mine.py").write_text(mine(tiny_demo.parent))
    return experiment


@pytest.fixture
def made(experiment: Experiment) -> Iterator[Callable[[], ExternalFeatures]]:
    panels: list[ExternalFeatures] = []

    def made() -> ExternalFeatures:
        panels.append(ExternalFeatures(experiment))
        return panels[-1]

    yield made
    for one in panels:
        one.settle()
        one.close()


def runs(experiment: Experiment) -> int:
    marks = experiment.path.with_name("runs_of_mine")
    return len(marks.read_text().split()) if marks.exists() else 0


def test_a_function_that_ships_is_added_and_its_parameters_have_inputs_of_their_types(
    experiment: Experiment, made: Any
) -> None:
    functions = made()
    functions.choice.value = "texture"
    functions.add_button.click()
    (chosen,) = experiment.features.external
    assert chosen.params["day"] == date(2018, 6, 30) and chosen.params["radius"] == 3
    (entry,) = functions.entries
    kinds = {name: type(field.input).__name__ for name, field in entry.fields.items()}
    assert kinds["day"] == "DatePicker" and kinds["radius"] == "IntSlider" and kinds["band"] == "Text"
    assert (entry.fields["radius"].input.min, entry.fields["radius"].input.max) == (1, 50)
    assert all(field.row.layout.display != "none" for name, field in entry.fields.items() if name != "entry.rasters")
    assert entry.fields["entry.rasters"].row.layout.display == "none", "a function that ships reads none"
    assert "window of 7 x 7" in entry.fields["radius"].input.tooltip
    entry.fields["radius"].input.value = 7
    assert experiment.features.external[0].params["radius"] == 7
    assert "default 3" in entry.fields["radius"].note.value
    entry.fields["radius"].reset.click()
    assert experiment.features.external[0].params["radius"] == 3
    experiment.undo()
    assert entry.fields["radius"].input.value == 7
    entry.remove.click()
    assert experiment.features.external == () and functions.entries == []


def test_a_refused_value_is_told_beside_its_input_and_changes_nothing(experiment: Experiment, made: Any) -> None:
    experiment.set({"features.external": ["phenology"]})
    field = made().entries[0].fields["threshold"]
    field.input.value = 1.0
    assert "less than 1" in field.refusal and experiment.features.external[0].params == {}
    field.reset.click()
    assert not field.refusal and field.input.value == 0.5


def test_a_file_is_run_only_when_asked_for_and_once(experiment: Experiment, made: Any) -> None:
    experiment.set({"features.external": [{"name": "mine", "file": "mine.py", "params": {"kind": "max"}}]})
    functions = made()
    (entry,) = functions.entries
    assert "its file was not run" in entry.head.value and "kind = max" in entry.head.value
    assert runs(experiment) == 0
    entry.read.click()
    assert functions.settle()
    assert "Something of my own." in entry.head.value and entry.read.layout.display == "none"
    assert "radius is missing" in entry.problem.value, "it has no default"
    entry.fields["radius"].input.value = "99"
    assert "less than or equal to 20" in entry.fields["radius"].refusal
    assert "radius" not in experiment.features.external[0].params
    entry.fields["radius"].input.value = "5"
    assert experiment.features.external[0].params == {"kind": "max", "radius": 5}
    assert entry.problem.value == "" and type(entry.fields["radius"].input).__name__ == "IntSlider"
    assert "features of external" not in functions.problem.value
    again = made()
    assert again.entries[0].fields["radius"].input.value == 5
    assert runs(experiment) == 1


def test_naming_file_and_function_is_asking(experiment: Experiment, made: Any) -> None:
    functions = made()
    functions.choice.value = ""
    assert "mine.py" in [value for _, value in functions.file.pick.options]
    functions.add_button.click()
    assert "which file" in functions.problem.value
    functions.file.value = "mine.py"
    functions.add_button.click()
    assert "which function of mine.py" in functions.problem.value and runs(experiment) == 0
    functions.name.value = "mein"
    functions.add_button.click()
    assert functions.settle()
    assert runs(experiment) == 1 and "no feature function &#x27;mein&#x27;" in functions.entries[0].problem.value
    assert "did you mean &#x27;mine&#x27;" in functions.entries[0].problem.value


def test_what_is_wrong_in_a_file_is_told_with_its_line_until_it_is_mended(experiment: Experiment, made: Any) -> None:
    path = experiment.path.with_name("mine.py")
    path.write_text("import toolkit\n\n1 / 0\n")
    functions = made()
    functions.add("mine", "mine.py")
    assert functions.settle()
    (entry,) = functions.entries
    assert "mine.py, line 3: ZeroDivisionError" in entry.problem.value
    path.write_text(mine(path.parent))
    functions.refresh()
    assert entry.problem.value == "" and runs(experiment) == 0
    entry.read.click()
    assert functions.settle()
    assert "Something of my own." in entry.head.value


def test_rasters_are_named_in_a_row_of_their_own(experiment: Experiment, made: Any) -> None:
    experiment.set({"features.external": [{"name": "mine", "file": "mine.py"}]})
    (entry,) = made().entries
    entry.fields["entry.rasters"].input.value = "{dem: heights}"
    assert experiment.features.external[0].rasters == {"dem": "heights"}


@pytest.fixture
def panel(experiment: Experiment) -> Iterator[FeaturesPanel]:
    panel = FeaturesPanel(experiment)
    assert panel.settle()
    yield panel
    panel.settle()
    panel.close()


def test_it_begins_with_a_pixel_and_the_list(panel: FeaturesPanel) -> None:
    (report,) = panel.inspector.reports
    assert report.place.tile == "31TCK" and len(panel.map.marks.layers) == 1
    assert "clear dates, longest gap" in panel.inspector.head.value and "no class" not in panel.inspector.head.value
    assert panel.list.value == list_html(panel.experiment.stack)
    assert f"{len(panel.experiment.stack):,}" in panel.list.value
    assert panel.problem.value == panel.unread.value == panel.map.problem.value == panel.inspector.problem.value == ""
    assert panel.map.day.value != "no image" and len(panel.map.map.layers) == 4


def test_everything_follows_the_experiment(panel: FeaturesPanel) -> None:
    experiment = panel.experiment
    experiment.set({"series.step_days": 30, "features.indices": ("ndvi", "evi"), "features.external": ["phenology"]})
    assert panel.settle()
    assert "peak_day_NDVI" in panel.list.value and "NDVI, EVI" in panel.list.value
    assert f"<th>{10 * 13 + 2 * 13 + 3}</th>" in panel.list.value
    assert len(panel.inspector.reports[0].series.days) == 13
    experiment.set({"features.external": ["phenology", "phenology"]})
    assert panel.settle()
    assert "two features are called peak_day_NDVI" in panel.unread.value


def test_a_click_on_the_map_shows_the_pixel_there(panel: FeaturesPanel) -> None:
    first = panel.inspector.reports[0].place
    at = [first.latitude + 0.001, first.longitude + 0.001]
    for callback in panel.map.map._interaction_callbacks.callbacks:
        callback(type="click", coordinates=at)
    assert panel.settle()
    second = panel.inspector.reports[-1].place
    assert (second.row, second.col) != (first.row, first.col)
    assert panel.map.marks.layers[0].location == at


def test_the_list_does_not_run_a_file_that_nobody_asked_for(panel: FeaturesPanel) -> None:
    panel.experiment.set({"features.external": [{"name": "mine", "file": "mine.py", "params": {"radius": 4}}]})
    assert panel.settle()
    assert "and those of mine, once its file mine.py is read" in panel.list.value and runs(panel.experiment) == 0
    panel.external.entries[0].read.click()
    assert panel.settle()
    assert "mine_4" in panel.list.value and "once its file" not in panel.list.value


def test_another_day_and_other_bands_are_drawn(panel: FeaturesPanel) -> None:
    before = panel.map._image.url
    panel.map.kind.value = "False colour"
    assert panel.settle()
    drawn = panel.map._image.url
    assert drawn != before
    panel.map.day.value = next(day for day in panel.map.day.options if day not in ("no image", panel.map.day.value))
    assert panel.settle()
    assert panel.map._image.url != drawn
    panel.experiment.set({"series.margin_days": 3})
    assert panel.settle()
    assert panel.map._image is not None, "the image stays when other days are offered"
    panel.map.day.value = "no image"
    assert len(panel.map.map.layers) == 3


def test_features_of_a_further_sensor_stand_by_its_name(experiment: Experiment) -> None:
    experiment.set({"series.sensors": [{"name": "radar", "source": "other", "bands": ["B4", "B8"], "step_days": 20}]})
    page = list_html(experiment.stack)
    assert "<tr><td>radar</td><td>B4, B8 &ensp;<span class='lc-quiet'>on 19 days</span></td><td>38</td></tr>" in page
    assert "<td>Bands</td>" in page and "Functions" not in page
