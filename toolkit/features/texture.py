"""Texture of a band: how much it varies in the neighbourhood of each pixel."""

from __future__ import annotations

from datetime import date

import numpy as np

from toolkit.features.block import FeatureBlock
from toolkit.features.external import external_feature
from toolkit.ground.params import param


@external_feature(padding=lambda params: params.radius, outputs=["texture_{band}_{day}_{radius}"])
def texture(
    block: FeatureBlock,
    day: date = param(..., "Day; the nearest of the regular grid is taken."),  # noqa: B008 - a declaration
    band: str = param("B8", "Band, or an index of features.indices."),
    radius: int = param(3, "Half the window: 3 is a window of 7 x 7 pixels.", unit="pixels", ge=1, le=50),
) -> np.ndarray:
    """Standard deviation in a square window around each pixel, in the unit of the band.

    Pixels that were never seen, and what lies beyond the images, take no part.
    """
    seen = block.seen
    values = np.where(seen, block.filled(band)[block.nearest(day)], 0).astype(np.float64)
    count = np.maximum(window_sum(seen.astype(np.float64), radius), 1)
    mean, square = window_sum(values, radius) / count, window_sum(values * values, radius) / count
    return np.sqrt(np.maximum(square - mean * mean, 0))


def window_sum(values: np.ndarray, radius: int) -> np.ndarray:
    """Sum over the square window around each pixel, float64 (y, x); 0 is added beyond the edges.

    The terms are added one by one in the order of the window, so that the sum is the same, to the bit, wherever the
    array begins. (A difference of cumulative sums is quicker and is not.)
    """
    for axis in (0, 1):
        wide = np.pad(values, [(radius, radius) if one == axis else (0, 0) for one in (0, 1)])
        length = values.shape[axis]
        parts = (np.take(wide, np.arange(start, start + length), axis) for start in range(2 * radius + 1))
        total = np.zeros_like(values)
        for part in parts:
            total += part
        values = total
    return values
