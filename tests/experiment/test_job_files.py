"""Files of jobs that something else has written, damaged or made up: a run folder may come from anybody."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toolkit.experiment.events import Event, EventReader, note_event
from toolkit.experiment.job_files import JobFiles, JobOrder
from toolkit.experiment.job_process import Watcher
from toolkit.experiment.job_status import JobFollower
from toolkit.experiment.jobs import Job
from toolkit.experiment.provenance import Manifest
from toolkit.experiment.stages import Stage
from toolkit.ground.errors import RunFolderError

ORDER = JobOrder(
    "a1", "train", {"overwrite": False}, "/x.yml", {}, ("train",), "2026-01-02T03:04:05+00:00", "here", 7, False, 0
)


def test_an_order_is_read_as_it_was_written(tmp_path: Path) -> None:
    ORDER.write(JobFiles(tmp_path))
    assert JobOrder.read(JobFiles(tmp_path)) == ORDER


@pytest.mark.parametrize(
    "change",
    [
        {"id": []},
        {"verb": 7},
        {"arguments": 7},
        {"stages": "train"},
        {"stages": [{}]},
        {"started": "<script>"},
        {"pid": "many"},
        {"events_from": -5},
        {"events_from": 2**70},
    ],
)
def test_an_order_that_cannot_be_is_refused_with_its_mend(tmp_path: Path, change: dict[str, Any]) -> None:
    files = JobFiles(tmp_path)
    ORDER.write(files)
    files.order.write_text(json.dumps({**json.loads(files.order.read_text()), **change}))
    with pytest.raises(RunFolderError, match=r"job\.json is damaged .* delete it"):
        Job.latest(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, "\x00"])
def test_what_is_no_order_is_refused_with_its_mend(tmp_path: Path, text: str) -> None:
    files = JobFiles(tmp_path)
    files.folder.mkdir()
    files.order.write_text(text)
    with pytest.raises(RunFolderError, match="delete it"):
        Job.latest(tmp_path)


def test_lines_that_are_no_events_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    note_event(path, Event("train", "running", 1, 2))
    good = json.loads(path.read_text())
    ends = {"done": "1"}, {"step": []}, {"time": "noon"}, {"state": "' onmouseover='"}, {"message": None}
    bad = [json.dumps({**good, **end}) for end in ends]
    with path.open("a") as file:
        file.write("\n".join([*bad, '{"step": "train"}', "[]", "null", "[" * 100_000, "{"]) + "\n")
    note_event(path, Event("train", "done"))
    assert [line["state"] for line in EventReader(path).read()] == ["running", "done"]


def test_what_a_step_says_stays_while_it_goes_on(tmp_path: Path) -> None:
    files, step = JobFiles(tmp_path), "classify 31TCJ"
    follower = JobFollower(replace(ORDER, verb="classify", stages=(step,)), files)

    def after(event: Event) -> Stage:
        note_event(files.events, event)
        return follower.look().stages[0]

    assert after(Event(step, "running", 1, 9)).message == ""
    assert after(Event(step, "running", 1, 9, "memory is short: parts of 512 x 512")).done == 1
    going = after(Event(step, "running", 5, 9))
    assert (going.done, going.message) == (5, "memory is short: parts of 512 x 512")
    assert after(Event(step, "done", message="80 x 80 pixels")).message == "80 x 80 pixels"
    assert after(Event(step, "running")).message == "", "begun anew"


def test_a_manifest_of_other_kinds_is_refused_with_its_mend(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text('{"steps": {"clean": {"params": 3, "inputs": "", "after": {}, "version": ""}}}')
    with pytest.raises(RunFolderError, match=r"manifest\.json is damaged .* delete it"):
        Manifest(path).records()


def test_a_job_whose_folder_is_taken_away_is_asked_to_stop(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    before = threading.active_count()
    watcher = Watcher(folder / "stop")
    watcher.start()
    assert not watcher.asked.wait(0.2)
    folder.rmdir()
    assert watcher.asked.wait(10)
    watcher.end()
    assert threading.active_count() == before
