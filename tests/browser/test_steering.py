"""A training steered while it runs, in a real JupyterLab: as a job, and from a cell that keeps the kernel busy."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from tests.browser.driving import errors_in, menu, open_cells, output_of, restart_and_run, run_all, save_and_reload
from toolkit.experiment.config import Experiment
from toolkit.experiment.jobs import Job
from toolkit.learning.callbacks import read_history
from toolkit.learning.live_file import Live

RATE = 1.0e-4


@pytest.fixture
def experiment(sampled_demo: Path) -> Iterator[Experiment]:
    """An experiment with samples, whose training would last for hours."""
    content = yaml.safe_load(sampled_demo.read_text(encoding="utf-8"))
    content["learning"] = {"epochs": 100_000, "batch_size": 64, "learning_rate": RATE}
    sampled_demo.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    experiment = Experiment.load(sampled_demo)
    yield experiment
    job = Job.latest(experiment)
    if job is not None and job.state in ("running", "stopping"):
        job.stop()
        job.wait(30)


def live(experiment: Experiment) -> Live:
    found = Live.read(experiment.folder / "learning" / "live.json")
    assert found is not None
    return found


def wait_for(page: Page, condition: Callable[[], Any], words: str) -> None:
    until = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < until, words
        page.wait_for_timeout(100)


def epoch_of(shown: Locator) -> int:
    found = re.search(r"epoch (\d+)", shown.locator(".lc-caption").inner_text())
    return int(found[1]) if found else 0


def stands_still(page: Page, experiment: Experiment) -> int:
    """The epoch at which a training stands."""
    wait_for(page, lambda: live(experiment).paused, "it is not paused")
    epoch = live(experiment).epoch
    page.wait_for_timeout(1200)
    assert live(experiment).epoch == epoch
    return epoch


def steer(page: Page, shown: Locator, experiment: Experiment, artefacts: Path, name: str) -> None:
    """Pause, look, change the rate, go on: each by a click."""
    shown.get_by_role("button", name="Pause").click()
    epoch = stands_still(page, experiment)
    expect(shown.locator(".lc-caption")).to_contain_text(f"Paused: epoch {epoch} of 100000")
    shown.get_by_role("button", name="÷ 2").click()
    expect(shown.locator(".lc-rate")).to_have_text("learning rate 0.00005 (× 0.5 by hand)")
    shown.screenshot(path=artefacts / f"steering_{name}_paused.png")
    shown.get_by_role("button", name="Go on").click()
    wait_for(page, lambda: live(experiment).epoch > epoch + 2, "it does not go on")
    wait_for(page, lambda: epoch_of(shown) > epoch, "the curves do not go on")
    expect(shown.locator(".lc-rate")).to_have_text("learning rate 0.00005 (× 0.5 by hand)")
    assert read_history(experiment.folder / "learning" / "history.csv")[-1]["learning_rate"] == pytest.approx(RATE / 2)


def test_a_job_is_steered_from_its_panel_also_after_reload_and_restart(
    open_page: Callable[..., Any], start_lab: Callable[..., Any], experiment: Experiment, artefacts: Path
) -> None:
    lab = start_lab({}, theme="JupyterLab Dark")
    page, seen = open_page(height=1400)
    load = f"from toolkit import Experiment, widgets\nexperiment = Experiment.load({str(experiment.path)!r})"
    open_cells(page, lab, load, "widgets.RunPanel(experiment, 'train')")
    seen.errors.clear()
    run_all(page)
    shown = output_of(page, "RunPanel").locator(".lc-run")
    shown.get_by_role("button", name="Run").click()
    wait_for(page, lambda: shown.locator(".lc-caption").count() and epoch_of(shown) > 3, "it does not train")
    place = shown.locator("canvas.lc-classes").bounding_box()
    steer(page, shown, experiment, artefacts, "dark")
    assert shown.locator("canvas.lc-classes").bounding_box() == place, "nothing jumps"
    shown.locator("canvas.lc-classes").hover(position={"x": 640, "y": 60})
    page.wait_for_timeout(200)
    shown.screenshot(path=artefacts / "steering_dark.png")

    shown.get_by_role("button", name="Pause").click()
    epoch = stands_still(page, experiment)
    save_and_reload(page, ".lc-run")
    shown = output_of(page, "RunPanel").locator(".lc-run")
    expect(shown.locator(".lc-caption")).to_contain_text("Paused", timeout=20_000)
    shown.get_by_role("button", name="Go on").click()
    wait_for(page, lambda: live(experiment).epoch > epoch, "it does not go on after a reload")

    restart_and_run(page)
    shown = output_of(page, "RunPanel").locator(".lc-run")
    expect(shown.locator(".lc-rate")).to_contain_text("× 0.5 by hand", timeout=20_000)
    shown.get_by_role("button", name="Pause").click()
    stands_still(page, experiment)
    shown.get_by_role("button", name="Stop").click()
    expect(shown).to_contain_text("Stopped", timeout=10_000)
    assert (experiment.folder / "learning" / "model" / "model.json").is_file(), "the best epoch is kept"
    messages = [json.loads(one)["message"] for one in (experiment.folder / "events.jsonl").read_text().splitlines()]
    assert any("learning rate × 0.5 from epoch" in one for one in messages)
    assert [one for one in seen.errors if "debugger" not in one] == []


def test_a_plain_cell_is_steered_while_it_keeps_the_kernel_busy(
    open_page: Callable[..., Any], start_lab: Callable[..., Any], experiment: Experiment, artefacts: Path
) -> None:
    lab = start_lab({})
    page, seen = open_page(height=1200)
    load = f"from toolkit import Experiment, train, widgets\nexperiment = Experiment.load({str(experiment.path)!r})"
    open_cells(page, lab, load, "result = train(experiment, callbacks=[widgets.LiveCurves()])", "result")
    seen.errors.clear()
    run_all(page, until_finished=False)
    shown = output_of(page, "LiveCurves").locator(".lc-curves")
    wait_for(page, lambda: shown.count() and epoch_of(shown) > 3, "it does not train")
    steer(page, shown, experiment, artefacts, "cell")
    epoch = live(experiment).epoch
    shown.get_by_role("button", name="Stop").click()
    expect(output_of(page, "result").last).to_contain_text("best epoch", timeout=20_000)
    expect(output_of(page, "result").last).to_contain_text("× 0.5 from epoch")
    assert len(read_history(experiment.folder / "learning" / "history.csv")) >= epoch
    assert (experiment.folder / "learning" / "model" / "model.json").is_file()
    assert errors_in(page) == [] and seen.errors == []


def test_a_kernel_that_hears_no_click_is_told(
    open_page: Callable[..., Any], start_lab: Callable[..., Any], experiment: Experiment, artefacts: Path
) -> None:
    """As where a front end or kernel has no thread beside the one of the cells."""
    lab = start_lab({})
    page, _ = open_page(height=1200)
    load = (
        "from toolkit import Experiment, train, widgets\nfrom toolkit.widgets import live\n"
        f"live.let_clicks_through = lambda widget: None\nexperiment = Experiment.load({str(experiment.path)!r})"
    )
    open_cells(page, lab, load, "train(experiment, callbacks=[widgets.LiveCurves()])")
    run_all(page, until_finished=False)
    shown = output_of(page, "LiveCurves").locator(".lc-curves")
    wait_for(page, lambda: shown.count() and epoch_of(shown) > 3, "it does not train")
    shown.get_by_role("button", name="Pause").click()
    expect(shown.get_by_role("alert")).to_contain_text("hears no click", timeout=6000)
    expect(shown.get_by_role("button", name="Pause")).to_be_enabled()
    shown.screenshot(path=artefacts / "steering_unheard.png")
    assert not live(experiment).paused
    page.wait_for_function("() => true")
    menu(page, "Kernel", "kernelmenu:interrupt")
    wait_for(page, lambda: len(errors_in(page)) > 0, "the interruption ends it")
    assert (experiment.folder / "learning" / "model" / "model.json").is_file()
