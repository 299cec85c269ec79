"""The one noun of this room: a product is a delivered image of a tile on a day, described but not yet read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from toolkit.ground.bands import NODATA, REFLECTANCE_SCALE
from toolkit.products.masks import MaskFile


@dataclass(frozen=True)
class BandFile:
    """A band of a product, in a file of its own."""

    path: Path
    scale: float = 1 / REFLECTANCE_SCALE
    """Reflectance = value * scale + offset."""
    offset: float = 0.0
    nodata: float = NODATA
    """The value that means "not measured", whether or not the file declares it."""

    @property
    def is_reflectance(self) -> bool:
        """Whether the stored values are what `to_reflectance` makes of them."""
        return self.scale * REFLECTANCE_SCALE == 1 and self.offset == 0 and self.nodata == NODATA

    def to_reflectance(self, values: np.ndarray) -> np.ndarray:
        """Stored values as int16 of reflectance x 10000, with `NODATA` where nothing was measured."""
        if self.is_reflectance:
            return values.astype(np.int16, copy=False)
        scaled = np.round((values * self.scale + self.offset) * REFLECTANCE_SCALE)
        limits = np.iinfo(np.int16)
        return np.where(values == self.nodata, NODATA, np.clip(scaled, limits.min, limits.max)).astype(np.int16)


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
    properties: Mapping[str, str] = field(default_factory=dict)
    """What else the metadata say: processing version, cloud share, …"""
    metadata: Path | None = None
    """The file that says scale and nodata, where one was delivered."""
    cloud_mask: str = "CLM"
    """Kind of mask that tells clouds, delivered or not; empty where images need none, as those of radar."""

    @property
    def mask_kinds(self) -> set[str]:
        """Kinds of masks delivered, at whatever resolution: `{"CLM", "EDG", "SAT"}`."""
        return {name.rsplit("_", 1)[0] for name in self.masks}

    @property
    def date(self) -> np.datetime64:
        """Day of acquisition, datetime64[D]."""
        return self.acquired.astype("datetime64[D]")

    def files(self, bands: Iterable[str]) -> list[Path]:
        """The files of these bands, then of every mask."""
        return [*(self.bands[band].path for band in bands), *(mask.path for mask in self.masks.values())]

    def inputs(self, bands: Iterable[str]) -> list[Path]:
        """Every file that decides the values read: those of `files`, then the metadata where there are any."""
        return [*self.files(bands), *([self.metadata] if self.metadata else [])]

    def __repr__(self) -> str:
        return f"Product({self.name}: {len(self.bands)} bands, masks {', '.join(self.masks) or 'none'})"
