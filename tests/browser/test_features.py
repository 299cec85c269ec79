"""The features panel as a person uses it: a click on a pixel, methods compared, a parameter of a function, seasons."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.driving import click_map, errors_in, open_cells, run_all

MINE = '''from toolkit import external_feature
from toolkit.ground.params import param


@external_feature(outputs=["mine_{power}"])
def mine(block, power: float = param(2.0, "Exponent.", gt=0, le=4)):
    """Power of the first NDVI."""
    return block.filled("NDVI")[0] ** power
'''


@pytest.mark.parametrize(("theme", "width"), [("Light", 1280), ("Dark", 1920)])
def test_features_are_chosen_and_tried(
    theme: str,
    width: int,
    open_page: Callable[..., Any],
    start_lab: Callable[..., Any],
    tiny_demo: Path,
    artefacts: Path,
) -> None:
    (tiny_demo.parent / "mine.py").write_text(MINE)
    lab = start_lab({}, theme=f"JupyterLab {theme}")
    page, seen = open_page(width=width, height=1700)
    open_cells(
        page,
        lab,
        "from toolkit import Experiment, widgets",
        f"experiment = Experiment.load({str(tiny_demo)!r})\nwidgets.FeaturesPanel(experiment)",
    )
    seen.errors.clear()
    run_all(page)
    shown = page.locator(".lc-panel").first
    head = shown.locator(".lc-inspector .lc-head")
    expect(head).to_contain_text("longest gap", timeout=60_000)
    expect(shown.locator("img.leaflet-image-layer")).to_be_visible(timeout=60_000)
    first = head.inner_text()
    click_map(shown.locator(".leaflet-container"), -40, 20, lambda: head.inner_text() != first)
    for method in ("whittaker", "previous"):
        shown.get_by_role("button", name=method).click()
    names = shown.locator(".lc-names > span:not(.lc-key)")
    expect(names).to_have_text(["1 pixel", "1 pixel · previous", "1 pixel · whittaker"], timeout=30_000)

    functions = shown.locator(".lc-external")
    functions.get_by_role("button", name="Add").click()
    expect(shown.locator(".lc-features")).to_contain_text("texture_B8_20180630_3")
    functions.locator(".lc-row", has_text="Radius").locator(".noUi-handle").press("ArrowRight")
    expect(shown.locator(".lc-features")).to_contain_text("texture_B8_20180630_4")
    expect(functions.locator(".lc-row", has_text="Radius")).to_contain_text("default 3")
    functions.locator(".lc-adding select").first.select_option(label="your own…")
    functions.get_by_placeholder("my_features.py").fill("mine.py")
    functions.get_by_placeholder("function", exact=True).fill("mine")
    functions.get_by_placeholder("function", exact=True).press("Tab")
    functions.get_by_role("button", name="Add").click()
    expect(shown.locator(".lc-features")).to_contain_text("mine_2.0")
    expect(functions).to_contain_text("Power of the first NDVI.")

    seasons = shown.locator(".lc-row", has_text="Seasons")
    days = seasons.locator("input[type=date]")
    for place, (start, end) in enumerate([("2018-03-01", "2018-06-30"), ("2018-08-01", "2018-11-15")]):
        seasons.get_by_role("button", name="Add a row").click()
        expect(days).to_have_count(2 * place + 2)
        days.nth(2 * place).fill(start)
        days.nth(2 * place + 1).fill(end)
        days.nth(2 * place + 1).press("Tab")
    expect(shown.locator(".lc-features")).to_contain_text("on 24 days")
    expect(head).to_contain_text(re.compile(r"\b[1-6] clear date"), timeout=30_000)
    expect(names).to_have_count(3)
    expect(shown.locator("img.leaflet-image-layer")).to_be_visible()
    page.wait_for_timeout(6000)  # every tile is opened anew
    shown.screenshot(path=artefacts / f"features_{theme.lower()}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("[role=alert]:visible").all_inner_texts() == [] and errors_in(page) == []
    assert seen.errors == [] and seen.beside_base_map == []
