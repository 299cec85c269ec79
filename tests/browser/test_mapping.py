"""The mapping panel in a browser: blocks are seen as another process does them, and a run is started by a click."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.driving import errors_in, open_cells, output_of, run_all
from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.ground.grid import blocks
from toolkit.ground.ledger import Ledger, Record
from toolkit.ground.locking import FolderLock

COVER = list(blocks((10_980, 10_980), 1024))
SOON = 4000
"""Milliseconds in which a block that was done is seen, on a machine that has other things to do."""


@pytest.fixture
def experiment(finished_demo: Path, tmp_path: Path) -> Experiment:
    """Three tiles are classified, the fourth is not."""
    shutil.copytree(finished_demo.parent, tmp_path / "demo", symlinks=True, copy_function=shutil.copy2)
    experiment = Experiment.load(tmp_path / "demo" / finished_demo.name)
    (RunFolder(experiment.folder).tile("31TCJ") / "classes.tif").unlink()
    return experiment


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_blocks_are_seen_as_they_come_and_run_classifies(
    theme: str, experiment: Experiment, open_page: Callable[..., Any], start_lab: Callable[..., Any], artefacts: Path
) -> None:
    page, seen = open_page(height=1700)
    lab = start_lab({}, theme=f"JupyterLab {theme}")
    folder = RunFolder(experiment.folder).tile("31TCJ") / ".blocks"
    ledger = Ledger.begin(folder, "key", COVER)
    with FolderLock.take(experiment.folder):
        for block in COVER[:40]:
            ledger.add(Record(block, "done", 2.0, where="host:1"))
        for block in COVER[40:42]:
            ledger.add(Record(block, "running"))
        open_cells(
            page,
            lab,
            "from toolkit import Experiment, widgets",
            f"widgets.MappingPanel(Experiment.load({str(experiment.path)!r}))",
        )
        seen.errors.clear()
        run_all(page)
        assert errors_in(page) == []
        shown = output_of(page, "MappingPanel").locator(".lc-panel")
        picture = shown.locator(".lc-blocks")
        expect(picture.locator("rect.lc-running")).to_have_count(2)
        expect(picture.locator("rect.lc-waiting")).to_have_count(121 - 42)
        expect(picture.locator(".lc-blocks-head")).to_contain_text("40 of 121 blocks of 31TCJ")
        expect(picture.locator(".lc-blocks-head")).to_contain_text(re.compile("blocks? a second, about .* left"))
        expect(shown.get_by_role("button", name="Tell the time")).to_be_disabled()
        picture.locator("rect").nth(40).evaluate("one => { one.dataset.first = 'yes'; }")
        ledger.add(Record(COVER[40], "done", 2.0, where="host:1"))
        ledger.add(Record(COVER[41], "failed", error="OSError: gone"))
        expect(picture.locator("rect.lc-failed")).to_have_count(1, timeout=SOON)
        expect(picture.locator("rect.lc-done[data-first=yes]")).to_have_count(1)  # in place, not drawn anew
        shown.screenshot(path=artefacts / f"mapping_at_work_{theme.lower()}.png")
        ledger.close()
    expect(shown.locator(".lc-plan")).to_contain_text("31TCJ", timeout=15_000)
    shown.get_by_role("button", name="Tell the time").click()
    expect(shown.locator(".lc-plan")).to_contain_text(re.compile(r"time.*about \d+ s"), timeout=30_000)
    shown.screenshot(path=artefacts / f"mapping_plan_{theme.lower()}.png")
    shown.get_by_role("button", name="Run").click()
    expect(picture.locator(".lc-blocks-head")).to_have_text("4 of 4 tiles classified", timeout=60_000)
    expect(shown.locator(".lc-plan")).to_contain_text("nothing to do", timeout=15_000)
    shown.screenshot(path=artefacts / f"mapping_done_{theme.lower()}.png")
    assert page.locator("[role=alert]:visible").all_inner_texts() == []
    assert seen.errors == [] and seen.beside_base_map == []
