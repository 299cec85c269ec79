"""The sky above the landscape: clouds, their shadows, haze, and what a mask finds of them.

All fields are at 20 m. The mask errs as MAJA's does (Hagolle et al. 2017, MAJA ATBD, doi:10.5281/zenodo.1209633):
it is grown beyond the clouds it finds, small and thin clouds escape it, and its shadows are a little off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.demo.fields import blur, fractal_field, gaussian_field, smoothstep
from toolkit.demo.passes import Overpass

PIXEL = 20
LATITUDE = np.radians(44.2)


@dataclass(frozen=True)
class Sun:
    """Where the sun stands, radians."""

    zenith: float
    azimuth: float
    """Clockwise from north."""


@dataclass(frozen=True)
class Sky:
    """What stands between ground and sensor, arrays (y, x) over the landscape at 20 m."""

    sun: Sun
    cloud: np.ndarray
    """Opacity of clouds, float32."""
    brightness: np.ndarray
    """Factor on the reflectance of clouds, float32."""
    shadow: np.ndarray
    """Part of the light that clouds take away, float32."""
    haze: np.ndarray
    """Opacity of haze, float32."""
    found_cloud: np.ndarray
    """Where the mask says cloud, bool."""
    found_thin: np.ndarray
    found_high: np.ndarray
    found_shadow: np.ndarray


def sun_at(day: int) -> Sun:
    """The sun over the demo at about 10:55 UTC on a day of 2018 (1 January is 0); Cooper (1969), Solar Energy 12."""
    declination = np.radians(23.45) * np.sin(2 * np.pi * (284 + day + 1) / 365)
    hour = np.radians(-15)
    up = np.sin(LATITUDE) * np.sin(declination) + np.cos(LATITUDE) * np.cos(declination) * np.cos(hour)
    zenith = np.arccos(up)
    south = np.arctan2(np.sin(hour), np.cos(hour) * np.sin(LATITUDE) - np.tan(declination) * np.cos(LATITUDE))
    return Sun(float(zenith), float(np.pi + south))


def make_sky(rng: np.random.Generator, overpass: Overpass, shape: tuple[int, int]) -> Sky:
    """The sky of one pass over a landscape of this shape at 20 m."""
    side = 2 ** int(np.ceil(np.log2(1.7 * max(shape))))
    sun = sun_at(overpass.day)
    field = fractal_field(rng, (side, side), largest=rng.uniform(45, 160), slope=1.5)
    field = np.roll(field, tuple(rng.integers(0, side, 2)), axis=(0, 1))
    cloud, brightness = _clouds(rng, field, overpass.cloudiness)
    height = rng.uniform(500, 1800)
    shadow = 0.75 * _displaced(cloud, sun, height)
    haze = overpass.haze * smoothstep(gaussian_field(rng, (side, side), 60), -0.8, 1.4)
    softened = blur(cloud, 2.5)
    grown = blur((softened > 0.22).astype(np.float32), 3) > 0.12
    # the mask takes the cloud for a little higher or lower than it is
    found_shadow = _displaced(grown.astype(np.float32), sun, height * rng.uniform(0.93, 1.07)) > 0.5
    window = slice(0, shape[0]), slice(0, shape[1])
    thin = (haze > 0.16) & ~grown
    high = (haze > 0.21) & (rng.random() < 0.5)
    whole = (cloud, brightness, shadow, haze, grown, thin, high, found_shadow & ~grown)
    return Sky(sun, *(array[window].copy() for array in whole))


def _clouds(rng: np.random.Generator, field: np.ndarray, cloudiness: float) -> tuple[np.ndarray, np.ndarray]:
    """Opacity and brightness of clouds that cover this share of the field."""
    if cloudiness < 0.005:
        return np.zeros_like(field), np.ones_like(field)
    if cloudiness > 0.995:
        return np.ones_like(field), (1.1 + 0.12 * field).astype(np.float32)
    edge = np.quantile(field, 1 - cloudiness)
    depth = np.maximum(field - edge, 0)
    opacity = 1 - np.exp(-depth * rng.uniform(3.5, 7))
    return opacity.astype(np.float32), (0.85 + 0.35 * np.minimum(depth, 2.5)).astype(np.float32)


def _displaced(field: np.ndarray, sun: Sun, height: float) -> np.ndarray:
    """A field moved to where the shadow of things at this height (metres) falls; the field is periodic."""
    reach = height * np.tan(sun.zenith) / PIXEL
    north, east = -np.cos(sun.azimuth) * reach, -np.sin(sun.azimuth) * reach
    return np.roll(field, (-round(north), round(east)), axis=(0, 1))
