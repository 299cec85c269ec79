"""Cuts a square of land into parcels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely
import shapely.ops
from shapely.affinity import rotate
from shapely.geometry import LineString, Polygon

TargetArea = Callable[[float, float], float]
"""Wanted area of a parcel, square metres, at a place (x, y)."""


def cut_parcels(rng: np.random.Generator, outline: Polygon, target: TargetArea) -> list[Polygon]:
    """Cut a polygon again and again across its longer side, until each part has about the wanted area.

    Cuts of large parts run at random angles, cuts of small ones nearly square to the sides: fields with straight,
    roughly parallel sides in blocks that differ in direction, as land consolidation leaves them.
    """
    parcels: list[Polygon] = []
    waiting = [outline]
    while waiting:
        polygon = waiting.pop()
        wanted = target(polygon.centroid.x, polygon.centroid.y) * np.exp(rng.normal(0, 0.45))
        if polygon.area < 1.5 * wanted:
            parcels.append(polygon)
            continue
        tilt = 22 if polygon.area > 40 * wanted else 5
        waiting.extend(_cut(polygon, rng.uniform(0.36, 0.64), rng.normal(0, tilt)))
    return parcels


def _cut(polygon: Polygon, at: float, tilt: float) -> list[Polygon]:
    """Two or more parts of a polygon, cut at a share `at` of its longer side, turned by `tilt` degrees."""
    frame = np.array(polygon.minimum_rotated_rectangle.exterior.coords)
    along = max(frame[1] - frame[0], frame[2] - frame[1], key=lambda edge: float(np.hypot(*edge)))
    start = frame[0] if np.array_equal(along, frame[1] - frame[0]) else frame[1]
    length = float(np.hypot(*along))
    middle = np.array(polygon.centroid.coords[0])
    foot = middle + along / length * (at * length - np.dot(middle - start, along) / length)
    across = np.array([-along[1], along[0]]) / length * 4 * length
    line = rotate(LineString([foot - across, foot + across]), tilt, origin=tuple(foot))
    parts = shapely.get_parts(shapely.ops.split(polygon, line))
    return [part for part in parts if part.area > 1]
