"""Forms: every field edits the experiment and follows it, and what is not valid is refused in words."""

from __future__ import annotations

import math
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
from toolkit.features.parameters import ExternalParams
from toolkit.ground.errors import ParameterError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import Params, build, param
from toolkit.mapping.reclassify import RuleParams
from toolkit.series.seasons import SeasonParams
from toolkit.series.sensors import SensorParams
from toolkit.widgets import Form, form
from toolkit.widgets.inputs import make_input
from toolkit.widgets.log_number import LogNumber, round_numbers
from toolkit.widgets.picking import PickTags, PickText
from toolkit.widgets.rows_input import RowsInput
from toolkit.widgets.sensor_cards import SensorCards
from toolkit.widgets.table_input import TableInput

START = ExperimentParams(
    name="trial",
    series={"source": "s2", "tiles": ["31TCJ", "31TCK"], "start": "2018-01-01", "end": "2018-12-27"},
    ground_truth={"source": "polygons"},
)

STEEP = RuleParams(change={16: 17}, where="slope", above=30)

TEXTS: dict[str, tuple[str, Any]] = {
    "name": ("trial_2", "trial_2"),
    "catalog": ("not/there/yet.yml", Path("not/there/yet.yml")),
    "runs": ("elsewhere", Path("elsewhere")),
    "prepare.folder": ("elsewhere", Path("elsewhere")),
    "series.source": ("theia", "theia"),
    "series.gap_filling.max_gap_days": ("60", 60),
    "series.area": ("1.2, 43.4, 1.4, 43.6", (1.2, 43.4, 1.4, 43.6)),
    "features.external": ("[phenology]", (ExternalParams(name="phenology"),)),
    "ground_truth.source": ("parcels.gpkg", "parcels.gpkg"),
    "ground_truth.layer": ("parcels", "parcels"),
    "ground_truth.class_field": ("CODE", "CODE"),
    "ground_truth.nomenclature": ("mine.csv", "mine.csv"),
    "split.leave_out_tile": ("31TCJ", "31TCJ"),
    "sampling.max_per_class": ("500", 500),
    "learning.batch_size": ("512", 512),
    "learning.learning_rate": ("2.5e-4", 2.5e-4),
    "learning.network.hidden": ("64, 32", (64, 32)),
    "learning.schedule.plateau_patience": ("3", 3),
    "learning.updates.micro_batch": ("64", 64),
    "learning.updates.clip_gradient": ("1.5", 1.5),
    "learning.updates.average": ("0.99", 0.99),
    "learning.early_stop.patience": ("5", 5),
    "learning.tries.batch_sizes": ("64, 128", (64, 128)),
    "learning.tries.learning_rates": ("0.001, 0.01", (0.001, 0.01)),
    "learning.start_from": ("runs/other/learning", "runs/other/learning"),
    "learning.threads": ("2", 2),
    "tuning.space": ("{learning.epochs: [5, 9]}", {"learning.epochs": (5, 9)}),
    "tuning.trials": ("50", 50),
    "tuning.startup_trials": ("5", 5),
    "learning.memory_gb": ("1.5", 1.5),
    "mapping.memory_gb": ("1.5", 1.5),
    "mapping.workers": ("2", 2),
    "mapping.model": ("runs/other/learning/model", Path("runs/other/learning/model")),
    "mapping.crs": ("EPSG:2154", "EPSG:2154"),
    "postprocess.rules": ("[{change: {16: 17}, where: slope, above: 30}]", (STEEP,)),
    "postprocess.majority_undecided": ("0", 0),
    "postprocess.sieve.absorbed_by": ("{4: [], 17: [16, 18]}", {4: (), 17: (16, 18)}),
    "cluster.address": ("tcp://10.0.0.5:8786", "tcp://10.0.0.5:8786"),
    "cluster.workers": ("32", 32),
    "cluster.memory_gb": ("64", 64.0),
    "cluster.queue": ("normal", "normal"),
    "cluster.account": ("oso", "oso"),
    "cluster.walltime": ("12:00:00", "12:00:00"),
    "cluster.prologue": ("module load conda, conda activate oso", ("module load conda", "conda activate oso")),
    "cluster.stalled_minutes": ("10", 10.0),
}
"""For each field that is a text: what is typed, and the value that it means."""


