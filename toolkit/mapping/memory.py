"""What a worker on blocks takes of memory, and what fits into a budget: workers, parts of blocks, files kept open.

The series of a part lies in memory whole, its features a strip at a time. Numbers are counted from the arrays there
are; what they leave out (the interpreter, torch, compiled code) is measured when a run begins, and the peak of the
first blocks is measured against all of it (`ground/memory.py`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import field_validator

from toolkit.features.reading import strip_pixels
from toolkit.features.stack import FeatureStack
from toolkit.ground.errors import ParameterError
from toolkit.ground.grid import check_metres
from toolkit.ground.params import Params, param
from toolkit.learning.devices import DeviceName
from toolkit.learning.precision import Precision
from toolkit.products.edges import MOST_BYTES
from toolkit.products.layout import GDAL, JPEG_2000, TIFF
from toolkit.series.tiling import CHUNKS, FileTiling
from toolkit.series.timeseries import TileSeries

READ_BYTES = 24
"""Bytes a pixel while one band of one date is read: as stored, brought to 10 m, compared."""
RESULT_BYTES = 14
"""Bytes a pixel of a block's results while they are made: class indices of 8 bytes, then the layers."""
BLOCK_COPIES = 3
"""How often the layers of a block that are asked for besides are in memory at the peak: in a part, joined, and as the
bytes of a file."""
WORK_COPIES = 1.3
"""Peak of a block's memory over that of its series and features, where these are whole in memory: 1.02 to 1.07 measured
on 70 dates of 10 bands with blocks of 512 and 256; the rest is margin."""
WORKER_BYTES = 20_000_000
"""What a worker takes besides: activations of the network, memory that the allocator keeps."""
START_BYTES = 120_000_000
"""What the first pixels bring into memory for good, where that is not measured: compiled code, the network, the
libraries' own working memory (80 MB measured)."""
PROCESS_BYTES = 500_000_000 + START_BYTES
"""What a process that only works on blocks takes: the interpreter, torch, GDAL, and what the first pixels bring (0.46
GB measured)."""
SPARE = 1 / 64
"""Share of the budget that is given to nobody: what the allocator keeps and cannot use again."""
GDAL_SHARE = 1 / 32
"""Share of the budget for GDAL's cache of tiles; where blocks fit the files, hardly a tile is asked for twice."""
LINES_SHARE = 1 / 32
"""Share of the budget, at most, for the lines at the edges of files' tiles."""

OPENING_SECONDS, COMPUTED_PIXELS_A_SECOND = 6e-4, 3e5
"""Costs by which a choice is made: to open a file in GDAL, to compute (on one core; only their ratios matter)."""
ALONE = 0.03
"""Share of a block's time in which its threads wait for one of them."""
DECODED_BYTES_A_SECOND = {TIFF: 8e8, GDAL: 3e8, JPEG_2000: 2e7, CHUNKS: 1.2e9}
"""The same of decoding, by the decoder."""


