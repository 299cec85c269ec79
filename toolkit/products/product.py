"""The one noun of this room: a product is a delivered image of a tile on a day, described but not yet read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from toolkit.ground.bands import NODATA, REFLECTANCE_SCALE
from toolkit.products.masks import MaskFile

log = logging.getLogger(__name__)

HELD = np.iinfo(np.int16)
MANY = 0.01
"""Share of values beyond what int16 holds, of those read at once, from which it is said."""


@dataclass(frozen=True)
class BandFile:
    """A band of a product, in a file of its own or one of several in a file."""

    path: Path
    scale: float = 1 / REFLECTANCE_SCALE
    """Reflectance, or what else the band measures, = value * scale + offset."""
    offset: float = 0.0
    nodata: float = NODATA
    """The value that means "not measured", whether or not the file declares it; NaN and infinity always do."""
    per_unit: float = REFLECTANCE_SCALE
    """A unit of what it measures is held as so many."""
    number: int = 1
    """Which band of the file it is."""
    any_number: bool = False
    """Whether values may be decimal numbers."""

    @property
    def is_reflectance(self) -> bool:
        """Whether the stored values are what `to_reflectance` makes of them."""
        return self.scale * self.per_unit == 1 and self.offset == 0 and self.nodata == NODATA and not self.any_number

    def is_measured(self, values: np.ndarray) -> np.ndarray:
        """Whether each of the stored values was measured, bool."""
        return np.isfinite(values) & (values != self.nodata)

    def to_reflectance(self, values: np.ndarray) -> np.ndarray:
        """Stored values as int16 of reflectance x 10000 (or another unit x `per_unit`), with `NODATA` where nothing was
        measured.

        What int16 does not hold becomes the nearest that it does; what would be `NODATA` is one step more.
        """
        if self.is_reflectance:
            return values.astype(np.int16, copy=False)
        small = values.dtype.itemsize <= 2 and values.dtype.kind in "iu"
        held = self._looked_up(values) if small else self._held(values)
        if np.count_nonzero((held == HELD.max) | (held == HELD.min)) > MANY * values.size:
            _say_beyond(self.path.parent, self.scale, self.offset, self.per_unit)
        return held

    def _looked_up(self, values: np.ndarray) -> np.ndarray:
        """As `_held`, by the bits of each value: quicker to look up than to compute."""
        alike = replace(self, path=Path())  # files of a source hold their values in one way
        return np.take(_table(alike, values.dtype.str), values.view(f"u{values.dtype.itemsize}"))

    def _held(self, values: np.ndarray) -> np.ndarray:
        measured = self.is_measured(values)
        known = np.where(measured, values, 0).astype(np.float64)
        scaled = np.round((known * self.scale + self.offset) * self.per_unit)
        held = np.clip(scaled, HELD.min, HELD.max).astype(np.int16)
        held[held == NODATA] = NODATA + 1
        return np.where(measured, held, np.int16(NODATA))


@lru_cache(maxsize=64)
def _table(band: BandFile, dtype: str) -> np.ndarray:
    """What each value becomes that a type of 8 or 16 bits can hold, by its bits."""
    size = np.dtype(dtype).itemsize
    return band._held(np.arange(1 << 8 * size, dtype=f"u{size}").view(dtype))


@dataclass(frozen=True)
class Product:
    """A delivered image. What is absent from `bands` or `masks` was not delivered."""

    name: str
    """Name of the delivered folder or item."""
    tile: str
    """`31TCJ`, without a leading T."""
    acquired: np.datetime64
    """Time of acquisition, datetime64[s], UTC."""
    platform: str
    bands: Mapping[str, BandFile]
    masks: Mapping[str, MaskFile]
    """By kind, such as `CLM`; at which resolution they were delivered is of no matter."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """What else the metadata say: processing version, cloud share, …"""
    metadata: Path | None = None
    """The file that says scale and nodata, where one was delivered."""
    cloud_mask: str = "CLM"
    """Kind of mask that tells clouds, delivered or not; empty where images need none, as those of radar."""

    @property
    def date(self) -> np.datetime64:
        """Day of acquisition, datetime64[D]."""
        return self.acquired.astype("datetime64[D]")

    def files(self, bands: Iterable[str]) -> list[Path]:
        """The files of these bands, then of every mask, each once."""
        paths = [*(self.bands[band].path for band in bands), *(mask.path for mask in self.masks.values())]
        return list(dict.fromkeys(paths))

    def inputs(self, bands: Iterable[str]) -> list[Path]:
        """Every file that decides the values read: those of `files`, then the metadata where there are any."""
        return [*self.files(bands), *([self.metadata] if self.metadata else [])]

    def __repr__(self) -> str:
        return f"Product({self.name}: {len(self.bands)} bands, masks {', '.join(self.masks) or 'none'})"


@lru_cache(maxsize=1000)
def _say_beyond(folder: Path, scale: float, offset: float, per_unit: float) -> None:
    """Once for each folder and way of holding values."""
    low, high = HELD.min / per_unit, HELD.max / per_unit
    log.warning(
        "%s: many values x %g + %g are beyond %g to %g, which they are held as; give the source a larger `step` in the "
        "data catalog, or another `scale`",
        folder, scale, offset, low, high,
    )  # fmt: skip
