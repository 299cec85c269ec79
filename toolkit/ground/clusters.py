"""Where blocks are worked on: threads of this process, processes of this machine, or a Dask cluster of many machines.

cluster: {kind: local, workers: 4}
cluster: {kind: address, address: "tcp://10.0.0.5:8786"}
cluster: {kind: slurm, workers: 32, threads: 32, memory_gb: 128, queue: normal, walltime: "04:00:00"}
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from toolkit.ground.errors import ClusterError, ParameterError
from toolkit.ground.params import Params, param

if TYPE_CHECKING:
    from toolkit.ground.dask_crew import DaskCrew

Kind = Literal["none", "local", "address", "slurm", "pbs"]

JOBS = {"slurm": "SLURMCluster", "pbs": "PBSCluster"}
"""Classes of dask-jobqueue."""
CONNECT_SECONDS = 20


class ClusterParams(Params):
    """Where tiles are classified."""

    kind: Kind = param(
        "none",
        "Threads of this process (none), processes of this machine (local), a Dask cluster that is there (address), "
        "or one of jobs of a batch system (slurm, pbs).",
    )
    address: str | None = param(None, "Of the Dask scheduler, such as tcp://10.0.0.5:8786; for kind address.")
    workers: int | None = param(
        None, "Processes (local) or jobs (slurm, pbs). Empty: a process a core, one job.", ge=1, le=100_000
    )
    threads: int = param(1, "Blocks that each process or job works on at the same time; a core each.", ge=1, le=1024)
    memory_gb: float | None = param(
        None,
        "Memory of each process or job. Empty: an equal share of mapping.memory_gb (local), all of it (others).",
        unit="GB", gt=0, le=4096,
    )  # fmt: skip
    queue: str | None = param(None, "Queue (partition) of the batch system.")
    account: str | None = param(None, "Account or project that the batch system counts the jobs on.")
    walltime: str = param(
        "04:00:00", "Longest time of a job, after which another goes on.",
        pattern=r"^\d+:\d\d:\d\d$", form="hours, minutes and seconds, such as 04:00:00",
    )  # fmt: skip
    prologue: tuple[str, ...] = param((), "Lines of shell that each job begins with, such as `module load conda`.")
    stalled_minutes: float = param(
        30.0, "A worker that has not finished a block for so long is ended, and the block done by another.",
        unit="min", gt=0, le=10_000,
    )  # fmt: skip
    retries: int = param(3, "How often a block is done again before its failure ends the run.", ge=0, le=100)

    @property
    def processes(self) -> int:
        """Processes or jobs that are started."""
        return self.workers or (max(1, (os.cpu_count() or 1) // self.threads) if self.kind == "local" else 1)

    def worker_memory(self, memory_gb: float) -> float:
        """Gigabytes that each process may take, where `memory_gb` are given to the whole."""
        if self.memory_gb is not None:
            return self.memory_gb
        return memory_gb / self.processes if self.kind == "local" else memory_gb


@contextmanager
def cluster_crew(params: ClusterParams, memory_gb: float) -> Iterator[DaskCrew]:
    """The workers of a cluster, which is started where need be, and ended with the block.

    Args:
        memory_gb: given to a local cluster, or to each job.

    Raises:
        ParameterError: kind address without an address.
        ClusterError: the cluster cannot be reached or started, or dask-jobqueue is not installed.
    """
    if params.kind == "address" and not params.address:
        raise ParameterError("cluster.kind = address needs cluster.address, such as tcp://10.0.0.5:8786; give it")
    if params.kind == "address" and not re.fullmatch(r"([a-z]+://)?[^\s/]+:\d+", str(params.address)):
        raise ParameterError(
            f"cluster.address = {params.address!r}: write host and port of the scheduler: tcp://10.0.0.5:8786"
        )
    from distributed import Client  # takes half a second to load: only those who want a cluster wait for it

    from toolkit.ground.dask_crew import DaskCrew

    with ExitStack() as stack:
        try:
            target = params.address if params.kind == "address" else stack.enter_context(_started(params, memory_gb))
            client = stack.enter_context(Client(target, timeout=CONNECT_SECONDS, set_as_default=False))
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            place = params.address or f"of kind {params.kind}"
            raise ClusterError(
                f"the Dask cluster {place} cannot be reached or started ({error}); mend cluster.address or see to it"
            ) from None
        yield DaskCrew(client, retries=params.retries, stalled=60 * params.stalled_minutes)


def _started(params: ClusterParams, memory_gb: float) -> Any:
    """A cluster of one's own."""
    if params.kind == "local":
        from distributed import LocalCluster

        return LocalCluster(
            n_workers=params.processes,
            threads_per_worker=params.threads,
            processes=True,
            memory_limit=None,  # blocks are cut to fit; a process ended amid one would only do it again
            dashboard_address="127.0.0.1:0",
            host="127.0.0.1",
            silence_logs=logging.ERROR,  # a process that is slow to end is no news to who called a verb
        )
    cluster = _jobqueue(params.kind)(
        cores=params.threads,
        processes=1,
        memory=f"{params.worker_memory(memory_gb)} GB",
        queue=params.queue,
        account=params.account,
        walltime=params.walltime,
        job_script_prologue=list(params.prologue),
    )
    cluster.scale(jobs=params.processes)
    return cluster


def _jobqueue(kind: str) -> Any:
    try:
        return getattr(import_module("dask_jobqueue"), JOBS[kind])
    except ImportError:
        raise ClusterError(
            f"cluster.kind = {kind} needs the package dask-jobqueue, which is not installed: pip install dask-jobqueue"
        ) from None
