"""The quickstart as a person sees it: opened in JupyterLab, run from top to bottom, used."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.driving import errors_in, open_notebook, output_of, run_all


def test_quickstart_in_jupyterlab(
    open_page: Callable[..., Any], start_lab: Callable[..., Any], tiny_demo: Path, artefacts: Path
) -> None:
    lab = start_lab({"LANDCOVER_EXPERIMENT": str(tiny_demo)})
    page, seen = open_page()
    open_notebook(page, lab, "00_quickstart.ipynb")
    seen.errors.clear()
    run_all(page)
    assert errors_in(page) == []
    look_at_form(page, artefacts)
    look_at_curves(page, artefacts)
    look_at_map(page, artefacts)
    assert output_of(page, "figures.confusion").locator("img").count() == 1
    assert seen.errors == []
    assert seen.outside and seen.beside_base_map == []


def look_at_form(page: Page, artefacts: Path) -> None:
    """A value typed is taken; one that is not valid is refused beside its field."""
    form = output_of(page, "widgets.form")
    row = form.locator(".lc-row", has=page.get_by_role("spinbutton", name=re.compile(r"^Epochs\.")))
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
    """The classification lies over the base map, with a legend."""
    shown = output_of(page, "classify(experiment)").locator(".lc-map")
    shown.scroll_into_view_if_needed()
    expect(shown.locator("img.leaflet-tile-loaded[src*='landcover/squares']").first).to_be_visible()
    expect(shown.locator(".leaflet-control-attribution").first).to_contain_text("OpenStreetMap")
    expect(shown.locator(".lc-legend-row").first).to_contain_text(re.compile("ha|km²"))
    shown.screenshot(path=artefacts / "00_map.png")
