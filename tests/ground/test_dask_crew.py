"""Blocks on a real cluster of processes of this machine."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from distributed import Client, LocalCluster

from toolkit.ground import streaming
from toolkit.ground.block_files import Receipt, StreamJob, file_of
from toolkit.ground.clusters import ClusterParams, cluster_crew
from toolkit.ground.crews import LocalCrew
from toolkit.ground.dask_crew import DaskCrew
from toolkit.ground.errors import ClusterError, ParameterError, ProductError
from toolkit.ground.grid import Block, blocks
from toolkit.ground.ledger import records
from toolkit.ground.streaming import stream, stream_all

COVER = list(blocks((60, 40), 10))


@dataclass(frozen=True)
class Corner:
    """Work that leaves a note of each block it begins, and may be slow, hang once, or fail once."""

    notes: Path
    seconds: float = 0.0
    hangs_once_at: Block | None = None
    fails_once_at: Block | None = None
    refuses: Block | None = None

    def __call__(self, block: Block) -> dict[str, np.ndarray]:
        first = not list(self.notes.glob(f"{block.row}_{block.col}_*"))
        (self.notes / f"{block.row}_{block.col}_{os.getpid()}_{time.time_ns()}").touch()
        if first and block == self.hangs_once_at:
            time.sleep(1000)
        if first and block == self.fails_once_at:
            raise OSError("the network was away")
        if block == self.refuses:
            raise ProductError("B4.tif is cut short")
        time.sleep(self.seconds)
        return {"value": np.full((block.height, block.width), block.row * 100 + block.col)}

    def processes(self) -> set[str]:
        return {path.name.split("_")[2] for path in self.notes.iterdir()}


cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers need not find the tests


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        memory_limit=None,
        dashboard_address="127.0.0.1:0",
        host="127.0.0.1",
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    cluster.scale(2)
    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def same_as_by_threads(folder: Path, notes: Path) -> bool:
    expected = notes.parent / "threads"
    stream(Corner(notes), COVER, expected, key="k", workers=2)
    return all(file_of(folder, one).read_bytes() == file_of(expected, one).read_bytes() for one in COVER)


def test_a_cluster_gives_the_bytes_that_threads_give(client: Client, tmp_path: Path, notes: Path) -> None:
    work = Corner(notes, seconds=0.02)
    jobs = [StreamJob(work, COVER, tmp_path / name, "k", name=name) for name in ("a", "b")]
    done = [job.name for job, _ in stream_all(jobs, DaskCrew(client))]
    assert sorted(done) == ["a", "b"]
    assert len(work.processes()) == 2 and str(os.getpid()) not in work.processes()
    assert same_as_by_threads(tmp_path / "a", notes) and same_as_by_threads(tmp_path / "b", notes)
    assert {one.state for one in records(tmp_path / "a").values()} == {"done"}
    assert len({one.where for one in records(tmp_path / "a").values()}) == 2


def test_a_worker_killed_amid_its_work_loses_nothing(client: Client, tmp_path: Path, notes: Path) -> None:
    work, victim = Corner(notes, seconds=0.05), next(iter(client.run(os.getpid).values()))

    def kill(done: int, total: int) -> None:
        if done == 4:
            os.kill(victim, signal.SIGKILL)

    stream(work, COVER, tmp_path / "b", key="k", crew=DaskCrew(client), progress=kill)
    assert same_as_by_threads(tmp_path / "b", notes)


def test_a_worker_that_hangs_is_ended_and_its_block_done_by_another(
    client: Client, tmp_path: Path, notes: Path
) -> None:
    work = Corner(notes, hangs_once_at=COVER[2])
    stream(work, COVER, tmp_path / "b", key="k", crew=DaskCrew(client, stalled=1.0))
    assert len(list(notes.glob(f"{COVER[2].row}_{COVER[2].col}_*"))) == 2
    assert same_as_by_threads(tmp_path / "b", notes)


def test_a_worker_that_joins_late_gets_work(cluster: LocalCluster, tmp_path: Path, notes: Path) -> None:
    cluster.scale(1)
    with Client(cluster, set_as_default=False) as client:
        while len(client.nthreads()) > 1:
            time.sleep(0.05)
        work = Corner(notes, seconds=0.3)

        def another(done: int, total: int) -> None:
            if done == 1:
                cluster.scale(2)

        stream(work, COVER, tmp_path / "b", key="k", crew=DaskCrew(client), progress=another)
    assert len(work.processes()) == 2


def test_what_fails_once_is_done_again_and_a_mistake_in_the_data_is_not(
    client: Client, tmp_path: Path, notes: Path
) -> None:
    stream(Corner(notes, fails_once_at=COVER[3]), COVER, tmp_path / "b", key="k", crew=DaskCrew(client, retries=1))
    assert same_as_by_threads(tmp_path / "b", notes)
    for path in notes.iterdir():
        path.unlink()
    with pytest.raises(OSError, match="the network was away"):
        stream(Corner(notes, fails_once_at=COVER[3]), COVER, tmp_path / "c", key="k", crew=DaskCrew(client, retries=0))
    with pytest.raises(ProductError, match="cut short"):
        stream(Corner(notes, refuses=COVER[1]), COVER, tmp_path / "d", key="k", crew=DaskCrew(client))
    assert len(list(notes.glob(f"{COVER[1].row}_{COVER[1].col}_*"))) <= 2, "once for each run that came to it"


def test_a_run_that_is_stopped_cancels_what_waits(client: Client, tmp_path: Path, notes: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    work = Corner(notes, seconds=0.05)
    with pytest.raises(KeyboardInterrupt):
        stream(work, COVER, tmp_path / "b", key="k", crew=DaskCrew(client), progress=stop)
    time.sleep(0.3)
    assert len(list(notes.iterdir())) <= 3 + 2 * 2 + 2, "no more than were on their way"
    stream(work, COVER, tmp_path / "b", key="k", crew=DaskCrew(client))
    assert same_as_by_threads(tmp_path / "b", notes)


def test_the_scheduler_holds_few_tasks_whatever_their_number(client: Client, tmp_path: Path, notes: Path) -> None:
    most = 0

    def look(done: int, total: int) -> None:
        nonlocal most
        if done % 5 == 0:
            most = max(most, client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))

    stream(Corner(notes), COVER, tmp_path / "b", key="k", crew=DaskCrew(client), progress=look)
    assert 0 < most <= 2 * 2 + 2


class Tampering(LocalCrew):
    """A crew elsewhere, one of whose files is damaged on its way."""

    is_elsewhere, retries = True, 1

    def submit(self, job: StreamJob, block: Block):  # type: ignore[no-untyped-def]
        future, first = super().submit(job, block), not hasattr(self, "done")
        if first:
            self.done = True
            path = file_of(job.folder, future.result().block)
            path.write_bytes(path.read_bytes()[:-4])
        return future


def test_what_a_worker_wrote_is_held_against_its_checksum(
    tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PATIENCE", 0.2)
    with Tampering(2) as crew:
        stream(Corner(notes), COVER, tmp_path / "b", key="k", crew=crew)
    assert len(list(notes.glob("0_0_*"))) == 2
    assert same_as_by_threads(tmp_path / "b", notes)


class Nobody:
    """A client of a cluster without workers."""

    def nthreads(self) -> dict[str, int]:
        return {}

    def processing(self) -> dict[str, tuple[str, ...]]:
        return {}

    def register_plugin(self, *_: object, **__: object) -> None: ...

    def unregister_worker_plugin(self, name: str) -> None: ...


def test_a_cluster_without_workers_is_not_waited_for_for_ever(tmp_path: Path, notes: Path) -> None:
    crew = DaskCrew(Nobody(), patience=0.1)  # type: ignore[arg-type]
    with pytest.raises(ClusterError, match="no worker for 0 s"):
        stream(Corner(notes), COVER, tmp_path, key="k", crew=crew)


def test_a_cluster_of_one_s_own_is_started_and_ended(tmp_path: Path, notes: Path) -> None:
    with cluster_crew(ClusterParams(kind="local", workers=1), 2.0) as crew:
        stream(Corner(notes), COVER[:3], tmp_path / "b", key="k", crew=crew)
        pids = crew.client.run(os.getpid).values()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not [one for one in threading.enumerate() if "landcover" in one.name]


def test_a_cluster_by_its_address(cluster: LocalCluster, tmp_path: Path, notes: Path) -> None:
    params = ClusterParams(kind="address", address=cluster.scheduler_address)
    with cluster_crew(params, 2.0) as crew:
        stream(Corner(notes), COVER, tmp_path / "b", key="k", crew=crew)
    assert same_as_by_threads(tmp_path / "b", notes)


def test_a_cluster_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.ground.clusters.CONNECT_SECONDS", 0.3)
    with (
        pytest.raises(ClusterError, match=r"127\.0\.0\.1:9 cannot be reached"),
        cluster_crew(ClusterParams(kind="address", address="tcp://127.0.0.1:9"), 2.0),
    ):
        pass


def test_a_worker_lost_while_the_work_is_sent(client: Client, tmp_path: Path, notes: Path) -> None:
    register, calls = client.register_plugin, []

    def lost_once(*arguments: object, **named: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError("Stream is closed")
        return register(*arguments, **named)

    client.register_plugin = lost_once
    stream(Corner(notes), COVER, tmp_path / "b", key="k", crew=DaskCrew(client))
    assert len(calls) == 2
    assert same_as_by_threads(tmp_path / "b", notes)


def test_an_address_is_needed_where_one_is_asked_for() -> None:
    with (
        pytest.raises(ParameterError, match=r"needs cluster\.address"),
        cluster_crew(ClusterParams(kind="address"), 2.0),
    ):
        pass


def test_memory_is_shared_out_to_processes() -> None:
    local = ClusterParams(kind="local", workers=4)
    assert local.worker_memory(8.0) == 2.0
    assert replace_params(local, kind="slurm", memory_gb=64).worker_memory(8.0) == 64
    assert replace_params(local, kind="slurm").worker_memory(8.0) == 8.0


def replace_params(params: ClusterParams, **changes: object) -> ClusterParams:
    return params.model_copy(update=changes)


class Batch:
    """Stands for a class of dask-jobqueue."""

    made: dict[str, object]

    def __init__(self, **options: object) -> None:
        Batch.made = options

    def scale(self, jobs: int) -> None:
        Batch.made["jobs"] = jobs


def test_a_batch_system_is_asked_for_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.ground import clusters

    params = ClusterParams(kind="slurm", workers=32, threads=16, memory_gb=64, queue="normal", walltime="12:00:00")
    try:
        import dask_jobqueue  # noqa: F401
    except ImportError:
        with pytest.raises(ClusterError, match="pip install dask-jobqueue"), cluster_crew(params, 4.0):
            pass
    monkeypatch.setattr(clusters, "_jobqueue", lambda kind: Batch)
    clusters._started(params, 4.0)
    assert Batch.made["cores"] == 16 and Batch.made["memory"] == "64.0 GB" and Batch.made["jobs"] == 32
    assert Batch.made["walltime"] == "12:00:00" and Batch.made["queue"] == "normal"


def test_a_receipt_is_small() -> None:
    """It is all that comes back through the scheduler for a block."""
    receipt = Receipt(Block(0, 0, 1024, 1024), 4_000_000, "0" * 32, 1.0, "host:1")
    assert len(cloudpickle.dumps(replace(receipt, seconds=2.0))) < 500
