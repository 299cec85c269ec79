"""Tiles are picked on the map; the dates of each are shown with their clear share."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from toolkit.experiment.acquisitions import acquisitions
from toolkit.experiment.config import Experiment
from toolkit.series.timeseries import SeriesParams
from toolkit.widgets import TilesPanel
from toolkit.widgets import tiles_panel as module
from toolkit.widgets.date_strips import Axis, strips_html


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    experiment = Experiment.load(tiny_demo)
    experiment.set({"series.tiles": ["31TCJ", "31TDK"]})
    return experiment


@pytest.fixture
def panel(experiment: Experiment) -> Iterator[TilesPanel]:
    panel = TilesPanel(experiment)
    assert panel.settle()
    yield panel
    panel.close()


def footprints(panel: TilesPanel) -> dict[str, dict[str, Any]]:
    shapes = panel.footprints.data["features"]
    return {one["properties"]["tile"]: one["properties"]["style"] for one in shapes}


def click(panel: TilesPanel, tile: str) -> None:
    panel.footprints._handle_mouse_events(
        None, {"event": "click", "feature": {"properties": {"tile": tile, "words": ""}}}, []
    )


def rows(html: str) -> dict[str, str]:
    """Tile -> its strip and words."""
    return {part[:5]: part for part in html.split("<div class='lc-key")[0].split("<div class='lc-name'>")[1:]}


def test_every_tile_of_the_source_has_a_footprint_and_a_name(panel: TilesPanel) -> None:
    assert sorted(footprints(panel)) == ["31TCJ", "31TCK", "31TDJ", "31TDK"]
    assert {tile for tile, style in footprints(panel).items() if style["color"] == module.ACCENT} == {"31TCJ", "31TDK"}
    assert [one.name for one in panel.names.layers] == ["31TCJ", "31TCK", "31TDJ", "31TDK"]
    assert panel.map.zoom > 10
    assert panel.problem.value == panel.unread.value == panel.progress.value == ""


def test_a_click_takes_a_tile_in_and_out(panel: TilesPanel, experiment: Experiment) -> None:
    click(panel, "31TCK")
    assert experiment.series.tiles == ("31TCJ", "31TCK", "31TDK")
    assert footprints(panel)["31TCK"] == footprints(panel)["31TCJ"]
    click(panel, "31TCJ")
    assert experiment.series.tiles == ("31TCK", "31TDK")
    assert panel.settle()
    assert list(rows(panel.dates.value)) == ["31TCK", "31TDK"]


@pytest.mark.parametrize("order", ["JKD", "DJK", "KDJ"])
def test_tiles_put_back_stand_where_they_stood(panel: TilesPanel, experiment: Experiment, order: str) -> None:
    tiles = tuple({"J": "31TCJ", "K": "31TCK", "D": "31TDK"}[one] for one in order)
    experiment.set({"series.tiles": tiles})
    for tile in (tiles[0], tiles[1], tiles[0], tiles[1]):
        click(panel, tile)
    assert experiment.series.tiles == tiles and panel.problem.value == ""


def test_a_new_tile_comes_in_order_or_last() -> None:
    assert module.put_in("31TCK", ["31TCJ", "31TDK"], ["31TCJ", "31TDK"]) == ["31TCJ", "31TCK", "31TDK"]
    assert module.put_in("31TCJ", ["31TCK"], ["31TCK", "31TDJ"]) == ["31TCJ", "31TCK", "31TDJ"]
    assert module.put_in("31TCK", ["31TDK", "31TCJ"], ["31TDK", "31TCJ"]) == ["31TDK", "31TCJ", "31TCK"]


def test_the_last_tile_stays(panel: TilesPanel, experiment: Experiment) -> None:
    click(panel, "31TCJ")
    click(panel, "31TDK")
    assert experiment.series.tiles == ("31TDK",)
    assert "31TDK is the last tile" in panel.problem.value
    click(panel, "31TCJ")
    assert panel.problem.value == ""


def test_the_tile_left_out_of_training_stays(panel: TilesPanel, experiment: Experiment) -> None:
    experiment.set({"split.leave_out_tile": "31TDK"})
    click(panel, "31TDK")
    assert experiment.series.tiles == ("31TCJ", "31TDK")
    assert "split.leave_out_tile = 31TDK" in panel.problem.value


def test_dates_are_those_of_the_tiles(panel: TilesPanel, experiment: Experiment) -> None:
    for tile, row in rows(panel.dates.value).items():
        dates = acquisitions(experiment, tile)
        inside = dates[dates["why"] != "outside of the period"]
        assert row.count("<i class=") == len(inside)
        assert f"{dates['used'].sum()} dates" in row and " of " not in row.rsplit("lc-count", 1)[1]
        for one in inside.itertuples():
            assert f"{one.date:%Y-%m-%d} · {one.platform} · {one.clear_share:.0%} clear" in row


def test_a_step_moves_the_axis_without_a_look_at_images(panel: TilesPanel, experiment: Experiment, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "acquisitions", lambda *_, **__: pytest.fail("looked again"))
    assert "37 days in the series" in panel.dates.value
    experiment.set({"series.step_days": 20, "learning.epochs": 5})
    assert panel.settle()
    assert "19 days in the series" in panel.dates.value and panel.unread.value == ""


def test_a_shorter_period_uses_fewer_dates(panel: TilesPanel, experiment: Experiment) -> None:
    before = int(re.search(r"(\d+) date", rows(panel.dates.value)["31TCJ"]).group(1))  # type: ignore[union-attr]
    experiment.set({"series.start": "2018-05-01", "series.end": "2018-06-01", "series.margin_days": 0})
    assert panel.settle()
    after = int(re.search(r"(\d+) date", rows(panel.dates.value)["31TCJ"]).group(1))  # type: ignore[union-attr]
    assert 0 < after < before


def test_a_source_that_is_not_there_is_told_and_mended(panel: TilesPanel, experiment: Experiment) -> None:
    experiment.set({"series.source": "s3"})
    assert panel.settle()
    assert "s3" in panel.unread.value and "is not in" in panel.unread.value
    experiment.set({"series.source": "s2_demo"})
    assert panel.settle()
    assert panel.unread.value == "" and len(footprints(panel)) == 4


def test_a_tile_without_images_is_told(panel: TilesPanel, experiment: Experiment) -> None:
    experiment.set({"series.tiles": ["31TCJ", "31UFQ"]})
    assert panel.settle()
    assert "no image in this source" in rows(panel.dates.value)["31UFQ"]


def test_refresh_sees_new_images(panel: TilesPanel, experiment: Experiment) -> None:
    theia = experiment.path.parent / "theia"
    source = theia.resolve()
    theia.unlink()
    shutil.copytree(source / "31TCJ", theia / "31TCJ")
    panel.refresh()
    assert panel.settle()
    assert list(footprints(panel)) == ["31TCJ"]


def test_fields_change_the_experiment(panel: TilesPanel, experiment: Experiment) -> None:
    paths = {path: form for form in panel.forms for path in form.fields}
    assert list(paths) == list(module.FIELDS)
    paths["series.step_days"].fields["series.step_days"].input.value = 15
    assert experiment.series.step_days == 15


def test_a_closed_panel_does_not_follow(experiment: Experiment) -> None:
    panel = TilesPanel(experiment)
    assert panel.settle()
    panel.close()
    before = panel.dates.value
    experiment.set({"series.step_days": 30})
    assert panel.dates.value == before and not experiment._observers


def test_a_closed_panel_looks_at_no_further_image(experiment: Experiment, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    looked = []

    def look(one: Experiment, tile: str, *, measure: bool = True, progress: Any = None) -> pd.DataFrame:
        if measure:
            looked.append(tile)
            panel.close()
            progress(1, 9)
            looked.append("more")
        return acquisitions(one, tile, measure=False)

    monkeypatch.setattr(module, "acquisitions", look)
    panel = TilesPanel(experiment)
    assert panel.settle()
    assert looked == ["31TCJ"]


def series(**changes: Any) -> SeriesParams:
    return SeriesParams(**{"source": "s2", "tiles": ("31TCJ",), "start": "2018-01-01", "end": "2018-12-27", **changes})


def test_axis_goes_from_margin_to_margin() -> None:
    axis = Axis(series(margin_days=20))
    assert str(axis.first) == "2017-12-12" and axis.at(axis.first) == 0
    assert str(axis.last) == "2019-01-16" and axis.at(axis.last) == 100
    assert [str(day) for day in axis.months][:3] == ["2018-01-01", "2018-03-01", "2018-05-01"]


@pytest.mark.parametrize(
    ("start", "end"), [("2018-01-01", "2018-12-27"), ("2018-02-10", "2018-05-01"), ("1972-07-23", "2100-01-01")]
)
def test_names_of_months_have_room(start: str, end: str) -> None:
    axis = Axis(series(start=start, end=end))
    kept = [day for day in axis.months if not axis.is_between(day)]
    assert 2 <= len(axis.months) <= 8
    for days, room in ((axis.months, 10), (kept, 14)):  # percent: 32 of 320 pixels, and of 228
        places = [axis.at(day) for day in days]
        assert min(after - before for before, after in pairwise(places)) > room


def test_a_year_stands_below_the_first_month_and_each_january() -> None:
    def names(**changes: Any) -> list[str]:
        return re.findall(r"<b[^>]*>(.*?)</b>", strips_html({}, series(**changes)))

    assert names()[:3] == ["Jan<br>2018", "Mar", "May"]
    shown = names(start="2018-03-10", end="2019-06-10", margin_days=0)
    assert shown == ["May<br>2018", "Jul", "Sep", "Nov", "Jan<br>2019", "Mar", "May"]
    assert names(start="2000-01-01", end="2020-12-31")[:3] == ["2000", "2005", "2010"]


def test_months_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    at = Axis.at
    monkeypatch.setattr(Axis, "at", lambda axis, day: looked.append(day) or at(axis, day))
    strips_html({}, series(start="1972-07-23", end="2100-01-01", step_days=366))
    assert len(looked) < 200


def test_dates_on_which_nothing_was_measured_are_told_apart() -> None:
    days = pd.date_range("2018-02-01", periods=4)
    shares = {"data_share": [1.0, 0.0, 1.0, 0.0], "clear_share": [1.0, None, 1.0, None]}
    table = pd.DataFrame({"date": days, "platform": "A", **shares}).assign(used=True, why="")
    assert "2 of 4 dates with data · gap 2 d" in rows(strips_html({"31TCJ": table}, series()))["31TCJ"]
    assert "2 dates · gap 2 d" in rows(strips_html({"31TCJ": table[table["data_share"] > 0]}, series()))["31TCJ"]


def test_seasons_have_a_bar_each_and_the_time_between_is_no_gap() -> None:
    days = pd.to_datetime(["2018-03-02", "2018-03-22", "2018-09-02", "2018-09-12"])
    shares = {"data_share": 1.0, "clear_share": 1.0}
    table = pd.DataFrame({"date": days, "platform": "A", **shares}).assign(used=True, why="")
    seasons = [{"start": "2018-03-01", "end": "2018-04-30"}, {"start": "2018-09-01", "end": "2018-10-31"}]
    found = strips_html({"31TCJ": table}, series(seasons=seasons))
    assert found.count("<s ") == 2 and "14 days in the series" in found
    assert "4 dates · gap 20 d" in rows(found)["31TCJ"]
    assert strips_html({"31TCJ": table}, series()).count("<s ") == 1


def test_marks_tell_what_is_known() -> None:
    columns = ("date", "platform", "data_share", "clear_share", "used", "why")
    table = pd.DataFrame(
        [
            (pd.Timestamp("2018-02-01"), "A", 0.5, 0.4, True, ""),
            (pd.Timestamp("2018-02-02"), "A", 0.0, float("nan"), True, ""),
            (pd.Timestamp("2018-02-03"), "A", float("nan"), float("nan"), True, ""),
            (pd.Timestamp("2018-02-04"), "<b>", 1.0, 1.0, False, "band B5 not delivered"),
            (pd.Timestamp("2016-02-04"), "A", 1.0, 1.0, False, "outside of the period"),
        ],
        columns=columns,
    )
    html = strips_html({"31TCJ": table, "31TCK": None}, series())
    assert "2018-02-01 · A · 40% clear of the 50% that was seen" in html and "--share:0.20" in html
    assert "2018-02-02 · A · nothing measured" in html
    assert "2018-02-03 · A · not looked at yet" in html
    assert "2018-02-04 · &lt;b&gt; · not used: band B5 not delivered" in html
    assert "2016-02-04" not in html
    assert "3 dates" in rows(html)["31TCJ"] and "gap" not in rows(html)["31TCJ"]
    assert "<i" not in rows(html)["31TCK"]