def other_value(path: str, widget: Any) -> tuple[Any, Any]:
    """Another value for an input: as the widget holds it, and as the experiment does."""
    if isinstance(widget, W.Text | PickText | LogNumber):
        return TEXTS[path]
    if isinstance(widget, TableInput):
        return (("11", "500"), ("12", "7")), {11: 500, 12: 7}
    if isinstance(widget, SensorCards):
        sensor = SensorParams(name="landsat", source="l8", bands=("B4", "B8"), step_days=16)
        return (("landsat", "l8", ["B4", "B8"], [], [], None, None, "16", ""),), (sensor,)
    if isinstance(widget, RowsInput):
        start, end = date(2018, 3, 1), date(2018, 5, 31)
        return ((start, end, "15"),), (SeasonParams(start=start, end=end, step_days=15),)
    if isinstance(widget, W.Dropdown):
        chosen = next((value for _, value in widget.options if value != widget.value), widget.value)
        return chosen, chosen
    if isinstance(widget, W.Checkbox):
        return not widget.value, not widget.value
    if isinstance(widget, W.DatePicker):
        moved = date(widget.value.year, 6, 15)
        return moved, moved
    if isinstance(widget, PickTags):
        return list(reversed(widget.value)), tuple(reversed(widget.value))
    step = getattr(widget, "step", None) or 1
    other = widget.value + step if widget.value + step <= getattr(widget, "max", math.inf) else widget.value - step
    return other, other


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
        ("series.bands", ["B2", "B-99"], "B-99"),
        ("series.area", "1, 2, 3", "series.area.3 is missing"),
        ("series.start", None, "date"),
        ("catalog", "", "give a path"),
        ("name", "a name", "write letters, digits, `_`, `-`"),
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


def test_a_waiting_value_says_so_in_every_form_and_can_be_given_up(experiment: Experiment) -> None:
    one, other = form(experiment, "series"), form(experiment)
    one.fields["series.start"].input.value = date(2019, 1, 1)
    later = form(experiment, "series.start")
    for shown in (one, other, later):
        row = shown.fields["series.start"]
        assert "waits for another value" in row.refusal and row.input.value == date(2019, 1, 1)
    assert "2018-01-01" in other.fields["series.start"].reset.tooltip
    other.fields["series.start"].reset.click()
    for shown in (one, other, later):
        row = shown.fields["series.start"]
        assert not row.refusal and row.input.value == date(2018, 1, 1)


def test_values_of_two_forms_are_taken_together(experiment: Experiment) -> None:
    """The tiles and the one that is left out stand in two sections."""
    experiment.set({"split.leave_out_tile": "31TCJ"})
    series, split = form(experiment, "series"), form(experiment, "split")
    series.fields["series.tiles"].input.value = ["31TDJ", "31TDK"]
    assert (
        "waits" in series.fields["series.tiles"].refusal
        and "none of series.tiles" in series.fields["series.tiles"].refusal
    )
    split.fields["split.leave_out_tile"].input.value = "31TDK"
    assert (experiment.series.tiles, experiment.split.leave_out_tile) == (("31TDJ", "31TDK"), "31TDK")
    assert not series.fields["series.tiles"].refusal and not split.fields["split.leave_out_tile"].refusal


def test_a_value_that_cannot_be_does_not_hold_up_those_that_wait(experiment: Experiment) -> None:
    edited = form(experiment)
    edited.fields["learning.epochs"].input.value = 0
    edited.fields["series.start"].input.value = date(2019, 1, 1)
    edited.fields["series.end"].input.value = date(2019, 12, 27)
    assert experiment.series.start == date(2019, 1, 1)
    assert edited.fields["learning.epochs"].refusal


def test_undo_and_load_give_up_what_was_typed_and_not_taken(experiment: Experiment) -> None:
    edited = form(experiment)
    edited.fields["seed"].input.value = 4
    edited.fields["learning.learning_rate"].input.value = "fast"
    edited.fields["series.start"].input.value = date(2019, 1, 1)
    experiment.undo()
    assert not any(row.refusal for row in edited.fields.values())
    assert edited.fields["learning.learning_rate"].input.value == "1e-05"
    assert edited.fields["series.start"].input.value == date(2018, 1, 1)


def test_a_refused_value_does_not_hold_up_others(experiment: Experiment) -> None:
    edited = form(experiment, "learning")
    edited.fields["learning.epochs"].input.value = 0
    edited.fields["learning.batch_size"].input.value = "64"
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
    assert "over all tiles" in widget.words
    assert "pixels" in unit.value


def test_help_has_bounds_default_and_full_name(experiment: Experiment) -> None:
    title, *_ = form(experiment, "learning").fields["learning.epochs"].row.children
    for words in ("Passes over the train samples.", "from 1", "epochs", "default 200", "learning.epochs"):
        assert words in title.value


def test_only_what_changes_is_touched(experiment: Experiment) -> None:
    edited = form(experiment)
    touched: list[str] = []
    for path, row in edited.fields.items():
        row.input.observe(lambda _, path=path: touched.append(path), "value")
        row.note.observe(lambda _, path=path: touched.append(f"note {path}"), "value")
    experiment.set({"learning.epochs": 3})
    assert touched == ["learning.epochs", "note learning.epochs"]


