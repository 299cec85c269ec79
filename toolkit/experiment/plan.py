"""A plan first: what `classify` will read and write, the memory, the disk and the time, before anything is begun.

plan(experiment)            # a look at the files, and a probe of a few blocks
landcover plan experiment.yml
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

from toolkit.experiment.chosen_model import load_model
from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.printing import size_in_words
from toolkit.experiment.provenance import Manifest
from toolkit.experiment.stages import classify_step
from toolkit.experiment.steps import record_of, standing
from toolkit.experiment.tiles import open_series
from toolkit.ground.clusters import ClusterParams
from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.ground.memory import free_memory, in_use
from toolkit.ground.streaming import Progress, no_progress
from toolkit.learning.ensemble import AnyModel
from toolkit.learning.precision import Stored
from toolkit.mapping.classify import layers_of, more_bytes, precision_of
from toolkit.mapping.forecast import TileForecast, forecast_tile, probe
from toolkit.mapping.memory import PROCESS_BYTES, START_BYTES
from toolkit.products.handles import raster_memory
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries

SPARE = 1.05
"""Disk that must be free, over what is needed."""


@dataclass(frozen=True)
class Plan:
    """What classifying the tiles of an experiment will take."""

    name: str
    tiles: tuple[TileForecast, ...]
    """Those that are to be classified; others are up to date."""
    up_to_date: tuple[str, ...]
    processes: int
    """Processes that work on blocks; one where it is this one."""
    memory: int
    """Bytes that all of them may take."""
    memory_free: int
    """Bytes that this machine could give."""
    disk_free: int
    """Bytes free where the run folder lies."""
    here: bool
    """Whether the work is done on this machine."""
    seconds_a_pixel: float | None = None
    """Of one worker, by a probe; None where there was none."""
    precision: Stored = "float32"
    """In which the probe was made, as the map would be."""
    jpeg_2000: tuple[str, ...] = ()
    """Tiles that are read from images in JPEG 2000."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Tiles of which there is a map already, and how it was made otherwise: it is replaced only where that is said."""
    lacks_model: bool = False
    """Whether a probe was wanted, and there is no model to probe with."""

    @property
    def workers(self) -> int:
        """Blocks worked on at the same time."""
        return self.processes * min((one.allotment.workers for one in self.tiles), default=0)

    @property
    def memory_needed(self) -> int:
        """Bytes that the work is expected to take besides what this process takes already."""
        each = max((one.allotment.bytes for one in self.tiles), default=0)
        return self.processes * (each + START_BYTES) if self.tiles else 0

    @property
    def pixels(self) -> int:
        return sum(one.pixels for one in self.tiles)

    @property
    def disk(self) -> int:
        """Bytes that are written at most: the maps of all tiles, and the blocks of those at work."""
        blocks = sorted((one.block_bytes for one in self.tiles), reverse=True)
        fewest = min((one.blocks for one in self.tiles), default=1)
        at_once = 1 if self.processes == 1 else 2 + self.workers // fewest
        return sum(one.map_bytes for one in self.tiles) + sum(blocks[:at_once])

    @property
    def seconds(self) -> float | None:
        """Of the whole, about; None where there was no probe."""
        if self.seconds_a_pixel is None or not self.tiles:
            return None
        if self.processes > 1:  # blocks of the next tiles are on their way before a tile is done
            return self.seconds_a_pixel * self.pixels / min(self.workers, sum(one.blocks for one in self.tiles))
        return self.seconds_a_pixel * sum(one.pixels / one.blocks * one.rounds for one in self.tiles)

    def check(self) -> None:
        """Refuse what cannot end well.

        Raises:
            RunFolderError: the disk has not enough room.
            ParameterError: this machine has not enough memory.
        """
        if self.disk * SPARE > self.disk_free:
            raise RunFolderError(
                f"{size_in_words(self.disk)} of disk are needed for the maps of {len(self.tiles)} tile(s) and their "
                f"blocks, and {size_in_words(self.disk_free)} are free; free some, or set `runs` to another disk"
            )
        if self.here and self.memory_needed > self.memory_free:
            raise ParameterError(
                f"{size_in_words(self.memory_needed)} of memory are needed as mapping.memory_gb allows, and "
                f"{size_in_words(self.memory_free)} are free on this machine; close other programs, or lower "
                "mapping.memory_gb"
            )

    def rows(self) -> list[tuple[str, str]]:
        """What is said, line by line."""
        if not self.tiles:
            return [("classify", f"nothing to do: {', '.join(self.up_to_date)} up to date")]
        files, read = sum(one.files for one in self.tiles), sum(one.read_bytes for one in self.tiles)
        part, block = self.tiles[0].allotment.part, self.tiles[0].block_size
        whole = "whole" if part == block else f"in parts of {part[0]} x {part[1]}"
        prepared = [one.tile for one in self.tiles if one.prepared]
        series = f", prepared: {', '.join(prepared)}" if prepared else ""
        kept = [("up to date", ", ".join(self.up_to_date))] if self.up_to_date else []
        counts = sorted({one.dates for one in self.tiles})
        dates = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        blocks = sum(one.blocks for one in self.tiles)
        free = f", {size_in_words(self.memory_free)} free" if self.here else ""
        processes = f" in {self.processes} processes" if self.processes > 1 else ""
        sharing = min(one.allotment.threads for one in self.tiles)
        threads = f", {sharing} threads on each block" if sharing > 1 else ""
        return [
            ("tiles", f"{', '.join(one.tile for one in self.tiles)}: {_pixels(self.pixels)}"),
            *kept,
            ("reads", f"{files:,} files, {size_in_words(read)}, {dates} dates{series}"),
            *([("replaces", self._replaced_in_words)] if self.replaced else []),
            ("blocks", f"{blocks:,} of {block[0]} x {block[1]} pixels, worked on {whole}"),
            ("decoding", _decoding(self.tiles[0])),
            *([("advice", _advice(self.jpeg_2000))] if self.jpeg_2000 else []),
            ("workers", f"{self.workers}{processes}{threads}"),
            ("memory", f"{size_in_words(self.memory)} at most, {size_in_words(self.memory_needed)} for blocks{free}"),
            ("disk", f"{size_in_words(self.disk)} of {size_in_words(self.disk_free)} free"),
            ("time", self._time_in_words),
        ]

    @property
    def _replaced_in_words(self) -> str:
        tile, why = next(iter(self.replaced.items()))
        more = f" (and {len(self.replaced) - 1} more)" if len(self.replaced) > 1 else ""
        return f"the map of {tile}{more}, {why}; refused without overwrite"

    @property
    def _time_in_words(self) -> str:
        if self.seconds is None:
            return "not probed, for there is no model yet" if self.lacks_model else "not probed"
        return _time(self.seconds, self.precision)

    def __repr__(self) -> str:
        return "\n".join(f"{name:<11}{text}" for name, text in self.rows())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in self.rows()
        )
        return f"<table style='font-size:13px'><caption>Plan of {escape(self.name)}</caption>{rows}</table>"


