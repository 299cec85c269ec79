"""Outlines drawn: along the pixels, or smoothed so that neighbours keep their common borders.

**Smoothed.** An arc between two junctions is led through the middles of its edges, which turns the steps of a slanting
border into a line, and thinned out after Douglas and Peucker 1973 (The Canadian Cartographer 10(2), 112-122) to what
lies within `TOLERANCE` of it. It is thinned in a direction that does not depend on which region's ring it is part of,
so that both neighbours get the same points: nothing opens and nothing overlaps.

**Nothing crosses.** Edges that have no corner in common are a pixel apart or more, and so are the lines through their
middles: a corner is cut inside of one pixel, on the side away from every other arc. A thinned line stays within less
than half a pixel of its arc, so that two of them can only cross near a corner that their arcs have in common. Arcs have
a junction at most in common, and from it their first two middles are kept as they are; thereafter the arcs are a pixel
apart. Two parts of one arc meet in a point that is kept, and two straight lines from one point do not cross.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from toolkit.mapping.rings import JUNCTION

TOLERANCE = 0.49
"""Pixels that a smoothed outline may be from the arc through the middles of the edges: less than half a pixel."""

PINNED = 3
"""Points at each end of an arc that are kept: the junction and two middles."""


def pixel_outlines(
    corners: np.ndarray, kinds: np.ndarray, starts: np.ndarray, columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rings along the sides of the pixels, with a point in each bend and in each junction.

    Args:
        corners, kinds: of the edges, ring after ring.
        starts: where each ring begins, and the end, (ring + 1,).
        columns: of the map.

    Returns:
        Points (x, y) in halves of a pixel from the map's corner, int64 (point, 2), rings closed; and where each ring
        begins, (ring + 1,).
    """
    points, begins = np.empty((corners.size + starts.size, 2), np.int64), np.empty(starts.size, np.int64)
    used = _draw_pixels(corners, kinds, starts, columns + 1, points, begins)
    return points[:used], begins


