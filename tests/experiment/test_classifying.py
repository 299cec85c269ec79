"""Classification of several tiles on a cluster, and what is seen of it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster

from toolkit import Experiment, classify, mosaic
from toolkit.experiment.classifying import block_maps
from toolkit.experiment.events import Event
from toolkit.experiment.jobs import Job
from toolkit.experiment.provenance import Manifest
from toolkit.experiment.steps import StopRequest
from toolkit.ground.block_map import BlockMap, BlockMaps
from toolkit.ground.errors import ClusterError
from toolkit.ground.grid import Block, blocks
from toolkit.ground.ledger import Ledger, Record
from toolkit.series.tiling import FileTiling

LOCAL = {"cluster.kind": "local", "cluster.workers": 2, "mapping.memory_gb": 4.0}


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """The parameters of a cluster of two processes that is there."""
    with LocalCluster(2, threads_per_worker=1, memory_limit=None, dashboard_address="127.0.0.1:0") as cluster:
        yield {"kind": "address", "address": cluster.scheduler_address}


@pytest.fixture(scope="module")
def mapped(finished_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tiles classified by threads, with several blocks each; do not write into its run folder."""
    folder = tmp_path_factory.mktemp("mapped") / "demo"
    shutil.copytree(finished_demo.parent, folder, symlinks=True, copy_function=shutil.copy2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileTiling, "block_size", (24, 40))
        experiment = Experiment.load(folder / finished_demo.name)
        classify(experiment, overwrite=True)
        yield experiment.path


@pytest.fixture
def experiment(mapped: Path, tmp_path: Path) -> Experiment:
    """Maps are there, but nobody knows of what."""
    shutil.copytree(mapped.parent, tmp_path / "demo", symlinks=True, copy_function=shutil.copy2)
    experiment = Experiment.load(tmp_path / "demo" / mapped.name)
    manifest = Manifest(experiment.folder / "manifest.json")
    for tile in experiment.series.tiles:
        manifest.drop(f"classify {tile}", experiment.seed)
    return experiment


def maps(experiment: Experiment) -> dict[str, bytes]:
    folder = experiment.folder / "mapping"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*.tif"))}


def test_a_cluster_makes_the_maps_that_threads_make(experiment: Experiment, cluster: dict[str, str]) -> None:
    by_threads = maps(experiment)
    for path in (experiment.folder / "mapping").glob("*/*.tif"):
        path.unlink()
    experiment.set({"cluster": cluster})
    events: list[Event] = []
    told: dict[tuple[str, str], float] = {}

    def note(event: Event) -> None:
        events.append(event)
        told.setdefault((event.step, event.state), time.perf_counter())

    classify(experiment, observer=note)
    assert maps(experiment) == by_threads
    for one in events:
        if one.state == "done":
            elapsed = told[one.step, "done"] - told[one.step, "running"]
            assert one.seconds == pytest.approx(elapsed, abs=0.5), "from its first block to its maps"
    done = [one.step for one in events if one.state == "done"]
    assert sorted(done) == sorted(f"classify {tile}" for tile in experiment.series.tiles)
    assert not list((experiment.folder / "mapping").glob("*/.blocks"))
    again: list[Event] = []
    classify(experiment, observer=again.append)
    assert {one.state for one in again} == {"up to date"}
    experiment.set({"cluster": {}})
    classify(experiment, observer=again.append)
    assert {one.state for one in again} == {"up to date"}, "where it was made does not matter"
    mosaic(experiment, overwrite=True)


