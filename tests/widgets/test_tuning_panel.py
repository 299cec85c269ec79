"""The panel of a tuning: rows that edit the space, the job, the trials as they come, the best put to use."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toolkit import Experiment, tune
from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.learning.space import Axis, parse_space, tunable
from toolkit.widgets import TuningPanel
from toolkit.widgets.space_form import SpaceForm, first_words
from toolkit.widgets.tuning_panel import view_state

RATE, HIDDEN, OPTIMIZER = "learning.learning_rate", "learning.network.hidden", "learning.optimizer"
DROPOUT, NORM = "learning.network.dropout", "learning.network.batch_norm"
SPACE = {RATE: [1e-4, 1e-2], OPTIMIZER: ["adam", "adamw"]}

ENOUGH = 120.0


@pytest.fixture
def form(experiment: Experiment) -> SpaceForm:
    experiment.set({"tuning.space": SPACE})
    return SpaceForm(experiment, lambda function: function)


def space_of(experiment: Experiment) -> dict[str, Axis]:
    return {axis.path: axis for axis in parse_space(experiment.tuning.space, experiment.learning)}


def test_rows_show_the_space_and_edit_it(experiment: Experiment, form: SpaceForm) -> None:
    rate = form.rows[RATE]
    assert (rate.low.value, rate.high.value) == ("0.0001", "0.01")
    assert [box.value for box in form.rows[OPTIMIZER].boxes] == [True, True, False]
    rate.low.value = "1e-6"
    assert space_of(experiment)[RATE].low == 1e-6
    form.rows[OPTIMIZER].boxes[2].value = True
    assert space_of(experiment)[OPTIMIZER].choices == ("adam", "adamw", "sgd")
    rate.how.value = False
    assert space_of(experiment)[RATE].choices == (1e-6, 0.01)
    rate.listed.value = "0.001, 0.002, 0.004"
    assert space_of(experiment)[RATE].choices == (0.001, 0.002, 0.004)
    rate.remove.click()
    assert list(experiment.tuning.space) == [OPTIMIZER] and RATE not in form.rows


@pytest.mark.parametrize(
    ("low", "message"),
    [("0.5", "from a smaller value"), ("-1", "greater than 0"), ("x", "valid number"), ("[", "commas")],
)
def test_a_range_that_cannot_be_is_refused_beside_it(
    experiment: Experiment, form: SpaceForm, low: str, message: str
) -> None:
    before, row = experiment.tuning.space, form.rows[RATE]
    row.low.value = low
    assert message in row.note.value and experiment.tuning.space == before
    row.low.value = "0.0002"
    assert row.note.value == "" and space_of(experiment)[RATE].low == 0.0002


def test_any_parameter_can_be_added_with_values_that_are_taken(experiment: Experiment, form: SpaceForm) -> None:
    offered = [path for _, path in form.add.options if path]
    assert set(offered) == set(tunable(experiment.learning)) - set(SPACE)
    for path in offered:
        form.add.value = path
        assert form.add.value == "" and path in form.rows
    assert len(space_of(experiment)) == len(form.rows) == len(offered) + len(SPACE)
    assert {DROPOUT, NORM, HIDDEN} <= set(form.rows)
    assert form.rows[HIDDEN].listed.value == "[64, 64], [128, 64]"
    form.rows[HIDDEN].listed.value = "none, [32], [64, 16]"
    assert space_of(experiment)[HIDDEN].choices == (None, (32,), (64, 16))


def test_it_follows_the_experiment(experiment: Experiment, form: SpaceForm) -> None:
    experiment.set({"tuning.space": {DROPOUT: [0, 0.3]}})
    form.refresh()
    assert list(form.rows) == [DROPOUT] and form.rows[DROPOUT].high.value == "0.3"


def test_what_cannot_be_tuned_is_told_and_can_be_taken_out(experiment: Experiment, form: SpaceForm) -> None:
    experiment.set({"tuning.space": {"series.step_days": [5, 10], DROPOUT: [0, 2]}})
    form.refresh()
    assert "need new samples" in form.rows["series.step_days"].note.value
    assert "less than 1" in form.rows[DROPOUT].note.value
    form.rows["series.step_days"].remove.click()
    assert list(experiment.tuning.space) == [DROPOUT] == list(form.rows)


def test_first_words_are_taken(experiment: Experiment) -> None:
    for path, field in tunable(experiment.learning).items():
        assert parse_space({path: first_words(field, experiment.get(path))}, experiment.learning)


@pytest.fixture
def demo(sampled_demo: Path) -> Experiment:
    demo = Experiment.load(sampled_demo)
    demo.set({"learning.epochs": 2})
    demo.set(tuning={"space": SPACE, "trials": 3, "folds": 2, "startup_trials": 2})
    return demo


@pytest.fixture
def open_panel() -> Iterator[Callable[[Experiment], TuningPanel]]:
    """Panels that are closed after the test; then no thread and no job of theirs is left."""
    before, panels = set(threading.enumerate()), []

    def opened(experiment: Experiment) -> TuningPanel:
        panels.append(TuningPanel(experiment))
        assert panels[-1].settle()
        return panels[-1]

    yield opened
    for panel in panels:
        if panel.run.job:
            panel.run.job.stop()
            panel.run.job.wait(ENOUGH)
        panel.close()
    end = time.monotonic() + 20
    while set(threading.enumerate()) - before and time.monotonic() < end:
        time.sleep(0.02)
    assert set(threading.enumerate()) <= before


def test_a_tuning_from_start_to_use(demo: Experiment, open_panel: Callable[[Experiment], TuningPanel]) -> None:
    panel = open_panel(demo)
    assert panel.view.state == {} and panel.use.disabled and panel.result is None
    seen: list[int] = []
    panel.view.observe(lambda change: seen.append(len(change["new"].get("trials", ()))), "state")
    panel.start()
    asyncio.run(panel.ended())
    assert panel.settle(ENOUGH) and panel.run.stage_list.state["stages"][0]["state"] == "done"
    assert seen[-1] == 3 and seen == sorted(seen)
    assert panel.result is not None and not panel.use.disabled and "not yet in the experiment" in panel.said.value
    before = demo.params
    panel.use.click()
    assert panel.problem.value == "" and demo.get(RATE) == panel.result.best[RATE]
    assert panel.use.disabled and "is in the experiment" in panel.said.value
    demo.undo()
    assert demo.params == before and not panel.use.disabled


def test_a_tuning_is_held_and_goes_on(demo: Experiment, open_panel: Callable[[Experiment], TuningPanel]) -> None:
    demo.set({"tuning.trials": 500})
    panel = open_panel(demo)
    button = panel.run.pause_button
    assert button.layout.display == "none", "nothing runs"
    panel.start()
    for asked, message in (("Pause", "paused in trial"), ("Go on", "trial")):
        end = time.monotonic() + ENOUGH
        while button.layout.display == "none" or button.description != asked:
            assert time.monotonic() < end, asked
            time.sleep(0.05)
        button.click()
        while not panel.run.stage_list.state["stages"][0]["message"].startswith(message):
            assert time.monotonic() < end, message
            time.sleep(0.05)
    assert panel.run.problem.value == ""
    panel.run.stop()
    assert panel.run.job is not None and panel.run.job.wait(ENOUGH) and panel.settle(ENOUGH)
    assert button.layout.display == "none"


def test_what_is_there_is_shown_at_once(demo: Experiment, open_panel: Callable[[Experiment], TuningPanel]) -> None:
    found = tune(demo)
    panel = open_panel(demo)
    assert panel.view.state == view_state(found)


def test_an_empty_space_is_told_before_a_job(demo: Experiment, open_panel: Callable[[Experiment], TuningPanel]) -> None:
    demo.set({"tuning.space": {}})
    panel = open_panel(demo)
    with pytest.raises(ParameterError, match=r"tuning\.space is empty"):
        panel.start()
    with pytest.raises(RunFolderError, match="no tuning yet"):
        panel.use_best()
    assert panel.run.job is None


def test_damaged_files_are_told_in_the_panel(demo: Experiment, open_panel: Callable[[Experiment], TuningPanel]) -> None:
    folder = tune(demo).folder
    (folder / "best.json").write_text("{")
    panel = open_panel(demo)
    assert "damaged" in panel.unread.value


def test_state_for_the_browser(demo: Experiment) -> None:
    state = view_state(tune(demo, trials=4))
    assert [axis["name"] for axis in state["axes"]] == ["learning_rate", "optimizer", "F-score"]
    assert json.dumps(state, allow_nan=False), "plain values only"
    heights = [one["heights"][-1] for one in state["trials"] if one["state"] == "complete"]
    assert heights == sorted(heights, reverse=True) and heights[0] == 1
    assert all(
        one["score"] == "" and one["heights"][-1] is None for one in state["trials"] if one["state"] != "complete"
    )


def test_edits_and_progress_take_a_moment_only(
    demo: Experiment, open_panel: Callable[[Experiment], TuningPanel]
) -> None:
    """No file but one entry of a folder is looked at in a callback: reading is another thread's."""
    tune(demo)
    panel, here = open_panel(demo), threading.get_ident()
    read_by: list[int] = []
    panel.view.observe(lambda _: read_by.append(threading.get_ident()), "state")
    (demo.folder / "tuning" / "best.json").touch()
    panel.view.set_trait("state", {})
    panel._look()
    assert panel.settle()
    assert read_by[0] == here and read_by[1] != here
