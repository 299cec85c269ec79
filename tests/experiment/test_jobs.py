"""Jobs as real processes: started, followed from elsewhere, stopped, killed, and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from toolkit import Experiment, run, train
from toolkit.experiment.events import Event, EventReader, note_event
from toolkit.experiment.job_files import JobFiles, JobOrder
from toolkit.experiment.job_process import Watcher
from toolkit.experiment.job_status import VANISHED, JobFollower
from toolkit.experiment.jobs import Job
from toolkit.experiment.stages import stages
from toolkit.experiment.steps import Reporter
from toolkit.ground.errors import LandcoverError, ParameterError, RunFolderError
from toolkit.ground.locking import FolderLock, Holder, holder_of, only_process_in
from toolkit.learning.callbacks import read_history
from toolkit.learning.live_file import Live

LONG = {"learning.epochs": 100_000}
"""A training that ends only when it is stopped."""

ENOUGH = 120.0
"""Seconds for a job to end, on a slow and busy machine."""


@pytest.fixture
def experiment(sampled_demo: Path) -> Experiment:
    """An experiment of its own with samples, ready to train."""
    return Experiment.load(sampled_demo)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """No job outlives its test, nor does a thread."""
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 20
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.02)
    assert set(threading.enumerate()) <= before


def until(condition: Callable[[], Any], seconds: float = ENOUGH) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def state_of(job: Job, name: str) -> str:
    return {one.name: one.state for one in job.stages}[name]


def in_epochs(job: Job) -> bool:
    """Whether the training is among its batches."""
    assert not job.look().is_over, job.error
    return any(one.name == "train" and one.total > 0 for one in job.stages)


def events(experiment: Experiment) -> list[dict[str, Any]]:
    return EventReader(experiment.folder / "events.jsonl").read()


def model(experiment: Experiment) -> bytes:
    return (experiment.folder / "learning" / "model" / "weights.safetensors").read_bytes()


def test_whole_chain_as_a_job_with_an_unsaved_experiment(experiment: Experiment) -> None:
    written = experiment.path.read_bytes()
    experiment.set({"learning.epochs": 2, "seed": 0})
    job = Job.start(experiment)
    experiment.set({"learning.epochs": 99})
    assert job.state == "running"
    assert job.wait(ENOUGH)
    assert job.state == "done", job.error + job.log
    assert [one.state for one in job.stages] == ["up to date", "up to date", *["done"] * 7]
    assert job.stages[2].message.startswith("best epoch") and job.stages[2].seconds > 0
    assert (experiment.folder / "validation" / "report.html").is_file()
    assert experiment.path.read_bytes() == written
    assert job.experiment.learning.epochs == 2
    assert "classify 31TDK" in job.log and "job run done" in job.log
    again = Job.latest(experiment)
    assert again is not None and (again.id, again.state, again.stages) == (job.id, "done", job.stages)
    assert "run" in repr(again) and "<table>" in again._repr_html_()
    assert holder_of(experiment.folder) is None


def test_stop_is_obeyed_soon_and_resume_ends_with_the_same_model(experiment: Experiment) -> None:
    experiment.set(LONG)
    job = Job.start(experiment, "run")
    until(lambda: in_epochs(job))
    with pytest.raises(RunFolderError, match=rf"in use by a job \(run, since \d\d:\d\d, process {job.order.pid} on "):
        Job.start(experiment, "clean")
    with pytest.raises(RunFolderError, match=r"in use by a job \(run, .*stop it first"):
        train(experiment)
    elsewhere = Job.latest(experiment)
    assert elsewhere is not None and elsewhere.state == "running"
    asked = datetime.now().astimezone()
    elsewhere.stop()
    assert elsewhere.state in ("stopping", "stopped")
    assert job.wait(ENOUGH)
    assert (job.state, elsewhere.state) == ("stopped", "stopped")
    assert [state_of(job, name) for name in ("train", "classify 31TCJ")] == ["stopped", "waiting"]
    last = events(experiment)[-1]
    assert last["step"] == "job run" and last["state"] == "stopped"
    assert (datetime.fromisoformat(last["time"]) - asked).total_seconds() < 5

    reached = len((experiment.folder / "learning" / "history.csv").read_text().splitlines()) - 1
    experiment.set({"learning.epochs": reached + 2})
    resumed = Job.start(experiment, "train")
    assert resumed.wait(ENOUGH) and resumed.state == "done", resumed.error
    first = next(line for line in events(experiment)[::-1] if line["state"] == "running" and line["total"])
    assert int(first["message"].split()[1]) > reached
    unbroken = Experiment.load(experiment.path)
    unbroken.set({"learning.epochs": reached + 2, "name": "unbroken"})
    shutil.copytree(experiment.folder, unbroken.folder, ignore=shutil.ignore_patterns("learning", ".lock"))
    train(unbroken)
    assert model(unbroken) == model(experiment)
    assert job.log == "", "the log is that of the next job"
    assert job.state == "stopped"


def test_killed_job_is_failed_and_goes_on(experiment: Experiment) -> None:
    experiment.set(LONG)
    job = Job.start(experiment, "train")
    until(lambda: in_epochs(job))
    assert job.order.pid
    os.kill(job.order.pid, signal.SIGKILL)
    assert job.wait(20)
    for one in (job, Job.latest(experiment)):
        assert one is not None
        assert (one.state, one.error, state_of(one, "train")) == ("failed", VANISHED, "failed")
    reached = len((experiment.folder / "learning" / "history.csv").read_text().splitlines()) - 1
    experiment.set({"learning.epochs": reached + 1})
    again = Job.start(experiment, "train")
    assert again.wait(ENOUGH) and again.state == "done", again.error
    assert job.state == "failed"


def test_refusal_and_defect_of_a_job_are_told(experiment: Experiment) -> None:
    experiment.set({"sampling.max_per_class": 20})
    job = Job.start(experiment, "sample")
    assert job.wait(ENOUGH)
    assert job.state == "failed"
    assert "sampling.max_per_class = 150 (now 20)" in job.error and "overwrite" in job.error
    assert state_of(job, "sample") == "failed"
    assert "Traceback" not in job.log
    assert "max_per_class" in repr(job) and "role='alert'" in job._repr_html_()
    again = Job.start(experiment, "sample", overwrite=True)
    assert again.wait(ENOUGH) and again.state == "done", again.error


def test_stop_is_obeyed_while_the_process_begins(experiment: Experiment) -> None:
    job = Job.start(experiment, "train")
    job.stop()
    assert job.wait(ENOUGH)
    assert job.state == "stopped"
    assert state_of(job, "train") in ("waiting", "stopped")
    assert holder_of(experiment.folder) is None


def test_job_terminated_while_it_classifies_is_stopped_in_order_and_goes_on(experiment: Experiment) -> None:
    train(experiment)
    job = Job.start(experiment, "classify")
    until(lambda: state_of(job, "classify 31TCJ") == "running" or job.look().is_over)
    assert job.order.pid
    os.kill(job.order.pid, signal.SIGTERM)
    assert job.wait(ENOUGH)
    assert job.state == "stopped"
    assert state_of(job, "classify 31TDK") == "waiting"
    again = Job.start(experiment, "classify")
    assert again.wait(ENOUGH) and again.state == "done", again.error
    assert not [path for path in experiment.folder.rglob("*") if ".part" in path.name]


def test_job_in_a_thread(experiment: Experiment) -> None:
    job = Job.start(experiment, "clean", thread=True, overwrite=True)
    assert job.wait(ENOUGH)
    assert job.state == "done", job.error
    assert job.order.thread and job.order.pid == os.getpid()
    assert "clean" in job.log
    experiment.set(LONG)
    training = Job.start(experiment, "train", thread=True)
    until(lambda: in_epochs(training))
    training.stop()
    assert training.wait(ENOUGH)
    assert (training.state, state_of(training, "train")) == ("stopped", "stopped")


def test_defect_goes_to_the_log(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr("toolkit.experiment.verbs.CHAIN", {"clean": broken})
    job = Job.start(experiment, "clean", thread=True)
    assert job.wait(ENOUGH)
    assert job.error == "Defect of the toolkit: ZeroDivisionError: by nought; the log has more"
    assert "Traceback" in job.log

    def full(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "/data/gone.tif")

    monkeypatch.setattr("toolkit.experiment.verbs.CHAIN", {"clean": full})
    job = Job.start(experiment, "clean", thread=True)
    assert job.wait(ENOUGH)
    assert job.error.startswith("No such file or directory (/data/gone.tif); mend")


def test_no_job_and_no_verb(experiment: Experiment) -> None:
    assert Job.latest(experiment) is None
    with pytest.raises(ParameterError, match="not a verb"):
        Job.start(experiment, "trian")
    assert Job.latest(experiment.folder) is None
    (experiment.folder / "job").mkdir()
    (experiment.folder / "job" / "job.json").write_text("{")
    with pytest.raises(RunFolderError, match="damaged"):
        Job.latest(experiment)


def test_a_verb_at_work_keeps_a_job_out(experiment: Experiment) -> None:
    with only_process_in(experiment.folder):
        assert holder_of(experiment.folder) is not None
        with pytest.raises(RunFolderError, match=f"in use by process {os.getpid()}"):
            Job.start(experiment)
    assert Job.latest(experiment) is None


def test_lock_lets_its_own_thread_work_and_no_other(tmp_path: Path) -> None:
    refused: list[Exception] = []

    def other() -> None:
        try:
            with only_process_in(tmp_path):
                pass
        except LandcoverError as error:
            refused.append(error)

    with FolderLock.take(tmp_path, Holder("a job (train)", "abc")):
        with only_process_in(tmp_path):
            pass
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert holder_of(tmp_path) == Holder("a job (train)", "abc")
    assert [str(error) for error in refused] == [
        f"{tmp_path} is in use by a job (train); wait for it, or stop it first"
    ]
    assert holder_of(tmp_path) is None
    assert holder_of(tmp_path / "nowhere") is None


def test_holder_is_told_at_every_moment(tmp_path: Path) -> None:
    """A job takes its lock over and says its process: nobody may take it for ended meanwhile."""
    over = threading.Event()

    def rename(lock: FolderLock) -> None:
        while not over.is_set():
            lock.say(Holder("a job (train, since 10:42, on host)", "abc"))
            lock.say(Holder("a job (train, since 10:42, process 12345 on host)", "abc"))

    with FolderLock.take(tmp_path, Holder("a job (train, since 10:42, on host)", "abc")) as lock:
        thread = threading.Thread(target=rename, args=(lock,))
        thread.start()
        seen = [holder_of(tmp_path) for _ in range(3000)]
        over.set()
        thread.join()
    assert all(one is not None and one.id == "abc" and one.name.startswith("a job (train") for one in seen)


def follower(folder: Path, stages: tuple[str, ...] = ("clean", "train")) -> tuple[JobFollower, JobOrder, JobFiles]:
    order = JobOrder("abc", "run", {}, "e.yml", {}, stages, "2026-01-01T10:42:00+01:00", "host", 7, False, 0)
    files = JobFiles(folder)
    order.write(files)
    return JobFollower(order, files), order, files


def test_time_left_is_estimated_from_what_was_done(tmp_path: Path) -> None:
    one, order, files = follower(tmp_path)
    assert order.holder == Holder("a job (run, since 10:42, process 7 on host)", "abc")
    with FolderLock.take(tmp_path, order.holder):
        order.note(files, "running")
        for second, done in ((0, 100), (2, 104), (12, 120)):
            line = {
                "time": f"2026-01-01T10:42:{second:02}.000+01:00",
                **vars(Event("train", "running", done, 200, "epoch")),
            }
            with files.events.open("a") as file:
                file.write(json.dumps(line) + "\n")
        status = one.look()
    assert status.state == "running"
    assert status.stages[1].left == pytest.approx(48)
    assert (status.stages[0].state, status.stages[1].done) == ("waiting", 120)
    assert one.look().state == "failed"


def test_state_of_a_job_that_vanished_after_a_stop_is_stopped(tmp_path: Path) -> None:
    one, order, files = follower(tmp_path)
    order.note(files, "running")
    note_event(files.events, Event("clean", "running"))
    files.stop.touch()
    assert one.look().state == "stopped"
    assert one.look().stages[0].state == "stopped"


def test_events_of_a_later_job_are_not_its_own(tmp_path: Path) -> None:
    one, order, files = follower(tmp_path)
    order.note(files, "running")
    order.note(files, "done")
    note_event(files.events, Event("job run", "running"), job="another")
    note_event(files.events, Event("clean", "failed"))
    assert one.look().state == "done"
    assert [stage.state for stage in one.look().stages] == ["waiting", "waiting"]


def test_half_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.read() == []
    note_event(path, Event("clean", "done"))
    note_event(path, Event("sample", "running"))
    whole = path.read_text()
    path.write_text(whole[:-20])
    assert [line["step"] for line in reader.read()] == ["clean"]
    with path.open("a") as file:
        file.write(whole[-20:] + "nonsense\n[1]\n")
    assert [line["step"] for line in reader.read()] == ["sample"]
    assert reader.read() == []


def test_progress_in_the_file_grows_slower_than_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten hours of epochs of a tenth of a second."""
    now = time.monotonic()
    monkeypatch.setattr("toolkit.experiment.steps.time.monotonic", lambda: now)
    seen: list[Event] = []
    reporter = Reporter(tmp_path / "events.jsonl", seen.append)
    progress, last = reporter.progress("train", "epoch"), 360_000
    for done in range(1, last + 1):
        now += 0.1
        progress(done, last)
    lines = EventReader(tmp_path / "events.jsonl").read()
    assert len(seen) == pytest.approx(36_000 / 0.3, rel=0.1)
    assert len(lines) < 12_000
    assert lines[-1]["done"] == last
    assert max(after["done"] - before["done"] for before, after in pairwise(lines)) <= 60


