"""The canvas of the live curves, drawn in a real browser without Jupyter around it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.driving import blank_frames, eventually
from toolkit.widgets.live import LiveCurves

SCRIPT = LiveCurves._esm
STYLE = (resources.files("toolkit.widgets") / "curves.css").read_text(encoding="utf-8")

THEMES = {
    "light": "--jp-ui-font-color1: #212121; --jp-ui-font-color2: #757575; background: #ffffff",
    "dark": "--jp-ui-font-color1: #dddddd; --jp-ui-font-color2: #999999; background: #111111",
}

DRAW = """
async ([script, state]) => {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  window.curves = await import(url);
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer);
  const model = { listeners: {}, state: { points: bytes(state.points), status: state.status },
    get(name) { return this.state[name]; }, on(name, call) { this.listeners[name] = call; }, off() {} };
  window.change = (next) => {
    model.state = { points: bytes(next.points), status: next.status };
    Object.values(model.listeners).forEach((call) => call());
  };
  window.curves.default.render({ model, el: document.getElementById("curves") });
}
"""


def state(count: int, **status: Any) -> dict[str, Any]:
    number = np.arange(1, count + 1)
    score = 0.9 - 0.7 * np.exp(-number / 10)
    columns = [number, 2.5 * np.exp(-number / 20), 2.5 * np.exp(-number / 20) + 0.3, score, score - 0.1, score - 0.2]
    points = np.stack(columns, axis=1).astype("<f4")
    return {"points": base64.b64encode(points.tobytes()).decode(), "status": status}


@pytest.fixture
def drawn(open_page: Callable[..., Any]) -> Callable[..., Page]:
    def drawn(content: dict[str, Any], theme: str = "light", scale: float = 1, width: int = 1000) -> Page:
        page, seen = open_page(width=width, height=450, scale=scale)
        light = str(theme == "light").lower()
        page.set_content(
            f"<body data-jp-theme-light={light} style='{THEMES[theme]}'><style>{STYLE}</style><div id=curves></div>"
        )
        page.evaluate(DRAW, [SCRIPT, content])
        page.wait_for_timeout(100)
        assert seen.errors == [] and seen.outside == []
        return page

    return drawn


def colours(page: Page) -> set[tuple[int, ...]]:
    with Image.open(io.BytesIO(page.locator("canvas").first.screenshot())) as picture:
        return {tuple(one) for one in np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).tolist()}


def rgb(text: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(text))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_curves_are_drawn_in_their_colours(drawn: Callable[..., Page], theme: str, artefacts: Path) -> None:
    page = drawn(state(63, epochs=200, best=57, phase="running", part=0.3, left=61), theme, scale=2)
    oa = {"light": "0072b2", "dark": "56b4e9"}[theme]
    assert {rgb(one) for one in (oa, "d55e00", "009e73", "9aa3ad", "cc79a7")} <= colours(page)
    assert (
        page.locator(".lc-caption").inner_text()
        == "Training: epoch 63 of 200 · best 57 (F-score 0.698) · about 61 s left"
    )
    page.screenshot(path=artefacts / f"curves_{theme}.png")


def test_canvas_is_as_fine_as_the_screen(drawn: Callable[..., Page]) -> None:
    page = drawn(state(5, epochs=10, phase="running"), scale=2)
    assert (
        page.evaluate("(() => { const c = document.querySelector('canvas'); return c.width / c.clientWidth; })()") == 2
    )


def test_nothing_moves_when_an_epoch_is_added(drawn: Callable[..., Page]) -> None:
    page = drawn(state(0, phase="running", epochs=20))
    empty = page.locator("canvas").first.bounding_box()
    page.evaluate("next => window.change(next)", state(12, phase="done", epochs=20, best=12))
    expect(page.locator(".lc-caption")).to_have_text("Done: epoch 12 of 20 · best 12 (F-score 0.489)")
    assert page.locator("canvas").first.bounding_box() == empty


def test_a_burst_of_updates_never_blanks_the_canvas(drawn: Callable[..., Page]) -> None:
    page = drawn(state(3, phase="running", epochs=200))
    assert blank_frames(page, [state(count, phase="running", epochs=200) for count in range(4, 44)]) == 0


def test_values_under_the_pointer(drawn: Callable[..., Page]) -> None:
    page = drawn(state(50, phase="done", epochs=50, best=50))
    before = page.locator("canvas").first.screenshot()
    page.locator("canvas").first.hover(position={"x": 250, "y": 150})
    eventually(page, lambda: page.locator("canvas").first.screenshot() != before)


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 3, 4, [0, 1, 2, 3]),
        (0, 200, 6, [0, 50, 100, 150, 200]),
        (0, 0, 4, [0]),
    ],
)
def test_ticks_are_round(
    drawn: Callable[..., Page], low: float, high: float, count: int, expected: list[float]
) -> None:
    ticks = drawn(state(0)).evaluate("range => window.curves.ticks(...range)", [low, high, count])
    assert ticks == pytest.approx(expected)


@pytest.mark.parametrize(("low", "expected"), [(0.95, 0.9), (1, 0.9), (0.6, 0.6), (0.45, 0.4), (0.15, 0), (-0.3, -0.4)])
def test_axis_of_metrics_begins_below_the_lowest(drawn: Callable[..., Page], low: float, expected: float) -> None:
    assert drawn(state(0)).evaluate("low => window.curves.lowerEnd(low)", low) == pytest.approx(expected)


def test_classes_are_drawn_and_a_cell_tells_what_was_taken_for_what(drawn: Callable[..., Page]) -> None:
    page = drawn(state(3, phase="running", epochs=9))
    assert page.locator("canvas.lc-classes").is_hidden(), "there is no matrix"
    words = page.evaluate(
        """() => {
          const canvas = document.querySelector("canvas.lc-classes");
          canvas.hidden = false;
          canvas.style.cssText = "width: 900px; height: 300px";
          const counts = new DataView(new Int32Array([30, 10, 0, 0]).buffer);
          const classes = { epoch: 3, labels: ["wheat", "maize"], scores: [0.8571, 0], counts };
          window.curves.drawClasses(canvas, classes, null);
          const table = window.curves.classTable(classes);
          const of = (row, column) => window.curves.cellWords(table, { row, column });
          return [of(0, 0), of(0, 1), of(1, 1)];
        }"""
    )
    assert words == [
        ["wheat", "recognised", "30 samples", "75.0 % of 40"],
        ["wheat", "taken for", "maize", "10 samples", "25.0 % of 40"],
        ["maize", "recognised", "0 samples", "no valid samples"],
    ]
    with Image.open(io.BytesIO(page.locator("canvas.lc-classes").screenshot())) as picture:
        seen = {tuple(one) for one in np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).tolist()}
    assert rgb("009e73") in seen, "the bar of a class"
    assert rgb("0072b2") not in seen and len(seen) > 20, "three quarters recognised: paler than all of them"


def test_words_of_speed_and_rate(drawn: Callable[..., Page]) -> None:
    page = drawn(state(3, phase="running", paused=True, name="fold 31TCJ", epochs=9, left=60))
    assert page.locator(".lc-caption").inner_text() == "Paused (fold 31TCJ): epoch 3 of 9"
    facts = page.evaluate("status => window.curves.facts(status)", {"seconds": 1.234, "speed": 45_678, "rate": 5e-4})
    assert facts == "1.2 s an epoch · 46,000 samples a second · learning rate 0.0005"
    words = page.evaluate("status => window.curves.rateWords(status)", {"rate": 1e-5, "scale": 0.05})
    assert words == "learning rate 0.00001 (× 0.05 by hand)"
