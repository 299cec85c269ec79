"""Regions: pixels of one class that hang together, numbered.

Two passes over the pixels with a union-find of the provisional numbers between them (Rosenfeld and Pfaltz 1966, Journal
of the ACM 13(4), 471-494).
"""

from __future__ import annotations

import numpy as np
from numba import njit


def number_regions(classes: np.ndarray, connectivity: int) -> tuple[np.ndarray, int]:
    """The region of each pixel.

    Args:
        classes: uint8 (y, x); 0 is no class.
        connectivity: 4, where pixels hang together by their sides, or 8, by their corners too.

    Returns:
        int32 (y, x), 0 where there is no class, and the number of regions. They are numbered from 1, in the order of
        their first pixels, row by row.
    """
    numbers = np.zeros(classes.shape, dtype=np.int32)
    # A pixel begins a region of its own only where its left neighbour is of another class.
    roots = np.zeros(int(np.count_nonzero(classes)) + 1, dtype=np.int32)
    return numbers, int(_number(np.ascontiguousarray(classes), connectivity == 8, numbers, roots))


@njit(nogil=True, cache=True)
def _number(classes, corners, numbers, roots):  # type: ignore[no-untyped-def]
    height, width = classes.shape
    count = 0
    for y in range(height):
        for x in range(width):
            code = classes[y, x]
            if code == 0:
                continue
            found = 0
            if x > 0 and classes[y, x - 1] == code:
                found = numbers[y, x - 1]
            if y > 0:
                for step in range(-1 if corners else 0, 2 if corners else 1):
                    if 0 <= x + step < width and classes[y - 1, x + step] == code:
                        found = _join(roots, found, numbers[y - 1, x + step])
            if found == 0:
                count += 1
                roots[count] = found = count
            numbers[y, x] = found
    return _renumber(numbers, roots, count)


@njit(nogil=True, cache=True)
def _join(roots, one, other):  # type: ignore[no-untyped-def]
    """Make two numbers one region, the smaller root theirs; 0 is none."""
    if one == 0:
        return other
    one, other = find_root(roots, one), find_root(roots, other)
    low, high = min(one, other), max(one, other)
    roots[high] = low
    return low


@njit(nogil=True, cache=True)
def find_root(roots, number):  # type: ignore[no-untyped-def]
    """The root of a number; the way to it is halved."""
    while roots[number] != number:
        roots[number] = roots[roots[number]]
        number = roots[number]
    return number


def join_regions(count: int, pairs: np.ndarray) -> tuple[np.ndarray, int]:
    """What each of several regions is, where some of them are one.

    Args:
        count: of regions, numbered from 0.
        pairs: numbers of regions that are one, int64 (pair, 2).

    Returns:
        The number of what each is part of, from 0, int64 (region,), and how many there are.
    """
    roots = np.arange(count + 1, dtype=np.int64)
    numbers = np.arange(1, count + 1, dtype=np.int64)[None]
    total = int(_join_all(roots, pairs + 1, numbers))
    return numbers[0] - 1, total


@njit(nogil=True, cache=True)
def _join_all(roots, pairs, numbers):  # type: ignore[no-untyped-def]
    for k in range(pairs.shape[0]):
        _join(roots, pairs[k, 0], pairs[k, 1])
    return _renumber(numbers, roots, roots.size - 1)


@njit(nogil=True, cache=True)
def _renumber(numbers, roots, count):  # type: ignore[no-untyped-def]
    """Roots become 1, 2, ... in their order, which is that of first pixels; gives how many there are."""
    final = np.zeros(count + 1, roots.dtype)
    regions = 0
    for number in range(1, count + 1):
        root = find_root(roots, number)
        if root == number:
            regions += 1
            final[number] = regions
        else:
            final[number] = final[root]
    for y in range(numbers.shape[0]):
        for x in range(numbers.shape[1]):
            numbers[y, x] = final[numbers[y, x]]
    return regions
