"""Blocks by the tiles of the files, counted against windows cut one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from toolkit.series.tiling import FileTiling, StoredFile, tiles_met

WHOLE = (10980, 10980)


def of(*files: StoredFile) -> FileTiling:
    return FileTiling(files, 70, WHOLE, (0, 0))


@given(some.integers(1, 60), some.integers(1, 60), some.integers(0, 3))
def test_tiles_met_are_those_of_pieces_side_by_side(length: int, tile: int, ring: int) -> None:
    pieces = np.arange(0, np.lcm(length, tile), length)
    counts = [len({pixel // tile for pixel in range(at - ring, at + length + ring)}) for at in pieces.tolist()]
    aligned = length % tile == 0 or tile % length == 0 or 2 * length < tile
    assert tiles_met(length, tile, ring) == pytest.approx(counts[0] if aligned else np.mean(counts))


def test_geotiffs_have_blocks_of_their_largest_tiles() -> None:
    fine, coarse = StoredFile(512, 512, 2 * 512**2), StoredFile(1024, 1024, 2 * 512**2, 2, True)
    assert of(fine, coarse).block_size == (1024, 1024)
    strips = StoredFile(1, 10980, 21960), StoredFile(2, 10980, 10980, 2)
    assert of(*strips).block_size == (96, 10980)


def test_jpeg_2000_has_blocks_of_the_tiles_of_its_10_m_bands() -> None:
    """Tiles of 1280 pixels of 10 m end amid those of 1024: whatever the block, one or the other is decoded often."""
    fine, coarse, mask = (
        StoredFile(1024, 1024, 2 * 1024**2),
        StoredFile(1280, 1280, 2 * 640**2, 2, True),
        StoredFile(1280, 1280, 640**2),
    )
    tiling = of(*[fine] * 4, *[coarse] * 6, mask)
    assert tiling.block_size == (1024, 1024)
    least = 70 * (4 * 2 + 6 * 2 / 4 + 1 / 4)
    assert 2.0 < tiling.decoded_bytes((1024, 1024)) / least < 2.2 < tiling.decoded_bytes((1280, 1280)) / least < 2.5
    assert of(coarse, mask).block_size == (1280, 1280)
