"""The feature stack: what a network is given for each pixel, in which order, under which names.

Sampling and mapping compute features by the same `FeatureStack`, so that training and inference cannot differ.
The order is iota2's: all bands of the first date, all bands of the second, …, then each index over all dates. Of raw
dates it is another: what has no date, then all of the first date, all of the second (`ground/raw_rows.py`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.features.block import BlockPlace, FeatureBlock, inner
from toolkit.features.chosen import ChosenFeature, file_of
from toolkit.features.indices import Index, check_indices, index_of, label_of
from toolkit.features.parameters import FeatureParams, Representation
from toolkit.features.raw import keep_day_and_valid, raw_names, write_raw
from toolkit.features.regular import RegularFeatures
from toolkit.features.selection import select_features
from toolkit.features.sensors import (
    Others,
    check_with_sensors,
    definitions_beside,
    features_of,
    measured_by,
    names_beside,
)
from toolkit.ground.bands import SENTINEL2, Band, held_words
from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import ParameterError
from toolkit.ground.raw_rows import RawRow
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.gaps import count_clear, longest_gap
from toolkit.series.matrix import PLAIN, MatrixForm
from toolkit.series.methods import LINEAR, GapFilling, check_method
from toolkit.series.sensors import SensorParams, series_of
from toolkit.series.timeline import days_of
from toolkit.series.timeseries import SeriesParams


@dataclass(frozen=True)
class FeatureStack:
    """Names, order and computation of the features."""

    bands: tuple[str, ...]
    dates: tuple[str, ...]
    """Days of the regular grid, ISO format."""
    indices: tuple[str | Index, ...] = ()
    """As an experiment names or defines them; those of another sensor than Sentinel-2 on its own bands."""
    compatibility: str = "none"
    external: tuple[ChosenFeature, ...] = ()
    select: tuple[str, ...] = ()
    """Patterns of the names to keep; empty for all."""
    gap_filling: GapFilling = LINEAR
    representation: Representation = "gap_filled"
    seasons: tuple[int, ...] = ()
    """Number of days of each season; empty for one whole period."""
    measured: tuple[Band, ...] = ()
    """What the bands are; empty for those of Sentinel-2 in reflectance x 10000."""
    others: Others = ()
    """Further sensors, and what is made of them; everything but names, sizes and definitions is of the first alone."""

    @classmethod
    def of(
        cls,
        series: SeriesParams,
        features: FeatureParams,
        folder: Path = Path(),
        rasters: Mapping[str, str] | None = None,
        sources: Mapping[str, Sequence[Band]] | None = None,
    ) -> FeatureStack:
        """The stack that an experiment describes. Files of external features are read, but not yet imported.

        Args:
            folder: of the experiment file, which the files of external features are relative to.
            rasters: source in the data catalog -> file, which may hold `{tile}`, for those that features name.
            sources: source of images in the data catalog -> its bands; those of Sentinel-2 where it is not there.

        Raises:
            ParameterError: a band is not of the source, an index or the gap-filling needs a band that the series does
                not have, the gaps are not filled as iota2 does where that is asked for, a file is absent, or a raster
                is not among `rasters`.
        """
        check_with_sensors(features, series.sensors)
        measured = measured_by(series, sources or {})
        indices = tuple(index_of(one).on(measured) for one in features.indices) if measured else features.indices
        check_indices(indices, series.bands)
        own = tuple(one.name for one in measured if one.like == one.name)  # what a method knows by its name
        check_method(series.gap_filling, own if measured else series.bands)
        if features.compatibility == "iota2" and measured:
            raise ParameterError(
                f"features.compatibility = iota2 is of Sentinel-2, and source {series.source!r} is not; set it to none"
            )
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
                {name: file_of(source, rasters or {}) for name, source in one.rasters.items()},
            )
            for one in features.external
        )
        days = tuple(str(day) for day in series.days)
        return cls(
            series.bands,
            days,
            indices,
            features.compatibility,
            external,
            features.select,
            series.gap_filling,
            features.representation,
            tuple(len(days_of([one])) for one in series.periods) if series.seasons else (),
            measured,
            tuple((one.name, cls._of_sensor(one, series, sources)) for one in series.sensors),
        )

    @classmethod
    def _of_sensor(
        cls, sensor: SensorParams, series: SeriesParams, sources: Mapping[str, Sequence[Band]] | None
    ) -> FeatureStack:
        own, wanted = series_of(sensor, series), features_of(sensor)
        try:
            return cls.of(own, wanted, sources=sources)
        except ParameterError as error:
            raise ParameterError(f"{sensor.place}: {error}") from None

    @cached_property
    def alone(self) -> FeatureStack:
        """The features of the first sensor."""
        return replace(self, others=()) if self.others else self

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

        Of raw dates those of external features come first; the others name what each date has: `B2_*`, …, `day_*`.
        Those of further sensors, `landsat/B4_20180109`, are the last; of raw dates the very first.

        Raises:
            FeatureError, ParameterError: an external feature cannot be loaded, or does not take its parameters; or
                nothing is called as `select` wants.
        """
        if self.others:
            return self.in_order(self.alone.names, names_beside(self.others))
        return self.all_names if self.kept is None else tuple(self.all_names[place] for place in self.kept)

    @cached_property
    def kept(self) -> np.ndarray | None:
        """Positions among all features of those that are kept; None where all are."""
        if not self.select:
            return None
        kept = select_features(self.all_names, self.select)
        return keep_day_and_valid(kept, self.all_names) if self.raw else kept

    def in_order(self, own: tuple[Any, ...], beside: tuple[Any, ...]) -> tuple[Any, ...]:
        """What is of the first sensor and of further ones in the order of the stack: in raw rows dates are the last."""
        return (*beside, *own) if self.raw else (*own, *beside)

    @property
    def raw(self) -> bool:
        """Whether the dates are those that were acquired, not of the regular grid."""
        return self.representation == "raw"

    @cached_property
    def all_names(self) -> tuple[str, ...]:
        """The names before any selection."""
        days = [day.replace("-", "") for day in self.dates]
        reflectances = [f"{band}_{day}" for day in days for band in self.bands]
        indices = [f"{label_of(index)}_{day}" for index in self.indices for day in days]
        external = [name for one in self.external for name in one.names(days)]
        names = (*reflectances, *indices, *external)
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice and self.external:
            raise ParameterError(
                f"features.external: two features are called {twice}; take one away, or put a parameter into the "
                'names, such as outputs=["texture_{band}"]'
            )
        return (*external, *raw_names(self.bands, self.indices)) if self.raw else names

    @cached_property
    def padding(self) -> int:
        """Pixels around a block that must be read for its features."""
        return max((one.padding for one in self.external), default=0)

    @property
    def classifies_unseen(self) -> bool:
        """Whether a pixel that was measured but never clear has a class, from zeros."""
        return self.compatibility == "iota2"

    def __len__(self) -> int:
        if self.others:
            return len(self.alone) + sum(len(one) for _, one in self.others)
        return len(self.names) if self.external or self.select or self.raw else self._regular

    def width(self, dates: int) -> int:
        """How many values a pixel has, of a tile with so many dates."""
        row = RawRow.of(self.names) if self.raw else None
        return len(self) if row is None else row.width(dates)

    def held(self, dates: int) -> int:
        """Values of a pixel that are in memory while its features are computed, of a tile with so many dates."""
        if self.others:
            return self.alone.held(dates) + sum(len(one) for _, one in self.others) + self.width(dates)
        if not self.raw and not self.external:
            return len(self)
        selected = self.width(dates) if self.select else 0
        if not self.raw:
            # Theirs are cut out of the padding, and they take memory of their own.
            return 2 * len(self.all_names) + selected
        filled = self._regular + self._externals if self.external else 0
        return self._row.width(dates) + selected + 2 * filled

    @property
    def definitions(self) -> dict[str, str]:
        """What the features are, in words that differ where the values would: of the series, indices, functions."""
        whole = ", cut to whole numbers" if self.compatibility == "iota2" else ""
        way = "" if self.gap_filling == LINEAR else f" ({self.gap_filling})"
        way += f" in seasons of {', '.join(map(str, self.seasons))} days" if self.seasons else ""
        held = held_words(self.measured or SENTINEL2)
        found = {"series": f"gap-filled{way} {held}{whole}"}
        if self.raw:
            found["series"] = f"{held} of each date as it was acquired, 0 where not valid"
            found["series"] += f"; external features of the gap-filled{way} one" if self.external else ""
        kept, days = set(self.names), [day.replace("-", "") for day in self.dates]
        for index in map(index_of, self.indices):
            if any(f"{index.label}_{day}" in kept for day in (*days, "*")):
                found[index.label] = f"{index.written} x {index.scale}"
        for one in self.external:
            names = one.names(days)
            if kept.intersection(names):
                found[names[0]] = one.definition
        return {**found, **definitions_beside(self.others)}

    @property
    def _regular(self) -> int:
        """How many features are bands and indices of the regular grid."""
        return len(self.dates) * (len(self.bands) + len(self.indices))

    @property
    def _row(self) -> RawRow:
        """The layout of raw dates, before any selection."""
        return RawRow(self._externals, len(self.bands) + len(self.indices) + 2)

    @property
    def _externals(self) -> int:
        """How many features are external ones."""
        days = [day.replace("-", "") for day in self.dates]
        return sum(len(one.names(days)) for one in self.external)

    def compute(
        self,
        values: np.ndarray,
        validity: np.ndarray,
        dates: np.ndarray,
        place: BlockPlace | None = None,
        form: MatrixForm = PLAIN,
        buffer: SeriesBuffer | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features of the pixels of a series; of several sensors each has its own (see `TileFeatures`).

        Args:
            values: (date, band, …) int16, reflectance x 10000; the trailing axes (y, x or pixel) are any. With
                external features they are (y, x), with `padding` pixels around the block.
            validity: (date, …) bool; false where a band of the date has no value.
            dates: (date,) ascending datetime64[D].
            place: where the block lies; needed for external features.
            form: standardised or not, in which numbers. Standardised, a value of 0 below becomes `-mean / std`.
            buffer: memory to use where there are no external features; what is returned may lie in it.

        Returns:
            features: (feature, …) of `form.dtype`, feature-major so that a network multiplies it without transposing.
                0 where a pixel has no usable date. Without padding. Of raw dates `width(len(dates))` of them.
            clear: (…) uint16, number of usable dates.

        Raises:
            FeatureError: an external feature fails.
        """
        assert not self.others, "the series of one sensor makes no features of another"
        if self.raw:
            assert form.plain, "raw dates are standardised by the model, that knows which are valid"
            return self._compute_raw(values, validity, dates, place)
        if not self.external:
            return self._regular_features(values, validity, dates, form, len(self), self.kept, buffer)
        features, clear = self._with_external(values, validity, dates, place)
        return form.of(features if self.kept is None else features[self.kept]), clear

    def _with_external(
        self, values: np.ndarray, validity: np.ndarray, dates: np.ndarray, place: BlockPlace | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features of the regular grid, then external ones, without any selection."""
        assert place is not None, "external features need to know where the block lies"
        features, clear = self.regular(values, validity, dates, self._regular + self._externals)
        self._compute_external(features, values, validity, dates, place)
        return inner(features, self.padding), inner(clear, self.padding)

    def _compute_raw(
        self, values: np.ndarray, validity: np.ndarray, dates: np.ndarray, place: BlockPlace | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """External features, then each date as it was acquired."""
        row, filled = self._row, None
        if self.external:
            filled, _ = self._with_external(values, validity, dates, place)
            values, validity = inner(values, self.padding), inner(validity, self.padding)
        features = np.empty((row.width(len(dates)), *values.shape[2:]), dtype=np.float32)
        if filled is not None:
            features[: row.static] = filled[self._regular :]
        new_year = self.days[0].astype("datetime64[Y]").astype("datetime64[D]")
        days = (dates - new_year).astype(np.float32)
        write_raw(values, validity, days, self.bands, self.indices, features[row.static :])
        return (features if self.kept is None else row.take(features, self.kept)), count_clear(validity)

    def regular(
        self, values: np.ndarray, validity: np.ndarray, dates: np.ndarray, room: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """The features that are bands and indices of the regular grid, and the number of usable dates: see `compute`.

        Args:
            room: how many features to make room for in all; those after the regular ones are left empty.
        """
        return self._regular_features(values, validity, dates, PLAIN, max(room, self._regular))

    def _regular_features(
        self,
        values: np.ndarray,
        validity: np.ndarray,
        dates: np.ndarray,
        form: MatrixForm,
        room: int,
        kept: np.ndarray | None = None,
        buffer: SeriesBuffer | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        pixels = values.shape[2:]
        count = math.prod(pixels)
        features = (buffer or SeriesBuffer()).array("features", (room, count), form.dtype)
        flat = values.reshape(*values.shape[:2], count), validity.reshape(len(validity), count)
        clear = self.on_grid.write(*flat, dates, form, features, kept)
        return features.reshape(room, *pixels), clear.reshape(pixels)

    @cached_property
    def on_grid(self) -> RegularFeatures:
        """Bands and indices of the regular grid."""
        as_iota2 = self.compatibility == "iota2"
        return RegularFeatures(self.bands, self.days, self.indices, self.gap_filling, self.seasons, as_iota2)

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