def plan(experiment: Experiment, *, time: bool = True, progress: Progress = no_progress) -> Plan:
    """What classifying the tiles will take, as the experiment is now.

    Args:
        time: work on a few blocks, to tell how long it will take; that needs the model, and a few seconds.
        progress: called with (tiles looked at, all tiles).

    Raises:
        RunFolderError: the disk has not enough room. ParameterError: the memory is not enough.
        CatalogError, ProductError: an input is absent or unreadable.
        ModelError: the model was trained on other features.
    """
    folder = RunFolder(experiment.folder)
    waiting = tiles_to_classify(experiment)
    up_to_date = tuple(tile for tile in experiment.series.tiles if tile not in waiting)
    series = open_series(experiment, progress, list(waiting)) if waiting else []
    replaced = {tile: why for tile, why in waiting.items() if why}
    found = replace(plan_of(experiment, series, up_to_date), replaced=replaced)
    if time and series and not ((experiment.chosen_model or folder.model) / "model.json").exists():
        return replace(found, lacks_model=True)
    if time and series:
        model = load_model(experiment)
        model.check_features(experiment.stack.names, definitions=experiment.stack.definitions)
        allotment = found.tiles[0].allotment
        with raster_memory(allotment.cache_mb, keep_open=allotment.keep_open):
            precision = _precision(experiment, series[0], model)
        layers = layers_of(experiment.mapping)
        there = _existing(experiment.folder)
        beside = there if os.access(there, os.W_OK) else None  # elsewhere for the run of a colleague
        with tempfile.TemporaryDirectory(prefix=".probe.", dir=beside) as aside:
            blocks = Path(aside) / "blocks"
            probed = probe(series[0], experiment.stack, model, found.tiles[0], blocks, layers, precision)
        found = replace(found, seconds_a_pixel=probed, precision=precision)
    return found


