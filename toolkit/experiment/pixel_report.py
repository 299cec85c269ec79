"""What is known of one pixel: its place, class and probabilities, ground truth and time series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape

import numpy as np
import pandas as pd

from toolkit.features.indices import scale_of_label
from toolkit.ground.bands import SENTINEL2, Band
from toolkit.ground.nomenclature import Nomenclature
from toolkit.series.curve import DASHES, Curve
from toolkit.series.methods import METHODS


@dataclass(frozen=True)
class Place:
    """The pixel under a place on earth."""

    longitude: float
    latitude: float
    """Degrees."""
    tile: str
    row: int
    col: int
    """In the grid of the tile's series."""
    x: float
    y: float
    """The place itself in the tile's coordinate system."""
    crs: str
    also_in: tuple[str, ...] = ()
    """Other tiles of the experiment over this place."""


@dataclass(frozen=True)
class Mapped:
    """What the maps of the run folder say of the pixel."""

    code: int
    """Class code; 0 where the pixel was never seen."""
    confidence: int | None
    """The largest probability, percent; None where there is no such map."""
    validity: int | None
    """Number of clear dates; None where there is no such map."""
    longest_gap: int | None = None
    """Days of the longest gap between clear dates; None where there is no such map."""


@dataclass(frozen=True)
class Truth:
    """The polygon of the ground truth over the place."""

    code: int
    role: str | None
    """`train`, `test` or `left_out`; None where the polygons are not split yet."""
    polygon: int
    """Its number."""


