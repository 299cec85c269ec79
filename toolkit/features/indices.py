"""Spectral indices of a gap-filled series, by iota2's definitions (Inglada et al. 2017, Remote Sensing 9(1), 95).

    NDVI       = 1000 (NIR - red) / (NIR + red)          0 where |NIR + red| < 1e-5
    NDWI       = 1000 (SWIR - NIR) / (SWIR + NIR)        the sign is opposite to Gao's (1996)
    brightness = sqrt(sum over all bands of band²)       in units of reflectance x 10000

NIR is B8, or B8A where a series has no B8; red is B4; SWIR is B11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numba import njit

from toolkit.ground.bands import NODATA, REFLECTANCE_SCALE
from toolkit.ground.errors import ParameterError, did_you_mean

EPSILON = 1e-5
ROLES = {"red": ("B4",), "nir": ("B8", "B8A"), "swir": ("B11",)}

Index = Callable[[np.ndarray, Sequence[str], np.ndarray], None]
"""Takes series (date, band, pixel) float32, the bands' names, and writes out (date, pixel) float32."""


def ndvi(series: np.ndarray, bands: Sequence[str], out: np.ndarray) -> None:
    """Normalised difference vegetation index x 1000."""
    _normalised_difference(series[:, band_of("nir", bands)], series[:, band_of("red", bands)], out)


def ndwi(series: np.ndarray, bands: Sequence[str], out: np.ndarray) -> None:
    """Normalised difference water index x 1000, short-wave infrared minus near infrared."""
    _normalised_difference(series[:, band_of("swir", bands)], series[:, band_of("nir", bands)], out)


def brightness(series: np.ndarray, bands: Sequence[str], out: np.ndarray) -> None:
    """Euclidean norm of all bands, reflectance x 10000."""
    _norm(series, out)


INDICES: dict[str, Index] = {"ndvi": ndvi, "ndwi": ndwi, "brightness": brightness}
LABELS = {"ndvi": "NDVI", "ndwi": "NDWI", "brightness": "Brightness"}
SCALES = {"ndvi": 1000, "ndwi": 1000, "brightness": REFLECTANCE_SCALE}
"""What an index is multiplied by as a feature."""
NEEDS = {"ndvi": ("nir", "red"), "ndwi": ("swir", "nir"), "brightness": ()}


def compute_indices(
    series: np.ndarray, bands: Sequence[str], names: Sequence[str], out: np.ndarray | None = None
) -> np.ndarray:
    """Indices of every date.

    Args:
        series: (date, band, pixel) float32, reflectance x 10000. Where any band of a date is -10000, the indices of
            that date are -10000.
        bands: name of each band.
        names: indices wanted.
        out: (index, date, pixel) float32 to write into.

    Returns:
        (index, date, pixel) float32.

    Raises:
        ParameterError: an index is not known, or its bands are not in the series.
    """
    check_indices(names, bands)
    if out is None:
        out = np.empty((len(names), series.shape[0], series.shape[2]), dtype=np.float32)
    # Date by date, so that the bands of a date are still in the processor's cache for its last index.
    for d in range(len(series)):
        one = series[d : d + 1]
        for name, target in zip(names, out, strict=True):
            INDICES[name](one, bands, target[d : d + 1])
        _spread_nodata(series[d], out[:, d])
    return out


def check_indices(names: Sequence[str], bands: Sequence[str]) -> None:
    """Refuse an index that is not known, or whose bands are absent.

    Raises:
        ParameterError: with the index and the bands it needs.
    """
    for name in names:
        if name not in INDICES:
            raise ParameterError(f"features.indices: {name!r} is not known{did_you_mean(name, INDICES)}")
        for role in NEEDS[name]:
            band_of(role, bands)


def band_of(role: str, bands: Sequence[str]) -> int:
    """Position of the band that plays `role` ("red", "nir", "swir").

    Raises:
        ParameterError: none of the bands does.
    """
    for band in ROLES[role]:
        if band in bands:
            return list(bands).index(band)
    wanted = " or ".join(ROLES[role])
    raise ParameterError(
        f"features.indices need {wanted} ({role}), which is not in series.bands = {', '.join(bands)}; "
        "add the band, or take the index away"
    )


def truncate_to_int16(values: np.ndarray) -> None:
    """Clamp float32 to int16 and cut decimals towards zero, in place, as the Orfeo ToolBox does to write int16."""
    np.trunc(np.clip(values, -32768, 32767, out=values), out=values)


@njit(nogil=True, cache=True)
def _normalised_difference(plus, minus, out):  # type: ignore[no-untyped-def]
    for d in range(out.shape[0]):
        for j in range(out.shape[1]):
            total = plus[d, j] + minus[d, j]
            safe = total if abs(total) >= EPSILON else np.float32(1)
            value = np.float32(1000) * (plus[d, j] - minus[d, j]) / safe
            out[d, j] = value if abs(total) >= EPSILON else np.float32(0)


@njit(nogil=True, cache=True, fastmath=True)
def _norm(series, out):  # type: ignore[no-untyped-def]
    for d in range(out.shape[0]):
        line = out[d]
        line[:] = np.float32(0)
        for b in range(series.shape[1]):
            band = series[d, b]
            for j in range(line.size):
                line[j] += band[j] * band[j]
        for j in range(line.size):
            line[j] = np.sqrt(line[j])


@njit(nogil=True, cache=True)
def _spread_nodata(bands, indices):  # type: ignore[no-untyped-def]
    """Bands (band, pixel) and indices (index, pixel) of one date."""
    for b in range(bands.shape[0]):
        band = bands[b]
        for j in range(band.size):
            if abs(band[j] - np.float32(NODATA)) < np.float32(0.1):
                indices[:, j] = NODATA
