"""A tuning as a person follows it: trials that come, a row marked with its line, sorted, the best put to use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.driving import IDLE, errors_in, milliseconds, open_cells, output_of, run_all

CELLS = (
    "from toolkit import Experiment, widgets\nexperiment = Experiment.load(PATH)\n"
    "experiment.set(learning={'epochs': 3})\n"
    "experiment.set(tuning={'space': {'learning.learning_rate': [1e-4, 1e-2], "
    "'learning.network.hidden': [[16], [32, 16]]}, 'trials': 12, 'folds': 2, 'startup_trials': 12})",
    "panel = widgets.TuningPanel(experiment)\npanel",
)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_trials_as_they_come(
    theme: str, open_page: Callable[..., Any], start_lab: Callable[..., Any], sampled_demo: Path, artefacts: Path
) -> None:
    lab = start_lab({}, theme=f"JupyterLab {theme}")
    page, seen = open_page(height=1000)
    open_cells(page, lab, CELLS[0].replace("PATH", repr(str(sampled_demo))), CELLS[1])
    seen.errors.clear()
    run_all(page)
    shown = output_of(page, "TuningPanel").locator(".lc-tuning")
    expect(shown).to_contain_text("No trials yet.")

    shown.get_by_role("textbox").nth(1).fill("0.00001")  # the larger end of the range below the smaller one
    shown.get_by_role("textbox").nth(1).press("Tab")
    expect(shown.locator("[role=alert]:visible")).to_contain_text("from a smaller value to a larger")
    shown.get_by_role("textbox").nth(1).fill("0.02")
    shown.get_by_role("textbox").nth(1).press("Tab")
    expect(shown.locator("[role=alert]:visible")).to_have_count(0)

    shown.get_by_role("button", name="Run").click()
    rows = shown.locator("tbody tr")
    expect(rows.nth(1)).to_be_visible(timeout=90_000)
    expect(shown).to_contain_text("best so far", timeout=30_000)
    some = rows.count()
    shown.screenshot(path=artefacts / f"tuning_running_{theme.lower()}.png")
    shown.get_by_role("button", name="Pause").click()
    expect(shown).to_contain_text("paused in trial", timeout=30_000)
    shown.screenshot(path=artefacts / f"tuning_held_{theme.lower()}.png")
    shown.get_by_role("button", name="Go on").click()
    expect(shown).to_contain_text("Done: tune", timeout=120_000)
    expect(rows).to_have_count(12)
    assert some < 12, "trials come one after the other"
    expect(shown.locator("polyline")).to_have_count(12)

    rows.nth(3).hover()
    trial = rows.nth(3).get_attribute("data-trial")
    assert shown.locator("polyline.lc-marked").get_attribute("data-trial") == trial
    shown.screenshot(path=artefacts / f"tuning_done_{theme.lower()}.png")
    shown.get_by_role("button", name="trial", exact=True).click()
    numbers = [int(one.strip("★ ")) for one in shown.locator("tbody tr td:first-child").all_inner_texts()]
    assert numbers == list(range(1, 13))

    page.wait_for_function(IDLE, timeout=30_000)
    button = shown.get_by_role("button", name="Use the best setting")
    used = "() => document.querySelector('.lc-tuning').innerText.includes(', is in the experiment')"
    assert milliseconds(page, button, used) < 5000
    assert errors_in(page) == [] and seen.errors == [] and seen.beside_base_map == []


def test_it_is_a_tab_of_the_workbench(
    open_page: Callable[..., Any], start_lab: Callable[..., Any], sampled_demo: Path, artefacts: Path
) -> None:
    lab = start_lab({})
    page, seen = open_page(width=1280, height=1000)
    open_cells(page, lab, CELLS[0].replace("PATH", repr(str(sampled_demo))), "widgets.Workbench(experiment)")
    seen.errors.clear()
    run_all(page)
    shown = output_of(page, "Workbench").locator(".lc-workbench")
    tabs = shown.locator(".lm-TabBar-tab")
    boxes = [box for one in tabs.all() if (box := one.bounding_box())]
    assert len({box["y"] for box in boxes}) == 1 and len(boxes) == 10, "all tabs in one row"
    within = shown.bounding_box()
    assert within and max(box["x"] + box["width"] for box in boxes) <= within["x"] + within["width"]
    for one in tabs.all():
        text = one.locator(".lm-TabBar-tabLabel")
        assert text.evaluate("one => one.scrollWidth <= one.clientWidth"), f"{text.inner_text()} is cut off"
    page.get_by_role("tab", name="Tuning", exact=True).click()
    expect(shown.locator(".lc-tuning")).to_contain_text("No trials yet.")
    page.wait_for_timeout(1000)
    page.screenshot(path=artefacts / "workbench_tuning.png")
    assert errors_in(page) == [] and seen.errors == []
