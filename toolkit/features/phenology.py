"""When a pixel's year happens: day of the maximum, amplitude, start of the season."""

from __future__ import annotations

import numpy as np

from toolkit.features.block import FeatureBlock
from toolkit.features.external import external_feature
from toolkit.ground.params import param


@external_feature(outputs=["peak_day_{index}", "amplitude_{index}", "season_start_{index}"])
def phenology(
    block: FeatureBlock,
    index: str = param("NDVI", "Index of features.indices, or a band."),
    threshold: float = param(
        0.5, "The season starts where the rise to the maximum passes this share of it.", gt=0, lt=1
    ),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Day of the maximum, amplitude, and start of the season of an index.

    Days are counted from the first of January of the first date's year, which is day 1. The start is the last time
    before the maximum that the index rises through the threshold, on a straight line between two dates; where it never
    does, as with a maximum at the first date, it is the day of the maximum.
    """
    series = block.filled(index)
    first = block.dates[0].astype("datetime64[Y]").astype("datetime64[D]")
    days = (block.dates - first).astype(np.float64) + 1
    peak, highest = series.argmax(axis=0), series.max(axis=0)
    low = series[0].copy()
    for d in range(1, len(series)):
        np.minimum(low, series[d], out=low, where=d <= peak)
    level = low + np.float32(threshold) * (highest - low)
    start = days[peak]
    for d in range(len(series) - 1):
        before, after = series[d], series[d + 1]
        rises = (before < level) & (level <= after) & (d < peak)
        step = np.where(rises, after - before, 1)
        start = np.where(rises, days[d] + (days[d + 1] - days[d]) * ((level - before) / step), start)
    return days[peak], highest - series.min(axis=0), start
