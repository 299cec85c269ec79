"""When the satellites pass, what each pass meets, and which images of it a tile gets.

Sentinel-2A and 2B see a place every five days from one orbit. Tiles 31TCJ and 31TCK lie under orbit 51, tiles 31TDJ
and 31TDK under orbit 8, three days earlier; the edge of the neighbouring swath runs through each crop, so some
dates show a part of it only. As at Theia, the cloudier a date the likelier it is that no product was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from toolkit.demo.tiles import TILES

NEW_YEAR = np.datetime64("2018-01-01", "D")
LAST = np.datetime64("2019-01-25", "D")
ORBITS = {51: ("2017-12-02", "AB", "10:57:58"), 8: ("2017-12-04", "BA", "10:47:52")}
"""Relative orbit: its first day, the satellites that pass in turn every five days, and the hour (UTC)."""
SNOW_DAY = np.datetime64("2018-02-27")
"""A pass of orbit 8 over snow."""
OWN_ORBIT = {"31TCJ": 51, "31TCK": 51, "31TDJ": 8, "31TDK": 8}
TWICE = "31TCK"
"""The tile that has two products of one day: the end of a data strip cuts it."""
_RELEASES = (("D", "1-4"), ("D", "1-7"), ("D", "1-8"), ("C", "2-0"), ("C", "2-2"))


@dataclass(frozen=True)
class Overpass:
    """One pass of one satellite, with its weather."""

    number: int
    satellite: str
    """A or B."""
    orbit: int
    time: np.datetime64
    """UTC, milliseconds."""
    cloudiness: float
    """Share of the sky under clouds, 0 to 1."""
    haze: float
    """Opacity of haze where it is thickest, 0 to 1."""
    moisture: float
    """How wet soils are, 0 to 1."""
    snow: float
    """Share of the land under snow, 0 to 1."""

    @property
    def day(self) -> int:
        """Days since 1 January 2018."""
        return _days(NEW_YEAR, self.time)


@dataclass(frozen=True)
class Acquisition:
    """One product: what one pass shows of one tile."""

    tile: str
    overpass: Overpass
    letter: str
    """C: complete; D: distributed."""
    version: str
    time: np.datetime64
    half: str = "whole"
    """`north` or `south` where the end of a data strip cuts the tile."""

    @property
    def date(self) -> np.datetime64:
        return self.time.astype("datetime64[D]")

    @property
    def name(self) -> str:
        """Product name as Theia writes it."""
        stamp = str(self.time).replace("-", "").replace(":", "").replace("T", "-").replace(".", "-")
        return f"SENTINEL2{self.overpass.satellite}_{stamp}_L2A_T{self.tile}_{self.letter}_V{self.version}"


def make_passes(rng: np.random.Generator) -> list[Overpass]:
    """Every pass over the demo, December 2017 to January 2019, in order of time."""
    found = []
    for orbit, (start, satellites, hour) in ORBITS.items():
        days = np.arange(np.datetime64(start), LAST, 5)
        found += [(day, orbit, satellites[step % 2], hour) for step, day in enumerate(days)]
    passes: list[Overpass] = []
    for number, (day, orbit, satellite, hour) in enumerate(sorted(found)):
        time = np.datetime64(f"{day}T{hour}", "ms") + int(rng.integers(0, 14_000))
        before = passes[-1].moisture if passes else 0.5
        passes.append(Overpass(number, satellite, orbit, time, *_weather(rng, day, before)))
    return passes


def _weather(rng: np.random.Generator, day: np.datetime64, before: float) -> tuple[float, float, float, float]:
    """Cloudiness, haze, moisture and snow of a day; soils dry from what they were `before`."""
    winter = 0.5 + 0.5 * float(np.cos(2 * np.pi * (_days(NEW_YEAR, day) - 15) / 365))
    moisture = float(np.clip(0.55 * before + 0.45 * rng.random() * (0.6 + 0.6 * winter), 0, 1))
    cloudiness = _cloudiness(rng, winter)
    haze = float(rng.choice([0.0, rng.uniform(0.04, 0.26)], p=[0.45, 0.55]))
    if day == SNOW_DAY:
        return min(cloudiness, 0.15), haze, moisture, 0.7
    return cloudiness, haze, moisture, 0.0


def _days(start: np.datetime64, end: np.datetime64) -> int:
    return int((end.astype("datetime64[D]") - start) / np.timedelta64(1, "D"))


def _cloudiness(rng: np.random.Generator, winter: float) -> float:
    """Many clear or overcast days, fewer between; winter is cloudier."""
    draw = rng.random() - 0.12 * (winter - 0.5)
    if draw < 0.36 - 0.1 * winter:
        return float(rng.uniform(0, 0.06))
    if draw < 0.8:
        return float(rng.uniform(0.06, 0.75))
    return float(rng.choice([1.0, rng.uniform(0.75, 1.0)], p=[0.3, 0.7]))


def choose_products(rng: np.random.Generator, passes: list[Overpass], dates: int) -> dict[str, list[Acquisition]]:
    """The products of each tile in order of time.

    Args:
        dates: passes of a tile's own orbit that give a product; an eighth as many of the other orbit come on top,
            and one day of tile 31TCK has two products.
    """
    products: dict[str, list[Acquisition]] = {}
    for tile in TILES:
        own = [one for one in passes if one.orbit == OWN_ORBIT[tile]]
        others = [one for one in passes if one.orbit != OWN_ORBIT[tile]]
        chosen = _choose(rng, own, dates) + _choose(rng, others, dates // 8)
        made = [_product(rng, tile, one) for one in sorted(chosen, key=lambda one: one.time)]
        products[tile] = _cut_one(made) if tile == TWICE else made
    return products


def _choose(rng: np.random.Generator, passes: list[Overpass], count: int) -> list[Overpass]:
    """The best pass of each of `count` stretches of time: at random, the clear ones and the snow likelier."""
    score = rng.random(len(passes)) - np.array([0.6 * one.cloudiness - one.snow for one in passes])
    edges = np.linspace(0, len(passes), min(count, len(passes)) + 1).round().astype(int)
    return [passes[start + int(np.argmax(score[start:stop]))] for start, stop in pairwise(edges)]


def _product(rng: np.random.Generator, tile: str, overpass: Overpass) -> Acquisition:
    letter, version = _RELEASES[rng.choice(len(_RELEASES), p=(0.15, 0.3, 0.25, 0.1, 0.2))]
    # the satellite flies south: the tiles in the north are seen 14 seconds earlier
    later = np.timedelta64(14_368 if tile.endswith("J") else 0, "ms")
    return Acquisition(tile, overpass, letter, version, overpass.time + later)


def _cut_one(products: list[Acquisition]) -> list[Acquisition]:
    """The same products, the clearest summer one of the tile's own orbit cut into a northern and a southern half."""
    own = [one for one in products if one.overpass.orbit == OWN_ORBIT[one.tile]]
    target = min(own, key=lambda one: one.overpass.cloudiness + abs(one.overpass.day - 195) / 60)
    north = Acquisition(target.tile, target.overpass, target.letter, target.version, target.time, "north")
    south = Acquisition(
        target.tile, target.overpass, target.letter, target.version, target.time + np.timedelta64(7_212, "ms"), "south"
    )
    return sorted([one for one in products if one is not target] + [north, south], key=lambda one: one.time)
