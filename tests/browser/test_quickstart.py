"""The quickstart as a person sees it: opened in JupyterLab, run from top to bottom, used."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from toolkit.ground.nomenclature import Nomenclature

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "00_quickstart.ipynb"
IDLE = "() => document.querySelector('#jp-main-statusbar')?.innerText.includes('| Idle')"
BEGUN = r"() => [...document.querySelectorAll('.jp-InputPrompt')].some(one => /\d|\*/.test(one.innerText))"
FINISHED = (
    r"() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(one => /\d/.test(one.innerText))"
)
ERRORS = "[data-mime-type='application/vnd.jupyter.error'], [data-mime-type='application/vnd.jupyter.stderr']"


def run_all(page: Page) -> None:
    """Run > Run All Cells, once the kernel listens."""
    page.wait_for_function(IDLE, timeout=90_000)
    for _ in range(3):
        page.locator("li.lm-MenuBar-item", has_text="Run").first.click()
        page.locator("li.lm-Menu-item[data-command='runmenu:run-all']").click()
        try:
            page.wait_for_function(BEGUN, timeout=10_000)
        except Exception:  # the menu was clicked before the kernel was connected
            continue
        return
    pytest.fail("Run All Cells did not begin")


def output_of(page: Page, source: str) -> Any:
    """Outputs of the code cell that holds this text."""
    return page.locator(".jp-CodeCell", has_text=source).locator(".jp-Cell-outputArea").last


def colours_of(path: Path) -> np.ndarray:
    """(y, x) picture colours as 0xrrggbb."""
    with Image.open(path) as picture:
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(int), -1, 0)
    return (red << 16) | (green << 8) | blue


def test_quickstart_in_jupyterlab(
    open_page: Callable[..., Any], start_lab: Callable[..., Any], tiny_demo: Path, artefacts: Path
) -> None:
    lab = start_lab({"LANDCOVER_EXPERIMENT": str(tiny_demo)})
    shutil.copy(NOTEBOOK, lab.folder)
    page, seen = open_page()
    page.goto(lab.url(NOTEBOOK.name))
    page.wait_for_selector(".jp-CodeCell", timeout=90_000)
    seen.errors.clear()
    run_all(page)
    page.wait_for_function(FINISHED, timeout=300_000)

    assert page.locator(ERRORS).all_inner_texts() == []
    look_at_form(page, artefacts)
    look_at_curves(page, artefacts)
    look_at_map(page, artefacts)
    assert output_of(page, "figures.confusion").locator("img").count() == 1
    assert seen.errors == []
    assert seen.outside and seen.beside_base_map == []


def look_at_form(page: Page, artefacts: Path) -> None:
    """A value typed is taken; one that is not valid is refused beside its field."""
    form = output_of(page, "widgets.form")
    row = form.locator(".lc-row", has_text="Epochs")
    row.locator("input").fill("0")
    row.locator("input").press("Enter")
    expect(row.get_by_role("alert")).to_have_text("must be greater than or equal to 1")
    form.screenshot(path=artefacts / "00_form_refused.png")
    row.locator("input").fill("7")
    row.locator("input").press("Enter")
    expect(row.get_by_role("alert")).to_have_count(0)
    expect(row).to_contain_text("default 200")
    form.screenshot(path=artefacts / "00_form.png")


def look_at_curves(page: Page, artefacts: Path) -> None:
    """When the training is over, its curves stay as a picture."""
    curves = output_of(page, "train(experiment")
    expect(curves.locator("img")).to_have_count(1)
    curves.screenshot(path=artefacts / "00_curves.png")


def look_at_map(page: Page, artefacts: Path) -> None:
    """The classification lies over the base map in the exact colours of its classes, with a legend."""
    shown = output_of(page, "classify(experiment)").locator(".lc-map")
    shown.scroll_into_view_if_needed()
    picture = shown.locator("img.leaflet-image-layer")
    expect(picture).to_have_attribute("src", re.compile("^data:image/png"))
    expect(shown.locator(".leaflet-tile-loaded").first).to_be_visible()
    expect(shown.locator(".leaflet-control-attribution")).to_contain_text("OpenStreetMap")
    shown.screenshot(path=artefacts / "00_map.png")

    shown.get_by_role("checkbox", name="Tiles").uncheck()
    shown.locator(".widget-readout").fill("100")
    shown.locator(".widget-readout").press("Enter")
    expect(picture).to_have_css("opacity", "1")
    expect(shown.locator("path.leaflet-interactive")).to_have_count(0)
    picture.screenshot(path=artefacts / "00_map_opaque.png")
    colours = colours_of(artefacts / "00_map_opaque.png")
    inner = colours[colours.shape[0] // 4 : -colours.shape[0] // 4, colours.shape[1] // 4 : -colours.shape[1] // 4]
    classes = {int(one.colour[1:], 16): one.label for one in Nomenclature.load("oso_23").classes}
    assert set(np.unique(inner).tolist()) <= set(classes)
    legend = shown.locator(".lc-legend").inner_text()
    assert all(classes[colour] in legend for colour in np.unique(inner).tolist())
