"""The inspector: answers without blocking, compares pixels, and tells what went wrong where the person looks."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from pyproj import Transformer

from toolkit import Experiment
from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.pixel_report import PixelReport
from toolkit.ground.errors import ParameterError
from toolkit.series.curve import COLOURS
from toolkit.widgets.inspector import PixelInspector
from toolkit.widgets.pixel_list import Pixels, probabilities_html


def one_tile(path: Path) -> Experiment:
    """The experiment with one of its tiles, which is opened sooner than four."""
    experiment = Experiment.load(path)
    experiment.set({"series.tiles": ("31TCK",)})
    return experiment


@pytest.fixture(scope="module")
def finished(finished_demo: Path) -> Experiment:
    return one_tile(finished_demo)


@pytest.fixture
def panel(finished: Experiment) -> Iterator[PixelInspector]:
    panel = PixelInspector(one_tile(finished.path))
    yield panel
    panel.settle()
    panel.close()


@pytest.fixture(scope="module")
def places(finished: Experiment) -> list[tuple[float, float]]:
    """Latitude and longitude of pixels far from each other."""
    with rasterio.open(finished.folder / "mapping" / "31TCK" / "classes.tif") as dataset:
        xy = [dataset.transform * (col + 0.5, row + 0.5) for row in (5, 30, 60) for col in (5, 30, 60)]
        to_degrees = Transformer.from_crs(dataset.crs, 4326, always_xy=True)
    return [to_degrees.transform(x, y)[::-1] for x, y in xy]


@pytest.fixture(scope="module")
def reports(finished: Experiment, places: list[tuple[float, float]]) -> list[PixelReport]:
    reader = PixelReader(finished)
    return [reader.read(longitude, latitude) for latitude, longitude in places]


def inspect(panel: PixelInspector, *places: tuple[float, float]) -> None:
    for place in places:
        panel.inspect(*place)
        assert panel.settle()


def curves(panel: PixelInspector) -> dict[str, list[str]]:
    return {one["title"]: [curve["name"] for curve in one["curves"]] for one in panel.chart.panels}


def test_before_the_first_click_it_says_what_to_do(panel: PixelInspector) -> None:
    assert "Click on the map" in panel.head.value
    assert panel.places == [] and panel.chart.panels == [] and panel.reports == []


def test_a_click_tells_everything(panel: PixelInspector, places: Any, reports: list[PixelReport]) -> None:
    inspect(panel, places[0])
    report = reports[0]
    assert report.words in panel.head.value
    assert f"{report.place.longitude:.6f} E {report.place.latitude:.6f} N" in panel.head.value
    assert report.title in panel.probabilities.value
    assert curves(panel) == {"NDVI": [f"1 {report.title}"]}
    assert panel.places == [
        {
            "latitude": places[0][0],
            "longitude": places[0][1],
            "colour": COLOURS[0],
            "label": f"1 {report.title} · {report.place.tile}",
        }
    ]


def test_the_call_returns_at_once(panel: PixelInspector, places: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert panel.settle()
    held, read = threading.Event(), panel.reader.read

    def slow(*place: float) -> PixelReport:
        held.wait(10)
        return read(*place)

    monkeypatch.setattr(panel.reader, "read", slow)
    before = time.perf_counter()
    panel.inspect(*places[0])
    assert time.perf_counter() - before < 0.05
    assert "reading" in panel.head.value
    held.set()
    assert panel.settle()
    assert "reading" not in panel.head.value and len(panel.reports) == 1


def test_of_clicks_in_a_row_the_last_one_wins(panel: PixelInspector, places: Any, reports: Any) -> None:
    for place in places:
        panel.inspect(*place)
    assert panel.settle()
    assert [one.words for one in panel.reports] == [reports[-1].words]


def test_a_click_goes_before_what_is_opened_in_advance(finished_demo: Path, places: Any, monkeypatch: Any) -> None:
    done: list[str] = []
    first = threading.Event()

    def warm(self: PixelReader, tiles: list[str]) -> None:
        first.wait(10)
        done.append(tiles[0])

    monkeypatch.setattr(PixelReader, "warm", warm)
    monkeypatch.setattr(PixelReader, "read", lambda self, *place: done.append("click"))
    monkeypatch.setattr(PixelInspector, "_done", lambda self, found: self._go_on())
    panel = PixelInspector(Experiment.load(finished_demo))
    panel.inspect(*places[0])
    first.set()
    assert panel.settle()
    panel.close()
    assert sorted(done) == sorted(["click", *panel.experiment.series.tiles])
    assert done.index("click") <= 1


def test_the_next_click_replaces_what_is_not_kept(panel: PixelInspector, places: Any, reports: Any) -> None:
    inspect(panel, places[0], places[1])
    assert [one.words for one in panel.reports] == [reports[1].words]
    panel.list.keeps[0].value = True
    inspect(panel, places[2])
    assert [one.words for one in panel.reports] == [reports[1].words, reports[2].words]
    assert curves(panel)["NDVI"] == [f"1 {reports[1].title}", f"2 {reports[2].title}"]
    assert [one["colour"] for one in panel.places] == list(COLOURS[:2])
    inspect(panel, places[3])
    assert [one.words for one in panel.reports] == [reports[1].words, reports[3].words]


def test_a_kept_pixel_clicked_again_stays_in_its_place(panel: PixelInspector, places: Any, reports: Any) -> None:
    inspect(panel, places[0])
    panel.list.keeps[0].value = True
    inspect(panel, places[1], places[0])
    assert [one.words for one in panel.reports] == [reports[0].words, reports[1].words]
    assert reports[0].words in panel.head.value


def test_rows_tell_keep_and_remove(panel: PixelInspector, places: Any, reports: Any) -> None:
    inspect(panel, places[0])
    panel.list.keeps[0].value = True
    inspect(panel, places[1])
    shown = [row.layout.display != "none" for row in panel.list.children]
    assert shown == [True, True, *[False] * (len(COLOURS) - 2)]
    panel.list.looks[0].click()
    assert reports[0].words in panel.head.value
    assert panel.list.looks[0].style.font_weight == "bold" != panel.list.looks[1].style.font_weight
    panel.list.removes[0].click()
    assert reports[1].words in panel.head.value and len(panel.places) == 1
    assert panel.places[0]["colour"] == COLOURS[1]
    panel.clear.click()
    assert panel.places == [] and panel.chart.panels == [] and "Click on the map" in panel.head.value


def test_no_more_pixels_than_colours(panel: PixelInspector, places: Any) -> None:
    for slot, place in enumerate(places[: len(COLOURS)]):
        inspect(panel, place)
        panel.list.keeps[slot].value = True
    assert len(panel.reports) == len(COLOURS) < len(places)
    with pytest.raises(ParameterError, match="8 pixels are kept, which is the most"):
        panel.inspect(*places[len(COLOURS)])
    panel.place.value = "{}, {}".format(*places[len(COLOURS)])
    assert "8 pixels are kept" in panel.problem.value
    panel.list.keeps[3].value = False
    inspect(panel, places[len(COLOURS)])
    assert len(panel.reports) == len(COLOURS) and panel.problem.value == ""


def test_several_bands_stand_one_below_another(panel: PixelInspector, places: Any) -> None:
    inspect(panel, places[0])
    assert list(panel.quantities)[:4] == ["NDVI", "NDWI", "Brightness", "B2"]
    panel.quantities["B8"].value = True
    panel.quantities["NDWI"].value = True
    assert list(curves(panel)) == ["NDVI", "NDWI", "B8 near infrared, reflectance"]
    panel.quantities["NDVI"].value = False
    assert list(curves(panel)) == ["NDWI", "B8 near infrared, reflectance"]


def test_a_place_can_be_written(panel: PixelInspector, places: Any, reports: Any) -> None:
    panel.place.value = "{:.7f}, {:.7f}".format(*places[4])
    assert panel.settle()
    assert reports[4].words in panel.head.value
    panel.clear.click()
    panel.go.click()
    assert panel.settle()
    assert reports[4].words in panel.head.value
    panel.place.value = "somewhere"
    assert "somewhere&#x27; is not a place" in panel.problem.value


def test_outside_of_the_tiles_is_told_in_the_panel(panel: PixelInspector, places: Any, reports: Any) -> None:
    inspect(panel, places[0], (50.0, 10.0))
    assert "lies in none of the tiles" in panel.problem.value
    assert reports[0].words in panel.head.value
    inspect(panel, places[1])
    assert panel.problem.value == ""


def test_a_defect_is_told_in_the_panel(panel: PixelInspector, places: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert panel.settle()
    monkeypatch.setattr(panel.reader, "read", lambda *_: 1 / 0)
    inspect(panel, places[0])
    assert "ZeroDivisionError" in panel.problem.value


def test_a_change_of_the_experiment_changes_the_choice(panel: PixelInspector, places: Any) -> None:
    inspect(panel, places[0])
    panel.quantities["B4"].value = True
    panel.quantities["NDVI"].value = False
    panel.experiment.set({"series.bands": ("B3", "B4", "B8"), "features.indices": ("ndvi",)})
    assert list(panel.quantities) == ["NDVI", "B3", "B4", "B8"]
    assert [name for name, one in panel.quantities.items() if one.value] == ["B4"]
    inspect(panel, places[1])
    assert panel.reports[0].series is not None and panel.reports[0].series.bands == ("B3", "B4", "B8")
    assert "the feature stack has" in panel.notes.value


def test_methods_are_compared_by_dashes_and_a_single_pixel_by_colours(panel: PixelInspector, places: Any) -> None:
    inspect(panel, places[0])
    assert panel.methods["linear"].disabled and "experiment" in panel.methods["linear"].tooltip
    panel.methods["whittaker"].value = panel.methods["akima"].value = True
    assert panel.settle()
    (shown,) = panel.chart.panels
    assert [one["name"].partition(" · ")[2] for one in shown["curves"]] == ["", "akima", "whittaker"]
    assert len({one["colour"] for one in shown["curves"]}) == len({tuple(one["dash"]) for one in shown["curves"]}) == 3
    panel.methods["akima"].value = False
    assert len(panel.chart.panels[0]["curves"]) == 2
    panel.list.keeps[0].value = True
    inspect(panel, places[1])
    shown = panel.chart.panels[0]["curves"]
    assert [one["colour"] for one in shown] == [COLOURS[0], COLOURS[0], COLOURS[1], COLOURS[1]]
    assert [bool(one["dash"]) for one in shown] == [False, True, False, True]


def test_another_method_of_the_experiment_is_drawn_at_once(panel: PixelInspector, places: Any) -> None:
    inspect(panel, places[0])
    panel.methods["linear"].value = True
    panel.experiment.set({"series.gap_filling.method": "previous"})
    assert panel.settle()
    assert panel.methods["previous"].disabled and not panel.methods["linear"].disabled
    assert panel.reports[0].series is not None and panel.reports[0].series.method == "previous"
    assert [one["name"].partition(" · ")[2] for one in panel.chart.panels[0]["curves"]] == ["", "linear"]


def test_refresh_reads_the_pixels_again(panel: PixelInspector, places: Any) -> None:
    inspect(panel, places[0])
    panel.list.keeps[0].value = True
    inspect(panel, places[1])
    panel.experiment.set({"series.step_days": 20})
    panel.refresh()
    assert panel.settle()
    assert len(panel.reports) == 2
    for report in panel.reports:
        assert report.series is not None
        assert set(np.diff(report.series.days).astype(int)) == {20}


def test_without_any_file_it_opens_and_tells(experiment: Experiment) -> None:
    panel = PixelInspector(experiment)
    assert panel.settle()
    assert panel.problem.value == ""
    inspect(panel, (43.6, 1.4))
    assert "data_catalog.yml" in panel.problem.value
    panel.close()


def test_csv_holds_the_pixels_shown(panel: PixelInspector, places: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, str]] = []
    monkeypatch.setattr(panel.chart, "send", sent.append)
    panel.save.click()
    assert sent == [] and "choose a place first" in panel.problem.value
    inspect(panel, places[0])
    panel.list.keeps[0].value = True
    panel.save.click()
    assert sent[0]["name"] == "pixel_{1:.5f}_{0:.5f}.csv".format(*places[0])
    inspect(panel, places[1])
    panel.save.click()
    assert sent[1]["name"] == "pixels.csv"
    table = pd.read_csv(io.StringIO(sent[1]["text"]))
    assert len(table) == sum(len(one.to_frame()) for one in panel.reports)
    assert table[["longitude", "latitude"]].drop_duplicates().shape == (2, 2)


def test_the_chart_is_a_figure_too(panel: PixelInspector, places: Any, reports: Any) -> None:
    inspect(panel, places[0])
    panel.quantities["B4"].value = True
    figure = panel.figure()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["NDVI", "B4 red, reflectance"]


def test_probabilities_are_bars_in_the_colours_of_their_classes(reports: list[PixelReport]) -> None:
    html = probabilities_html(reports[0])
    assert reports[0].probabilities is not None
    for code, share in list(reports[0].probabilities.items())[:5]:
        assert f"width:{100 * share:.1f}%;background:{reports[0].nomenclature.colour(code)}" in html
    assert html.count("<tr>") == 5


def test_a_closed_panel_follows_nothing(finished: Experiment) -> None:
    experiment = one_tile(finished.path)
    panel = PixelInspector(experiment)
    assert panel.settle()
    panel.close()
    before = list(panel.quantities)
    experiment.set({"features.indices": ()})
    assert list(panel.quantities) == before


def test_a_removed_pixel_is_not_renewed(reports: list[PixelReport]) -> None:
    pixels = Pixels()
    pixels.add(reports[0])
    pixels.remove(0)
    pixels.renew(0, reports[0])
    assert pixels.shown == {} and pixels.current is None


def test_a_pixel_that_is_read_when_all_have_been_kept_meanwhile_is_refused(reports: list[PixelReport]) -> None:
    pixels = Pixels()
    for report in reports[: len(COLOURS)]:
        pixels.add(report)
        assert pixels.current is not None
        pixels.keep(pixels.current, True)
    with pytest.raises(ParameterError, match="remove one first"):
        pixels.add(reports[len(COLOURS)])
    assert len(pixels.shown) == len(COLOURS)


def test_a_closed_panel_ends_the_threads_that_read(finished: Experiment, places: Any) -> None:
    before = set(threading.enumerate())
    panel = PixelInspector(one_tile(finished.path))
    inspect(panel, places[0])
    assert set(threading.enumerate()) - before
    panel.close()
    until = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.02)
    assert not set(threading.enumerate()) - before