def test_parts_of_a_step_count_on(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path / "events.jsonl")
    reporter.progress("sample", "first", (0, 2))(10, 10)
    reporter.progress("sample", "second", (1, 2))(10, 10)
    assert [(line["done"], line["total"]) for line in EventReader(reporter.path).read()] == [(10, 20), (20, 20)]


def test_watcher_asks_then_interrupts_then_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.experiment.job_process.INTERRUPT_AFTER", 0.02)
    monkeypatch.setattr("toolkit.experiment.job_process.END_AFTER", 0.1)
    calls: list[str] = []
    given_up = threading.Event()

    def give_up() -> None:
        calls.append("give up")
        given_up.set()

    watcher = Watcher(tmp_path / "stop", lambda: calls.append("interrupt"), give_up)
    watcher.start()
    assert not watcher.asked.wait(0.2)
    (tmp_path / "stop").touch()
    assert watcher.asked.wait(5)
    assert given_up.wait(5)
    watcher.end()
    assert calls[0] == "interrupt" and calls.count("interrupt") >= 3


def test_a_run_in_the_same_folder_after_a_job_needs_nothing_new(experiment: Experiment) -> None:
    job = Job.start(experiment, "train")
    assert job.wait(ENOUGH) and job.state == "done", job.error
    states = []
    run(experiment, observer=lambda event: states.append((event.step, event.state)))
    assert ("train", "up to date") in states


