"""What the ground reflects on a day: spectra of parcels, and the texture within them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.demo.fields import fractal_field, gaussian_field, smoothstep
from toolkit.demo.kinds import CODES, KINDS, Kind
from toolkit.demo.landscape import Landscape, tile_of
from toolkit.demo.phenology import Climate, Growth, draw_growth
from toolkit.demo.spectra import BLOSSOM, ENDMEMBERS, LEAF_WATER, MOISTURE, endmember, random_mixtures, shares
from toolkit.demo.tiles import TILES

CLIMATE = {
    #          delay (days), vigour, drought, soils: pale, dark, red, sandy
    "31TCJ": (-11.0, 1.02, 1.00, 0.84, 0.08, 0.04, 0.04),
    "31TCK": (+5.0, 0.90, 0.60, 0.10, 0.80, 0.02, 0.08),
    "31TDJ": (-3.0, 1.08, 0.30, 0.06, 0.16, 0.74, 0.04),
    "31TDK": (+16.0, 0.96, 0.10, 0.06, 0.08, 0.10, 0.76),
}
"""What differs between the tiles; between their crops it changes over a few hundred metres."""

SOILS = ("pale_soil", "dark_soil", "red_soil", "sandy_soil")
PRACTICE_DAYS = 10.0
"""Standard deviation of the days by which a tile's farmers sow and reap a kind of crop earlier or later."""
PRACTICE_VIGOUR = 0.11
"""Standard deviation of the logarithm of how much greener a kind grows in one tile than in another."""
PRACTICE_FOOT = 0.045
"""Standard deviation of the NDVI that a kind has more or less outside of its seasons in one tile than in another."""
PRACTICE_COLOUR = 0.06
"""Standard deviation of a relative tilt of the spectrum of a kind's green part from tile to tile."""

_GRAIN = {
    1: (0.11, 0.16), 2: (0.16, 0.15), 3: (0.09, 0.22), 4: (0.08, 0.10), 14: (0.06, 0.06), 15: (0.05, 0.05),
    16: (0.05, 0.08), 17: (0.05, 0.09), 18: (0.06, 0.06), 19: (0.08, 0.08), 20: (0.06, 0.12), 23: (0.0, 0.04),
}  # fmt: skip
"""Pixel-to-pixel differences of a class: of green cover, and of brightness; else 0.025 and 0.03."""


