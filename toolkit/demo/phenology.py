"""NDVI through the year: a double logistic curve for each season of each parcel.

Sources: Beck et al. (2006), Remote Sensing of Environment 100, 321-334 (the curve); Jonsson & Eklundh (2004),
Computers & Geosciences 30, 833-845 (fitting such curves to series); Gutman & Ignatov (1998), International Journal
of Remote Sensing 19, 1533-1543 (green cover as scaled NDVI).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

from toolkit.demo.kinds import Kind, Season

BARE_NDVI, FULL_NDVI = 0.13, 0.88
"""NDVI of bare ground and of a closed canopy."""


@dataclass(frozen=True)
class Climate:
    """What the place does to the season of each parcel; arrays of shape (parcel,), float32."""

    delay: np.ndarray
    """Days by which seasons come later."""
    vigour: np.ndarray
    """Factor on the height of seasons."""
    drought: np.ndarray
    """Strength of the summer drought, 0 to 1."""


@dataclass(frozen=True)
class Growth:
    """The seasons of every parcel. Days count from 1 January 2018."""

    base: np.ndarray
    """NDVI outside of the seasons, (parcel,)."""
    height: np.ndarray
    """NDVI gained, (parcel, season); 0 where a parcel has fewer seasons."""
    rise: np.ndarray
    fall: np.ndarray
    rise_pace: np.ndarray
    fall_pace: np.ndarray
    straw: np.ndarray
    """Part of the ground under straw after the first season, (parcel,)."""
    stubble: np.ndarray
    """Part of the ground under stubble before the first season, (parcel,)."""
    ploughed: np.ndarray
    """Days on which stubble and straw are ploughed in, (parcel, 2)."""
    bloom: np.ndarray
    """Day of full yellow bloom, (parcel,); NaN where there is none."""

    def ndvi(self, day: float) -> np.ndarray:
        """NDVI of each parcel on a day, float32 (parcel,)."""
        curves = double_logistic(day, self.rise, self.fall, self.rise_pace, self.fall_pace)
        return (self.base + (self.height * curves).sum(axis=1)).astype(np.float32)

    def cover(self, day: float) -> np.ndarray:
        """Green part of each parcel on a day, 0 to 1, float32 (parcel,)."""
        return np.clip((self.ndvi(day) - BARE_NDVI) / (FULL_NDVI - BARE_NDVI), 0, 1)

    def dead_cover(self, day: float) -> np.ndarray:
        """Part of the ground hidden by straw or stubble on a day, 0 to 1, float32 (parcel,)."""
        before = self.stubble * logistic(self.ploughed[:, 0] - day, 5)
        after = self.straw * logistic(day - self.fall[:, 0], 5) * logistic(self.ploughed[:, 1] - day, 4)
        return (before + after).astype(np.float32)

    def flowering(self, day: float) -> np.ndarray:
        """Strength of yellow bloom on a day, 0 to 1, float32 (parcel,)."""
        return np.nan_to_num(np.exp(-(((day - self.bloom) / 9) ** 2))).astype(np.float32)


def logistic(distance: np.ndarray, pace: np.ndarray | float) -> np.ndarray:
    """1 / (1 + exp(-distance / pace)), without overflow."""
    return 1 / (1 + np.exp(-np.clip(distance / pace, -40, 40)))


def double_logistic(
    day: float, rise: np.ndarray, fall: np.ndarray, rise_pace: np.ndarray, fall_pace: np.ndarray
) -> np.ndarray:
    """Beck's curve scaled to 0 (foot) and 1 (top): up around `rise`, down around `fall`; paces in days."""
    return np.maximum(logistic(day - rise, rise_pace) + logistic(fall - day, fall_pace) - 1, 0)


def draw_growth(
    rng: np.random.Generator, kinds: Sequence[Kind], climate: Climate, foot: np.ndarray, spread: float
) -> Growth:
    """Seasons for parcels of these kinds, each parcel with days, heights and paces of its own.

    Args:
        foot: what to add to each parcel's NDVI outside of the seasons, (parcel,).
        spread: factor on every difference between parcels of one kind.
    """
    parcels, slots = len(kinds), max(1, *(len(kind.seasons) for kind in kinds))
    table = np.zeros((parcels, slots, len(fields(Season))))
    table[..., 3:5] = 10  # the paces of seasons that a parcel does not have
    for row, kind in enumerate(kinds):
        for slot, season in enumerate(kind.seasons):
            table[row, slot] = astuple(season)
    height, rise, fall, rise_pace, fall_pace, chance, own = np.moveaxis(table, -1, 0)
    variety = spread * np.array([kind.variety for kind in kinds])[:, None]
    common = rng.normal(0, 0.6, (parcels, 1))
    shifts = climate.delay[:, None] + own * spread * (common + rng.normal(0, 0.8, (parcels, slots)))
    length = own * spread * rng.normal(0, 0.5, (parcels, slots))
    height = height * (1 + variety * rng.normal(0, 0.13, (parcels, slots))) * climate.vigour[:, None]
    height = np.where(rng.random((parcels, slots)) < chance, height, 0)
    pace = np.exp(spread * rng.normal(0, 0.2, (2, parcels, slots)))
    rise, fall = rise + shifts, fall + shifts + length
    base = np.array([kind.base for kind in kinds])
    base = base + (base > 0) * (foot + variety[:, 0] * rng.normal(0, 0.035, parcels))
    bloom = np.array([np.nan if kind.bloom is None else kind.bloom for kind in kinds]) + shifts[:, 0]
    ploughed = np.stack([rise[:, 0] - rng.normal(70, 25, parcels), fall[:, 0] + rng.normal(65, 30, parcels)], axis=1)
    straw = np.array([kind.straw for kind in kinds]) * rng.beta(4, 1.5, parcels)
    stubble = np.array([kind.stubble for kind in kinds]) * rng.beta(1.5, 1.5, parcels) * 1.6
    return Growth(
        base, height, rise, fall, rise_pace * pace[0], fall_pace * pace[1], straw, stubble.clip(0, 0.9), ploughed, bloom
    )
