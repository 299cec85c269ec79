"""The feature stack: what a network is given for each pixel, in which order, under which names.

Sampling and mapping compute features by the same `FeatureStack`, so that training and inference cannot differ.
The order is iota2's: all bands of the first date, all bands of the second, …, then each index over all dates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from pydantic import field_validator

from toolkit.features.compatibility import fill_as_iota2, indices_as_iota2
from toolkit.features.indices import INDICES, LABELS, check_indices, compute_indices
from toolkit.ground.errors import ParameterError, did_you_mean
from toolkit.ground.params import Params, param
from toolkit.series.gaps import count_clear
from toolkit.series.methods import LINEAR, GapFilling, check_method, fill_series
from toolkit.series.timeline import regular_dates
from toolkit.series.timeseries import SeriesParams


class FeatureParams(Params):
    """What is computed from the gap-filled series."""

    indices: tuple[str, ...] = param(("ndvi", "ndwi", "brightness"), "Spectral indices of every date.")
    compatibility: Literal["none", "iota2"] = param(
        "none",
        "`iota2` gives iota2's exact numbers, for comparison with it: reflectances and indices cut to whole numbers, "
        "years of 365 days, pixels that were never clear classified from zeros.",
    )

    @field_validator("indices")
    @classmethod
    def _known(cls, indices: tuple[str, ...]) -> tuple[str, ...]:
        for name in indices:
            if name not in INDICES:
                raise ValueError(f"index {name!r} is not known{did_you_mean(name, INDICES)}")
        return indices


@dataclass(frozen=True)
class FeatureStack:
    """Names, order and computation of the features."""

    bands: tuple[str, ...]
    dates: tuple[str, ...]
    """Days of the regular grid, ISO format."""
    indices: tuple[str, ...] = ()
    compatibility: str = "none"
    gap_filling: GapFilling = LINEAR

    @classmethod
    def of(cls, series: SeriesParams, features: FeatureParams) -> FeatureStack:
        """The stack that an experiment describes.

        Raises:
            ParameterError: an index or the gap-filling needs a band that the series does not have, or the gaps are not
                filled as iota2 does where that is asked for.
        """
        check_indices(features.indices, series.bands)
        check_method(series.gap_filling, series.bands)
        if features.compatibility == "iota2" and series.gap_filling != LINEAR:
            raise ParameterError(
                "features.compatibility = iota2 needs series.gap_filling = {method: linear} without max_gap_days, not "
                f"{series.gap_filling.method}; set one or the other"
            )
        dates = regular_dates(series.start, series.end, series.step_days)
        days = tuple(str(day) for day in dates)
        return cls(series.bands, days, features.indices, features.compatibility, series.gap_filling)

    @property
    def days(self) -> np.ndarray:
        """Days of the regular grid, datetime64[D] of shape (date,)."""
        return np.array(self.dates, dtype="datetime64[D]")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of each feature: `B2_20180101`, …, `NDVI_20180101`, …"""
        days = [day.replace("-", "") for day in self.dates]
        reflectances = [f"{band}_{day}" for day in days for band in self.bands]
        return (*reflectances, *(f"{LABELS[index]}_{day}" for index in self.indices for day in days))

    @property
    def classifies_unseen(self) -> bool:
        """Whether a pixel that was measured but never clear has a class, from zeros."""
        return self.compatibility == "iota2"

    def __len__(self) -> int:
        return len(self.dates) * (len(self.bands) + len(self.indices))

    def compute(self, values: np.ndarray, validity: np.ndarray, dates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features of the pixels of a series.

        Args:
            values: (date, band, …) int16, reflectance x 10000; the trailing axes (y, x or pixel) are any.
            validity: (date, …) bool.
            dates: (date,) ascending datetime64[D].

        Returns:
            features: (feature, …) float32, feature-major so that a network multiplies it without transposing.
                0 where a pixel has no usable date.
            clear: (…) uint16, number of usable dates.
        """
        pixels = values.shape[2:]
        count = int(np.prod(pixels))
        features = np.empty((len(self), count), dtype=np.float32)
        split = len(self.dates) * len(self.bands)
        series = features[:split].reshape(len(self.dates), len(self.bands), count)
        flat, clear_flat = values.reshape(*values.shape[:2], count), validity.reshape(len(validity), count)
        indices = features[split:].reshape(len(self.indices), len(self.dates), count)
        kept = None
        if self.compatibility == "iota2":
            fill_as_iota2(flat, clear_flat, dates, self.days, series)
            indices_as_iota2(series, self.bands, self.indices, indices)
        else:
            _, kept = fill_series(self.gap_filling, self.bands, flat, clear_flat, dates, self.days, series)
            compute_indices(series, self.bands, self.indices, indices)
        clear = count_clear(clear_flat)
        if kept is not None:
            clear[~kept] = 0  # no date of it is left: as never seen
        return features.reshape(len(self), *pixels), clear.reshape(pixels)