@dataclass(frozen=True)
class Surface:
    """Everything about the ground that does not change with the date."""

    land: Landscape
    kinds: np.ndarray
    """Number in `KINDS` of each parcel, (parcel,)."""
    climate: Climate
    growth: Growth
    green: np.ndarray
    """Reflectance of the green part, float32 (parcel, band)."""
    ground: np.ndarray
    """Reflectance of what is not green, dry, float32 (parcel, band)."""
    bare: np.ndarray
    """Part of the ground that is soil, which wetness darkens, float32 (parcel,)."""
    thirst: np.ndarray
    """How much of the drought a canopy feels, float32 (parcel,)."""
    grain: np.ndarray
    """Pixel-to-pixel differences of cover and of brightness, float32 (parcel, 2)."""
    texture: np.ndarray
    """Fields over the landscape, float32 (4, y, x): vigour, soil, fine grain, light on slopes."""

    def spectra(self, day: float, moisture: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Green cover (parcel,), reflectance of the green part and of the rest (parcel, band), on a day."""
        growth = self.growth
        dry = self.climate.drought * self.thirst * _summer(day)
        green = self.green * (1 + 0.45 * dry[:, None] * LEAF_WATER) + growth.flowering(day)[:, None] * BLOSSOM
        wet = np.minimum(1, moisture * (1.15 - 0.5 * self.climate.drought)) * self.bare
        ground = self.ground * (1 - 0.34 * wet[:, None] * MOISTURE)
        dead = growth.dead_cover(day)[:, None]
        ground = ground * (1 - dead) + endmember("straw") * dead
        return growth.cover(day), green.astype(np.float32), ground.astype(np.float32)

    def reflectance(self, day: float, moisture: float, rows: slice, cols: slice) -> np.ndarray:
        """Reflectance of a window of the landscape at 10 m, float32 (band, y, x), seen straight from above."""
        cover, green, ground = self.spectra(day, moisture)
        vigour, soil, fine, _ = self.texture[:, rows, cols]
        index, share = self.land.index[:, rows, cols], self.land.share[:, rows, cols]
        total = np.zeros((*index.shape[1:], green.shape[1]), dtype=np.float32)
        for parcel, part in zip(index, share, strict=True):
            if not part.any():
                continue
            grain = self.grain[parcel]
            c = cover[parcel]
            # a canopy varies most where it is half closed
            c = np.clip(c + grain[..., 0] * fine + 0.22 * c * (1.15 - c) * vigour, 0, 1) * (c > 0)
            light = part * (1 + grain[..., 1] * fine)
            total += green[parcel] * (light * c)[..., None]
            total += ground[parcel] * (light * (1 - c) * (1 + 0.07 * soil))[..., None]
        return np.ascontiguousarray(np.moveaxis(total, -1, 0))


def make_surface(rng: np.random.Generator, land: Landscape, spread: float = 0.45) -> Surface:
    """Give every parcel of a landscape its kind, its seasons and its spectra.

    Args:
        spread: factor on the differences between parcels of one kind.
    """
    values = _by_place(land.centres)
    numbers = _draw_kinds(rng, land)
    kinds = [KINDS[number] for number in numbers]
    habit = np.searchsorted(TILES, tile_of(land.centres)) * len(KINDS) + numbers
    climate, foot = _climate(rng, values, habit)
    growth = draw_growth(rng, kinds, climate, foot, spread)
    green = _mixtures(rng, np.array([shares(kind.green) for kind in kinds]), habit, 30, 120) @ ENDMEMBERS
    ground = _mixtures(rng, _ground_means(rng, kinds, values[:, 3:]), habit, 25, 60) @ ENDMEMBERS
    brightness = np.exp(rng.normal(0, 0.09 * spread, (2, len(kinds), 1)))
    slope = rng.normal(0, PRACTICE_COLOUR, len(TILES) * len(KINDS))[habit] + rng.normal(0, 0.05 * spread, len(kinds))
    infrared = np.exp(slope[:, None] * np.linspace(-1, 1, ENDMEMBERS.shape[1]))
    bare = np.array([kind.ground.get("soil", 0) / sum(kind.ground.values()) for kind in kinds], dtype=np.float32)
    grain = np.array([_GRAIN.get(kind.code, (0.025, 0.03)) for kind in kinds], dtype=np.float32)
    thirst = np.array([kind.thirst for kind in kinds], dtype=np.float32)
    return Surface(
        land, numbers, climate, growth, green * brightness[0] * infrared, ground * brightness[1], bare, thirst, grain,
        _texture(rng, land.grid.shape),
    )  # fmt: skip


def _summer(day: float) -> float:
    """Course of the summer drought through the year, 0 to 1, greatest in mid-August."""
    return float(smoothstep(np.array(np.cos(2 * np.pi * (day - 226) / 365)), 0.1, 1.0))


def _by_place(centres: np.ndarray) -> np.ndarray:
    """The row of `CLIMATE` that holds at each place, blended across the borders, float32 (parcel, 7)."""
    east, north = smoothstep(centres[:, 0], -0.12, 0.12), smoothstep(centres[:, 1], -0.12, 0.12)
    weights = np.stack([(1 - east) * (1 - north), (1 - east) * north, east * (1 - north), east * north], axis=1)
    return (weights @ np.array(list(CLIMATE.values()))).astype(np.float32)


def _draw_kinds(rng: np.random.Generator, land: Landscape) -> np.ndarray:
    """Number of each parcel's kind. Practices differ from tile to tile: a kind is rare here and usual there."""
    numbers = np.empty(len(land.codes), dtype=np.int64)
    tiles = tile_of(land.centres)
    for code in CODES:
        of_class = [number for number, kind in enumerate(KINDS) if kind.code == code]
        for tile in TILES:
            weights = np.array([KINDS[number].share for number in of_class]) * np.exp(rng.normal(0, 1.0, len(of_class)))
            here = (land.codes == code) & (tiles == tile)
            numbers[here] = rng.choice(of_class, here.sum(), p=weights / weights.sum())
    return numbers


def _climate(rng: np.random.Generator, values: np.ndarray, habit: np.ndarray) -> tuple[Climate, np.ndarray]:
    """The climate of each parcel with its tile's habits: what it does with a kind earlier, later or more greenly.

    Args:
        values: rows of `CLIMATE` at each parcel.
        habit: number of each parcel's pair of tile and kind.

    Returns:
        The climate, and what to add to the NDVI outside of the seasons, (parcel,).
    """
    pairs = len(TILES) * len(KINDS)
    later = rng.normal(0, PRACTICE_DAYS, pairs)[habit]
    greener = np.exp(rng.normal(0, PRACTICE_VIGOUR, pairs))[habit]
    foot = rng.normal(0, PRACTICE_FOOT, pairs)[habit]
    return Climate(values[:, 0] + later, values[:, 1] * greener, values[:, 2]), foot


def _mixtures(
    rng: np.random.Generator, means: np.ndarray, habit: np.ndarray, tiles: float, parcels: float
) -> np.ndarray:
    """Mixtures around `means` (parcel, material): they vary by tile and kind, and less from parcel to parcel."""
    count = int(habit.max()) + 1
    factor = rng.standard_gamma(tiles * 0.2, (count, means.shape[1])) / (tiles * 0.2)
    shifted = means * factor[habit]
    return random_mixtures(rng, shifted / shifted.sum(axis=1, keepdims=True), parcels)


def _ground_means(rng: np.random.Generator, kinds: list[Kind], soils: np.ndarray) -> np.ndarray:
    """Mean mixture of each parcel's ground, its soil being that of the place, float32 (parcel, material)."""
    local = rng.standard_gamma(np.maximum(soils * 25, 0.05)).astype(np.float32)
    local /= local.sum(axis=1, keepdims=True)
    means = []
    for kind, soil in zip(kinds, local, strict=True):
        mixture = {name: share for name, share in kind.ground.items() if name != "soil"}
        part = kind.ground.get("soil", 0)
        means.append(shares({**mixture, **{name: part * share for name, share in zip(SOILS, soil, strict=True)}}))
    return np.array(means)


def _texture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    vigour = 0.8 * gaussian_field(rng, shape, 4) + 0.6 * gaussian_field(rng, shape, 1.2)
    soil = 0.8 * gaussian_field(rng, shape, 7) + 0.6 * gaussian_field(rng, shape, 1.5)
    fine = gaussian_field(rng, shape, 0.45)
    slopes = fractal_field(rng, shape, 90, slope=1.8)
    return np.stack([vigour, soil, fine, slopes])
