"""Make a prepared series: read the products of a tile once, and write each band as chunks of all dates.

A shard, a file of some dozens of megabytes, is one task: its window is read from the file of every date, and written.
What is done is noted in ledgers as maps' blocks are (`ground/streaming.py`), so that a run that was killed goes on. All
is written beside its place and renamed at the end: a prepared series is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from odc.geo.geobox import GeoBox
from zarr.codecs import BloscCodec, Crc32cCodec

from toolkit.ground.bands import NODATA, REFLECTANCE_SCALE
from toolkit.ground.block_files import StreamJob, file_of, intact
from toolkit.ground.crews import LocalCrew
from toolkit.ground.grid import Block
from toolkit.ground.ledger import records
from toolkit.ground.streaming import Progress, no_progress, stream_all
from toolkit.ground.writing import explained
from toolkit.products.handles import GDAL_CACHE, raster_memory
from toolkit.series.placed import read_mask, read_native
from toolkit.series.prepared import ABOUT, FORMAT, VALIDITY, known_to_serve, sources_of
from toolkit.series.store_plan import ArrayPlan, StorePlan
from toolkit.series.timeseries import TileSeries

LOG = logging.getLogger(__name__)

LEDGERS = ".blocks"
"""Folder of the ledgers, while it is being written."""
SHARD = "shard"
"""What is noted of a shard that is done: its checksum."""
LAST = "spatial_ref"
"""The array that is made last: where it is, all are."""
CODEC = "lz4hc"
"""How chunks are packed: half as long to unpack as zstd and a quarter to pack (of level 1 and 3), a tenth larger."""
MOST_AT_ONCE = 2**20
"""Bytes that are packed together at most."""
WHOLE: Any = {"write_empty_chunks": True}
"""Chunks of nothing but the fill value are written too: what is not there is lost, not empty. It is a setting of the
array as it is open, not of the file."""


def prepare_tile(
    series: TileSeries,
    plan: StorePlan,
    folder: Path,
    level: int,
    *,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write the prepared series of a tile to `folder`, in place of what is there.

    Args:
        series: read from its files.
        level: how hard chunks are compressed, 1 to 9.
        progress: called with (done, total).

    Raises:
        ProductError: a file cannot be read. RunFolderError: the disk is full, or the folder cannot be written.
    """
    aside = folder.with_name(f".{folder.name}.unfinished")
    about = _about(series, plan, folder.parent)
    content = json.dumps([about, level, [asdict(one) for one in plan.arrays]])
    key = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
    with explained(aside):
        if key == _key_of(aside):
            _forget_damaged(aside, plan)
        else:
            shutil.rmtree(aside, ignore_errors=True)
            _begin(aside, series, plan, {**about, "key": key}, level)
        together = _Together(progress, sum(len(one.blocks()) for one in plan.arrays))
        jobs = [_job(one, series, plan, aside, key, together) for one in plan.arrays]
        with raster_memory(GDAL_CACHE // 4, keep_open=False), LocalCrew(workers) as crew:
            for _ in stream_all(jobs, crew):
                pass
        _take_place(aside, folder)


@dataclass(frozen=True)
class ShardWriter:
    """Work on a shard for `stream`: reads it from the files, and writes it."""

    series: TileSeries
    plan: StorePlan
    array: ArrayPlan
    folder: Path

    def __call__(self, block: Block) -> dict[str, np.ndarray]:
        """The checksum of the shard, which is on the disk."""
        shape = (self.plan.dates, block.height, block.width)
        rows, cols = block.slices
        if self.array.name == VALIDITY:
            values = np.ones(shape, np.uint8)
            for t, acquisition in enumerate(self.series.acquisitions):
                window = Block(block.row + self.plan.row, block.col + self.plan.col, *shape[1:])
                for mask, placed in acquisition.masks:
                    values[t] &= read_mask(mask, placed, window)
        else:
            values = np.empty(shape, np.int16)
            position = self.series.bands.index(self.array.name)
            for t, acquisition in enumerate(self.series.acquisitions):
                band, placed = acquisition.bands[position]
                row = block.row + (self.plan.row - placed.row) // self.array.ratio
                col = block.col + (self.plan.col - placed.col) // self.array.ratio
                values[t] = read_native(band, placed, Block(row, col, *shape[1:]))
        target = zarr.open_array(self.folder / self.array.name, mode="r+").with_config(WHOLE)
        shard = _shard(self.folder, self.array, block)
        shard.unlink(missing_ok=True)  # zarr looks into one that is there, which may be damaged
        target[:, rows, cols] = values
        return {SHARD: np.array(_checksum(shard))}


def _shard(folder: Path, array: ArrayPlan, block: Block) -> Path:
    """The file of a shard."""
    row, col = block.row // array.shard[0], block.col // array.shard[1]
    return folder / array.name / "c" / "0" / str(row) / str(col)


def _checksum(shard: Path) -> str:
    return hashlib.blake2b(shard.read_bytes(), digest_size=16).hexdigest()


def _forget_damaged(aside: Path, plan: StorePlan) -> None:
    """Have the shards made again that were done before a break and are not what they were, as after a power cut."""
    for array in plan.arrays:
        ledger = aside / LEDGERS / array.name
        for block, record in records(ledger).items():
            if intact(ledger, record) is None:
                continue
            try:
                with np.load(file_of(ledger, block), allow_pickle=False) as noted:
                    whole = str(noted[SHARD]) == _checksum(_shard(aside, array, block))
            except (FileNotFoundError, KeyError):
                whole = False
            if not whole:
                LOG.warning("a shard of %s is damaged and is made again", array.name)
                file_of(ledger, block).unlink()


def _job(
    array: ArrayPlan, series: TileSeries, plan: StorePlan, aside: Path, key: str, together: _Together
) -> StreamJob:
    work = ShardWriter(series, plan, array, aside)
    return StreamJob(work, array.blocks(), aside / LEDGERS / array.name, key, together.of(array.name), array.name)


class _Together:
    """The progress of several jobs as that of one."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, dict[str, int]()

    def of(self, name: str) -> Progress:
        def callback(done: int, total: int) -> None:
            self._done[name] = done
            self._progress(sum(self._done.values()), self._total)

        return callback


def _about(series: TileSeries, plan: StorePlan, base: Path) -> dict[str, Any]:
    """The attribute by which a prepared series is known again."""
    return {
        "format": FORMAT,
        "tile": series.tile,
        "grid": {"shape": list(plan.grid.shape), "affine": list(plan.grid.affine)[:6], "crs": str(plan.grid.crs)},
        "open_sides": list(plan.open_sides),
        "bands": {one.name: one.ratio for one in plan.arrays if one.name != VALIDITY},
        "dates": [asdict(sources_of(one, base)) for one in series.acquisitions],
    }


def _key_of(aside: Path) -> str | None:
    """Of what is half written there; None where nothing is."""
    try:
        (aside / LAST / "zarr.json").stat()
        return str(json.loads((aside / "zarr.json").read_text(encoding="utf-8"))["attributes"][ABOUT]["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _begin(aside: Path, series: TileSeries, plan: StorePlan, about: dict[str, Any], level: int) -> None:
    """The group with all its arrays, still empty, and their coordinates."""
    words = {"title": f"Prepared series of tile {series.tile}", "Conventions": "CF-1.11", ABOUT: about}
    packing = partial(BloscCodec, cname=CODEC, clevel=level, shuffle="shuffle")
    group = zarr.open_group(aside, mode="w", zarr_format=3, attributes=words)
    for one in plan.arrays:
        mine = one.name == VALIDITY
        suffix = "" if one.ratio == 1 else f"_{round(abs(plan.grid.affine.a) * one.ratio)}m"
        meaning: dict[str, Any] = {"long_name": "1 where every mask is clear"}
        if not mine:
            per_unit = series.acquisitions[0].product.bands[one.name].per_unit
            name = f"reflectance of {one.name}" if per_unit == REFLECTANCE_SCALE else one.name
            meaning = {"long_name": name, "scale": 1 / per_unit, "nodata": NODATA}
        group.create_array(
            one.name,
            shape=(plan.dates, *one.shape),
            chunks=(plan.dates, *one.chunk),
            shards=(plan.dates, *one.shard),
            dtype="uint8" if mine else "int16",
            fill_value=1 if mine else NODATA,
            compressors=[packing(typesize=one.bytes, blocksize=_packed_at_once(plan, one)), Crc32cCodec()],
            dimension_names=("date", f"y{suffix}", f"x{suffix}"),
            attributes={**meaning, "grid_mapping": LAST},
            config=WHOLE,
        )  # fmt: skip
        if f"y{suffix}" not in group:
            for axis, name in enumerate((f"y{suffix}", f"x{suffix}")):
                _coordinate(group, name, _middles(plan.grid, one, axis), {"units": "metre"})
    days = series.dates.astype(np.int64)
    _coordinate(group, "date", days, {"units": "days since 1970-01-01", "calendar": "proleptic_gregorian"})
    system = {"crs_wkt": series.grid.crs.to_wkt()} if series.grid.crs is not None else {}
    group.create_array(LAST, shape=(), dtype="int64", fill_value=0, attributes=system)


def _packed_at_once(plan: StorePlan, array: ArrayPlan) -> int:
    """Bytes that Blosc packs together: a chunk, where it stays in the processor's cache.

    By itself Blosc takes parts of 32 kB and less, which take longer to unpack and are no smaller.
    """
    return min(plan.dates * array.chunk[0] * array.chunk[1] * array.bytes, MOST_AT_ONCE)


def _coordinate(group: zarr.Group, name: str, values: np.ndarray, words: dict[str, str]) -> None:
    array = group.create_array(
        name, shape=values.shape, chunks=values.shape, dtype=values.dtype, dimension_names=(name,), attributes=words
    )
    array[:] = values


def _middles(grid: GeoBox, array: ArrayPlan, axis: int) -> np.ndarray:
    """Coordinates of the middles of an array's rows (axis 0) or columns."""
    affine = grid.affine
    start, step = (affine.f, affine.e) if axis == 0 else (affine.c, affine.a)
    return start + step * array.ratio * (np.arange(array.shape[axis]) + 0.5)


def _take_place(aside: Path, folder: Path) -> None:
    """What was written becomes the prepared series; one that is there goes, and what is known of it."""
    shutil.rmtree(known_to_serve(folder), ignore_errors=True)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    aside.replace(folder)
    for one in (old, folder / LEDGERS):
        shutil.rmtree(one, ignore_errors=True)
