"""What lies across the parcels: hedges, ponds, a river and roads.

Each is drawn as an outline with a class code; later ones hide earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
import shapely.ops
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from toolkit.demo.tiles import MEETING

HEDGED = (6, 9, 10, 13, 18)
"""Classes of parcels that may have a hedge."""
WOOD, ROAD, WATER = 16, 4, 23
_QUARTERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))

Point = tuple[float, float]


@dataclass(frozen=True)
class Overlay:
    """One thing that lies across the parcels."""

    shape: BaseGeometry
    code: int
    surveyed: bool
    """Whether a ground-truth polygon may be drawn from it."""


def draw_overlays(
    rng: np.random.Generator,
    cells: Sequence[Polygon],
    codes: np.ndarray,
    towns: np.ndarray,
    half: float,
    scale: float,
) -> list[Overlay]:
    """Hedges, ponds, a river and roads over these cells, in the order in which they hide one another.

    Args:
        codes: class code of each cell.
        towns: place of each town relative to the half width of the landscape, (town, 2).
        half: half width of the landscape, metres.
        scale: 1 for crops of 300 pixels, less for smaller ones.
    """

    def world(x: float, y: float) -> Point:
        return MEETING[0] + half * x, MEETING[1] + half * y

    width = scale**0.5
    places = [world(x, y) for x, y in towns]
    return [
        *_hedges(rng, cells, codes),
        *_waters(rng, world, half, width),
        *_roads(rng, places, half, width),
        *_motorway(rng, world, half, width),
    ]


def _hedges(rng: np.random.Generator, cells: Sequence[Polygon], codes: np.ndarray) -> list[Overlay]:
    """A hedge on one side of some fields: mixed pixels along their borders."""
    hedges = []
    for cell in np.array(cells, dtype=object)[np.isin(codes, HEDGED)]:
        if rng.random() < 0.3:
            corners = np.array(cell.exterior.coords)
            side = rng.integers(len(corners) - 1)
            hedge = LineString(corners[side : side + 2]).buffer(rng.uniform(3, 7))
            hedges.append(Overlay(hedge, WOOD, surveyed=False))
    return hedges


def _waters(rng: np.random.Generator, world: Callable[..., Point], half: float, width: float) -> list[Overlay]:
    """Four ponds in each quarter, and a river from west to east."""
    ponds = []
    for east, north in _QUARTERS:
        for _ in range(4):
            place = world(east * rng.uniform(0.08, 0.92), north * rng.uniform(0.08, 0.92))
            ponds.append(Overlay(_pond(rng, *place, radius=width * rng.uniform(35, 85)), WATER, surveyed=True))
    river = _winding(rng, world(-1.1, rng.uniform(-0.5, -0.1)), world(1.1, rng.uniform(0.1, 0.5)), 0.11 * half, 5)
    return ponds + _strip(river, width * 24, 330 * width, WATER, surveyed=True)


def _roads(rng: np.random.Generator, places: Sequence[Point], half: float, width: float) -> list[Overlay]:
    """Roads between the towns, and lanes from each town into the country."""
    roads = []
    for a, b in ((0, 1), (1, 3), (3, 2), (2, 0), (0, 3)):
        road = _winding(rng, places[a], places[b], 0.03 * half, 3)
        roads += _strip(road, width * 9, 420 * width, ROAD, surveyed=True)
    for x, y in places:
        for angle in rng.uniform(0, 2 * np.pi, 4):
            end = (x + 2.4 * half * np.cos(angle), y + 2.4 * half * np.sin(angle))
            lane = _winding(rng, (x, y), end, 0.04 * half, 6)
            roads += _strip(lane, width * 4.5, 420 * width, ROAD, surveyed=False)
    return roads


def _motorway(rng: np.random.Generator, world: Callable[..., Point], half: float, width: float) -> list[Overlay]:
    south, north = world(rng.uniform(-0.3, 0.1), -1.1), world(rng.uniform(-0.1, 0.3), 1.1)
    return _strip(_winding(rng, south, north, 0.05 * half, 2), width * 17, 420 * width, ROAD, surveyed=True)


def _winding(rng: np.random.Generator, start: Point, end: Point, swing: float, bends: float) -> LineString:
    """A line between two points that swings out by about `swing` metres, in about so many bends."""
    steps = np.linspace(0, 1, 200)
    line = np.outer(1 - steps, start) + np.outer(steps, end)
    direction = np.subtract(end, start) / np.hypot(*np.subtract(end, start))
    away = np.zeros_like(steps)
    for harmonic in (0.5, 1, 1.7, 2.9, 4.3):
        away += rng.normal(0, 1 / harmonic) * np.sin(np.pi * (harmonic * bends * steps + rng.uniform(0, 2)))
    # a line ends where it is meant to
    away *= np.minimum(1, 12 * steps * (1 - steps))
    return LineString(line + np.outer(swing * away, (-direction[1], direction[0])))


def _strip(line: LineString, reach: float, length: float, code: int, *, surveyed: bool) -> list[Overlay]:
    """A line made as wide as `reach` metres on either side, in pieces of about `length` metres."""
    ends = np.linspace(0, line.length, 1 + max(1, round(line.length / length)))
    pieces = (shapely.ops.substring(line, a, b) for a, b in pairwise(ends))
    return [Overlay(piece.buffer(reach, cap_style="flat"), code, surveyed) for piece in pieces]


def _pond(rng: np.random.Generator, x: float, y: float, radius: float) -> Polygon:
    """A roundish pond."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    lobes = 0.18 * np.sin(2 * angles + rng.uniform(0, 6)) + 0.1 * np.sin(3 * angles + rng.uniform(0, 6))
    radii, flat = radius * (1 + lobes), rng.uniform(0.6, 1)
    return Polygon(np.stack([x + radii * np.cos(angles), y + flat * radii * np.sin(angles)], axis=1))
