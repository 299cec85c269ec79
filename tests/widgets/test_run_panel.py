"""The panel that runs an experiment: without a browser, as a notebook that runs from top to bottom uses it."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from toolkit import Experiment, sample, train
from toolkit.experiment.jobs import Job
from toolkit.experiment.stages import VERBS, Stage
from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.widgets import run_panel, run_shown
from toolkit.widgets.run_panel import RunPanel

ENOUGH = 120.0
LONG = {"learning.epochs": 100_000}

Open = Callable[..., RunPanel]


@pytest.fixture
def demo(sampled_demo: Path) -> Experiment:
    return Experiment.load(sampled_demo)


@pytest.fixture
def open_panel() -> Iterator[Open]:
    """Panels that are closed after the test; then no thread and no job of theirs is left."""
    before = set(threading.enumerate())
    panels: list[RunPanel] = []

    def opened(*arguments: Any, **named: Any) -> RunPanel:
        panels.append(RunPanel(*arguments, **named))
        assert panels[-1].settle() or panels[-1].job
        return panels[-1]

    yield opened
    for panel in panels:
        if panel.job:
            panel.job.stop()
            panel.job.wait(ENOUGH)
        panel.close()
    until(lambda: set(threading.enumerate()) <= before)


def until(condition: Callable[[], Any], seconds: float = ENOUGH) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def states(panel: RunPanel) -> dict[str, str]:
    return {one["name"]: one["state"] for one in panel.stage_list.state["stages"]}


def training(panel: RunPanel) -> dict[str, Any]:
    return next(one for one in panel.stage_list.state["stages"] if one["name"] == "train")


def is_shown(box: Any) -> bool:
    return bool(box.layout.display != "none")


def test_panel_tells_what_is_there_before_anything_runs(demo: Experiment, open_panel: Open) -> None:
    panel = open_panel(demo)
    assert panel.job is None
    assert panel.stage_list.state["headline"] == "No job yet"
    assert list(states(panel).values()) == ["up to date", "up to date", *["waiting"] * 7]
    assert panel.stop_button.disabled and panel.resume_button.disabled and not panel.run_button.disabled
    assert not is_shown(panel.problem) and not is_shown(panel.job_problem) and not is_shown(panel.curves)
    panel.verb.value = "cross_validate"
    assert panel.settle()
    assert states(panel) == {"clean": "up to date", "cross-validate": "waiting"}
    assert [value for _, value in panel.verb.options] == list(VERBS)
    with pytest.raises(ParameterError, match="not a verb"):
        RunPanel(demo, verb="trian")


def test_postprocessing_is_a_stage_where_it_is_asked_for(demo: Experiment, open_panel: Open) -> None:
    panel = open_panel(demo)
    assert "postprocess" not in states(panel)
    demo.set({"postprocess.majority_radius": 1})
    assert panel.settle()
    assert list(states(panel))[-3:] == ["mosaic", "postprocess", "validate"]
    assert states(panel)["postprocess"] == "waiting"


def test_run_with_no_browser_and_a_panel_made_anew(demo: Experiment, open_panel: Open) -> None:
    panel = open_panel(demo, verb="train")
    panel.start()
    assert panel.job is not None and panel.job.wait(ENOUGH)
    assert panel.job.state == "done", panel.job.error
    assert panel.settle()
    assert training(panel)["state"] == "done" and training(panel)["message"].startswith("best epoch")
    assert panel.stage_list.state["headline"].startswith("Done: train, begun ")
    assert len(panel.curves.history) == 3 and panel.curves.status["phase"] == "done" and is_shown(panel.curves)
    assert panel.job_log.text == "", "nobody looks at it"
    panel.job_log.is_open = True
    assert "best epoch" in panel.job_log.text

    again = open_panel(demo)
    assert again.job is not None and again.job.id == panel.job.id
    assert training(again) == training(panel)
    assert re.fullmatch(r"Last job: train, begun \d\d:\d\d, done", again.stage_list.state["headline"])
    assert list(states(panel)) == ["train"]
    assert panel.chain == again.chain == again.stage_list.state["stages"], "whatever verb is chosen"
    demo.set({"learning.learning_rate": 0.5})
    assert again.settle() and panel.settle()
    assert training(again)["state"] == training(panel)["state"] == "outdated"
    assert "learning.learning_rate = 0.001 (now 0.5)" in training(again)["message"]


def test_a_panel_goes_back_to_its_own_verb_when_the_job_of_another_has_ended(
    demo: Experiment, open_panel: Open
) -> None:
    demo.set(LONG)
    mapping, running = open_panel(demo, verb="classify"), open_panel(demo, verb="train")
    running.start()
    mapping.refresh()
    until(lambda: mapping.verb.value == "train" and mapping.curves.history)
    running.stop()
    assert running.job is not None and running.job.wait(ENOUGH)
    until(lambda: mapping.verb.value == "classify")
    assert mapping.settle() and running.settle()
    assert all(name.startswith("classify ") for name in states(mapping)) and not is_shown(mapping.curves)
    assert mapping.stage_list.state["headline"].startswith("Last job: train, begun ")
    assert running.verb.value == "train"


def test_what_cannot_be_looked_at_is_told_once_and_nothing_is_called_up_to_date(
    demo: Experiment, open_panel: Open
) -> None:
    panel = open_panel(demo, verb="train")
    demo.set({"learning.start_from": "nowhere"})
    assert panel.settle()
    assert "there is no model in" in panel.folder_problem.value and states(panel) == {"train": "waiting"}
    panel.start()
    assert panel.job is not None and panel.job.wait(ENOUGH) and panel.job.state == "failed"
    until(lambda: panel.stage_list.state["headline"].startswith("Failed: train"))
    assert panel.settle()
    shown = [box for box in (panel.problem, panel.folder_problem, panel.job_problem) if is_shown(box)]
    assert len(shown) == 1


def test_two_panels_one_job_stop_and_resume(demo: Experiment, open_panel: Open) -> None:
    demo.set(LONG)
    first = open_panel(demo, verb="train")
    first.run_button.click()
    assert first.run_button.disabled
    until(lambda: first.curves.history and training(first)["part"] is not None)
    assert first.stage_list.state["headline"].startswith("Running: train, since ")
    assert re.fullmatch(r"epoch \d+ of 100000", training(first)["message"])
    assert first.verb.disabled and not first.stop_button.disabled and first.resume_button.disabled
    assert first.curves.status["phase"] == "running"

    second = open_panel(Experiment.load(demo.path))
    until(lambda: second.stage_list.state["headline"].startswith("Running: train"))
    assert second.job is not None and first.job is not None and second.job.id == first.job.id
    assert second.verb.value == "train" and list(states(second)) == ["train"]
    with pytest.raises(RunFolderError, match=r"in use by a job \(train"):
        second.start()

    second.stop_button.click()
    assert first.job.wait(ENOUGH)
    assert first.settle() and second.settle()
    for panel in (first, second):
        until(lambda panel=panel: states(panel) == {"train": "stopped"})
        assert panel.stage_list.state["headline"].startswith("Stopped: train, begun ")
        assert not panel.run_button.disabled and panel.stop_button.disabled
    until(lambda: first.stage_list.state["headline"].endswith("Resume goes on from there"))
    assert not first.resume_button.disabled
    reached = len(first.curves.history)
    assert first.curves.status["phase"] == "stopped"

    demo.set({"learning.epochs": reached + 1})
    first.resume_button.click()
    assert first.job.wait(ENOUGH) and first.settle()
    assert states(first) == {"train": "done"}, first.job.error
    assert len(first.curves.history) == reached + 1


def test_training_is_paused_and_its_rate_changed_from_a_panel_made_anew(demo: Experiment, open_panel: Open) -> None:
    demo.set(LONG)
    first = open_panel(demo, verb="train")
    first.start()
    until(lambda: first.curves.status.get("controls") == ["pause", "rate"] and first.curves.classes)
    assert is_shown(first.curves) and first.curves.status["seconds"] > 0 and first.curves.status["speed"] > 0
    assert first.curves.classes["epoch"] <= len(first.curves.history)

    second = open_panel(Experiment.load(demo.path))
    until(lambda: second.curves.status.get("controls"))
    second.curves._asked({"id": "1", "ask": "pause"})
    for panel in (first, second):
        until(lambda panel=panel: panel.curves.status["paused"])
    epoch = len(first.curves.history)
    second.curves._asked({"id": "2", "ask": "rate", "factor": 0.5})
    until(lambda: first.curves.status["scale"] == 0.5)
    assert first.curves.status["rate"] == pytest.approx(demo.learning.learning_rate / 2)
    time.sleep(0.5)
    assert len(first.curves.history) == epoch
    first.curves._asked({"id": "3", "ask": "go on"})
    until(lambda: len(first.curves.history) > epoch)
    until(lambda: not second.curves.status["paused"])
    first.stop()
    assert first.job is not None and first.job.wait(ENOUGH) and first.settle()
    until(lambda: first.curves.status["phase"] == "stopped")
    assert first.curves.status["controls"] == [] and first.curves.classes, "what was reached stays in view"


def test_short_work_in_a_thread(demo: Experiment, open_panel: Open) -> None:
    demo.set({"name": "short"})
    panel = open_panel(demo, verb="clean", thread=True)
    panel.run_button.click()
    assert panel.job is not None and panel.job.order.pid == os.getpid()
    assert panel.job.wait(ENOUGH) and panel.settle()
    assert states(panel) == {"clean": "done"}, panel.job.error


def test_refusal_is_shown_with_its_mend_which_is_one_click_away(demo: Experiment, open_panel: Open) -> None:
    panel = open_panel(demo, verb="sample")
    assert panel.overwrite.layout.visibility == "hidden" and panel.resume_button.disabled
    demo.set({"sampling.max_per_class": 20})
    assert panel.settle()
    assert states(panel) == {"sample": "outdated"}
    assert panel.overwrite.layout.visibility == "visible"
    assert open_panel(demo, verb="sample").overwrite.layout.visibility == "visible", "before anything was run"
    panel.run_button.click()
    assert panel.job is None and Job.latest(demo) is None, "no process was started"
    assert "max_per_class = 150 (now 20)" in panel.problem.value
    assert f"Tick “{run_panel.REPLACE}”" in panel.problem.value
    panel.overwrite.value = True
    panel.run_button.click()
    assert panel.job.wait(ENOUGH) and panel.settle()
    assert states(panel) == {"sample": "done"}, panel.job.error
    assert not is_shown(panel.job_problem) and not is_shown(panel.problem)
    assert panel.overwrite.layout.visibility == "hidden" and not panel.overwrite.value
    assert panel.resume_button.disabled


def test_a_refused_job_speaks_of_the_box_and_resume_waits_for_its_parameters(
    demo: Experiment, open_panel: Open
) -> None:
    before = demo.sampling.max_per_class
    demo.set({"sampling.max_per_class": 20})
    job = Job.start(demo, "sample", thread=True)
    assert job.wait(ENOUGH) and job.state == "failed" and "--overwrite" in job.error
    panel = open_panel(demo, verb="sample")
    assert f"replace it: tick “{run_panel.REPLACE}”" in panel.job_problem.value
    assert "overwrite" not in panel.job_problem.value
    assert not panel.resume_button.disabled
    demo.set({"sampling.max_per_class": 30})
    assert panel.settle() and panel.resume_button.disabled
    demo.set({"sampling.max_per_class": before})
    assert panel.settle() and not panel.resume_button.disabled


def test_results_made_anew_in_a_cell_are_seen_after_a_refusal(demo: Experiment, open_panel: Open) -> None:
    demo.set({"sampling.max_per_class": 20})
    panel = open_panel(demo, verb="sample")
    sample(demo, overwrite=True)
    panel.run_button.click()
    assert is_shown(panel.problem) and panel.settle()
    panel.run_button.click()
    assert panel.job is not None and panel.job.wait(ENOUGH) and panel.job.state == "done"


def test_panel_follows_the_experiment_to_another_run_folder(demo: Experiment, open_panel: Open) -> None:
    train(demo)
    panel = open_panel(demo)
    assert len(panel.curves.history) == 3
    demo.set({"name": "another"})
    assert panel.settle()
    assert set(states(panel).values()) == {"waiting"}
    assert not is_shown(panel.curves)
    shutil.copytree(demo.folder.parent / "demo", demo.folder, dirs_exist_ok=True)
    panel.refresh()
    assert panel.settle()
    assert states(panel)["train"] == "up to date"
    demo.set({"series.tiles": ["31TCJ", "31TCK"]})
    assert [name for name in states(panel) if name.startswith("classify")] == ["classify 31TCJ", "classify 31TCK"]
    assert panel.settle()


def test_folder_that_is_at_work_and_images_that_are_not_there(demo: Experiment, open_panel: Open) -> None:
    panel = open_panel(demo, verb="clean")
    job = Job.start(demo, "clean", thread=True, overwrite=True)
    assert job.wait(ENOUGH)
    panel.refresh()
    assert panel.settle()
    assert panel.job is not None and panel.job.id == job.id
    demo.set({"series.tiles": ["31TDH"]})
    assert panel.settle()
    assert is_shown(panel.folder_problem) and "31TDH" in panel.folder_problem.value
    demo.set({"series.tiles": ["31TCJ"]})
    assert panel.settle()
    assert not is_shown(panel.folder_problem)


def test_damaged_job_is_told_in_the_panel_and_another_can_be_started(demo: Experiment, open_panel: Open) -> None:
    (demo.folder / "job").mkdir()
    (demo.folder / "job" / "job.json").write_text("{")
    panel = open_panel(demo, verb="clean")
    assert is_shown(panel.problem) and "is damaged" in panel.problem.value
    panel.run_button.click()
    assert panel.job is not None and panel.job.wait(ENOUGH) and panel.settle()
    assert states(panel) == {"clean": "up to date"}
    assert not is_shown(panel.problem)


def test_callbacks_are_quick_and_look_at_no_file_of_images(
    demo: Experiment, open_panel: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def noted(*arguments: Any) -> list[Stage]:
        threads.append(threading.current_thread())
        return []

    monkeypatch.setattr(run_shown, "stages", noted)
    panel = open_panel(demo)
    demo.set({"seed": 5})
    panel.verb.value = "train"
    assert panel.settle()
    assert threads and threading.main_thread() not in threads