class MappingParams(Params):
    """How whole tiles are classified."""

    memory_gb: float = param(4.0, "Memory that may be used; it decides the size of blocks.", unit="GB", ge=1, le=4096)
    workers: int | None = param(
        None,
        "Threads that work on blocks at the same time: each on one of its own, or several on one where there are fewer "
        "blocks or memory for fewer. Empty: one a processor core.",
        ge=1,
        le=1024,
    )
    precision: Precision = param(
        "float32",
        "Of the network's arithmetic: float32; bfloat16, faster on processors and GPUs made for it and many times "
        "slower on others; auto, bfloat16 where a trial on the tile finds it faster and no more than 0.2 % of the "
        "pixels of another class, so that maps of two machines may differ.",
    )
    device: DeviceName = param(
        "cpu",
        "Where the network is: cpu; cuda or mps, a GPU, beside which gaps are filled by neighbours and indices "
        "computed too; auto, a GPU where there is one. Results are the same within rounding.",
    )
    longest_gap: bool = param(
        False, "Also write the longest time between two clear dates, days, to `longest_gap.tif` of each tile."
    )
    probabilities: bool = param(
        False, "Also write the probabilities of all classes, percent, a band a class, to `probabilities.tif`."
    )
    margin: bool = param(False, "Also write by how much the largest probability exceeds the second to `margin.tif`.")
    entropy: bool = param(
        False, "Also write how undecided the network is (0 to 100, all classes alike) to `entropy.tif`."
    )
    model: Path | None = param(
        None, "Folder of a saved model to classify with, relative to the experiment file. Empty: the experiment's own."
    )
    ensemble: tuple[str, ...] = param(
        (),
        "Folders of further saved models, relative to the experiment file, such as those of other seeds. The map is of "
        "the mean of the probabilities of all models; images are read once.",
    )
    crs: str | None = param(
        None, "Coordinate system of the mosaic, in metres, such as EPSG:2154. Empty: that of most tiles."
    )

    @field_validator("crs")
    @classmethod
    def _in_metres(cls, crs: str | None) -> str | None:
        return crs if crs is None else check_metres(crs)

    @field_validator("ensemble")
    @classmethod
    def _each_once(cls, folders: tuple[str, ...]) -> tuple[str, ...]:
        twice = next((one for one in folders if folders.count(one) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} is named twice; each model counts once")
        return folders

    @property
    def bytes(self) -> int:
        """Memory that may be used, bytes."""
        return int(self.memory_gb * 1e9)

    @property
    def most_workers(self) -> int:
        """Threads that work on blocks at the same time at most."""
        return self.workers or os.cpu_count() or 1


@dataclass(frozen=True)
class Allotment:
    """What workers on blocks may take."""

    workers: int
    """Blocks at the same time."""
    part: tuple[int, int]
    """Rows and columns worked on at once; a block may have several parts."""
    keep_open: bool
    """Whether files stay open between blocks."""
    worker_bytes: int
    """What each worker is expected to take."""
    files_bytes: int
    """What open files take, which all workers share."""
    cache_mb: int
    """GDAL's cache of tiles."""
    decoded: float
    """Bytes decoded over the bytes that there are: 1 where each tile is decoded once."""
    seconds_a_pixel: float
    """By which choices are compared; not a forecast."""
    lines_bytes: int = MOST_BYTES
    """Lines at the edges of files' tiles that are kept: see `products/edges.py`."""
    threads: int = 1
    """That share a block."""

    @property
    def bytes(self) -> int:
        """What all workers are expected to take."""
        return self.workers * self.worker_bytes + self.files_bytes


def allot(
    series: TileSeries,
    stack: FeatureStack,
    tiling: FileTiling,
    budget: int,
    base: int,
    most_workers: int,
    more: int = 0,
    *,
    sharing: bool = True,
) -> Allotment:
    """Share a budget out so that the work is done soonest: few large parts, or several small ones.

    Args:
        budget: bytes that the process may take in all.
        base: bytes that it takes when it is ready for the first block.
        most_workers: processor cores to use.
        more: bytes a pixel of the layers besides classes, confidence and validity.
        sharing: whether several threads may share a block: where there are fewer blocks than cores, or memory for
            fewer.

    Raises:
        ParameterError: the smallest part does not fit.
    """
    cache = int(min(256e6, GDAL_SHARE * budget))
    lines = int(min(MOST_BYTES, LINES_SHARE * budget)) if any(one.keeps_lines for one in tiling.files) else 0
    taken = base + cache + lines + tiling.index_bytes + int(SPARE * budget)
    shares = sharing and not stack.external  # external features look at a part as a whole
    every = [
        replace(one, lines_bytes=lines) for one in _choices(series, stack, tiling, most_workers, cache, more, shares)
    ]
    return soonest(
        every,
        base,
        taken,
        budget,
        f"the {tiling.dates} dates and {len(stack)} features of the smallest part of a block",
    )


def soonest(choices: Sequence[Allotment], base: int, taken: int, budget: int, what: str) -> Allotment:
    """The choice by which the work is done soonest of those that fit.

    Args:
        base: bytes that the process takes before it begins.
        taken: bytes of the budget that are taken whatever is chosen, these included.
        what: the memory is for, in words.

    Raises:
        ParameterError: none fits.
    """
    fitting = [one for one in choices if taken + one.bytes <= budget]
    if fitting:
        return min(fitting, key=lambda one: (one.seconds_a_pixel, one.bytes))
    needed = math.ceil((taken + min(one.bytes for one in choices)) / 1e7) / 100
    raise ParameterError(
        f"mapping.memory_gb = {budget / 1e9:g} is not enough: {needed:.2f} GB are needed for {what}, "
        f"{base / 1e9:.2f} of which a process takes before it begins; give more, or begin a new process for it"
    )


def _choices(
    series: TileSeries, stack: FeatureStack, tiling: FileTiling, cores: int, cache: int, more: int, shares: bool
) -> Iterator[Allotment]:
    kept = BLOCK_COPIES * more * tiling.block_size[0] * tiling.block_size[1]
    blocks = len(tiling.cover())
    for part in tiling.part_sizes():
        decoded = tiling.times_decoded(part)
        for keep_open in (True, False):
            one, files = part_bytes(series, stack, part) + kept, tiling.open_bytes if keep_open else 0
            seconds = reading_seconds(tiling, part, keep_open=keep_open) + 1 / COMPUTED_PIXELS_A_SECOND
            for workers in range(1, min(cores, blocks) + 1):
                threads = cores // workers if shares else 1
                worker = one + (threads - 1) * helper_bytes(series, stack, part)
                at_once = blocks / -(-blocks // workers) * speed_of(threads)
                yield Allotment(
                    workers, part, keep_open, worker, files, int(cache // 2**20), decoded, seconds / at_once,
                    threads=threads,
                )  # fmt: skip


def speed_of(threads: int) -> float:
    """How many times as fast several threads do a block as one."""
    return 1 / (ALONE + (1 - ALONE) / threads)


def reading_seconds(tiling: FileTiling, part: tuple[int, int], *, keep_open: bool) -> float:
    """What reading a pixel costs in parts of this size, by which choices are compared."""
    opening = 0.0 if keep_open else OPENING_SECONDS * tiling.opened_count / (part[0] * part[1])
    return opening + sum(count / DECODED_BYTES_A_SECOND[decoder] for decoder, count in tiling.decoded_by(part).items())


def part_bytes(series: TileSeries, stack: FeatureStack, part: tuple[int, int]) -> int:
    """Memory that reading a part and computing its features takes at its peak, files and their tiles aside."""
    height, width = (length + 2 * stack.padding for length in part)
    pixels = height * width
    if stack.external:
        held = 4 * stack.held(len(series.acquisitions))
        return int(WORK_COPIES * pixels * (series_bytes(series) + held + RESULT_BYTES)) + WORKER_BYTES
    at_once = min(height, series.rows_at_once or height) * width
    images = at_once * on_grid_bytes(series) + pixels * coarse_bytes(series)
    return int(images + pixels * (READ_BYTES + RESULT_BYTES)) + helper_bytes(series, stack, part)


def helper_bytes(series: TileSeries, stack: FeatureStack, part: tuple[int, int]) -> int:
    """Memory of one strip of a part, which each of the threads has that share it."""
    dates, (height, width) = len(series.acquisitions), part
    strip = min(max(strip_pixels(stack, dates), width), height * width)
    return strip * (4 * stack.held(dates) + series_bytes(series) + RESULT_BYTES) + WORKER_BYTES


def series_bytes(series: TileSeries) -> int:
    """Bytes of the values and validity of a pixel, of all sensors."""
    own = len(series.acquisitions) * (2 * len(series.bands) + 1)
    return own + sum(map(series_bytes, series.others))


def image_bytes(series: TileSeries) -> float:
    """Bytes of the images of a pixel as they are stored, coarse bands in their own pixels, of all sensors."""
    return on_grid_bytes(series) + coarse_bytes(series)


def on_grid_bytes(series: TileSeries) -> int:
    """Those of the bands on the grid and of the masks."""
    own = len(series.acquisitions) * (2 * (len(series.bands) - len(series.ratios)) + 1)
    return own + sum(map(on_grid_bytes, series.others))


def coarse_bytes(series: TileSeries) -> float:
    """Those of the bands that are coarser."""
    own = len(series.acquisitions) * 2 * sum(ratio**-2 for ratio in series.ratios.values())
    return own + sum(map(coarse_bytes, series.others))
