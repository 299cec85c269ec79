"""Sieve: regions smaller than a minimal mapping unit are absorbed by a neighbour.

A small region takes the class with which it shares the longest border, counted over the neighbours that reach the unit
and may absorb it; of two as long, the lower code. Small regions that touch none such wait: rounds follow until nothing
changes. Pixels without class are no region: they neither absorb nor are absorbed.

**Without seams.** A round is local, so that blocks give the same as the whole. Let the unit be U pixels, and p a pixel
of a small region R. R hangs together and has at most U - 1 pixels, so it lies within U - 2 of p, and the pixels that it
touches within U - 1. Whether the region of a touched pixel q reaches the unit is seen within U - 1 of q: if it does,
it has U pixels that hang together with q among them, none of them further from q; if not, all of it lies there. Hence
a window with 2 (U - 1) pixels around a block suffices. Border is counted by class, for a neighbour may seem two regions
where the window cuts it, but not two classes. Rounds are passes over the map, one after the other.

GDAL's sieve takes the largest neighbour instead, which needs the sizes of all regions of the map at once. Both agree in
which regions stay as they are, and wherever a small region touches one class alone of those that reach the unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numba import njit

from toolkit.mapping.regions import number_regions

OSO_GROUPS = ((5, 6, 7, 8, 9, 10, 11, 12), (16, 17), (1, 2, 3), (13, 18, 19), (20, 21), (14, 15))
"""Classes of `oso_23` that may absorb one another: crops, forests, built-up land, grass and heath, rock and sand,
orchards and vineyards. Roads, glaciers and water are on their own. (iota2's adaptive rules for the OSO map.)"""

SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
NEIGHBOURS = {4: SIDES, 8: SIDES + CORNERS}
"""Steps (row, column) to the pixels that a pixel hangs together with."""

Allowed = np.ndarray
"""Whether a region of a class (row) may be absorbed by another (column), bool (256, 256)."""


def absorption(rules: Mapping[int, Iterable[int]] | None = None) -> Allowed:
    """Who may absorb whom: any class any other, but for these rules.

    Args:
        rules: class code -> the classes that may absorb it; none: it is never absorbed.
    """
    allowed = np.ones((256, 256), dtype=bool)
    for code, absorbers in (rules or {}).items():
        allowed[code] = False
        allowed[code, list(absorbers)] = True
    np.fill_diagonal(allowed, False)
    return allowed


def within_groups(groups: Sequence[Sequence[int]]) -> Allowed:
    """Who may absorb whom where classes are absorbed by those of their own group alone; others never are."""
    return absorption(dict.fromkeys(range(256), ()) | {code: group for group in groups for code in group})


def padding_of(pixels: int) -> int:
    """Pixels around a block that a round with this unit needs."""
    return 2 * (pixels - 1)


def sieve(classes: np.ndarray, pixels: int, connectivity: int = 4, allowed: Allowed | None = None) -> np.ndarray:
    """Absorb the small regions of a whole map.

    Args:
        classes: uint8 (y, x); 0 is no class.
        pixels: the minimal mapping unit: smaller regions are absorbed.
        connectivity: 4, where pixels hang together by their sides, or 8, by their corners too.
        allowed: see `absorption`.

    Returns:
        uint8 (y, x).
    """
    while True:
        after = sieve_round(classes, pixels, connectivity, allowed)
        if np.array_equal(after, classes):
            return after
        classes = after


def sieve_round(classes: np.ndarray, pixels: int, connectivity: int = 4, allowed: Allowed | None = None) -> np.ndarray:
    """One round of `sieve`: every small region that touches one that may absorb it, all at once."""
    regions, count = number_regions(classes, connectivity)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    sizes[0] = pixels  # what has no class is no small region
    out = np.array(classes, dtype=np.uint8, order="C")
    steps = np.array(NEIGHBOURS[connectivity], dtype=np.int64)
    ends = np.cumsum(np.where(sizes < pixels, sizes, 0))
    _absorb(classes, regions, sizes < pixels, ends, steps, absorption() if allowed is None else allowed, out)
    return out


@njit(nogil=True, cache=True)
def _absorb(classes, regions, small, ends, steps, allowed, out):  # type: ignore[no-untyped-def]
    """Walk through the pixels of the small regions, region after region; `ends` says where each one's end."""
    order = _gather(regions, small, ends)
    border = np.zeros(256, np.int64)
    met = np.empty(256, np.int64)
    first = 0
    for region in range(1, small.size):
        last = ends[region]
        own = classes.flat[order[first]] if last > first else 0
        classes_met = 0
        for place in order[first:last]:
            classes_met = _add_border(place, classes, regions, small, steps, border, met, classes_met)
        best = 0
        for code in met[:classes_met]:
            longer = best == 0 or border[code] > border[best] or (border[code] == border[best] and code < best)
            if longer and allowed[own, code]:
                best = code
        border[met[:classes_met]] = 0
        if best > 0:
            for place in order[first:last]:
                out.flat[place] = best
        first = last


@njit(nogil=True, cache=True)
def _gather(regions, small, ends):  # type: ignore[no-untyped-def]
    """The places of the pixels of small regions, region after region."""
    order = np.empty(ends[-1], np.int64)
    free = np.zeros(ends.size, np.int64)
    free[1:] = ends[:-1]
    for place in range(regions.size):
        region = regions.flat[place]
        if small[region]:
            order[free[region]] = place
            free[region] += 1
    return order


@njit(nogil=True, cache=True, inline="always")
def _add_border(place, classes, regions, small, steps, border, met, classes_met):  # type: ignore[no-untyped-def]
    """Count the neighbours of a pixel that are in regions of the unit, by class; gives how many classes were met."""
    height, width = classes.shape
    y, x = place // width, place % width
    for k in range(steps.shape[0]):
        row, col = y + steps[k, 0], x + steps[k, 1]
        if 0 <= row < height and 0 <= col < width and regions[row, col] > 0 and not small[regions[row, col]]:
            code = np.int64(classes[row, col])
            if border[code] == 0:
                met[classes_met] = code
                classes_met += 1
            border[code] += 1
    return classes_met
