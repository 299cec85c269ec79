"""Classify the tiles of an experiment: one after the other by threads, or all of them through a cluster.

On a cluster the blocks of the next tile are on their way before those of the last one have come back, so that nobody
waits; a tile whose blocks are all there is written at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from toolkit.experiment.chosen_model import load_model
from toolkit.experiment.config import Experiment
from toolkit.experiment.events import Event
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.items import note_maps
from toolkit.experiment.plan import plan_of, worker_budget
from toolkit.experiment.provenance import Manifest, Record, provenance_tags
from toolkit.experiment.stages import classify_step
from toolkit.experiment.steps import Observer, Reporter, StopRequest, may_run, perform, standing, sweep, words_of
from toolkit.experiment.tiles import check_tiles, open_series
from toolkit.ground.block_files import BlockResults, StreamJob
from toolkit.ground.block_map import BlockMaps
from toolkit.ground.clusters import cluster_crew
from toolkit.ground.errors import RunFolderError
from toolkit.ground.locking import only_process_in
from toolkit.ground.streaming import Progress, stream_all
from toolkit.learning.precision import Stored
from toolkit.mapping.classify import (
    classify_tile,
    layers_of,
    map_job,
    more_bytes,
    precision_of,
    precision_tags,
    write_maps,
)
from toolkit.mapping.memory import PROCESS_BYTES, allot
from toolkit.products.handles import raster_memory
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries

TRIAL_CACHE = 64
"""Megabytes that GDAL keeps of tiles decoded while a precision is tried in the process that only hands out blocks."""


def block_maps(experiment: Experiment) -> BlockMaps:
    """How the blocks of the tiles stand that are being classified, or whose classification was stopped."""
    folder = RunFolder(experiment.folder)
    return BlockMaps.read((tile, folder.tile(tile) / ".blocks") for tile in experiment.series.tiles)


def classify_by_threads(experiment: Experiment, tile: str, overwrite: bool, observer: Observer | None) -> None:
    """Classify a tile in this process."""
    folder = RunFolder(experiment.folder)

    def work(reporter: Reporter, record: Record) -> str:
        (series,) = open_series(experiment, tiles=[tile])
        plan_of(experiment, [series])  # what cannot end well is refused before it begins
        progress, say = telling(reporter, f"classify {tile}")
        model = load_model(experiment)
        classify_tile(
            series, experiment.stack, model, folder.tile(tile), experiment.mapping,
            key=record.key, tags=provenance_tags(experiment, record), progress=progress, say=say,
        )  # fmt: skip
        note_maps(experiment, record, folder.tile(tile), tile)
        return outcome(series)

    perform(experiment, classify_step(experiment, tile), work, overwrite=overwrite, observer=observer)


def classify_on_cluster(experiment: Experiment, overwrite: bool, observer: Observer | None) -> None:
    """Classify all tiles by the workers of the experiment's cluster.

    Raises:
        ClusterError: it cannot be reached or started, or has nobody left to work.
    """
    folder, params = RunFolder(experiment.folder), experiment.cluster
    with only_process_in(folder.root):
        sweep(folder.root)
        tiles = _Tiles(experiment, overwrite, Reporter(folder.events, observer))
        waiting = tiles.waiting()
        if not waiting:
            return
        worker_budget(experiment)
        check_tiles(experiment, [tile for tile, _ in waiting])
        with cluster_crew(params, experiment.mapping.memory_gb) as crew, tiles.ends_told():
            for job, results in stream_all(tiles.jobs(waiting), crew):
                tiles.write(job, results)


def telling(reporter: Reporter, step: str) -> tuple[Progress, Callable[[str], None]]:
    """Two callbacks of a step: its progress, and what is to be said of it, which stays with the progress."""
    now = {"done": 0, "total": 0}

    def progress(done: int, total: int) -> None:
        now.update(done=done, total=total)
        tell(done, total)

    def say(text: str) -> None:
        reporter.tell(Event(step, "running", now["done"], now["total"], text))

    tell = reporter.progress(step)
    return progress, say


def outcome(series: TileSeries) -> str:
    """What came of a tile, in a line."""
    source = ", from the prepared series" if series.prepared else ""
    return f"{series.grid.shape[0]} x {series.grid.shape[1]} pixels, {len(series.acquisitions)} dates{source}"


@dataclass
class _Tiles:
    """The tiles of an experiment on their way through a cluster."""

    experiment: Experiment
    overwrite: bool
    reporter: Reporter
    open: dict[str, tuple[TileSeries, Record, float]] = field(default_factory=dict)
    """Those whose blocks are at work, and since when (`time.perf_counter`)."""
    precisions: dict[str, Stored] = field(default_factory=dict)
    """In which numbers each is classified."""

    def waiting(self) -> list[tuple[str, Record]]:
        """The tiles to be classified, and what their maps are made from; whether they may be is asked of all first."""
        folder, found = RunFolder(self.experiment.folder), []
        records = Manifest(folder.manifest).records()
        for tile in self.experiment.series.tiles:
            step = classify_step(self.experiment, tile)
            if standing(self.experiment, step, records)[0] == "up to date":
                self.reporter.tell(Event(step.name, "up to date"))
            else:
                found.append((tile, may_run(self.experiment, step, folder, records, self.overwrite)))
        return found

    def jobs(self, waiting: list[tuple[str, Record]]) -> Iterator[StreamJob]:
        """The work of each tile, opened when its turn comes."""
        experiment, params = self.experiment, self.experiment.cluster
        folder, budget = RunFolder(experiment.folder), worker_budget(experiment)
        self.model = load_model(experiment)
        for tile, record in waiting:
            (series,) = open_series(experiment, tiles=[tile])
            plan_of(experiment, [series])
            self.open[tile] = series, record, time.perf_counter()
            self.reporter.tell(Event(f"classify {tile}", "running"))
            tiling, stack = FileTiling.of(series), experiment.stack
            progress, say = telling(self.reporter, f"classify {tile}")
            layers = layers_of(experiment.mapping)
            with raster_memory(TRIAL_CACHE, keep_open=False):
                precision = precision_of(
                    experiment.mapping.precision, series, stack, self.model, folder.tile(tile), tiling,
                    key=record.key, layers=layers, say=say,
                )  # fmt: skip
            self.precisions[tile] = precision
            more = more_bytes(layers, len(self.model.nomenclature))
            allotment = allot(series, stack, tiling, budget, PROCESS_BYTES, params.threads, more, sharing=False)
            yield map_job(
                series, stack, self.model, folder.tile(tile), allotment, tiling,
                key=record.key, layers=layers, precision=precision, progress=progress,
            )  # fmt: skip

    def write(self, job: StreamJob, results: BlockResults) -> None:
        """Write the maps of a tile whose blocks are done."""
        series, began, since = self.open[job.name]

        def work(reporter: Reporter, record: Record) -> str:
            if record.key != began.key:
                raise RunFolderError(f"the images of tile {job.name} were changed while it was classified; start again")
            folder = RunFolder(self.experiment.folder).tile(job.name)
            tags = precision_tags(self.precisions[job.name]) | provenance_tags(self.experiment, record)
            layers = layers_of(self.experiment.mapping)
            write_maps(results, series, self.model, folder, tags, layers)
            note_maps(self.experiment, record, folder, job.name)
            return outcome(series)

        step = classify_step(self.experiment, job.name)
        perform(
            self.experiment, step, work,
            overwrite=self.overwrite, observer=self.reporter.observer, alone=False, since=since,
        )  # fmt: skip
        del self.open[job.name]

    @contextmanager
    def ends_told(self) -> Iterator[None]:
        """Tell of the tiles that were at work how they end, where that is not well."""
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, StopRequest | KeyboardInterrupt)
            for tile in self.open:
                state, words = ("stopped", "") if stopped else ("failed", words_of(error))
                event = Event(f"classify {tile}", state, message=words)  # type: ignore[arg-type]
                with suppress(RunFolderError, StopRequest):
                    self.reporter.tell(event)
            raise
