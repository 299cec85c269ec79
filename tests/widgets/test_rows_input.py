"""Seasons in a form: a row of inputs for each."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from toolkit import Experiment
from toolkit.widgets.forms import form
from toolkit.widgets.rows_input import RowsInput


@pytest.fixture
def field(experiment: Experiment) -> Any:
    return form(experiment, "series").fields["series.seasons"]


def fill(row: list[Any], *values: Any) -> None:
    for part, value in zip(row, values, strict=False):
        part.value = value


def test_a_row_waits_until_both_its_days_are_given(experiment: Experiment, field: Any) -> None:
    assert isinstance(field.input, RowsInput)
    field.input.add.click()
    fill(field.input.rows[0], date(2018, 3, 1))
    assert experiment.series.seasons == () and len(field.input.rows) == 1
    fill(field.input.rows[0], date(2018, 3, 1), date(2018, 5, 31), "15")
    (season,) = experiment.series.seasons
    assert (season.start, season.end, season.step_days) == (date(2018, 3, 1), date(2018, 5, 31), 15)
    assert len(experiment.series.days) == 7


def test_rows_are_added_removed_undone_and_refused(experiment: Experiment, field: Any) -> None:
    spring, autumn = ({"start": f"2018-{a}-01", "end": f"2018-{b}-30"} for a, b in (("03", "04"), ("09", "11")))
    experiment.set({"series.seasons": [spring, autumn]})
    assert [row[0].value for row in field.input.rows] == [date(2018, 3, 1), date(2018, 9, 1)]
    fill(field.input.rows[0], date(2018, 3, 1), date(2018, 10, 1))
    assert "before 2018-03-01 to 2018-10-01 has ended" in field.refusal
    assert str(experiment.series.seasons[0].end) == "2018-04-30"
    field.reset.click()
    assert not field.refusal and field.input.rows[0][1].value == date(2018, 4, 30)
    fill(field.input.rows[1], date(2018, 9, 1), date(2018, 11, 30), "often")
    assert "not a whole number" in field.refusal
    field.reset.click()
    field.input.remove(0)
    assert [str(one.start) for one in experiment.series.seasons] == ["2018-09-01"]
    experiment.undo()
    assert len(field.input.rows) == 2


def test_two_forms_agree(experiment: Experiment, field: Any) -> None:
    other = form(experiment, "series.seasons").fields["series.seasons"]
    field.input.add.click()
    fill(field.input.rows[0], date(2018, 3, 1), date(2018, 5, 31))
    assert other.input.value == field.input.value and len(other.input.rows) == 1
