"""The calendar of acquisitions: real orbits, dates that differ by tile, names as Theia writes them."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from toolkit.demo import Scene
from toolkit.demo.passes import OWN_ORBIT, choose_products, make_passes
from toolkit.demo.tiles import TILES
from toolkit.ground.grid import tile_name

NAME = re.compile(r"^SENTINEL2([AB])_(\d{8})-(\d{6})-(\d{3})_L2A_T(31T[CD][JK])_([CD])_V(\d-\d)$")


@pytest.fixture(scope="module")
def products():
    rng = np.random.default_rng(0)
    return choose_products(rng, make_passes(rng), 38)


def test_names_are_those_of_theia(scene: Scene) -> None:
    for one in scene.acquisitions:
        match = NAME.match(one.name)
        assert match, one.name
        assert match.group(5) == one.tile == tile_name(one.tile)
        assert match.group(2) == str(one.date).replace("-", "")


def test_names_are_unique(products) -> None:
    names = [one.name for tile in TILES for one in products[tile]]
    assert len(set(names)) == len(names)


def test_each_orbit_comes_every_five_days_with_both_satellites_in_turn() -> None:
    passes = make_passes(np.random.default_rng(0))
    for orbit in (8, 51):
        own = [one for one in passes if one.orbit == orbit]
        assert set(np.diff([one.day for one in own])) == {5}
        assert all(a.satellite != b.satellite for a, b in pairwise(own))


def test_sentinel_2a_passed_toulouse_on_11_may_2018() -> None:
    """The product SENTINEL2A_20180511-105804-037_L2A_T31TCJ_D_V1-7 exists: orbit 51."""
    passes = make_passes(np.random.default_rng(0))
    found = [one for one in passes if one.time.astype("datetime64[D]") == np.datetime64("2018-05-11")]
    assert [(one.satellite, one.orbit) for one in found] == [("A", 51)]


def test_the_year_is_covered_by_35_to_45_dates_a_tile(products) -> None:
    for tile in TILES:
        dates = np.array([one.date for one in products[tile]])
        assert 35 <= len(dates) <= 45
        assert dates.min() < np.datetime64("2018-01-01") and dates.max() > np.datetime64("2018-12-27")
        assert (np.diff(dates) >= np.timedelta64(0)).all()


def test_dates_differ_by_tile(products) -> None:
    sets = {tile: {one.date for one in products[tile]} for tile in TILES}
    for a in TILES:
        assert all(sets[a] != sets[b] for b in TILES if b != a)


def test_letters_versions_and_satellites_are_mixed(products) -> None:
    every = [one for tile in TILES for one in products[tile]]
    assert {one.letter for one in every} == {"C", "D"}
    assert len({one.version for one in every}) >= 4
    assert {one.overpass.satellite for one in every} == {"A", "B"}


def test_one_day_of_one_tile_has_two_products(products) -> None:
    twice = {
        tile: [date for date, count in Counter(one.date for one in products[tile]).items() if count > 1]
        for tile in TILES
    }
    assert {tile: len(dates) for tile, dates in twice.items()} == {"31TCJ": 0, "31TCK": 1, "31TDJ": 0, "31TDK": 0}


def test_some_dates_come_from_the_neighbouring_orbit(products) -> None:
    for tile in TILES:
        foreign = [one for one in products[tile] if one.overpass.orbit != OWN_ORBIT[tile]]
        assert 1 <= len(foreign) <= 6
