"""The verb `prepare`: the images of each tile once more, as a prepared series that all that follows reads instead."""

from __future__ import annotations

import shutil
from pathlib import Path

from toolkit.experiment.config import Experiment
from toolkit.experiment.printing import size_in_words
from toolkit.experiment.provenance import Record
from toolkit.experiment.stages import prepare_step
from toolkit.experiment.steps import BY_OVERWRITE, Observer, Reporter, perform
from toolkit.experiment.tiles import open_series, prepared_folder
from toolkit.ground.errors import ProductError, RunFolderError
from toolkit.ground.locking import only_process_in
from toolkit.ground.writing import write_text
from toolkit.mapping.memory import PROCESS_BYTES
from toolkit.series.prepared import PreparedTile
from toolkit.series.preparing import prepare_tile
from toolkit.series.store_plan import StorePlan
from toolkit.series.timeseries import TileSeries

GROWTH = 1.4
"""Size of a prepared series over that of compressed files, at most: it is less than that of deflated GeoTIFFs, but
lossless JPEG 2000 packs images by a third tighter than what is quick to read."""


def prepare(experiment: Experiment, *, overwrite: bool = False, observer: Observer | None = None) -> dict[str, Path]:
    """Write each band of each tile once, as compressed chunks of all dates (Zarr).

    Whatever reads images afterwards reads these instead, with the same result to the bit, as long as the files
    they were made from are as they were. Experiments with the same `prepare.folder` share them. A tile that is done
    stays done, and a killed run goes on where it was. `mapping.workers` work at once, as far as `mapping.memory_gb`
    allows. Leaves `<prepare.folder>/<source>_<tile>.zarr`.

    Args:
        overwrite: replace a prepared series that is there; without it, one of other dates, bands or area, or of files
            that have changed since, is refused.

    Returns:
        Tile -> its prepared series.

    Raises:
        ProductError: an image cannot be read. RunFolderError: there is a prepared series that does not serve this
        experiment, the disk has not enough room, or another process works there.
    """
    for tile in experiment.series.tiles:
        _prepare(experiment, tile, overwrite, observer)
    return {tile: prepared_folder(experiment, tile) for tile in experiment.series.tiles}


def _prepare(experiment: Experiment, tile: str, overwrite: bool, observer: Observer | None) -> None:
    step, folder = prepare_step(experiment, tile), prepared_folder(experiment, tile)
    note = step.outputs[-1]
    if overwrite:
        note.unlink(missing_ok=True)  # so that a series which is as it should be, but damaged, is made anew too

    def work(reporter: Reporter, record: Record) -> str:
        (series,) = open_series(experiment, tiles=[tile], prepared=False)
        with only_process_in(folder.parent):
            found = "" if overwrite else _there(folder, series)
            if not found:
                plan = StorePlan.of(series)
                _check_disk(series, plan, folder)
                fitting = (experiment.mapping.bytes - PROCESS_BYTES) // plan.worker_bytes
                workers = max(1, min(fitting, experiment.mapping.most_workers))
                progress = reporter.progress(step.name)
                prepare_tile(series, plan, folder, experiment.prepare.level, workers=workers, progress=progress)
                found = f"{len(plan.arrays) - 1} bands of {plan.dates} dates, {size_in_words(_bytes_of(folder))}"
            write_text(note, f"{experiment.path}\n")
        return found

    perform(experiment, step, work, overwrite=overwrite, observer=observer)


def _there(folder: Path, series: TileSeries) -> str:
    """What is to be said of a prepared series that is there and serves; empty where there is none.

    Raises:
        RunFolderError: there is one that does not serve.
    """
    if not (folder / "zarr.json").exists():
        return ""
    try:
        why = PreparedTile.open(folder).why_not(series)
    except ProductError as error:
        why = str(error)
    if not why:
        return f"{folder} was there already"
    raise RunFolderError(
        f"{folder} is a prepared series that does not serve: {why}. Set `prepare.folder` to another place, or replace "
        f"it: {BY_OVERWRITE}"
    )


def _check_disk(series: TileSeries, plan: StorePlan, folder: Path) -> None:
    """Refuse what the disk has no room for.

    Raises:
        RunFolderError: with what is needed.
    """
    files = {one.path for date in series.acquisitions for _, one in (*date.bands, *date.masks)}
    needed = min(plan.bytes, round(GROWTH * plan.share * sum(path.stat().st_size for path in files)))
    existing = next(one for one in folder.parents if one.is_dir())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise RunFolderError(
            f"{size_in_words(needed)} of disk are needed at most for the prepared series of {series.tile}, and "
            f"{size_in_words(free)} are free; free some, or set `prepare.folder` to another disk"
        )


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in PreparedTile.open(folder).files())
