"""The sieve: small maps by hand, a plain implementation, GDAL's, and blocks."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import sieve as gdal_sieve
from scipy import ndimage

from toolkit.mapping.regions import number_regions
from toolkit.mapping.sieve import NEIGHBOURS, OSO_GROUPS, absorption, padding_of, sieve, within_groups

sieve_round = partial(sieve, rounds=1)
SHAPES = {4: ndimage.generate_binary_structure(2, 1), 8: ndimage.generate_binary_structure(2, 2)}


def scene(seed: int, shape: tuple[int, int] = (26, 33), classes: int = 4) -> np.ndarray:
    """Fields of several pixels with specks in them, and some pixels without class."""
    rng = np.random.default_rng(seed)
    fields = rng.integers(1, classes + 1, (shape[0] // 5 + 1, shape[1] // 5 + 1))
    found = np.kron(fields, np.ones((5, 5), dtype=int))[: shape[0], : shape[1]]
    specks = rng.random(shape) < 0.3
    found[specks] = rng.integers(0, classes + 1, int(specks.sum()))
    return found.astype(np.uint8)


@pytest.mark.parametrize("connectivity", [4, 8])
def test_regions_are_those_of_scipy(connectivity: int) -> None:
    classes = scene(1, (60, 71))
    regions, count = number_regions(classes, connectivity)
    assert ((regions == 0) == (classes == 0)).all()
    firsts = [int(np.flatnonzero(regions.ravel() == number)[0]) for number in range(1, count + 1)]
    assert firsts == sorted(firsts), "numbered by their first pixels"
    total = 0
    for code in range(1, 5):
        wanted, parts = ndimage.label(classes == code, SHAPES[connectivity])
        pairs = np.unique(np.stack([wanted.ravel(), np.where(classes == code, regions, 0).ravel()]), axis=1)
        assert pairs.shape[1] == parts + 1, "one to one"
        total += parts
    assert total == count


def test_a_small_region_takes_the_class_of_its_longest_border() -> None:
    classes = np.array([[1, 1, 1, 1, 1], [1, 3, 3, 2, 2], [2, 2, 2, 2, 2]], dtype=np.uint8)
    wanted = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 2, 2], [2, 2, 2, 2, 2]], dtype=np.uint8)
    # Three sides to 1 (two above, one left), three to 2 (two below, one right): the lower code.
    assert np.array_equal(sieve(classes, 3), wanted)
    classes[1, 0] = 2
    assert (sieve(classes, 3)[1, 1:3] == 2).all(), "now two sides to 1 and four to 2"


def test_specks_in_specks_are_absorbed_in_rounds() -> None:
    classes = np.full((9, 9), 1, dtype=np.uint8)
    classes[3:6, 3:6] = 2
    classes[4, 4] = 3
    once = sieve_round(classes, 9)
    assert once[4, 4] == 3 and once[3, 3] == 1
    assert (sieve(classes, 9) == 1).all()


def test_regions_of_the_unit_and_those_without_neighbour_stay() -> None:
    classes = np.zeros((5, 9), dtype=np.uint8)
    classes[1, 1:4] = 2
    classes[3, 5:9] = 7
    assert np.array_equal(sieve(classes, 4), classes), "a small one amid nothing has nowhere to go"


def test_corners_join_regions_only_where_asked() -> None:
    classes = np.full((6, 6), 1, dtype=np.uint8)
    classes[range(6), range(6)] = 2
    assert (sieve(classes, 3, 4) == 1).all()
    assert np.array_equal(sieve(classes, 3, 8), classes), "a diagonal of six pixels is one region"


def test_rules_say_who_may_absorb() -> None:
    classes = np.full((7, 7), 1, dtype=np.uint8)
    classes[:, 4:] = 2
    classes[3, 3] = 5
    assert sieve(classes, 4)[3, 3] == 1
    assert sieve(classes, 4, allowed=absorption({5: (2,)}))[3, 3] == 2
    assert sieve(classes, 4, allowed=absorption({5: ()}))[3, 3] == 5
    assert sieve(classes, 4, allowed=within_groups([(2, 5)]))[3, 3] == 2


def test_groups_are_closed() -> None:
    allowed = within_groups(OSO_GROUPS)
    assert allowed[17, 16] and allowed[5, 12] and not allowed[17, 5]
    assert not allowed[23].any() and not allowed[4].any() and not allowed.diagonal().any()


def by_plain_rules(classes: np.ndarray, pixels: int, connectivity: int, allowed: np.ndarray) -> np.ndarray:
    """One round, region by region with masks."""
    out = classes.copy()
    regions, count = number_regions(classes, connectivity)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    wide, codes = np.pad(regions, 1), np.pad(classes, 1)
    for region in np.flatnonzero(sizes < pixels):
        if region == 0:
            continue
        border: dict[int, int] = {}
        places = np.argwhere(wide == region)
        for step in NEIGHBOURS[connectivity]:
            for row, col in places + step:
                if wide[row, col] and sizes[wide[row, col]] >= pixels:
                    border[int(codes[row, col])] = border.get(int(codes[row, col]), 0) + 1
        own = int(codes[tuple(places[0])])
        options = [(-length, code) for code, length in border.items() if allowed[own, code]]
        if options:
            out[regions == region] = min(options)[1]
    return out


RULES = st.sampled_from([{}, {1: ()}, {1: (2, 3), 2: ()}, {4: (1,)}])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), pixels=st.integers(2, 12), connectivity=st.sampled_from([4, 8]), rules=RULES)
def test_same_as_the_plain_rules(seed: int, pixels: int, connectivity: int, rules: dict[int, tuple[int, ...]]) -> None:
    classes, allowed = scene(seed, (16, 19)), absorption(rules)
    wanted = by_plain_rules(classes, pixels, connectivity, allowed)
    assert np.array_equal(sieve_round(classes, pixels, connectivity, allowed), wanted)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), pixels=st.integers(2, 12), connectivity=st.sampled_from([4, 8]), rules=RULES)
def test_rounds_are_those_of_the_plain_rules(
    seed: int, pixels: int, connectivity: int, rules: dict[int, tuple[int, ...]]
) -> None:
    """Regions are numbered once, and those that are left small are looked at again; the plain rules begin anew."""
    classes, allowed = scene(seed, (16, 19)), absorption(rules)
    wanted = classes
    for rounds in range(1, 4):
        wanted = by_plain_rules(wanted, pixels, connectivity, allowed)
        assert np.array_equal(sieve(classes, pixels, connectivity, allowed, rounds=rounds), wanted)
    while not np.array_equal(after := by_plain_rules(wanted, pixels, connectivity, allowed), wanted):
        wanted = after
    assert np.array_equal(sieve(classes, pixels, connectivity, allowed), wanted)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    size=st.integers(1, 20),
    pixels=st.integers(1, 8),
    connectivity=st.sampled_from([4, 8]),
    rules=RULES,
    rounds=st.integers(1, 3),
)
def test_blocks_of_any_size_give_the_whole(
    seed: int, size: int, pixels: int, connectivity: int, rules: dict[int, tuple[int, ...]], rounds: int
) -> None:
    classes, allowed = scene(seed), absorption(rules)
    whole = sieve(classes, pixels, connectivity, allowed, rounds=rounds)
    padding = padding_of(pixels, rounds)
    wide = np.pad(classes, padding)
    for row in range(0, classes.shape[0], size):
        for col in range(0, classes.shape[1], size):
            window = wide[row : row + size + 2 * padding, col : col + size + 2 * padding]
            part = sieve(window, pixels, connectivity, allowed, rounds=rounds)
            inner = part[padding : part.shape[0] - padding, padding : part.shape[1] - padding]
            assert np.array_equal(inner, whole[row : row + size, col : col + size])


def test_one_pixel_less_of_padding_would_leave_a_seam() -> None:
    """A small line whose far end alone touches a large line that runs on away from the block."""
    pixels = 4
    classes = np.zeros((1, 2 * pixels), dtype=np.uint8)
    classes[0, : pixels - 1], classes[0, pixels - 1 : 2 * pixels - 1] = 5, 6
    whole = sieve_round(classes, pixels)
    assert whole[0, 0] == 6
    needed = padding_of(pixels) + 1  # pixels to the right of the first, itself included
    assert sieve_round(classes[:, :needed], pixels)[0, 0] == 6
    assert sieve_round(classes[:, : needed - 1], pixels)[0, 0] == 5


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), pixels=st.integers(2, 15), connectivity=st.sampled_from([4, 8]))
def test_agrees_with_gdal_where_the_choice_is_no_choice(seed: int, pixels: int, connectivity: int) -> None:
    """Regions of the unit stay as they are with both; a small one that touches one large class alone takes it."""
    classes = scene(seed)
    ours = sieve_round(classes, pixels, connectivity)
    theirs = gdal_sieve(classes, pixels, connectivity=connectivity, mask=classes > 0)
    regions, count = number_regions(classes, connectivity)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    large = sizes[regions] >= pixels
    assert np.array_equal(ours[large], theirs[large])
    for region in np.flatnonzero(sizes < pixels)[:60]:
        inside = regions == region
        around = ndimage.binary_dilation(inside, SHAPES[connectivity]) & ~inside & (regions > 0)
        met = np.unique(classes[around & large])
        if region and len(met) == 1 and np.unique(regions[around & large]).size == 1:
            assert (ours[inside] == met[0]).all() and (theirs[inside] == met[0]).all()
