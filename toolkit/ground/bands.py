"""The bands of Sentinel-2 that a Level-2A product delivers for land.

Source: Sentinel-2 Products Specification Document (ESA, S2-PDGS-TAS-DI-PSD), section on spectral bands.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """A spectral band."""

    name: str
    """Name as Theia writes it: `B2`, `B8A`."""
    resolution: int
    """Pixel size, metres."""
    wavelength: int
    """Central wavelength, nanometres."""
    meaning: str
    """What it measures, in words."""


SENTINEL2 = (
    Band("B2", 10, 492, "blue"),
    Band("B3", 10, 560, "green"),
    Band("B4", 10, 665, "red"),
    Band("B5", 20, 704, "red edge"),
    Band("B6", 20, 741, "red edge"),
    Band("B7", 20, 783, "red edge"),
    Band("B8", 10, 833, "near infrared"),
    Band("B8A", 20, 865, "narrow near infrared"),
    Band("B11", 20, 1614, "short-wave infrared"),
    Band("B12", 20, 2202, "short-wave infrared"),
)
"""The ten bands, in the order in which every array and every feature list holds them."""

BAND_NAMES = tuple(band.name for band in SENTINEL2)
BANDS = {band.name: band for band in SENTINEL2}

NODATA = -10000
"""The value that means "not measured" in reflectances, after reading."""

REFLECTANCE_SCALE = 10000
"""Reflectances are held as int16 of reflectance x 10000."""
