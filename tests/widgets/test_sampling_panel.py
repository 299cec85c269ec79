"""The panel shows what would be drawn, while the parameters change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest

from toolkit.experiment.config import Experiment
from toolkit.experiment.sampling_preview import preview_samples
from toolkit.widgets import SamplingPanel
from toolkit.widgets import sampling_panel as module
from toolkit.widgets.sampling_panel import BY_CLASS, BY_ROLE
from toolkit.widgets.sampling_table import ROLE_COLOURS, classes_html


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    experiment = Experiment.load(tiny_demo)
    experiment.set({"series.tiles": ["31TCJ", "31TDK"], "series.bands": ["B2"]})
    return experiment


@pytest.fixture
def panel(experiment: Experiment) -> Iterator[SamplingPanel]:
    panel = SamplingPanel(experiment)
    assert panel.settle()
    yield panel
    panel.close()


def change(panel: SamplingPanel, **changes: Any) -> None:
    panel.experiment.set({path.replace("__", "."): value for path, value in changes.items()})
    assert panel.settle()


def total(panel: SamplingPanel) -> int:
    foot = panel.table.value.split("<tfoot>")[1]
    return int(re.search(r"([\d,]+) <span", foot).group(1).replace(",", ""))  # type: ignore[union-attr]


def by_role(panel: SamplingPanel) -> dict[str, int]:
    roles = [one["properties"]["role"] for one in panel.polygons.data["features"]]
    return {role: roles.count(role) for role in ("train", "test", "left_out")}


def test_table_is_the_preview(panel: SamplingPanel, experiment: Experiment) -> None:
    table = preview_samples(experiment)
    assert panel.table.value == classes_html(table)
    assert total(panel) == table["pixels"].sum() > 500
    assert panel.problem.value == panel.unread.value == panel.state.value == ""
    assert "without a clear date" in panel.note.value


def test_every_polygon_is_on_the_map_in_the_colour_of_its_role(panel: SamplingPanel, experiment: Experiment) -> None:
    table = preview_samples(experiment)
    assert by_role(panel) == {role: table[role].sum() for role in ("train", "test", "left_out")}
    for one in panel.polygons.data["features"]:
        assert one["properties"]["style"]["fillColor"] == ROLE_COLOURS[one["properties"]["role"]]
    assert len(panel.tiles.data["features"]) == 2 and panel.map.zoom > 10


def test_parameters_move_the_table_and_the_map(panel: SamplingPanel) -> None:
    before, roles = total(panel), by_role(panel)
    change(panel, split__train_ratio=0.4)
    assert total(panel) < before and by_role(panel)["train"] < roles["train"]
    change(panel, split__leave_out_tile="31TCJ")
    assert by_role(panel)["left_out"] > 0 and "left out" in panel.table.value
    change(panel, sampling__max_per_class=10)
    assert total(panel) <= 10 * 23
    change(panel, sampling__class_caps={23: 4})
    assert "4 <span class='lc-quiet'>of" in panel.table.value
    change(panel, sampling__min_clear_dates=3)
    assert "fewer than 3 clear dates" in panel.note.value


def test_a_cap_does_not_draw_the_map_anew(panel: SamplingPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "role_shapes", lambda *_: pytest.fail("drawn anew"))
    change(panel, sampling__max_per_class=10)
    assert panel.unread.value == ""


def test_nothing_is_computed_for_other_sections(panel: SamplingPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "_look", lambda *_: pytest.fail("computed"))
    panel.experiment.set({"learning.epochs": 7, "series.step_days": 20})
    assert panel.state.value == ""


def test_colours_by_class(panel: SamplingPanel, experiment: Experiment) -> None:
    panel.colours.value = BY_CLASS
    assert panel.settle()
    for one in panel.polygons.data["features"]:
        assert one["properties"]["style"]["fillColor"] == experiment.nomenclature.colour(one["properties"]["code"])
    for one in experiment.nomenclature.classes:
        assert f"<i class='lc-colour' style='background:{one.colour}'></i>{one.label}" in panel.table.value
    assert "solid: train" in panel.outlines.value and "dashed: test" in panel.outlines.value
    assert "left out" not in panel.outlines.value
    panel.colours.value = BY_ROLE
    assert panel.settle()
    assert "lc-colour" not in panel.table.value and panel.outlines.value == ""
    assert panel.polygons.data["features"][0]["properties"]["style"]["fillColor"] == ROLE_COLOURS["train"]


def test_a_polygon_tells_class_and_role(panel: SamplingPanel) -> None:
    properties = panel.polygons.data["features"][-1]["properties"]
    panel.polygons._handle_mouse_events(None, {"event": "mouseover", "feature": {"properties": properties}}, [])
    assert f"({properties['code']}) · test · polygon {properties['polygon']}" in panel.under_pointer.value


def test_what_cannot_be_is_told_and_what_was_shown_stays(panel: SamplingPanel) -> None:
    before = panel.table.value
    change(panel, ground_truth__class_field="kind")
    assert "kind" in panel.unread.value and panel.table.value == before and panel.state.value == ""
    change(panel, ground_truth__class_field="code", sampling__class_caps={99: 1})
    assert "class 99 is not in nomenclature" in panel.unread.value
    change(panel, sampling__class_caps={})
    assert panel.unread.value == "" and panel.table.value == before


def test_many_polygons_are_thinned_on_the_map_only(panel: SamplingPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_POLYGONS", 50)
    change(panel, seed=4)
    assert sum(by_role(panel).values()) == 50
    assert "The map has 50 of" in panel.note.value
    assert total(panel) > 500


def test_fields_change_the_experiment(panel: SamplingPanel, experiment: Experiment) -> None:
    fields = {path: form.fields[path] for form in panel.forms for path in form.fields}
    assert list(fields) == list(module.FIELDS)
    fields["split.train_ratio"].input.value = 0.5
    assert experiment.split.train_ratio == 0.5 and panel.settle()


def test_refresh_sees_another_ground_truth(panel: SamplingPanel, experiment: Experiment) -> None:
    path = experiment.path.parent / "ground_truth.gpkg"
    before = total(panel)
    gpd.read_file(path).iloc[::3].to_file(path)
    panel.refresh()
    assert panel.settle() and total(panel) < before


def test_a_closed_panel_does_not_follow(experiment: Experiment) -> None:
    panel = SamplingPanel(experiment)
    assert panel.settle()
    panel.close()
    experiment.set({"split.train_ratio": 0.5})
    assert panel.state.value == "" and not experiment._observers


def test_classes_without_polygons_are_faint_and_bars_have_their_cap(experiment: Experiment) -> None:
    table = preview_samples(experiment)
    html = classes_html(table)
    rows = html.split("<tbody>")[1].split("</tbody>")[0].split("<tr")[1:]
    assert len(rows) == 23
    most = table["available"].max()
    for row, one in zip(rows, table.to_dict("records"), strict=True):
        assert row.startswith(" class='lc-none'") == (one["train"] == 0)
        assert f"title='31TCJ {one['31TCJ']:,} · 31TDK {one['31TDK']:,}'" in row
        if one["available"]:
            assert f"<s style='width:{100 * one['pixels'] / most:.2f}%'>" in row
            assert (f"<u style='left:{100 * one['cap'] / most:.2f}%'>" in row) == (one["cap"] <= most)