@dataclass(frozen=True, eq=False)
class PixelSeries:
    """The time series of the pixel as the toolkit sees it: reflectances (and brightness) x 10000, indices x 1000, and
    another unit x what `measured_by` says."""

    bands: tuple[str, ...]
    dates: np.ndarray
    """Days of acquisition, datetime64[D] of shape (date,); a day may stand twice."""
    values: np.ndarray
    """As measured, int16 of shape (date, band), -10000 where nothing was."""
    validity: np.ndarray
    """Whether each date is clear, bool of shape (date,)."""
    measured: Mapping[str, np.ndarray]
    """Each index (`NDVI`, …), then each band: float32 of shape (date,), NaN where nothing was measured."""
    days: np.ndarray
    """The regular grid, datetime64[D] of shape (day,)."""
    filled: Mapping[str, np.ndarray]
    """The same names after gap-filling, as a network that does not read raw dates is given them: float32 (day,)."""
    longest_gap: int
    """Days of the longest time without a clear date, in the period or in any season."""
    seasons: tuple[int, ...] = ()
    """Number of days of each season, between which the line is broken; empty for one whole period."""
    method: str = "linear"
    """The method by which they are filled."""
    measured_by: tuple[Band, ...] = SENTINEL2
    """What the bands of the source are."""
    others: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    """The same by further methods, to compare: method -> name -> float32 of shape (day,)."""

    @property
    def names(self) -> tuple[str, ...]:
        """Indices, then bands."""
        return tuple(self.filled)

    @property
    def clear_dates(self) -> int:
        """Number of clear dates."""
        return int(self.validity.sum())

    def curves(self, name: str, label: str = "", colour: str | None = None) -> list[Curve]:
        """The `curve` of an index or a band, then a dashed line by each of the further methods.

        Args:
            name, label, colour: as `curve`.
        """
        first = self.curve(name, label or (self.method if self.others else ""), colour)
        found, points = [first], (self.dates[:0], first.values[:0], self.validity[:0])
        for method, filled in self.others.items():
            said = f"{label} · {method}" if label else method
            line = self._line(filled[name] / self.scale_of(name))
            found.append(Curve(said, *points, *line, colour, DASHES[METHODS.index(method)]))
        return found

    def curve(self, name: str, label: str = "", colour: str | None = None) -> Curve:
        """An index or a band as it is drawn: reflectance from 0 to 1, NDVI from -1 to 1, decibels as such.

        Args:
            name: one of `names`.
            label: name of the curve; default the index's or band's.
        """
        scale = self.scale_of(name)
        line = self._line(self.filled[name] / scale)
        return Curve(label or name, self.dates, self.measured[name] / scale, self.validity, *line, colour)

    def scale_of(self, name: str) -> float:
        """What an index or a band is multiplied by."""
        band = next((one for one in self.measured_by if one.name == name), None)
        return scale_of_label(name) if band is None else band.per_unit

    def _line(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Days and values of a line: broken between seasons, and nowhere where there is no clear date."""
        line = values if self.clear_dates else np.full(len(self.days), np.nan, np.float32)
        ends = np.cumsum(self.seasons, dtype=int)[:-1]
        return np.insert(self.days, ends, self.days[ends - 1]), np.insert(line, ends, np.nan)


@dataclass(frozen=True, eq=False)
class PixelReport:
    """Everything known of a pixel; what is missing is None or empty, and told in `notes`."""

    place: Place
    nomenclature: Nomenclature
    mapped: Mapped | None = None
    probabilities: Mapping[int, float] | None = None
    """Class code -> probability by the model of the run folder, the largest first."""
    series: PixelSeries | None = None
    truth: Truth | None = None
    notes: tuple[str, ...] = ()
    """What else a person should know, in whole words."""

    @property
    def code(self) -> int | None:
        """Class code by the map, or where there is none by the model; None where neither says."""
        if self.mapped is not None and self.mapped.code:
            return self.mapped.code
        return next(iter(self.probabilities), None) if self.probabilities else None

    @property
    def confidence(self) -> float | None:
        """Probability of `code`, by whichever said it."""
        if self.mapped is not None and self.mapped.code:
            return None if self.mapped.confidence is None else self.mapped.confidence / 100
        return next(iter(self.probabilities.values()), None) if self.probabilities else None

    @property
    def clear_dates(self) -> int | None:
        """Number of clear dates, by the images or else by the map."""
        if self.series is not None:
            return self.series.clear_dates
        return self.mapped.validity if self.mapped is not None else None

    @property
    def longest_gap(self) -> int | None:
        """Days of the longest gap between clear dates, by the images or else by the map."""
        if self.series is not None:
            return self.series.longest_gap
        return self.mapped.longest_gap if self.mapped is not None else None

    @property
    def title(self) -> str:
        """The class in a word or two."""
        return "no class" if self.code is None else self.nomenclature.label(self.code)

    @property
    def name(self) -> str:
        """The class, or where it is not known that of the ground truth, in a word or two."""
        if self.code is None and self.truth is not None:
            return self.nomenclature.label(self.truth.code)
        return "pixel" if self.code is None else self.title

    @property
    def words(self) -> str:
        """`31TCJ row 120, column 88 · Sunflower 0.87 · 21 clear dates, longest gap 45 days · ground truth: …`."""
        return " · ".join([self._place_words(), self._class_words(), *self._seen_words(), self._truth_words()])

    @property
    def series_words(self) -> str:
        """The same without what map and model say: `31TCJ row 120, column 88 · 21 clear dates, longest gap 45 days`."""
        truth = [self._truth_words()] if self.truth is not None else []
        return " · ".join([self._place_words(), *self._seen_words(), *truth])

    def to_frame(self) -> pd.DataFrame:
        """The time series as a table in the units of `PixelSeries.curve`; empty where there is no series.

        Columns `longitude`, `latitude`, `tile`, `date`, `kind` (`measured` or `gap-filled`), `clear` (0 or 1; empty
        where gap-filled), then each index and band.
        """
        parts = [self._rows("measured"), self._rows("gap-filled")] if self.series is not None else []
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def _rows(self, kind: str) -> pd.DataFrame:
        assert self.series is not None
        measured, series = kind == "measured", self.series
        days = series.dates if measured else series.days
        place = {"longitude": self.place.longitude, "latitude": self.place.latitude, "tile": self.place.tile}
        clear = pd.array(series.validity.astype(int) if measured else [None] * len(days), dtype="Int8")
        values = series.measured if measured else series.filled
        columns = {name: values[name] / series.scale_of(name) for name in series.names}
        if not measured and not series.clear_dates:
            columns = {name: np.full(len(days), np.nan) for name in columns}
        rounded = {name: values.astype(np.float64).round(5) for name, values in columns.items()}
        return pd.DataFrame({**place, "date": days, "kind": kind, "clear": clear, **rounded})

    def _place_words(self) -> str:
        return f"{self.place.tile} row {self.place.row}, column {self.place.col}"

    def _seen_words(self) -> list[str]:
        """How well the pixel was seen; nothing where that is not known."""
        if self.clear_dates is None:
            return []
        words = f"{self.clear_dates} clear date{'s' * (self.clear_dates != 1)}"
        gap = self.longest_gap
        return [words if gap is None else f"{words}, longest gap {gap} day{'s' * (gap != 1)}"]

    def _class_words(self) -> str:
        if self.code is None:
            return "no class"
        return self.title if self.confidence is None else f"{self.title} {self.confidence:.2f}"

    def _truth_words(self) -> str:
        if self.truth is None:
            return "no ground truth here"
        role = f" ({self.truth.role.replace('_', '-')})" if self.truth.role else ""
        return f"ground truth: {self.nomenclature.label(self.truth.code)}{role}"

    def __repr__(self) -> str:
        return f"PixelReport({self.place.longitude:.4f}, {self.place.latitude:.4f} · {self.words})"

    def _repr_html_(self) -> str:
        place = f"longitude {self.place.longitude:.5f}, latitude {self.place.latitude:.5f}"
        notes = "".join(f"<p>{escape(one)}</p>" for one in self.notes)
        rows = "".join(
            f"<tr><td style='text-align:left'>{escape(self.nomenclature.label(code))}</td><td>{share:.3f}</td></tr>"
            for code, share in list((self.probabilities or {}).items())[:5]
        )
        table = f"<table><tr><th>class</th><th>probability</th></tr>{rows}</table>" if rows else ""
        return f"<p>{place} · {escape(self.words)}</p>{table}{notes}"


def meaning_of(name: str, bands: Iterable[Band]) -> str:
    """A heading for an index or a band: `NDVI`, `B8 near infrared, reflectance`."""
    band = next((one for one in bands if one.name == name), None)
    return name if band is None else f"{band.words}, {band.unit}"