def test_sections_of_a_whole_form_are_made_when_they_are_opened(experiment: Experiment) -> None:
    edited = form(experiment)
    assert sorted(edited._made()) == ["catalog", "name", "runs", "seed"]
    fold = edited._root.row.children[-1].children[-1]
    experiment.set({"learning.epochs": 3})
    fold.selected_index = list(fold.titles).index("Learning")
    assert edited._made()["learning.epochs"].input.value == 3
    assert "series.start" not in edited._made()


def test_table_of_caps(experiment: Experiment) -> None:
    edited, other = form(experiment, "sampling"), form(experiment, "sampling")
    assert edited.hints.settle() and other.hints.settle()
    table, twin = (one.fields["sampling.class_caps"].input for one in (edited, other))
    table.add.click()
    assert experiment.sampling.class_caps == {}
    table.rows[0].key.value = "12"
    assert experiment.sampling.class_caps == {} and not edited.fields["sampling.class_caps"].refusal
    table.rows[0].amount.value = "500"
    assert experiment.sampling.class_caps == {12: 500}
    table.add.click()
    table.rows[1].key.value, table.rows[1].amount.value = "11", "7"
    assert experiment.sampling.class_caps == {11: 7, 12: 500}
    assert [row.texts for row in table.rows] == [("12", "500"), ("11", "7")], "no row jumps while it is edited"
    assert [row.texts for row in twin.rows] == [("11", "7"), ("12", "500")]
    table.rows[0].remove.click()
    assert experiment.sampling.class_caps == {11: 7}
    assert [row.texts for row in twin.rows] == [("11", "7")]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("11", "many"), "must be two whole numbers"),
        (("11", "0"), "cannot have 0 pixels"),
        (("300", "5"), "is no class code"),
        (("12", "5"), "12 stands twice"),
    ],
)
def test_cap_that_cannot_be_is_refused(row: tuple[str, str], words: str, experiment: Experiment) -> None:
    experiment.set({"sampling.class_caps": {12: 500}})
    field = form(experiment, "sampling").fields["sampling.class_caps"]
    field.input.value = (*field.input.value, row)
    assert words in field.refusal
    assert experiment.sampling.class_caps == {12: 500}
    field.reset.click()
    assert not field.refusal and [one.texts for one in field.input.rows] == [("12", "500")]


def test_classes_to_cap_are_chosen_by_their_labels(experiment: Experiment) -> None:
    experiment.set({"sampling.class_caps": {11: 5, 99: 5}})
    edited = form(experiment, "sampling")
    assert edited.hints.settle()
    known, unknown = edited.fields["sampling.class_caps"].input.rows
    oso = Nomenclature.load("oso_23")
    assert [text for text, _ in known.key.options] == [f"{one.code}  {one.label}" for one in oso.classes]
    assert "not known" in unknown.key.options[0][0] and unknown.key.value == "99"


def test_rate_has_a_slider_over_round_numbers(experiment: Experiment) -> None:
    rate = form(experiment, "learning").fields["learning.learning_rate"].input
    assert rate.marks[:4] == ["1e-06", "2e-06", "5e-06", "1e-05"] and rate.marks[-1] == "0.1"
    assert form(experiment, "learning").fields["learning.batch_size"].input.marks[:3] == ["20", "50", "100"]
    rate.value = "12.5"
    assert experiment.learning.learning_rate == 12.5 and rate.value == "12.5"


@pytest.mark.parametrize(
    ("low", "high", "whole", "numbers"),
    [
        (1e-3, 0.1, False, [1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1]),
        (0.3, 70, False, [0.5, 1, 2, 5, 10, 20, 50]),
        (0.3, 70, True, [1, 2, 5, 10, 20, 50]),
        (0, 3, True, [1, 2]),
    ],
)
def test_round_numbers(low: float, high: float, whole: bool, numbers: list[float]) -> None:
    found = round_numbers(low, high, whole=whole)
    assert found == numbers and all(type(one) is (int if whole else float) for one in found)


class ScaledParams(Params):
    around: float = param(0.5, "Some decades around the default.", gt=0, log=True)
    bounded: float = param(0.5, "No further than the bounds.", ge=0.1, le=10, log=True)
    declared: int = param(50, "As it is declared.", ge=1, log=(10, 100))


def test_scale_of_a_logarithmic_slider() -> None:
    marks = {name: make_input(info).widget.marks for name, info in ScaledParams.model_fields.items()}
    assert (marks["around"][0], marks["around"][-1]) == ("0.0005", "500.0")
    assert (marks["bounded"][0], marks["bounded"][-1]) == ("0.1", "10.0")
    assert marks["declared"] == ["10", "20", "50", "100"]


def suggested(field: Any) -> list[str]:
    return [value for _, value in field.input.pick.options if value is not None]


