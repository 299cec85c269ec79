"""Forms: every field edits the experiment and follows it, and what is not valid is refused in words."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import ipywidgets as W
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field as PydanticField

from toolkit.experiment.config import SECTIONS, Experiment, ExperimentParams
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import Params, build, param
from toolkit.widgets import Form, form

START = ExperimentParams(
    name="trial",
    series={"source": "s2", "tiles": ["31TCJ", "31TCK"], "start": "2018-01-01", "end": "2018-12-27"},
    ground_truth={"source": "polygons"},
)

TEXTS: dict[str, tuple[str, Any]] = {
    "name": ("trial_2", "trial_2"),
    "catalog": ("not/there/yet.yml", Path("not/there/yet.yml")),
    "runs": ("elsewhere", Path("elsewhere")),
    "series.source": ("theia", "theia"),
    "series.area": ("1.2, 43.4, 1.4, 43.6", (1.2, 43.4, 1.4, 43.6)),
    "ground_truth.source": ("parcels.gpkg", "parcels.gpkg"),
    "ground_truth.layer": ("parcels", "parcels"),
    "ground_truth.class_field": ("CODE", "CODE"),
    "ground_truth.nomenclature": ("mine.csv", "mine.csv"),
    "split.leave_out_tile": ("31TCJ", "31TCJ"),
    "learning.learning_rate": ("2.5e-4", 2.5e-4),
    "learning.network.hidden": ("64, 32", (64, 32)),
    "learning.threads": ("2", 2),
    "mapping.memory_gb": ("1.5", 1.5),
    "mapping.workers": ("2", 2),
    "mapping.crs": ("EPSG:2154", "EPSG:2154"),
}
"""For each field that is a text: what is typed, and the value that it means."""


def other_value(path: str, widget: Any) -> tuple[Any, Any]:
    """Another value for an input: as the widget holds it, and as the experiment does."""
    if isinstance(widget, W.Text):
        return TEXTS[path]
    if isinstance(widget, W.Dropdown):
        chosen = next((value for _, value in widget.options if value != widget.value), widget.value)
        return chosen, chosen
    if isinstance(widget, W.Checkbox):
        return not widget.value, not widget.value
    if isinstance(widget, W.DatePicker):
        moved = date(widget.value.year, 6, 15)
        return moved, moved
    if isinstance(widget, W.TagsInput):
        return list(reversed(widget.value)), tuple(reversed(widget.value))
    step = getattr(widget, "step", None) or 1
    return widget.value + step, widget.value + step


EVERY_FIELD = list(form(Experiment(START)).fields)


@pytest.mark.parametrize("path", EVERY_FIELD)
def test_field_edits_the_experiment_and_follows_it(path: str, experiment: Experiment) -> None:
    section, single = form(experiment, path.partition(".")[0]), form(experiment, path)
    field, twin = section.fields[path], single.fields[path]
    before, shown = experiment.get(path), field.input.value
    typed, meant = other_value(path, field.input)

    field.input.value = typed
    assert experiment.get(path) == meant
    assert not field.refusal
    assert twin.input.value == field.input.value

    experiment.set({path: before})
    assert field.input.value == twin.input.value == shown


def test_every_parameter_has_a_field(experiment: Experiment) -> None:
    leaves = []

    def walk(model: Params, path: str) -> None:
        for name in type(model).model_fields:
            value = getattr(model, name)
            walk(value, f"{path}{name}.") if isinstance(value, Params) else leaves.append(f"{path}{name}")

    walk(experiment.params, "")
    assert sorted(form(experiment).fields) == sorted(leaves)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_has_the_fields_of_the_section(section: str, experiment: Experiment) -> None:
    whole = [path for path in form(experiment).fields if path.startswith(f"{section}.")]
    assert list(form(experiment, section).fields) == whole


def test_one_parameter_makes_a_form(experiment: Experiment) -> None:
    only = form(experiment, "learning.epochs")
    only.fields["learning.epochs"].input.value = 7
    assert experiment.learning.epochs == 7


def test_unknown_section_is_refused_with_a_hint(experiment: Experiment) -> None:
    with pytest.raises(ParameterError, match="learning"):
        form(experiment, "lerning")


@pytest.mark.parametrize(
    ("path", "typed", "words"),
    [
        ("learning.epochs", 0, "greater than or equal to 1"),
        ("learning.learning_rate", "fast", "is not a number"),
        ("learning.learning_rate", "-1", "greater than 0"),
        ("learning.threads", "1.5", "is not a whole number"),
        ("learning.valid_ratio", 1.0, "less than 1"),
        ("learning.network.hidden", "64, none", "is not a whole number"),
        ("learning.network.hidden", "64, 0", "greater than or equal to 1"),
        ("series.tiles", ["31TCJ", "Toulouse"], "write it like 31TCJ"),
        ("series.tiles", [], "at least 1"),
        ("series.bands", ["B2", "B99"], "B99"),
        ("series.area", "1, 2, 3", "series.area.3 is missing"),
        ("series.start", None, "date"),
        ("catalog", "", "give a path"),
        ("name", "a name", "pattern"),
    ],
)
def test_invalid_value_is_refused_beside_its_field(path: str, typed: Any, words: str, experiment: Experiment) -> None:
    before = experiment.params
    edited, other = form(experiment, path.partition(".")[0]), form(experiment, path)
    shown = other.fields[path].input.value
    edited.fields[path].input.value = typed

    assert words in edited.fields[path].refusal
    assert experiment.params is before
    assert other.fields[path].input.value == shown
    assert not any(field.refusal for name, field in edited.fields.items() if name != path)
    assert edited.problem.value == ""


def test_refusal_does_not_repeat_what_the_row_says(experiment: Experiment) -> None:
    edited = form(experiment, "learning")
    edited.fields["learning.epochs"].input.value = 0
    refusal = edited.fields["learning.epochs"].refusal
    assert "experiment.yml" not in refusal and "learning.epochs" not in refusal


def test_refused_text_stays_until_mended(experiment: Experiment) -> None:
    edited = form(experiment, "learning")
    rate = edited.fields["learning.learning_rate"]
    rate.input.value = "fast"
    edited.fields["learning.epochs"].input.value = 9
    assert rate.input.value == "fast" and rate.refusal
    rate.input.value = "0.01"
    assert experiment.learning.learning_rate == 0.01 and not rate.refusal


def test_typing_the_old_value_again_takes_the_refusal_back(experiment: Experiment) -> None:
    edited = form(experiment, "learning")
    epochs = edited.fields["learning.epochs"]
    epochs.input.value = 0
    epochs.input.value = 200
    assert not epochs.refusal


def test_values_valid_only_together_are_taken_together(experiment: Experiment) -> None:
    edited = form(experiment, "series")
    start, end = edited.fields["series.start"], edited.fields["series.end"]
    start.input.value = date(2019, 1, 1)
    assert "before" in start.refusal
    assert experiment.series.start == date(2018, 1, 1)
    end.input.value = date(2019, 12, 27)
    assert (experiment.series.start, experiment.series.end) == (date(2019, 1, 1), date(2019, 12, 27))
    assert not start.refusal and not end.refusal


def test_a_refused_value_does_not_hold_up_others(experiment: Experiment) -> None:
    edited = form(experiment, "learning")
    edited.fields["learning.epochs"].input.value = 0
    edited.fields["learning.batch_size"].input.value = 64
    assert experiment.learning.batch_size == 64
    assert edited.fields["learning.epochs"].refusal


def test_empty_optional_value_is_none(experiment: Experiment) -> None:
    edited = form(experiment, "learning")
    threads = edited.fields["learning.threads"]
    threads.input.value = "2"
    threads.input.value = " "
    assert experiment.learning.threads is None


def test_default_is_told_beside_a_changed_value_and_reset_takes_it(experiment: Experiment) -> None:
    edited = form(experiment, "learning")
    epochs = edited.fields["learning.epochs"]
    assert epochs.reset.layout.visibility == "hidden" and "default" not in epochs.note.value
    epochs.input.value = 20
    assert epochs.reset.layout.visibility == "visible" and "default 200" in epochs.note.value
    epochs.reset.click()
    assert experiment.learning.epochs == 200 == epochs.input.value
    assert epochs.reset.layout.visibility == "hidden"


def test_reset_clears_a_refused_text(experiment: Experiment) -> None:
    rate = form(experiment, "learning").fields["learning.learning_rate"]
    rate.input.value = "fast"
    rate.reset.click()
    assert rate.input.value == "1e-05" and not rate.refusal


def test_required_parameter_has_no_reset(experiment: Experiment) -> None:
    source = form(experiment, "series").fields["series.source"]
    source.input.value = "theia"
    assert source.reset.layout.visibility == "hidden"


def test_help_unit_and_name_are_shown(experiment: Experiment) -> None:
    row = form(experiment, "sampling").fields["sampling.max_per_class"].row
    title, widget, unit, *_ = row.children
    assert "Max per class" in title.value and "over all tiles" in title.value
    assert "over all tiles" in widget.tooltip
    assert "pixels" in unit.value


def test_reload_moves_the_widgets(experiment: Experiment, tmp_path: Path) -> None:
    edited = form(experiment)
    text = experiment.to_yaml().replace("epochs: 200", "epochs: 11").replace("31TCK", "31TDK")
    (tmp_path / "other.yml").write_text(text)
    experiment.reload(tmp_path / "other.yml")
    assert edited.fields["learning.epochs"].input.value == 11
    assert edited.fields["series.tiles"].input.value == ["31TCJ", "31TDK"]


def test_closed_form_stops_following(experiment: Experiment) -> None:
    edited = form(experiment, "learning")
    edited.close()
    edited.close()
    experiment.set({"learning.epochs": 5})
    assert edited.fields["learning.epochs"].input.value == 200


VALID_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "learning.epochs": st.integers(1, 10_000),
        "learning.learning_rate": st.floats(1e-12, 10, allow_subnormal=False),
        "learning.valid_ratio": st.floats(0.001, 0.999),
        "learning.threads": st.none() | st.integers(1, 64),
        "learning.select_by": st.sampled_from(["f_score", "oa", "kappa", "loss"]),
        "learning.network.hidden": st.none() | st.lists(st.integers(1, 4096), min_size=1, max_size=4).map(tuple),
        "learning.network.dropout": st.floats(0, 0.99),
        "learning.weighted_classes": st.booleans(),
        "series.tiles": st.lists(st.sampled_from(["31TCJ", "31TCK", "30TYP"]), min_size=1, unique=True).map(tuple),
        "series.start": st.dates(date(2015, 7, 1), date(2018, 1, 1)),
        "series.step_days": st.integers(1, 366),
        "runs": st.from_regex(r"[a-z]{1,8}(/[a-z é]{1,7}[a-z])?", fullmatch=True).map(Path),
        "ground_truth.min_area_m2": st.floats(0, 1e7),
        "sampling.max_per_class": st.integers(1, 10**9),
        "seed": st.integers(0, 2**31 - 1),
    },
)


@cache
def desks() -> tuple[Experiment, Form, Experiment, Form]:
    """Two experiments, each with a form, made once for all examples."""
    by_form, by_cell = Experiment(START), Experiment(START)
    return by_form, form(by_form), by_cell, form(by_cell)


@settings(max_examples=60, deadline=None)
@given(changes=VALID_CHANGES)
def test_yaml_form_and_experiment_agree(changes: dict[str, Any]) -> None:
    by_form, edited, by_cell, followed = desks()
    by_form.replace(START)
    by_cell.replace(START)
    by_cell.set(changes)
    for path in changes:
        edited.fields[path].input.value = followed.fields[path].input.value
    assert by_form.params == by_cell.params
    assert build(ExperimentParams, yaml.safe_load(by_form.to_yaml()), "yaml") == by_cell.params


class TinyNet(Params):
    name: Literal["tiny"] = param("tiny", "A network.")
    width: int = param(8, "Neurons.", ge=1)


class DeepNet(Params):
    name: Literal["deep"] = param("deep", "A deeper network.")
    layers: int = param(3, "Layers.", ge=1, le=10)
    width: int = param(16, "Neurons.", ge=1)


Network = Annotated[TinyNet | DeepNet, PydanticField(discriminator="name")]


class LabParams(Params):
    network: Network = param(TinyNet(), "The network.")
    schedule: Annotated[TinyNet | DeepNet, PydanticField(discriminator="name")] | None = param(None, "Another one.")
    caps: dict[int, int] = param({}, "Cap of a class.")
    tags: tuple[Literal["a", "b"], ...] = param(("a",), "Known tags.")
    flag: bool | None = param(None, "Yes, no, or as it comes.")


class Lab(Experiment):
    """An experiment of other parameters, such as a network registered by a user."""

    def set(self, changes: Any = None, **sections: Any) -> None:
        content = self._params.model_dump()
        for path, value in changes.items():
            *parents, leaf = path.split(".")
            node = content
            for parent in parents:
                node = node[parent]
            node[leaf] = value
        self.replace(build(LabParams, content, str(self.path)))  # type: ignore[arg-type]


@pytest.fixture
def lab() -> Lab:
    return Lab(LabParams())  # type: ignore[arg-type]


def test_choosing_another_model_of_a_section_makes_its_fields(lab: Lab) -> None:
    first, second = form(lab), form(lab)
    first.fields["network.name"].input.value = "deep"
    assert lab.get("network") == DeepNet()
    for one in (first, second):
        assert {"network.name", "network.layers", "network.width"} <= set(one.fields)
        assert one.fields["network.name"].input.value == "deep"
        assert one.fields["network.width"].input.value == 16
    second.fields["network.layers"].input.value = 5
    assert lab.get("network.layers") == 5 == first.fields["network.layers"].input.value
    lab.set({"network": {"name": "tiny"}})
    assert "network.layers" not in first.fields


def test_a_refused_value_of_the_model_left_behind_is_forgotten(lab: Lab) -> None:
    edited = form(lab)
    edited.fields["network.width"].input.value = 0
    edited.fields["network.name"].input.value = "deep"
    assert lab.get("network") == DeepNet()
    assert not edited.fields["network.width"].refusal


def test_optional_section_can_be_none(lab: Lab) -> None:
    edited = form(lab)
    assert edited.fields["schedule.name"].input.value == "not set"
    edited.fields["schedule.name"].input.value = "tiny"
    edited.fields["schedule.width"].input.value = 4
    assert lab.get("schedule") == TinyNet(width=4)
    edited.fields["schedule.name"].input.value = "not set"
    assert lab.get("schedule") is None


def test_a_type_without_an_input_of_its_own_is_edited_as_yaml(lab: Lab) -> None:
    caps = form(lab).fields["caps"]
    caps.input.value = "{1: 500, 17: 200}"
    assert lab.get("caps") == {1: 500, 17: 200}
    caps.input.value = "{1: "
    assert "not valid YAML" in caps.refusal
    lab.set({"caps": {2: 3}})
    assert caps.input.value == "{2: 3}"


def test_optional_truth_and_known_tags(lab: Lab) -> None:
    edited = form(lab)
    edited.fields["flag"].input.value = False
    edited.fields["tags"].input.value = ["b", "a"]
    assert lab.get("flag") is False and lab.get("tags") == ("b", "a")


def test_error_of_a_callback_is_shown_in_the_form(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    edited = form(experiment, "learning")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(experiment, "set", broken)
    edited.fields["learning.epochs"].input.value = 3
    assert "no such luck" in edited.problem.value and "Traceback" in edited.problem.value
    assert edited.problem.layout.display == ""


def test_form_is_a_widget(experiment: Experiment) -> None:
    assert isinstance(form(experiment), Form) and isinstance(form(experiment), W.VBox)
