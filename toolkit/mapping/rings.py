"""Outlines of regions as rings of unit edges, put together once all edges of a region are there.

A pixel (y, x) has the corners (y, x) to (y + 1, x + 1). An edge is a side of a pixel to a neighbour of another class,
directed so that the pixel is on its right: east along its top, south, west, north. It is known by the number of its
first corner, y * (columns + 1) + x, and its direction. A corner where more than two edges' lines meet is a junction:
there outlines are cut into arcs, each shared by two regions, or by one and what has no class.
"""

from __future__ import annotations

import numpy as np
from numba import njit

EAST, SOUTH, WEST, NORTH = range(4)
JUNCTION = 4
"""Bit of an edge's kind beside its direction: its first corner is a junction."""


def edges_of(classes: np.ndarray, regions: np.ndarray, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The edges of the regions in rows of a map.

    Args:
        classes: uint8 (y + 2, x + 2), with a pixel around that is of the map's other rows, or 0 beyond it.
        regions: int32 (y, x), 0 where there is no class.
        row: of the map, of the first of `regions`.

    Returns:
        For each edge its first corner (int64), kind (uint8: direction, and `JUNCTION`) and region (int32).
    """
    count = int(_count_edges(classes, regions))
    corners, kinds, owners = np.empty(count, np.int64), np.empty(count, np.uint8), np.empty(count, np.int32)
    _collect_edges(classes, regions, row, corners, kinds, owners)
    return corners, kinds, owners


def trace(
    corners: np.ndarray, kinds: np.ndarray, owners: np.ndarray, columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put the edges of whole regions together.

    Args:
        corners, kinds, owners: as `edges_of` gives them; all edges of each region, in any order.
        columns: of the map.

    Returns:
        The edges in the order of rings (int64 indices); where each ring begins in it, and its end (int64, ring + 1);
        and the region of each ring. The rings of a region follow one another, its outer ring first. A ring begins at
        its lowest corner.
    """
    order = np.lexsort((kinds, corners, owners))
    sequence, starts = _link(corners[order], kinds[order], owners[order], columns + 1)
    return order[sequence], starts, owners[order[sequence[starts[:-1]]]]


@njit(nogil=True, cache=True)
def _count_edges(classes, regions):  # type: ignore[no-untyped-def]
    count = 0
    for y in range(regions.shape[0]):
        for x in range(regions.shape[1]):
            own = classes[y + 1, x + 1]
            if own != 0:
                count += (own != classes[y, x + 1]) + (own != classes[y + 1, x + 2])
                count += (own != classes[y + 2, x + 1]) + (own != classes[y + 1, x])
    return count


@njit(nogil=True, cache=True)
def _collect_edges(classes, regions, row, corners, kinds, owners):  # type: ignore[no-untyped-def]
    height, width = regions.shape
    free = 0
    for y in range(height):
        for x in range(width):
            own = classes[y + 1, x + 1]
            if own == 0:
                continue
            for direction in range(4):
                # The neighbour across this side of the pixel, then the first corner of the side.
                down = (direction == WEST) - (direction == EAST)
                right = (direction == SOUTH) - (direction == NORTH)
                if classes[y + 1 + down, x + 1 + right] == own:
                    continue
                first_y = y + (direction >= WEST)
                first_x = x + (direction in (SOUTH, WEST))
                corners[free] = (row + first_y) * (width + 1) + first_x
                kinds[free] = direction + JUNCTION * _is_junction(classes, first_y, first_x)
                owners[free] = regions[y, x]
                free += 1


@njit(nogil=True, cache=True, inline="always")
def _is_junction(classes, y, x):  # type: ignore[no-untyped-def]
    """Whether more than two lines meet in the corner between the pixels (y, x) and (y + 1, x + 1) of `classes`."""
    a, b, c, d = classes[y, x], classes[y, x + 1], classes[y + 1, x + 1], classes[y + 1, x]
    return (a != b) + (b != c) + (c != d) + (d != a) > 2


@njit(nogil=True, cache=True)
def _link(corners, kinds, owners, stride):  # type: ignore[no-untyped-def]
    """Follow the edges, sorted by region, corner and direction, from ring to ring."""
    count = corners.size
    sequence, starts = np.empty(count, np.int64), np.empty(count + 1, np.int64)
    done = np.zeros(count, np.bool_)
    placed = rings = low = high = 0
    for first in range(count):
        if first == high:  # the next region
            low = first
            while high < count and owners[high] == owners[first]:
                high += 1
        if done[first]:
            continue
        starts[rings] = placed
        rings += 1
        edge = first
        while not done[edge]:
            done[edge] = True
            sequence[placed] = edge
            placed += 1
            edge = _next(edge, corners, kinds, low, high, stride)
    starts[rings] = placed
    return sequence, starts[: rings + 1].copy()


@njit(nogil=True, cache=True)
def _next(edge, corners, kinds, low, high, stride):  # type: ignore[no-untyped-def]
    """The edge of the same region that goes on from an edge's end.

    Where two do, the region meets itself in that corner; the left one is taken, so that what lies on either side of the
    corner gets rings of its own, which touch there, and no ring touches itself.
    """
    direction = kinds[edge] & 3
    end = corners[edge]
    if direction == EAST:
        end += 1
    elif direction == SOUTH:
        end += stride
    elif direction == WEST:
        end -= 1
    else:
        end -= stride
    place = low + np.searchsorted(corners[low:high], end)
    left = (direction + 3) & 3
    if place + 1 < high and corners[place + 1] == end and (kinds[place + 1] & 3) == left:
        return place + 1
    return place
