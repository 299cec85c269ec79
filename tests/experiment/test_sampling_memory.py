"""Samples within `mapping.memory_gb`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit import Experiment, sample
from toolkit.experiment.sampling_memory import allot_samples, part_bytes, ready, sample_bytes
from toolkit.experiment.tiles import open_series
from toolkit.ground.errors import ParameterError
from toolkit.ground.grid import Block
from toolkit.mapping.memory import GDAL_SHARE, SPARE, Allotment, image_bytes
from toolkit.products.edges import MOST_BYTES
from toolkit.samples.extraction import MOST_SAMPLES, PixelFeatures, sample_blocks
from toolkit.series.tiling import FileTiling, StoredFile

GB = 10**9
TILE = Block(0, 0, 10980, 10980)


@pytest.fixture
def work(sampled_demo: Path) -> PixelFeatures:
    """Every pixel of the diagonal of a tile."""
    experiment = Experiment.load(sampled_demo)
    (series,) = open_series(experiment, tiles=["31TCJ"])
    place = np.arange(80)
    return PixelFeatures(series, experiment.stack, place, place)


def sentinel(dates: int) -> FileTiling:
    """A full tile of ten bands and three masks, in files' tiles of 512 x 512."""
    fine, coarse = StoredFile(512, 512, 2 * 512 * 512), StoredFile(1024, 1024, 2 * 512 * 512, 2, keeps_lines=True)
    return FileTiling((*(4 * [fine]), *(6 * [coarse])), dates, (10980, 10980), (0, 0))


def many_dates(work: PixelFeatures, dates: int) -> PixelFeatures:
    """The same pixels of a series with as many dates."""
    series = work.features.series
    longer = (series.acquisitions * (dates // len(series.acquisitions) + 1))[:dates]
    return PixelFeatures(replace(series, acquisitions=longer), work.features.stack, work.row, work.col)


@pytest.mark.parametrize("budget", [1, 1.5, 2, 4, 16])
def test_what_is_allotted_fits_and_more_memory_never_decodes_more(work: PixelFeatures, budget: float) -> None:
    long, tiling = many_dates(work, 70), sentinel(70)
    base = GB // 2
    found = allot_samples(long, [TILE], tiling, int(budget * GB), base, 4)
    assert base + found.workers * found.worker_bytes <= budget * GB
    samples = 80 * sample_bytes(long)
    assert found.worker_bytes >= part_bytes(long, found.part) + samples
    assert found.part[0] * found.part[1] * image_bytes(long.features.series) < found.worker_bytes
    more = allot_samples(long, [TILE], tiling, int(4 * budget * GB), base, 4)
    assert more.seconds_a_pixel <= found.seconds_a_pixel and more.decoded <= found.decoded


def test_many_samples_leave_less_for_parts(work: PixelFeatures) -> None:
    long, tiling = many_dates(work, 70), sentinel(70)
    row, col = (one.ravel() for one in np.mgrid[0:300, 0:300])
    dense = PixelFeatures(long.features.series, long.features.stack, row, col)
    few, many = (allot_samples(one, [TILE], tiling, 2 * GB, GB // 2, 1) for one in (long, dense))
    assert many.worker_bytes > 90_000 * sample_bytes(dense)
    assert many.part[0] * many.part[1] < few.part[0] * few.part[1]


def test_blocks_are_divided_where_many_samples_lie(work: PixelFeatures) -> None:
    row, col = (one.ravel() for one in np.mgrid[0:400, 1000:1400])
    row, col = np.append(row, [5000, 10979]), np.append(col, [5000, 3])
    dense, tiling = PixelFeatures(work.features.series, work.features.stack, row, col), sentinel(70)
    found = sample_blocks(dense, tiling)
    counts = [len(dense.inside(block)) for block in found]
    assert sum(counts) == len(row) and min(counts) > 0 and max(counts) <= MOST_SAMPLES
    assert Block(4096, 4096, 1024, 1024) in found, "blocks of few samples are those of maps"
    assert len(found) < 40


def test_too_little_memory_is_refused(work: PixelFeatures) -> None:
    with pytest.raises(
        ParameterError, match=r"mapping\.memory_gb = 1 is not enough: 1\.\d\d GB are needed .* give more"
    ):
        allot_samples(work, [TILE], FileTiling.of(work.features.series), GB, GB, 1)


def test_a_process_is_made_ready_by_a_pixel(work: PixelFeatures) -> None:
    assert 10**7 < ready(work) < 64 * GB


def test_samples_are_drawn_within_the_memory_that_is_measured(
    sampled_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that has taken nearly all is left with small parts, and draws the same samples."""
    experiment = Experiment.load(sampled_demo)
    path = experiment.folder / "samples" / "31TCJ" / "features.npy"
    before = path.read_bytes()
    monkeypatch.setattr("toolkit.series.tiling.SMALLEST_PART", 64)
    chosen: list[Allotment] = []

    def spy(
        work: PixelFeatures, among: list[Block], tiling: FileTiling, budget: int, base: int, workers: int
    ) -> Allotment:
        assert base < budget == 4 * GB and workers > 0
        small = part_bytes(work, list(tiling.part_sizes())[-2]) + len(work.row) * sample_bytes(work)
        left = int(GDAL_SHARE * budget) + MOST_BYTES + tiling.index_bytes + int(SPARE * budget) + small
        chosen.append(allot_samples(work, among, tiling, budget, budget - left, 2))
        return chosen[-1]

    monkeypatch.setattr("toolkit.experiment.drawing.allot_samples", spy)
    shutil.rmtree(experiment.folder / "samples")
    sample(experiment)
    assert chosen and all(one.workers == 1 and one.part[0] * one.part[1] < 200 for one in chosen)
    assert path.read_bytes() == before