def test_a_stop_amid_the_work_of_a_cluster_is_gone_on_from(experiment: Experiment, cluster: dict[str, str]) -> None:
    expected = maps(experiment)
    experiment.set({"cluster": cluster})
    seen = 0

    def stop(event: Event) -> None:
        nonlocal seen
        if event.state == "running" and event.total:
            seen = max(seen, event.done)
            if event.done >= 1:
                raise StopRequest

    with pytest.raises(StopRequest):
        classify(experiment, overwrite=True, observer=stop)
    found = block_maps(experiment)
    assert found.maps and sum(one.counts["done"] for one in found.maps) >= 1
    first = found.maps[0]
    assert len(first.blocks) == 8
    assert sum(one.counts["done"] for one in found.maps) < 8 * len(experiment.series.tiles)
    assert first.name in repr(found) and "of 8 blocks done" in repr(found)
    assert first._repr_html_().count("<rect") == 8
    classify(experiment, overwrite=True)
    assert maps(experiment) == expected
    assert repr(block_maps(experiment)) == "BlockMaps(nothing is at work)"


def test_as_a_job_with_a_worker_killed(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job is another process, where blocks have their usual size: one a tile."""
    expected = maps(experiment)
    experiment.set(LOCAL)
    job = Job.start(experiment, "classify", overwrite=True)
    own = psutil.Process(job.order.pid)
    killed = False
    while not job.wait(0.02) and not killed:
        workers = [one for one in own.children(recursive=True) if "spawn_main" in " ".join(_command(one))]
        if len(workers) == 2 and any(one.state == "running" for one in job.stages):
            os.kill(workers[0].pid, signal.SIGKILL)
            killed = True
    assert job.wait(120)
    assert job.state == "done", job.error
    assert killed
    assert maps(experiment) == expected


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def test_a_cluster_that_is_not_there_changes_nothing(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    before = maps(experiment)
    monkeypatch.setattr("toolkit.ground.clusters.CONNECT_SECONDS", 0.3)
    experiment.set({"cluster": {"kind": "address", "address": "tcp://127.0.0.1:9"}})
    with pytest.raises(ClusterError, match="cannot be reached"):
        classify(experiment, overwrite=True)
    assert maps(experiment) == before


def test_a_picture_of_blocks(tmp_path: Path) -> None:
    cover = list(blocks((100, 200), 50))
    ledger = Ledger.begin(tmp_path, "k", cover)
    ledger.add(Record(cover[0], "done", 2.0, 10, "c", "host:1"))
    ledger.add(Record(cover[1], "running"))
    ledger.add(Record(cover[2], "failed", error="OSError: <gone>"))
    ledger.close()
    found = BlockMap.read(tmp_path, "31TCJ")
    assert found.counts == {"done": 1, "running": 1, "failed": 1, "waiting": 5}
    assert repr(found) == "BlockMap(31TCJ: 1 of 8 blocks done, 1 running, 1 failed, 2.0 s a block)"
    html = found._repr_html_()
    assert html.count("<rect") == 8 and "OSError: &lt;gone&gt;" in html and "<gone>" not in html
    assert "rows 0, columns 0: done, 2.0 s, host:1" in html
    assert found.blocks_a_second == pytest.approx(0.5) and found.seconds_left == pytest.approx(14)
    assert found.workers == 1
    absent = BlockMap.read(tmp_path / "absent")
    assert absent.blocks == () and absent.blocks_a_second is None and absent.seconds_left is None
    assert found.standing(Block(0, 0, 1, 1)) == "waiting"


def test_the_rate_of_blocks_leaves_out_the_time_when_the_run_was_stopped() -> None:
    cover = list(blocks((100, 200), 50))

    def done(block: Block, minute: int, second: int) -> Record:
        return Record(block, "done", 4.0, time=f"2026-01-01T10:{minute:02}:{second:02}.000+00:00")

    before = [done(cover[0], 0, 4), done(cover[1], 0, 8)]
    after = [done(cover[2], 50, 4), done(cover[3], 50, 4), done(cover[4], 50, 8), done(cover[5], 50, 8)]
    found = BlockMap("31TCJ", tuple(cover), {one.block: one for one in [*after, *before]})
    assert found.blocks_a_second == pytest.approx(4 / 8), "two workers, four seconds a block"
    assert found.seconds_left == pytest.approx(2 * 2)
    assert BlockMaps((found, found)).blocks_a_second == pytest.approx(8 / 8), "tiles side by side on a cluster"
