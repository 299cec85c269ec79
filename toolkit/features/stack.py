"""The feature stack: what a network is given for each pixel, in which order, under which names.

Sampling and mapping compute features by the same `FeatureStack`, so that training and inference cannot differ.
The order is iota2's: all bands of the first date, all bands of the second, …, then each index over all dates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from toolkit.features.block import BlockPlace, FeatureBlock, inner
from toolkit.features.chosen import ChosenFeature
from toolkit.features.compatibility import fill_as_iota2, indices_as_iota2
from toolkit.features.indices import check_indices, compute_indices, index_of, label_of
from toolkit.features.loading import SourceFile
from toolkit.features.parameters import FeatureParams
from toolkit.features.selection import select_features
from toolkit.ground.bands import REFLECTANCE_SCALE
from toolkit.ground.errors import ParameterError, did_you_mean
from toolkit.series.gaps import count_clear, longest_gap
from toolkit.series.methods import LINEAR, GapFilling, check_method, fill_series
from toolkit.series.timeline import days_of
from toolkit.series.timeseries import SeriesParams


@dataclass(frozen=True)
class FeatureStack:
    """Names, order and computation of the features."""

    bands: tuple[str, ...]
    dates: tuple[str, ...]
    """Days of the regular grid, ISO format."""
    indices: tuple[str, ...] = ()
    compatibility: str = "none"
    external: tuple[ChosenFeature, ...] = ()
    select: tuple[str, ...] = ()
    """Patterns of the names to keep; empty for all."""
    gap_filling: GapFilling = LINEAR
    seasons: tuple[int, ...] = ()
    """Number of days of each season; empty for one whole period."""

    @classmethod
    def of(
        cls,
        series: SeriesParams,
        features: FeatureParams,
        folder: Path = Path(),
        rasters: Mapping[str, str] | None = None,
    ) -> FeatureStack:
        """The stack that an experiment describes. Files of external features are read, but not yet imported.

        Args:
            folder: of the experiment file, which the files of external features are relative to.
            rasters: source in the data catalog -> file, which may hold `{tile}`, for those that features name.

        Raises:
            ParameterError: an index or the gap-filling needs a band that the series does not have, the gaps are not
                filled as iota2 does where that is asked for, a file is absent, or a raster is not among `rasters`.
        """
        check_indices(features.indices, series.bands)
        check_method(series.gap_filling, series.bands)
        if features.compatibility == "iota2" and series.gap_filling != LINEAR:
            raise ParameterError(
                "features.compatibility = iota2 needs series.gap_filling = {method: linear} without max_gap_days, not "
                f"{series.gap_filling.method}; set one or the other"
            )
        external = tuple(
            ChosenFeature(
                one.name,
                one.params,
                SourceFile.read(folder / one.file) if one.file else None,
                {name: _file_of(source, rasters or {}) for name, source in one.rasters.items()},
            )
            for one in features.external
        )
        days = tuple(str(day) for day in series.days)
        return cls(
            series.bands,
            days,
            features.indices,
            features.compatibility,
            external,
            features.select,
            series.gap_filling,
            tuple(len(days_of([one])) for one in series.periods) if series.seasons else (),
        )

    @property
    def days(self) -> np.ndarray:
        """Days of the regular grid, datetime64[D] of shape (date,)."""
        return np.array(self.dates, dtype="datetime64[D]")

    def longest_gap(self, validity: np.ndarray, dates: np.ndarray) -> np.ndarray:
        """Days of the longest time without a usable date, in the period or in any season: see `longest_gap`.

        Args:
            validity: (date, …) bool.
            dates: (date,) ascending datetime64[D].

        Returns:
            (…) uint16.
        """
        seasons = np.split(self.days, np.cumsum(self.seasons)[:-1]) if self.seasons else [self.days]
        gaps = [longest_gap(validity, dates, days[0], days[-1]) for days in seasons]
        return np.asarray(np.maximum.reduce(gaps))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of each feature: `B2_20180101`, …, `NDVI_20180101`, …, then those of external features.

        Raises:
            FeatureError, ParameterError: an external feature cannot be loaded, or does not take its parameters; or
                nothing is called as `select` wants.
        """
        return self.all_names if self.kept is None else tuple(self.all_names[place] for place in self.kept)

    @cached_property
    def kept(self) -> np.ndarray | None:
        """Positions among all features of those that are kept; None where all are."""
        return select_features(self.all_names, self.select) if self.select else None

    @cached_property
    def all_names(self) -> tuple[str, ...]:
        """The names before any selection."""
        days = [day.replace("-", "") for day in self.dates]
        reflectances = [f"{band}_{day}" for day in days for band in self.bands]
        indices = [f"{label_of(index)}_{day}" for index in self.indices for day in days]
        names = (*reflectances, *indices, *(name for one in self.external for name in one.names(days)))
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice and self.external:
            raise ParameterError(
                f"features.external: two features are called {twice}; take one away, or put a parameter into the "
                'names, such as outputs=["texture_{band}"]'
            )
        return names

    @cached_property
    def padding(self) -> int:
        """Pixels around a block that must be read for its features."""
        return max((one.padding for one in self.external), default=0)

    @property
    def classifies_unseen(self) -> bool:
        """Whether a pixel that was measured but never clear has a class, from zeros."""
        return self.compatibility == "iota2"

    def __len__(self) -> int:
        return len(self.names) if self.external or self.select else self._regular

    @property
    def held(self) -> int:
        """Values of a pixel that are in memory while its features are computed."""
        copies = 2 if self.external else 1  # theirs are cut out of the padding, and they take memory of their own
        return copies * (len(self.all_names) if self.external else self._regular) + (len(self) if self.select else 0)

    @property
    def definitions(self) -> dict[str, str]:
        """What the features are, in words that differ where the values would: of the series, indices, functions."""
        whole = ", cut to whole numbers" if self.compatibility == "iota2" else ""
        way = "" if self.gap_filling == LINEAR else f" ({self.gap_filling})"
        way += f" in seasons of {', '.join(map(str, self.seasons))} days" if self.seasons else ""
        found = {"series": f"gap-filled{way} reflectance x {REFLECTANCE_SCALE}{whole}"}
        kept, days = set(self.names), [day.replace("-", "") for day in self.dates]
        for index in map(index_of, self.indices):
            if any(f"{index.label}_{day}" in kept for day in days):
                found[index.label] = f"{index.written} x {index.scale}"
        for one in self.external:
            names = one.names(days)
            if kept.intersection(names):
                found[names[0]] = one.definition
        return found

    @property
    def _regular(self) -> int:
        """How many features are bands and indices of the regular grid."""
        return len(self.dates) * (len(self.bands) + len(self.indices))

    def compute(
        self, values: np.ndarray, validity: np.ndarray, dates: np.ndarray, place: BlockPlace | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features of the pixels of a series.

        Args:
            values: (date, band, …) int16, reflectance x 10000; the trailing axes (y, x or pixel) are any. With
                external features they are (y, x), with `padding` pixels around the block.
            validity: (date, …) bool.
            dates: (date,) ascending datetime64[D].
            place: where the block lies; needed for external features.

        Returns:
            features: (feature, …) float32, feature-major so that a network multiplies it without transposing.
                0 where a pixel has no usable date. Without padding.
            clear: (…) uint16, number of usable dates.

        Raises:
            FeatureError: an external feature fails.
        """
        room = len(self.all_names) if self.external else 0
        features, clear = self.regular(values, validity, dates, room)
        if self.external:
            assert place is not None, "external features need to know where the block lies"
            self._compute_external(features, values, validity, dates, place)
            features, clear = inner(features, self.padding), inner(clear, self.padding)
        return (features if self.kept is None else features[self.kept]), clear

    def regular(
        self, values: np.ndarray, validity: np.ndarray, dates: np.ndarray, room: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """The features that are bands and indices of the regular grid, and the number of usable dates: see `compute`.

        Args:
            room: how many features to make room for in all; those after the regular ones are left empty.
        """
        pixels = values.shape[2:]
        count = int(np.prod(pixels))
        features = np.empty((max(room, self._regular), count), dtype=np.float32)
        split = len(self.dates) * len(self.bands)
        series = features[:split].reshape(len(self.dates), len(self.bands), count)
        flat, clear_flat = values.reshape(*values.shape[:2], count), validity.reshape(len(validity), count)
        indices = features[split : self._regular].reshape(len(self.indices), len(self.dates), count)
        kept = None
        if self.compatibility == "iota2":
            fill_as_iota2(flat, clear_flat, dates, self.days, series)
            indices_as_iota2(series, self.bands, self.indices, indices)
        else:
            given = (flat, clear_flat, dates, self.days, series, self.seasons)
            _, kept = fill_series(self.gap_filling, self.bands, *given)
            compute_indices(series, self.bands, self.indices, indices)
        clear = count_clear(clear_flat)
        if kept is not None:
            clear[~kept] = 0  # no date of it is left: as never seen
        if any(index_of(name).formula for name in self.indices):  # iota2's indices of zeros are 0 by themselves
            indices[:, :, clear == 0] = 0
        return features.reshape(len(features), *pixels), clear.reshape(pixels)

    def by_name(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """The regular features (feature, …) by index and band: each (date, …), indices first."""
        days, split = len(self.dates), len(self.dates) * len(self.bands)
        series = features[:split].reshape(days, len(self.bands), *features.shape[1:])
        indices = features[split : self._regular].reshape(len(self.indices), days, *features.shape[1:])
        found = {label_of(name): one for name, one in zip(self.indices, indices, strict=True)}
        return found | {band: series[:, b] for b, band in enumerate(self.bands)}

    def _compute_external(
        self, features: np.ndarray, values: np.ndarray, validity: np.ndarray, dates: np.ndarray, place: BlockPlace
    ) -> None:
        """Fill the rows (feature, y, x) of the external features, but for the padding."""
        measured = {band: values[:, b] for b, band in enumerate(self.bands)}
        named, start = self.by_name(features), self._regular
        for one in self.external:
            reader = partial(one.read_raster, place.tile)
            block = FeatureBlock(place, self.padding, self.days, dates, validity, named, measured, reader)
            count = len(one.names([day.replace("-", "") for day in self.dates]))
            one.compute(block, inner(features[start : start + count], self.padding))
            start += count


def _file_of(source: str, rasters: Mapping[str, str]) -> str:
    if source not in rasters:
        raise ParameterError(
            f"features.external: no file is given for the raster {source!r}{did_you_mean(source, rasters)}"
        )
    return rasters[source]
