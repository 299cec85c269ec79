"""The canvas of the series chart, drawn in a real browser without Jupyter around it."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.driving import blank_frames, eventually
from toolkit.series.curve import COLOURS, Curve
from toolkit.widgets.series_chart import SeriesChart

STYLE = (resources.files("toolkit.widgets") / "series.css").read_text(encoding="utf-8")
THEMES = {
    "light": "--jp-ui-font-color1: #212121; --jp-ui-font-color2: #757575; --jp-layout-color0: #fff; background: #fff",
    "dark": "--jp-ui-font-color1: #dddddd; --jp-ui-font-color2: #999999; --jp-layout-color0: #111; background: #111",
}

DRAW = """
async ([script, state]) => {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  window.series = await import(url);
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer);
  const taken = (next) => ({ panels: next.panels, data: bytes(next.data) });
  const model = { listeners: {}, state: taken(state), get(name) { return this.state[name]; },
    on(name, call) { this.listeners[name] = call; }, off() {} };
  window.change = (next) => {
    model.state = taken(next);
    ["change:panels", "change:data"].forEach((name) => model.listeners[name]());
  };
  window.hand = (content) => model.listeners["msg:custom"](content);
  window.series.default.initialize({ model });
  window.series.default.render({ model, el: document.getElementById("series") });
}
"""


def curve(name: str, seed: int, dates: int = 70) -> Curve:
    rng = np.random.default_rng(seed)
    days = np.datetime64("2017-12-05") + (np.arange(dates) * 400 // dates).astype("timedelta64[D]")
    grid = np.arange(np.datetime64("2018-01-01"), np.datetime64("2018-12-27"), 10)
    valid = rng.random(dates) > 0.4
    values = 0.5 + 0.4 * np.sin(np.arange(dates) / dates * 6 + seed) + np.where(valid, 0, 3 * rng.random(dates))
    return Curve(name, days, values, valid, grid, np.interp(grid.astype(int), days[valid].astype(int), values[valid]))


def state(panels: dict[str, list[Curve]]) -> dict[str, Any]:
    chart = SeriesChart(panels)
    return {"panels": chart.panels, "data": base64.b64encode(chart.data).decode()}


MONTHS = ["Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

THREE = [curve("1 Sunflower", 0), curve("2 Corn", 1), curve("3 Broad-leaved forest", 2)]
TWO_PANELS = {"NDVI": THREE, "B8 near infrared, reflectance": THREE}


@pytest.fixture
def drawn(open_page: Callable[..., Any]) -> Callable[..., Page]:
    def drawn(panels: dict[str, list[Curve]], theme: str = "light", scale: float = 1, width: int = 900) -> Page:
        page, seen = open_page(width=width, height=500, scale=scale)
        light = str(theme == "light").lower()
        page.set_content(
            f"<body data-jp-theme-light={light} style='{THEMES[theme]}'><style>{STYLE}</style><div id=series></div>"
        )
        page.evaluate(DRAW, [SeriesChart._esm, state(panels)])
        page.wait_for_timeout(100)
        assert seen.errors == [] and seen.outside == []
        return page

    return drawn


def colours(page: Page) -> set[tuple[int, ...]]:
    with Image.open(io.BytesIO(page.locator("canvas").screenshot())) as picture:
        return {tuple(one) for one in np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).tolist()}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_pixel_is_drawn_in_its_colour(drawn: Callable[..., Page], theme: str, artefacts: Path) -> None:
    page = drawn(TWO_PANELS, theme, scale=2)
    assert {tuple(bytes.fromhex(one[1:])) for one in COLOURS[:3]} <= colours(page)
    expect(page.locator(".lc-names span")).to_have_text(
        ["1 Sunflower", "2 Corn", "3 Broad-leaved forest", "● clear × masked ─ gap-filled"]
    )
    page.screenshot(path=artefacts / f"series_{theme}.png")


def test_masked_points_are_quiet(drawn: Callable[..., Page]) -> None:
    one = curve("a", 0)
    masked = Curve("a", one.days, one.values, np.zeros(len(one.days), bool), one.line_days[:0], one.line_values[:0])
    page = drawn({"NDVI": [masked]})
    assert tuple(bytes.fromhex(COLOURS[0][1:])) not in colours(page)
    red, green, blue = bytes.fromhex(COLOURS[0][1:])
    half = ((255 + red) // 2, (255 + green) // 2, (255 + blue) // 2)
    assert any(np.abs(np.subtract(found, half)).max() < 40 for found in colours(page) if found[0] < found[2] - 40)


def test_the_chart_is_as_high_as_its_panels_and_nothing_else_moves(drawn: Callable[..., Page]) -> None:
    page = drawn({"NDVI": THREE})
    one = page.locator("canvas").bounding_box()
    page.evaluate("next => window.change(next)", state({"NDVI": THREE[:2]}))
    page.wait_for_timeout(100)
    assert page.locator("canvas").bounding_box() == one
    page.evaluate("next => window.change(next)", state(TWO_PANELS))
    assert one
    eventually(page, lambda: (page.locator("canvas").bounding_box() or one)["height"] > 1.6 * one["height"])
    two = page.locator("canvas").bounding_box()
    assert two and two["y"] == one["y"]
    page.evaluate("next => window.change(next)", state({}))
    expect(page.locator("canvas")).to_have_css("height", "0px")


def test_a_burst_of_changes_never_blanks_the_canvas(drawn: Callable[..., Page]) -> None:
    page = drawn({"NDVI": THREE})
    assert blank_frames(page, [state({"NDVI": [curve("a", seed)]}) for seed in range(30)]) == 0


def test_it_follows_the_width_of_the_page(drawn: Callable[..., Page]) -> None:
    page = drawn(TWO_PANELS)
    page.set_viewport_size({"width": 420, "height": 500})
    eventually(page, lambda: page.evaluate("document.querySelector('canvas').width") < 420)
    assert page.evaluate("document.documentElement.scrollWidth") <= 420


def test_the_pointer_reads_the_values_of_a_day(drawn: Callable[..., Page], artefacts: Path) -> None:
    page, first = drawn(TWO_PANELS), THREE[0]
    before = page.locator("canvas").screenshot()
    page.locator("canvas").hover(position={"x": 450, "y": 260})
    eventually(page, lambda: page.locator("canvas").screenshot() != before)
    page.screenshot(path=artefacts / "series_pointer.png")
    said = page.locator(".lc-heard").inner_text()
    day = np.datetime64(said.partition(",")[0])
    (at,) = np.flatnonzero(first.days == day)
    masked = "" if first.valid[at] else " masked"
    assert said.startswith(f"{day}, B8 near infrared, reflectance: 1 Sunflower {first.values[at]:.3f}{masked}, line ")


def test_the_arrow_keys_read_the_values(drawn: Callable[..., Page]) -> None:
    page, days = drawn(TWO_PANELS), THREE[0].days
    heard = page.locator(".lc-heard")
    page.keyboard.press("Tab")
    expect(page.locator("canvas")).to_be_focused()
    for keys, day, title in (
        (["ArrowRight"], days[0], "NDVI"),
        (["ArrowRight", "ArrowRight"], days[2], "NDVI"),
        (["ArrowDown"], days[2], "B8"),
        (["ArrowLeft"], days[1], "B8"),
        (["End"], days[-1], "B8"),
        (["ArrowUp", "Home"], days[0], "NDVI"),
    ):
        for key in keys:
            page.keyboard.press(key)
        expect(heard).to_have_text(re.compile(f"^{day}, {title}"))


@pytest.mark.parametrize(
    ("first", "last", "width", "expected"),
    [
        ("2018-01-01", "2018-12-27", 800, ["Jan 2018", *MONTHS]),
        ("2017-12-05", "2019-01-20", 260, ["Jan 2018", "Apr", "Jul", "Oct", "Jan 2019"]),
        ("2015-06-01", "2020-06-01", 300, ["2016", "2017", "2018", "2019", "2020"]),
    ],
)
def test_months_are_marked_as_many_as_fit(
    drawn: Callable[..., Page], first: str, last: str, width: int, expected: list[str]
) -> None:
    days = [int(np.datetime64(day).astype(int)) for day in (first, last)]
    marks = drawn({}).evaluate("range => window.series.months(...range)", [*days, width])
    assert [f"{one['month']} {one['year']}".strip() for one in marks] == expected


def test_a_file_is_handed_over(drawn: Callable[..., Page]) -> None:
    page = drawn({"NDVI": THREE})
    with page.expect_download() as download:
        page.evaluate("window.hand({ name: 'pixel_1.43_43.60.csv', text: 'date,NDVI\\n' })")
    assert download.value.suggested_filename == "pixel_1.43_43.60.csv"
    assert Path(download.value.path()).read_text() == "date,NDVI\n"
