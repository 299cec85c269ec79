"""Further sensors in a form, in JupyterLab: a card is added and filled by the keyboard alone, in light and dark."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.browser.driving import open_cells, run_all

CATALOG = """
s2_demo: {data_type: RasterDataset, uri: theia, driver: {name: theia}, metadata: {license: x, reference: y}}
radar:
  data_type: RasterDataset
  uri: s1
  driver: {name: dated_rasters, preset: sentinel1_power}
  metadata: {license: x, reference: y}
"""
MAKE = """
from toolkit import Experiment, widgets
experiment = Experiment.load("experiment.yml")
widgets.form(experiment, "series.sensors")
"""
EXPERIMENT = """
name: cards
series: {source: s2_demo, tiles: [31TCJ], start: 2018-01-01, end: 2018-12-27}
"""


def test_a_sensor_is_added_by_the_keyboard(
    open_page: Callable[..., Any], start_lab: Callable[..., Any], artefacts: Path
) -> None:
    lab = start_lab({"PYTHONPATH": os.environ.get("PYTHONPATH", "")}, theme="JupyterLab Dark")
    (lab.folder / "data_catalog.yml").write_text(CATALOG)
    (lab.folder / "experiment.yml").write_text(EXPERIMENT)
    page, seen = open_page(width=900, height=900)
    open_cells(page, lab, MAKE)
    run_all(page)
    page.wait_for_selector(".lc-cards > button", timeout=30_000)
    page.locator(".lc-cards > button").focus()
    page.keyboard.press("Enter")
    card = page.locator(".lc-card")
    card.wait_for()
    name, source = card.locator("input[type=text]").nth(0), card.locator("input[type=text]").nth(1)
    name.focus()
    page.keyboard.type("s1")
    page.keyboard.press("Tab")
    assert source.evaluate("one => one === document.activeElement")
    page.keyboard.type("radar")
    page.keyboard.press("Tab")
    page.wait_for_timeout(500)
    card.locator(".lc-pick select").nth(1).select_option(label="VV")
    page.wait_for_timeout(500)
    for one in card.locator(".widget-hbox").all():
        inside, around = one.bounding_box(), card.bounding_box()
        assert inside and around and inside["x"] + inside["width"] <= around["x"] + around["width"] + 1
    for one in card.locator(".lc-pick").all():
        box = one.bounding_box()
        assert box is None or box["width"] < 30, "the list is a mark beside its input"
    page.screenshot(path=artefacts / "sensor_cards.png")
    assert page.locator("[role=alert]:visible").all_inner_texts() == []
    assert seen.errors == []