def test_a_job_s_training_is_paused_goes_on_and_changes_its_rate(experiment: Experiment) -> None:
    experiment.set(LONG)
    job = Job.start(experiment, "train")
    until(lambda: in_epochs(job))
    elsewhere = Job.latest(experiment)
    assert elsewhere is not None

    def live() -> Live:
        found = Live.read(experiment.folder / "learning" / "live.json")
        assert found is not None
        return found

    elsewhere.pause()
    until(lambda: live().paused)
    epoch = live().epoch
    time.sleep(0.5)
    assert live().epoch == epoch and job.state == "running"
    until(lambda: "paused in epoch" in job.stages[0].message)
    elsewhere.scale_rate(0.5)
    elsewhere.go_on()
    until(lambda: live().epoch > epoch + 1)
    rate = experiment.learning.learning_rate
    assert (live().rate, live().rate_scale, live().paused) == (pytest.approx(rate / 2), 0.5, False)
    with pytest.raises(ParameterError, match="cannot be multiplied"):
        elsewhere.scale_rate(0)

    job.pause()
    until(lambda: live().paused)
    job.stop()
    assert job.wait(ENOUGH) and job.state == "stopped"
    assert not live().paused or not live().running
    job.pause()
    assert not (experiment.folder / "job" / "control.json").exists(), "there is nothing to pause"
    told = [one["message"] for one in events(experiment)]
    assert any("learning rate × 0.5 from epoch" in one and "by hand" in one for one in told)
    history = read_history(experiment.folder / "learning" / "history.csv")
    assert history[-1]["learning_rate"] == pytest.approx(rate / 2)

    experiment.set({"learning.epochs": len(history) + 1})
    resumed = Job.start(experiment, "train")
    assert resumed.wait(ENOUGH) and resumed.state == "done", resumed.error
    assert "rate changed by hand × 0.5" in resumed.stages[0].message
    history = read_history(experiment.folder / "learning" / "history.csv")
    assert history[-1]["learning_rate"] == pytest.approx(rate / 2), "a resumed training goes on with the rate"


def test_event_files_are_of_no_matter_to_the_record(experiment: Experiment) -> None:
    experiment.set({"learning.epochs": 1})
    train(experiment)
    experiment.set({"learning.tensorboard": True})
    assert stages(experiment, "train")[0].state == "up to date"
