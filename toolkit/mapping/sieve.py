"""Sieve: regions smaller than a minimal mapping unit are absorbed by a neighbour.

A small region takes the class with which it shares the longest border, counted over the neighbours that reach the unit
and may absorb it; of two as long, the lower code. Small regions that touch none such wait: rounds follow until nothing
changes. Pixels without class are no region: they neither absorb nor are absorbed.

**Without seams.** A round is local, so that blocks give the same as the whole. Let the unit be U pixels, and p a pixel
of a small region R. R hangs together and has at most U - 1 pixels, so it lies within U - 2 of p, and the pixels that it
touches within U - 1. Whether the region of a touched pixel q reaches the unit is seen within U - 1 of q: if it does,
it has U pixels that hang together with q among them, none of them further from q; if not, all of it lies there. Hence
a window with 2 (U - 1) pixels around a block suffices. Border is counted by class, for a neighbour may seem two regions
where the window cuts it, but not two classes. Each further round in the same window needs as much again.

**Rounds.** A region that is absorbed becomes part of a region of the unit, and never changes again. So regions are
numbered once, and a round looks at those alone that are still small: each is as it was, or, where what was absorbed
beside it took its class, part of a region of the unit.

GDAL's sieve takes the largest neighbour instead, which needs the sizes of all regions of the map at once. Both agree in
which regions stay as they are, and wherever a small region touches one class alone of those that reach the unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numba import njit

from toolkit.mapping.regions import number_regions

OSO = "oso_23"
"""The nomenclature of iota2's OSO map."""
OSO_GROUPS = ((5, 6, 7, 8, 9, 10, 11, 12), (16, 17), (1, 2, 3), (13, 18, 19), (20, 21), (14, 15))
"""Classes of `oso_23` that may absorb one another: crops, forests, built-up land, grass and heath, rock and sand,
orchards and vineyards. Roads, glaciers and water are on their own. (iota2's adaptive rules for the OSO map.)"""

SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))
CORNERS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
NEIGHBOURS = {4: SIDES, 8: SIDES + CORNERS}
"""Steps (row, column) to the pixels that a pixel hangs together with."""

NO_END = 1 << 62
"""Rounds, where as many are wanted as change anything."""

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


def padding_of(pixels: int, rounds: int = 1) -> int:
    """Pixels around a block that so many rounds with this unit need."""
    return 2 * (pixels - 1) * rounds


def sieve(
    classes: np.ndarray,
    pixels: int,
    connectivity: int = 4,
    allowed: Allowed | None = None,
    rounds: int | None = None,
) -> np.ndarray:
    """Absorb the small regions of a map: in each round every one that touches one that may absorb it, all at once.

    Args:
        classes: uint8 (y, x); 0 is no class.
        pixels: the minimal mapping unit: smaller regions are absorbed.
        connectivity: 4, where pixels hang together by their sides, or 8, by their corners too.
        allowed: see `absorption`.
        rounds: at most; None for as many as change anything.

    Returns:
        uint8 (y, x).
    """
    regions, count = number_regions(classes, connectivity)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    sizes[0] = pixels  # what has no class is no small region
    small = sizes < pixels
    out = np.array(classes, dtype=np.uint8, order="C")
    ends = np.cumsum(np.where(small, sizes, 0))
    steps = np.array(NEIGHBOURS[connectivity], dtype=np.int64)
    _absorb(regions, small, ends, steps, absorption() if allowed is None else allowed, rounds or NO_END, out)
    return out


@njit(nogil=True, cache=True)
def _absorb(regions, small, ends, steps, allowed, rounds, out):  # type: ignore[no-untyped-def]
    """Rounds over the regions that are still small; `ends` says where the pixels of each one end."""
    order = _gather(regions, small, ends)
    waiting = np.flatnonzero(small)
    border, met = np.zeros(256, np.int64), np.empty(256, np.int64)
    absorbers = np.zeros(waiting.size, np.uint8)
    count, number = waiting.size, 0
    while count > 0 and number < rounds:
        number += 1
        changed = 0
        for k in range(count):
            region = waiting[k]
            absorbers[k] = _absorber(
                order[ends[region - 1] : ends[region]], regions, small, steps, allowed, out, border, met
            )
        for k in range(count):
            if absorbers[k] > 0:
                region = waiting[k]
                small[region] = False
                changed += 1
                for place in order[ends[region - 1] : ends[region]]:
                    out.flat[place] = absorbers[k]
        if changed == 0:
            return
        count = _still_small(waiting[:count], order, ends, regions, small, steps, out)


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


@njit(nogil=True, cache=True)
def _absorber(places, regions, small, steps, allowed, out, border, met):  # type: ignore[no-untyped-def]
    """The class that absorbs the region of these pixels, 0 for none; `border` is all 0 before and after."""
    height, width = regions.shape
    own, classes_met = out.flat[places[0]], 0
    for place in places:
        y, x = place // width, place % width
        for k in range(steps.shape[0]):
            row, col = y + steps[k, 0], x + steps[k, 1]
            if 0 <= row < height and 0 <= col < width and regions[row, col] > 0 and not small[regions[row, col]]:
                code = np.int64(out[row, col])
                if border[code] == 0:
                    met[classes_met] = code
                    classes_met += 1
                border[code] += 1
    best = 0
    for code in met[:classes_met]:
        longer = best == 0 or border[code] > border[best] or (border[code] == border[best] and code < best)
        if longer and allowed[own, code]:
            best = code
    border[met[:classes_met]] = 0
    return best


@njit(nogil=True, cache=True)
def _still_small(waiting, order, ends, regions, small, steps, out):  # type: ignore[no-untyped-def]
    """Move the regions that are still small to the front, and give their number.

    One that touches a pixel of its class in a region of the unit is part of that one now.
    """
    height, width = regions.shape
    count = 0
    for region in waiting:
        if not small[region]:
            continue
        joined = False
        for place in order[ends[region - 1] : ends[region]]:
            y, x = place // width, place % width
            for k in range(steps.shape[0]):
                row, col = y + steps[k, 0], x + steps[k, 1]
                if 0 <= row < height and 0 <= col < width and out[row, col] == out[y, x]:
                    joined |= not small[regions[row, col]]
        if joined:
            small[region] = False
        else:
            waiting[count] = region
            count += 1
    return count
