"""Majority filter: each pixel becomes the most frequent class around it.

The semantics are those of the Orfeo ToolBox's ClassificationMapRegularization: the neighbourhood is a disc of `radius`
and a half pixels (a square of 3 x 3 for a radius of 1), the pixel itself takes part, pixels without class and what
lies beyond the map do not, and a pixel without class stays without. Where several classes are the most frequent, the
pixel keeps its own (`-ip.suvbool false`), or becomes undecided (`-ip.suvbool true`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from toolkit.mapping.rasters import NO_CLASS


def majority(classes: np.ndarray, radius: int, *, undecided: int | None = None) -> np.ndarray:
    """The most frequent class around each pixel.

    Args:
        classes: uint8 (y, x); 0 is no class.
        radius: of the neighbourhood, pixels.
        undecided: what a pixel becomes where classes are equally frequent; None: it keeps its own.

    Returns:
        uint8 (y, x). A pixel depends on those within `radius` alone.
    """
    present = np.unique(classes)
    present = present[present != NO_CLASS]
    index = np.zeros(256, dtype=np.uint8)
    index[present] = np.arange(1, len(present) + 1)
    codes = np.concatenate([[NO_CLASS], present]).astype(np.uint8)
    padded = np.pad(index[classes], radius)
    out = np.empty(classes.shape, dtype=np.uint8)
    _slide(padded, disc(radius), codes, -1 if undecided is None else undecided, out)
    return out


def disc(radius: int) -> np.ndarray:
    """Half the width of each row of the neighbourhood, (2 x radius + 1,): offsets within `radius` and a half pixels."""
    rows = np.arange(-radius, radius + 1)
    return np.floor(np.sqrt((radius + 0.5) ** 2 - rows**2)).clip(max=radius).astype(np.int64)


@njit(nogil=True, cache=True)
def _slide(padded, half, codes, undecided, out):  # type: ignore[no-untyped-def]
    """Keep the counts of the neighbourhood while it moves along each row; `padded` holds indices into `codes`."""
    height, width = out.shape
    radius = half.size // 2
    counts = np.empty(codes.size, np.int32)
    for y in range(height):
        counts[:] = 0
        for k in range(half.size):
            for x in range(radius - half[k], radius + half[k] + 1):
                counts[padded[y + k, x]] += 1
        for x in range(width):
            out[y, x] = _winner(counts, padded[y + radius, x + radius], codes, undecided)
            if x + 1 < width:
                for k in range(half.size):
                    row = padded[y + k]
                    counts[row[x + radius - half[k]]] -= 1
                    counts[row[x + radius + half[k] + 1]] += 1


@njit(nogil=True, cache=True, inline="always")
def _winner(counts, own, codes, undecided):  # type: ignore[no-untyped-def]
    """The class of the highest count; `own` is that of the pixel itself, and 0 no class."""
    if own == 0:
        return codes[0]
    most, found, ties = counts[own], own, 0
    for k in range(1, codes.size):
        if counts[k] > most:
            most, found, ties = counts[k], k, 0
        elif counts[k] == most and k != found:
            ties += 1
    if ties == 0:
        return codes[found]
    return codes[own] if undecided < 0 else np.uint8(undecided)
