"""Samples within `mapping.memory_gb`: what a worker on blocks of samples takes, and what fits.

As of maps (`mapping/memory.py`): what the process takes is measured, what a worker takes besides is counted from the
arrays there are, and the peak of the first blocks is held against both. The series of a part lies in memory whole, the
features of its sampled pixels beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toolkit.features.reading import TileFeatures
from toolkit.ground.grid import Block
from toolkit.ground.memory import in_use
from toolkit.mapping.classify import FEW_DATES
from toolkit.mapping.memory import (
    GDAL_SHARE,
    LINES_SHARE,
    READ_BYTES,
    SPARE,
    START_BYTES,
    WORKER_BYTES,
    Allotment,
    image_bytes,
    reading_seconds,
    series_bytes,
    soonest,
)
from toolkit.products.edges import MOST_BYTES
from toolkit.products.handles import close_rasters, raster_memory
from toolkit.samples.extraction import PixelFeatures
from toolkit.series.images import PICKED_PIXELS
from toolkit.series.tiling import FileTiling

SAMPLE_COPIES = 4
"""How often the features of a sample are in memory at the peak: as computed, in their order, joined, and as the bytes
of a file."""


def ready(work: PixelFeatures) -> int:
    """Bytes that this process takes once all is there that the first samples bring: compiled code, open libraries.

    One pixel of a few dates is worked on for that. External features may want more of them: theirs is an estimate.

    Raises:
        ProductError: a file cannot be read.
    """
    series, stack = work.features.series, work.features.stack
    if stack.external:
        return in_use() + START_BYTES
    few = replace(series, acquisitions=series.acquisitions[:FEW_DATES])
    with raster_memory(1, keep_open=False):
        TileFeatures(few, stack).read_pixels(work.row[:1], work.col[:1])
    close_rasters()
    return in_use()


def allot_samples(
    work: PixelFeatures, among: Sequence[Block], tiling: FileTiling, budget: int, base: int, most_workers: int
) -> Allotment:
    """Share a budget out so that the samples of a tile are there soonest: few large parts, or several small ones.

    Args:
        among: the blocks that the samples lie in.
        budget: bytes that the process may take in all.
        base: bytes that it takes when it is ready for the first block.

    Raises:
        ParameterError: the smallest part does not fit.
    """
    cache, lines = int(min(256e6, GDAL_SHARE * budget)), int(min(MOST_BYTES, LINES_SHARE * budget))
    taken = base + cache + lines + tiling.index_bytes + int(SPARE * budget)
    samples = max(len(work.inside(block)) for block in among) * sample_bytes(work)
    choices = []
    for part in tiling.part_sizes():
        decoded = tiling.times_decoded(part)
        for keep_open in (True, False):
            each, files = part_bytes(work, part) + samples, tiling.open_bytes if keep_open else 0
            reading = reading_seconds(tiling, part, keep_open=keep_open)
            for workers in range(1, most_workers + 1):
                seconds = reading / workers
                one = Allotment(workers, part, keep_open, each, files, cache // 2**20, decoded, seconds, lines)
                choices.append(one)
    return soonest(choices, base, taken, budget, f"the samples of {work.features.series.tile}, of {tiling.dates} dates")


def part_bytes(work: PixelFeatures, part: tuple[int, int]) -> int:
    """Memory that reading a part takes at its peak; with external features, that of all its pixels' features too."""
    series, stack = work.features.series, work.features.stack
    height, width = (length + 2 * stack.padding for length in part)
    if stack.external:
        a_pixel = series_bytes(series) + READ_BYTES + 4 * stack.held(len(series.acquisitions))
        return height * width * a_pixel + WORKER_BYTES
    strip = min(max(PICKED_PIXELS, width), height * width) * series_bytes(series)
    return int(height * width * (image_bytes(series) + READ_BYTES)) + strip + WORKER_BYTES


def sample_bytes(work: PixelFeatures) -> int:
    """Memory of one sample, its series and its features, at the peak."""
    series, stack = work.features.series, work.features.stack
    return series_bytes(series) + 4 * (stack.held(len(series.acquisitions)) + SAMPLE_COPIES * work.width)