def smooth_outlines(
    corners: np.ndarray, kinds: np.ndarray, starts: np.ndarray, columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rings through the middles of the edges, thinned out arc by arc. Arguments and result as `pixel_outlines`."""
    points, begins = np.empty((2 * corners.size + 2 * starts.size, 2), np.int64), np.empty(starts.size, np.int64)
    used = _draw_smooth(corners, kinds, starts, columns + 1, points, begins)
    return points[:used], begins


@njit(nogil=True, cache=True)
def _draw_pixels(corners, kinds, starts, stride, points, begins):  # type: ignore[no-untyped-def]
    free = 0
    for ring in range(starts.size - 1):
        begins[ring] = free
        before = kinds[starts[ring + 1] - 1] & 3
        for edge in range(starts[ring], starts[ring + 1]):
            direction = kinds[edge] & 3
            if direction != before or kinds[edge] & JUNCTION:
                points[free, 0], points[free, 1] = 2 * (corners[edge] % stride), 2 * (corners[edge] // stride)
                free += 1
            before = direction
        points[free] = points[begins[ring]]
        free += 1
    begins[starts.size - 1] = free
    return free


@njit(nogil=True, cache=True)
def _draw_smooth(corners, kinds, starts, stride, points, begins):  # type: ignore[no-untyped-def]
    free = 0
    longest = 0
    for ring in range(starts.size - 1):
        longest = max(longest, starts[ring + 1] - starts[ring])
    path, keep = np.empty((longest + 2, 2), np.int64), np.empty(longest + 2, np.bool_)
    stack = np.empty((longest + 2, 2), np.int64)
    for ring in range(starts.size - 1):
        begins[ring] = free
        first, last = starts[ring], starts[ring + 1]
        junction = first
        while junction < last and not kinds[junction] & JUNCTION:
            junction += 1
        if junction == last:
            free = _draw_closed(corners, kinds, first, last, stride, points, free, path, keep, stack)
            continue
        edge, length = junction, last - first
        while edge < junction + length:
            end = edge + 1
            while end < junction + length and not kinds[first + (end - first) % length] & JUNCTION:
                end += 1
            free = _draw_arc(corners, kinds, first, length, edge, end, stride, points, free, path, keep, stack)
            edge = end
        points[free] = points[begins[ring]]
        free += 1
    begins[starts.size - 1] = free
    return free


@njit(nogil=True, cache=True)
def _draw_arc(corners, kinds, first, length, edge, end, stride, points, free, path, keep, stack):  # type: ignore[no-untyped-def]
    """Draw the arc of the edges from `edge` to before `end`, without its last point; the ring is circular."""
    size = end - edge + 2
    for k in range(end - edge):
        _middle(corners, kinds, first + (edge + k - first) % length, stride, path[k + 1])
    for place, k in ((edge, 0), (end, size - 1)):
        corner = corners[first + (place - first) % length]
        path[k, 0], path[k, 1] = 2 * (corner % stride), 2 * (corner // stride)
    turned = _is_after(path[0], path[size - 1])
    if path[0, 0] == path[size - 1, 0] and path[0, 1] == path[size - 1, 1]:
        turned = _is_after(path[1], path[size - 2])
    if turned:
        _turn(path, size)
    keep[:size] = True
    if size > 2 * PINNED:
        _thin(path, PINNED - 1, size - PINNED, keep, stack)
    _straighten(path, size, keep)
    if turned:
        _turn(path, size)
        keep[:size] = keep[:size][::-1].copy()
    for k in range(size - 1):
        if keep[k]:
            points[free] = path[k]
            free += 1
    return free


@njit(nogil=True, cache=True)
def _draw_closed(corners, kinds, first, last, stride, points, free, path, keep, stack):  # type: ignore[no-untyped-def]
    """Draw a ring that meets no junction: one region in another. Thinned from its first middle and the furthest."""
    size = last - first + 1
    for k in range(size - 1):
        _middle(corners, kinds, first + k, stride, path[k])
    # The ring begins at its lowest corner, between its last and its first edge: of these, the lower begins.
    turned = _is_after(path[0], path[size - 2])
    if turned:
        _turn(path, size - 1)
    path[size - 1] = path[0]
    furthest, most = 0, 0
    for k in range(size):
        away = (path[k, 0] - path[0, 0]) ** 2 + (path[k, 1] - path[0, 1]) ** 2
        if away > most:
            furthest, most = k, away
    keep[:size] = True
    _thin(path, 0, furthest, keep, stack)
    _thin(path, furthest, size - 1, keep, stack)
    if keep[:size].sum() < 4:
        keep[:size] = True
    if turned:
        _turn(path, size)
        keep[:size] = keep[:size][::-1].copy()
    for k in range(size):
        if keep[k]:
            points[free] = path[k]
            free += 1
    return free


@njit(nogil=True, cache=True, inline="always")
def _middle(corners, kinds, edge, stride, point):  # type: ignore[no-untyped-def]
    """The middle of an edge, in halves of a pixel."""
    direction = kinds[edge] & 3
    point[0] = 2 * (corners[edge] % stride) + (direction == 0) - (direction == 2)
    point[1] = 2 * (corners[edge] // stride) + (direction == 1) - (direction == 3)


@njit(nogil=True, cache=True, inline="always")
def _is_after(one, other):  # type: ignore[no-untyped-def]
    return one[1] > other[1] or (one[1] == other[1] and one[0] > other[0])


@njit(nogil=True, cache=True)
def _turn(path, size):  # type: ignore[no-untyped-def]
    path[:size] = path[:size][::-1].copy()


@njit(nogil=True, cache=True)
def _straighten(path, size, keep):  # type: ignore[no-untyped-def]
    """Drop the points of an arc that lie on the line between the kept ones before and after."""
    before = 0
    for k in range(1, size - 1):
        if not keep[k]:
            continue
        after = k + 1
        while not keep[after]:
            after += 1
        ahead, back = path[after] - path[k], path[k] - path[before]
        if ahead[0] * back[1] == ahead[1] * back[0]:
            keep[k] = False
        else:
            before = k


@njit(nogil=True, cache=True)
def _thin(path, first, last, keep, stack):  # type: ignore[no-untyped-def]
    """Keep what Douglas and Peucker keep between two points, which are kept."""
    limit = (2 * TOLERANCE) ** 2
    stack[0, 0], stack[0, 1] = first, last
    height = 1
    while height:
        height -= 1
        low, high = stack[height]
        furthest, most = -1, limit
        for k in range(low + 1, high):
            away = _squared_distance(path[k], path[low], path[high])
            if away > most:
                furthest, most = k, away
        if furthest < 0:
            keep[low + 1 : high] = False
            continue
        stack[height, 0], stack[height, 1] = low, furthest
        stack[height + 1, 0], stack[height + 1, 1] = furthest, high
        height += 2


@njit(nogil=True, cache=True, inline="always")
def _squared_distance(point, start, end):  # type: ignore[no-untyped-def]
    """Squared distance of a point from a line between two."""
    dx, dy = np.float64(end[0] - start[0]), np.float64(end[1] - start[1])
    px, py = np.float64(point[0] - start[0]), np.float64(point[1] - start[1])
    length = dx * dx + dy * dy
    along = min(max((px * dx + py * dy) / length, 0.0), 1.0) if length > 0 else 0.0
    return (px - along * dx) ** 2 + (py - along * dy) ** 2