def plan_of(experiment: Experiment, series: list[TileSeries], up_to_date: tuple[str, ...] = ()) -> Plan:
    """The plan of tiles that are opened already, without a time; `check` has passed.

    Raises:
        RunFolderError, ParameterError: the disk or the memory does not suffice.
    """
    cluster, mapping = experiment.cluster, experiment.mapping
    more = more_bytes(layers_of(mapping), len(experiment.nomenclature))
    if cluster.kind == "none":
        processes, budget, threads = 1, mapping.bytes, mapping.most_workers
        base = max(in_use(), PROCESS_BYTES)  # one that takes more has worked on pixels already
    else:
        processes, threads, base, budget = cluster.processes, cluster.threads, PROCESS_BYTES, worker_budget(experiment)
    found = Plan(
        experiment.name,
        tuple(
            forecast_tile(one, experiment.stack, budget, base, threads, more, sharing=cluster.kind == "none")
            for one in series
        ),
        up_to_date,
        processes,
        processes * budget,
        free_memory(),
        shutil.disk_usage(_existing(experiment.folder)).free,
        here=is_here(cluster),
        jpeg_2000=tuple(one.tile for one in series if one.prepared is None and _is_jpeg_2000(one)),
    )
    found.check()
    return found


def worker_budget(experiment: Experiment) -> int:
    """Bytes that each process of a cluster may take.

    Raises:
        ParameterError: a process takes more before it begins.
    """
    budget = int(experiment.cluster.worker_memory(experiment.mapping.memory_gb) * 1e9)
    if budget < PROCESS_BYTES:
        raise ParameterError(
            f"cluster.workers = {experiment.cluster.processes} leaves {budget / 1e9:.2g} GB to each process, its share "
            f"of the memory given, and {PROCESS_BYTES / 1e9:.2g} GB are taken before it begins; take fewer, or give "
            "more"
        )
    return budget


def _precision(experiment: Experiment, series: TileSeries, model: AnyModel) -> Stored:
    """The precision that a tile would be classified in: what its blocks are begun in, else by a trial."""
    folder, step = RunFolder(experiment.folder), classify_step(experiment, series.tile)
    key = record_of(experiment, step, Manifest(folder.manifest).records()).key
    return precision_of(
        experiment.mapping.precision, series, experiment.stack, model, folder.tile(series.tile), FileTiling.of(series),
        key=key, layers=layers_of(experiment.mapping),
    )  # fmt: skip


def is_here(cluster: ClusterParams) -> bool:
    """Whether the work is done on this machine."""
    return cluster.kind in ("none", "local")


def tiles_to_classify(experiment: Experiment) -> dict[str, str]:
    """The tiles whose maps are not up to date, and how a map that is there was made otherwise; empty for none."""
    records = Manifest(RunFolder(experiment.folder).manifest).records()
    found = {tile: standing(experiment, classify_step(experiment, tile), records) for tile in experiment.series.tiles}
    return {tile: why if state == "outdated" else "" for tile, (state, why) in found.items() if state != "up to date"}


def _is_jpeg_2000(series: TileSeries) -> bool:
    return any(band.path.suffix.lower() == ".jp2" for band, _ in series.acquisitions[0].bands)


def _existing(folder: Path) -> Path:
    """The nearest folder above that is there."""
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def _pixels(count: int) -> str:
    return f"{count / 1e6:,.1f} million pixels" if count >= 1e6 else f"{count:,} pixels"


def _advice(tiles: tuple[str, ...]) -> str:
    return (
        f"images of {', '.join(tiles)} are JPEG 2000, twenty times as slow to decode as GeoTIFF: `landcover prepare` "
        "decodes each once, and sampling and mapping read that copy"
    )


def _decoding(tile: TileForecast) -> str:
    often = f"{tile.decoded:.1f} times" if tile.decoded >= 1.05 else "once"
    if tile.prepared:
        return f"each chunk of the prepared series {often}"
    words = f"each tile of a file {often}"
    if not tile.allotment.keep_open:
        return f"{words}; files are opened for each block"
    return f"{words}; files stay open" if tile.allotment.files_bytes else words


def _time(seconds: float, precision: Stored) -> str:
    kind = "" if precision == "float32" else f", in {precision}"
    if seconds < 90:
        return f"about {max(1, round(seconds))} s{kind}"
    return (f"about {seconds / 60:,.0f} min" if seconds < 5400 else f"about {seconds / 3600:,.1f} h") + kind
