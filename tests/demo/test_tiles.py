"""The crops lie on the true tiles' pixels, meet, and overlap."""

from __future__ import annotations

import itertools

import pytest

from toolkit.demo.tiles import MEETING, TILES, TRUE_CORNERS, Layout
from toolkit.ground import grid

TRUE_SPAN = 109_800


@pytest.mark.parametrize("size", [40, 60, 300])
@pytest.mark.parametrize("tile", TILES)
def test_crop_lies_inside_its_true_tile_on_its_20_m_pixels(tile: str, size: int) -> None:
    box = Layout(size).tile(tile).boundingbox
    left, top = TRUE_CORNERS[tile]
    assert (box.left - left) % 20 == 0 and (top - box.top) % 20 == 0
    assert left <= box.left and box.right <= left + TRUE_SPAN
    assert top - TRUE_SPAN <= box.bottom and box.top <= top
    assert Layout(size).tile(tile).shape == (size, size)


@pytest.mark.parametrize("size", [40, 60, 300])
def test_every_pair_of_crops_overlaps_and_is_aligned(size: int) -> None:
    layout = Layout(size)
    for one, other in itertools.combinations(TILES, 2):
        assert grid.is_aligned(layout.tile(one), layout.tile(other))
        assert grid.crop(layout.tile(one), layout.tile(other).boundingbox.bbox) is not None


def test_all_four_crops_hold_the_meeting_point() -> None:
    x, y = MEETING
    for tile in TILES:
        box = Layout(60).tile(tile).boundingbox
        assert box.left < x < box.right and box.bottom < y < box.top


def test_overlap_is_about_a_tenth_of_a_crop() -> None:
    layout = Layout(300)
    assert 0.05 < 2 * layout.reach / layout.size < 0.15


def test_window_finds_the_tile_in_the_landscape() -> None:
    layout = Layout(60)
    for tile in TILES:
        row, col = layout.window(tile)
        block = grid.Block(row, col, 60, 60)
        assert block.of(layout.land) == layout.tile(tile)
        assert row % 2 == 0 and col % 2 == 0
