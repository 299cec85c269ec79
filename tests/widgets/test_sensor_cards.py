"""Further sensors in a form: a card for each, with sources and bands of the catalog to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toolkit import Experiment
from toolkit.widgets.forms import Form, form
from toolkit.widgets.sensor_cards import NAMES, SensorCards

CATALOG = """
meta: {version: 1, root: .}
s2: {data_type: RasterDataset, uri: s2, driver: {name: theia}, metadata: {license: x, reference: y}}
radar:
  data_type: RasterDataset
  uri: s1
  driver: {name: dated_rasters, preset: sentinel1_power}
  metadata: {license: x, reference: y}
"""


@pytest.fixture
def experiment(experiment: Experiment, tmp_path: Path) -> Experiment:
    experiment.path = tmp_path / "experiment.yml"
    (tmp_path / "data_catalog.yml").write_text(CATALOG)
    experiment.set({"series.source": "s2"})
    return experiment


@pytest.fixture
def whole(experiment: Experiment) -> Form:
    made = form(experiment, "series")
    assert made.hints.settle()
    return made


def part(cards: SensorCards, name: str, place: int = 0) -> Any:
    return cards.rows[place][NAMES.index(name)]


def test_a_sensor_is_added_by_name_source_and_bands_that_are_offered(experiment: Experiment, whole: Form) -> None:
    field = whole.fields["series.sensors"]
    assert whole.hints.settle()
    cards = field.input
    assert isinstance(cards, SensorCards)
    cards.add.click()
    assert [value for _, value in part(cards, "source").pick.options] == [None, "s2", "radar"]
    part(cards, "name").value = "s1"
    part(cards, "bands").value = ["VV"]
    assert experiment.series.sensors == () and not field.refusal, "without a source it waits"
    part(cards, "source").value = "radar"
    assert [value for _, value in part(cards, "bands").pick.options] == [None, "VH"]
    part(cards, "bands").pick.value = "VH"
    part(cards, "indices").value = ["ratio = VH / VV"]
    part(cards, "step_days").value = "12"
    part(cards, "gap_filling").value = "{method: nearest}"
    (sensor,) = experiment.series.sensors
    assert (sensor.name, sensor.source, sensor.bands, sensor.step_days) == ("s1", "radar", ("VV", "VH"), 12)
    assert sensor.indices == ("ratio = VH / VV",) and sensor.gap_filling.method == "nearest"
    assert sensor.start is None and sensor.select == ()


def test_what_is_wrong_is_said_beside_the_cards(experiment: Experiment, whole: Form) -> None:
    sensor = {"name": "s1", "source": "radar", "bands": ["VV"], "indices": []}
    experiment.set({"series.sensors": [sensor]})
    field = whole.fields["series.sensors"]
    cards = field.input
    assert part(cards, "bands").value == ["VV"] and part(cards, "step_days").value == ""
    part(cards, "indices").value = ["x = VV / HV"]
    assert "HV&#x27; is not a band" in field.refusal and experiment.series.sensors[0].indices == ()
    field.reset.click()
    assert not field.refusal and part(cards, "indices").value == []
    part(cards, "step_days").value = "often"
    assert "not a whole number" in field.refusal
    field.reset.click()
    part(cards, "bands").value = ["VV", "B4"]
    assert "band &#x27;B4&#x27; is not known in source" in field.refusal


def test_cards_are_removed_and_undone(experiment: Experiment, whole: Form) -> None:
    two = [{"name": name, "source": "radar", "bands": ["VV"], "start": "2018-03-01"} for name in ("a", "b")]
    experiment.set({"series.sensors": two})
    cards = whole.fields["series.sensors"].input
    assert [row[0].value for row in cards.rows] == ["a", "b"] and str(part(cards, "start").value) == "2018-03-01"
    cards.remove(0)
    assert [one.name for one in experiment.series.sensors] == ["b"]
    experiment.undo()
    assert [row[0].value for row in cards.rows] == ["a", "b"]


def test_bands_are_offered_of_the_source(experiment: Experiment, whole: Form) -> None:
    field = whole.fields["series.bands"]
    offered = [one for one in ("VV", "VH") if one in [value for _, value in field.input.pick.options]]
    assert offered == []
    source = whole.fields["series.source"]
    source.input.value = "radar"
    assert experiment.series.source == "s2", "waits for its bands"
    field.input.value = ["VV", "VH"]
    assert (experiment.series.source, experiment.series.bands) == ("radar", ("VV", "VH"))
    field.input.value = ["VH"]
    assert "VV" in [value for _, value in field.input.pick.options]


def test_a_band_of_the_first_sensor_that_its_source_has_not_is_refused(experiment: Experiment, whole: Form) -> None:
    field = whole.fields["series.bands"]
    field.input.value = ["B2", "B99"]
    assert "band &#x27;B99&#x27; is not known in source &#x27;s2&#x27;; known: B11" in field.refusal
    assert "B99" not in experiment.series.bands