def test_suggestions_come_from_the_experiment_and_its_files(tiny_demo: Path) -> None:
    (tiny_demo.parent / "mine.csv").write_text("code,label,colour\n1,Wood,#003200\n")
    experiment = Experiment.load(tiny_demo)
    edited = form(experiment)
    rows = edited.fields
    assert edited.hints.settle()
    assert suggested(rows["split.leave_out_tile"]) == list(experiment.series.tiles)
    assert suggested(rows["series.source"]) == ["s2_demo"]
    assert suggested(rows["ground_truth.source"]) == ["demo_polygons", "ground_truth.gpkg"]
    assert suggested(rows["ground_truth.class_field"])[:2] == ["id", "code"]
    assert suggested(rows["ground_truth.layer"]) == ["ground_truth"]
    assert suggested(rows["ground_truth.nomenclature"]) == ["oso_23", "mine.csv"]
    assert suggested(rows["catalog"]) == ["data_catalog.yml"]
    assert suggested(rows["series.bands"]) == []
    experiment.set({"series.bands": ("B4", "B8"), "series.tiles": ("31TCK",)})
    assert suggested(rows["series.bands"])[:3] == ["B2", "B3", "B5"]
    assert suggested(rows["split.leave_out_tile"]) == ["31TCK"]
    assert edited.hints.settle()
    assert suggested(rows["series.tiles"]) == ["31TCJ", "31TDJ", "31TDK"]


def test_a_suggestion_is_taken_and_forbids_nothing_else(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    edited = form(experiment)
    rows = edited.fields
    assert edited.hints.settle()
    rows["split.leave_out_tile"].input.pick.value = "31TDJ"
    assert experiment.split.leave_out_tile == "31TDJ" == rows["split.leave_out_tile"].input.value
    assert rows["split.leave_out_tile"].input.pick.value is None
    rows["features.indices"].input.value = ["ndvi"]
    rows["features.indices"].input.pick.value = "brightness"
    assert experiment.features.indices == ("ndvi", "brightness")
    rows["series.source"].input.value = "theia_2019"
    assert experiment.series.source == "theia_2019" and not rows["series.source"].refusal


def test_files_that_are_not_there_suggest_nothing_and_are_no_error(experiment: Experiment) -> None:
    edited = form(experiment)
    rows = edited.fields
    assert edited.hints.settle()
    assert suggested(rows["ground_truth.class_field"]) == [] and edited.problem.value == ""
    assert rows["ground_truth.class_field"].input.pick.layout.display == "none"


def test_a_path_that_does_not_exist_yet_is_noted_and_not_refused(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    edited = form(experiment)
    rows = edited.fields
    rows["ground_truth.source"].input.value = "parcels.gpkg"
    assert edited.hints.settle()
    assert experiment.ground_truth.source == "parcels.gpkg"
    for path, absent in (("ground_truth.source", True), ("runs", True), ("catalog", False)):
        assert ("does not exist yet" in rows[path].note.value) is absent
        assert not rows[path].refusal
    rows["ground_truth.source"].input.value = "ground_truth.gpkg"
    assert edited.hints.settle()
    assert "exist" not in rows["ground_truth.source"].note.value


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
    name: str = param("lab", "A name.")
    network: Network = param(TinyNet(), "The network.")
    schedule: Annotated[TinyNet | DeepNet, PydanticField(discriminator="name")] | None = param(None, "Another one.")
    caps: dict[str, float] = param({}, "Cap of a class.")
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
    caps.input.value = "{a: 500, b: 2.5}"
    assert lab.get("caps") == {"a": 500, "b": 2.5}
    caps.input.value = "{a: "
    assert "not valid YAML" in caps.refusal
    lab.set({"caps": {"c": 3.5}})
    assert caps.input.value == "{c: 3.5}"


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


@pytest.mark.parametrize("path", ["series.start", "series.end"])
def test_a_year_half_typed_is_refused_beside_the_field(experiment: Experiment, path: str) -> None:
    before, edited = experiment.params, form(experiment, "series")
    row = edited.fields[path]
    for year in (2, 20, 201):
        row.input.value = date(year, 1, 1)
        assert "1972-07-23" in row.refusal and not row.is_waiting
        assert experiment.params == before and not experiment.can_undo
    row.input.value = date(2018, 6, 1)
    assert row.refusal == "" and experiment.get(path) == date(2018, 6, 1)
    assert "1972-07-23 to 2100-01-01" in row.row.children[0].value


def test_an_empty_default_is_told_in_words(experiment: Experiment) -> None:
    experiment.set({"ground_truth.source": "elsewhere"})
    note = form(experiment, "ground_truth").fields["ground_truth.source"].note.value
    assert "default not set" in note
