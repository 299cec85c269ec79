"""What a band is: those of Sentinel-2 that a Level-2A product delivers for land, and those of any other sensor.

Values are held as int16, in steps of the band's unit: of reflectance 10000 a unit, of decibels 100.

Source of Sentinel-2's: Sentinel-2 Products Specification Document (ESA, S2-PDGS-TAS-DI-PSD), section on spectral bands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toolkit.ground.errors import ParameterError, did_you_mean

REFLECTANCE = "reflectance"
REFLECTANCE_SCALE = 10000
"""Reflectances are held as int16 of reflectance x 10000."""

NODATA = -10000
"""The value that means "not measured" in every band, after reading; no value that was measured is held as it."""

BAND_NAME = "[A-Za-z][A-Za-z0-9_]{0,31}"
"""How a band may be called: as formulas can name it."""


@dataclass(frozen=True)
class Band:
    """A band of a sensor."""

    name: str
    """Name as its source has it: `B2`, `B8A`, `SR_B4`, `VV`."""
    meaning: str = ""
    """What it measures, in words."""
    like: str = ""
    """The band of Sentinel-2 that measures the same, itself included; empty for none."""
    resolution: int = 0
    """Pixel size, metres; 0 where files alone tell it."""
    wavelength: int | None = None
    """Central wavelength, nanometres."""
    unit: str = REFLECTANCE
    per_unit: float = REFLECTANCE_SCALE
    """A unit is held as so many."""

    @property
    def words(self) -> str:
        """Name and meaning: `B8 near infrared`."""
        return f"{self.name} {self.meaning}".strip()


def _sentinel2(name: str, resolution: int, wavelength: int, meaning: str) -> Band:
    return Band(name, meaning, name, resolution, wavelength)


SENTINEL2 = (
    _sentinel2("B2", 10, 492, "blue"),
    _sentinel2("B3", 10, 560, "green"),
    _sentinel2("B4", 10, 665, "red"),
    _sentinel2("B5", 20, 704, "red edge"),
    _sentinel2("B6", 20, 741, "red edge"),
    _sentinel2("B7", 20, 783, "red edge"),
    _sentinel2("B8", 10, 833, "near infrared"),
    _sentinel2("B8A", 20, 865, "narrow near infrared"),
    _sentinel2("B11", 20, 1614, "short-wave infrared"),
    _sentinel2("B12", 20, 2202, "short-wave infrared"),
)
"""The ten bands, in the order in which every array and every feature list holds them."""

BAND_NAMES = tuple(band.name for band in SENTINEL2)
BANDS = {band.name: band for band in SENTINEL2}
STAND_IN = {"B8": "B8A"}
"""The band that does where one is not there."""


def bands_named(names: Sequence[str], offered: Sequence[Band], source: str, place: str) -> tuple[Band, ...]:
    """The bands of a source by their names, in this order.

    Args:
        offered: all bands of the source.
        place: the parameter that names them, for the message.

    Raises:
        ParameterError: one is not of the source.
    """
    known = {one.name: one for one in offered}
    strange = [name for name in names if name not in known]
    if len(strange) == len(names) > 1:
        raise ParameterError(
            f"{place} = {', '.join(names)}: none is a band of source {source!r}, which has {', '.join(known)}; "
            f"name those that are wanted"
        )
    if strange:
        raise ParameterError(
            f"{place}: band {strange[0]!r} is not known in source {source!r}{did_you_mean(strange[0], known)}"
        )
    return tuple(known[name] for name in names)


def band_like(name: str, bands: Iterable[Band]) -> Band | None:
    """The band that measures what this one of Sentinel-2 does, or else its stand-in; None where there is none."""
    known = {one.like: one for one in bands if one.like}
    return known.get(name) or known.get(STAND_IN.get(name, ""))


def held_words(bands: Sequence[Band]) -> str:
    """How the values of these bands are held: `reflectance x 10000`, `VV, VH: dB x 100`."""
    ways: dict[str, list[str]] = {}
    for one in bands:
        ways.setdefault(f"{one.unit} x {one.per_unit:g}", []).append(one.name)
    if len(ways) == 1:
        return next(iter(ways))
    return "; ".join(f"{', '.join(names)}: {way}" for way, names in ways.items())
