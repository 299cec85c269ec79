"""What it will take to classify a tile: files, memory, disk, and the time, by a probe of a few blocks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.features.stack import FeatureStack
from toolkit.ground.block_files import work_and_write
from toolkit.ground.grid import Block
from toolkit.ground.parts import PartSize
from toolkit.learning.devices import torch_threads
from toolkit.learning.ensemble import AnyModel
from toolkit.learning.precision import Stored
from toolkit.mapping.classify import ALWAYS, BlockClassifier
from toolkit.mapping.layers import layer_bytes
from toolkit.mapping.memory import Allotment, allot, speed_of
from toolkit.products.handles import close_rasters, raster_memory
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries

BLOCK_BYTES = layer_bytes(ALWAYS, 1)
"""Bytes of a pixel in a block's file, which is not compressed."""
MAP_BYTES = 2.0
"""Bytes of a pixel in a tile's maps, compressed: 1.1 to 1.6 measured. Further layers count as they are."""
PROBE_PIXELS = 512 * 512
"""Pixels of a probe at most: a second or two of work."""


@dataclass(frozen=True)
class TileForecast:
    """What a tile will take."""

    tile: str
    files: int
    read_bytes: int
    """Of the files as they lie on disk."""
    decoded: float
    """How often a tile of a file is decoded, on average."""
    pixels: int
    dates: int
    blocks: int
    block_size: tuple[int, int]
    allotment: Allotment
    more: int = 0
    """Bytes of a pixel of the layers besides those of every tile."""
    prepared: bool = False
    """Whether a prepared series is read in place of the files."""

    @property
    def block_bytes(self) -> int:
        """Disk for the blocks' files, until the maps are written."""
        return (BLOCK_BYTES + self.more) * self.pixels

    @property
    def map_bytes(self) -> int:
        """Disk for the maps, about."""
        return round((MAP_BYTES + self.more) * self.pixels)

    @property
    def rounds(self) -> float:
        """Blocks one after the other, by the time that one thread takes for one."""
        return -(-self.blocks // self.allotment.workers) / speed_of(self.allotment.threads)


def forecast_tile(
    series: TileSeries,
    stack: FeatureStack,
    budget: int,
    base: int,
    most_workers: int,
    more: int = 0,
    *,
    sharing: bool = True,
) -> TileForecast:
    """What a tile will take; every file is looked at, none is read.

    Args:
        budget, base, most_workers, more, sharing: as of `allot`.

    Raises:
        ProductError: a file is absent.
        ParameterError: the memory is not enough.
    """
    tiling = FileTiling.of(series)
    allotment = allot(series, stack, tiling, budget, base, most_workers, more, sharing=sharing)
    height, width = series.grid.shape
    dates = [date for sensor in (series, *series.others) for date in sensor.acquisitions]
    if series.prepared:
        dates = dates[len(series.acquisitions) :]
    images = [one.path for date in dates for _, one in (*date.bands, *date.masks)]
    paths = [*(series.prepared.files() if series.prepared else ()), *images]
    return TileForecast(
        series.tile, len(paths), sum(path.stat().st_size for path in paths), allotment.decoded, height * width,
        len(series.acquisitions), len(tiling.cover()), tiling.block_size, allotment, more,
        series.prepared is not None,
    )  # fmt: skip


def probe(
    series: TileSeries,
    stack: FeatureStack,
    model: AnyModel,
    forecast: TileForecast,
    folder: Path,
    layers: Sequence[str] = ALWAYS,
    precision: Stored = "float32",
) -> float:
    """Seconds that a pixel takes one worker alone, from a piece in the middle of some blocks, read to written.

    The piece is as high as the parts that will be worked on, so that files are decoded as often, but no larger than
    `PROBE_PIXELS`; the first one, which opens files and loads code, does not count.

    Raises:
        ProductError: a file cannot be read. FeatureError: an external feature fails.
    """
    work = BlockClassifier(series, stack, model, layers, precision, PartSize(forecast.allotment.part))
    taken, pixels = 0.0, 0
    allotment = forecast.allotment
    try:
        with torch_threads(1), raster_memory(allotment.cache_mb, keep_open=allotment.keep_open):
            for place, block in enumerate(_pieces(forecast, FileTiling.of(series).cover())):
                begun = time.perf_counter()
                work_and_write(work, block, folder)
                if place:
                    taken, pixels = taken + time.perf_counter() - begun, pixels + block.height * block.width
    finally:
        close_rasters()
        shutil.rmtree(folder, ignore_errors=True)
    return taken / pixels


def _pieces(forecast: TileForecast, cover: Sequence[Block]) -> list[Block]:
    """A small piece to begin with, then one of each of two blocks: in the middle of the tile, and before it."""
    height, width = forecast.allotment.part
    while height * width > PROBE_PIXELS:
        height, width = (-(-height // 2), width) if height >= width else (height, -(-width // 2))
    chosen = [cover[len(cover) // 2], cover[len(cover) // 3]]
    pieces = [Block(one.row, one.col, min(height, one.height), min(width, one.width)) for one in chosen]
    first = pieces[0]
    return [Block(first.row, first.col, min(64, first.height), min(64, first.width)), *pieces]
