"""Every notebook in a real JupyterLab: runs from top to bottom without an error, and asks for nothing elsewhere.

Each in one theme; their panels are looked at in both by the tests of the panels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.driving import errors_in, open_notebook, run_all

FACES = {
    "01_tiles": [".lc-panel"],
    "02_features": [".lc-panel"],
    "03_samples": [".lc-panel"],
    "04_training": [".lc-panel", ".lc-run"],
    "05_maps": [".lc-panel"],
    "06_map_and_validation": [".lc-run", ".lc-map"],
    "07_spatial_cross_validation": [".lc-form"],
    "08_tuning": [".lc-tuning"],
}
"""What each notebook shows."""


@pytest.mark.parametrize(("name", "theme"), list(zip(FACES, 4 * ("Light", "Dark"), strict=True)))
def test_notebook(
    name: str,
    theme: str,
    open_page: Callable[..., Any],
    start_lab: Callable[..., Any],
    tiny_demo: Path,
    artefacts: Path,
) -> None:
    lab = start_lab({"LANDCOVER_EXPERIMENT": str(tiny_demo)}, theme=f"JupyterLab {theme}")
    page, seen = open_page(width=1920 if theme == "Dark" else 1280, height=1600)
    open_notebook(page, lab, f"{name}.ipynb")
    seen.errors.clear()
    run_all(page)
    assert errors_in(page) == []
    assert page.evaluate("document.body.dataset.jpThemeLight") == str(theme == "Light").lower()
    for face in FACES[name]:
        shown = page.locator(face).first
        expect(shown).to_be_visible()
        page.wait_for_timeout(1500)
        shown.screenshot(path=artefacts / f"{name}{face.replace('.lc-', '_')}_{theme.lower()}.png")
    assert page.locator("[role=alert]:visible").all_inner_texts() == []
    assert seen.errors == [] and seen.beside_base_map == []
