"""The demo scene: a simulated landscape and its images, made from a seed.

Nothing here is measured. The landscape, its seasons, the weather and the images are drawn at random around what
the literature says of them; `docs/demo.md` tells how. The same seed gives the same scene, with the same versions of
the libraries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.demo.clouds import Sky, make_sky
from toolkit.demo.landscape import Landscape, make_landscape
from toolkit.demo.passes import OWN_ORBIT, Acquisition, Overpass, choose_products, make_passes
from toolkit.demo.spectra import ENDMEMBERS, endmember
from toolkit.demo.surface import Surface, make_surface
from toolkit.demo.tiles import MARGIN, MEETING, PIXEL, TILES, Layout
from toolkit.ground.bands import BAND_NAMES, NODATA, REFLECTANCE_SCALE, SENTINEL2
from toolkit.ground.params import Params, param

PAD = 2
"""Pixels rendered around a tile for the blur of the optics."""
FINE = tuple(index for index, band in enumerate(SENTINEL2) if band.resolution == 10)
COARSE = tuple(index for index, band in enumerate(SENTINEL2) if band.resolution == 20)
SATURATION = 1.45
"""Reflectance at which a detector saturates."""


class DemoParams(Params):
    """What a demo is made from."""

    seed: int = param(0, "The same seed gives the same landscape, images and polygons.", ge=0)
    size: int = param(
        300, "Side of each of the four tiles' crops; an even number.", unit="pixels", ge=40, le=1000, multiple_of=2
    )
    dates: int = param(38, "Images of each tile from its own orbit; a few partial ones come on top.", ge=2, le=80)


@dataclass(frozen=True)
class Image:
    """One rendered acquisition."""

    bands: Mapping[str, np.ndarray]
    """Reflectance x 10000 of each band, int16 (y, x), at 10 or 20 m; -10000 where nothing was measured."""
    masks: Mapping[str, np.ndarray]
    """`CLM`, `SAT`, `EDG` and `MG2`, each with `_R1` (10 m) and `_R2` (20 m), uint8 (y, x) of bits."""
    cloud_percent: float
    sun_zenith: float
    """Degrees."""
    sun_azimuth: float
    """Degrees clockwise from north."""


@dataclass(frozen=True)
class Scene:
    """A landscape, its seasons, and the acquisitions of each tile."""

    params: DemoParams
    layout: Layout
    surface: Surface
    products: Mapping[str, list[Acquisition]]
    """Acquisitions of each tile, in order of time."""

    @property
    def land(self) -> Landscape:
        return self.surface.land

    @property
    def class_map(self) -> np.ndarray:
        """Code of the class that covers most of each pixel of the union of the tiles, uint8 (y, x)."""
        return self.land.class_map[MARGIN:-MARGIN, MARGIN:-MARGIN]

    @property
    def parcel_map(self) -> np.ndarray:
        """Number of the parcel that covers most of each pixel of the union of the tiles, int32 (y, x)."""
        return self.land.index[0, MARGIN:-MARGIN, MARGIN:-MARGIN]

    @property
    def acquisitions(self) -> list[Acquisition]:
        """All products, pass by pass."""
        every = [one for tile in TILES for one in self.products[tile]]
        return sorted(every, key=lambda one: (one.overpass.number, one.time, one.tile))

    def __repr__(self) -> str:
        return (
            f"Scene(seed {self.params.seed}: {len(TILES)} tiles of {self.layout.size} x {self.layout.size} pixels, "
            f"{len(self.land.codes):,} parcels, {len(self.acquisitions)} products)"
        )

    def dates(self, tile: str) -> np.ndarray:
        """Dates of a tile's products, datetime64[D]; a date may stand twice."""
        return np.array([one.date for one in self.products[tile]])

    def sky(self, overpass: Overpass) -> Sky:
        """The sky of a pass over the whole landscape."""
        height, width = self.land.grid.shape
        return make_sky(self._rng(1, overpass.number), overpass, (height // 2, width // 2))

    def render(self, acquisition: Acquisition, sky: Sky | None = None) -> Image:
        """The image and the masks of one acquisition.

        Args:
            sky: `self.sky(acquisition.overpass)`, if it is at hand; images of one pass share it.
        """
        overpass = acquisition.overpass
        sky = sky or self.sky(overpass)
        rng = self._rng(2, overpass.number, TILES.index(acquisition.tile))
        row, col = self.layout.window(acquisition.tile)
        rows, cols = (slice(start - PAD, start + self.layout.size + PAD) for start in (row, col))
        snow = self._snow(overpass)[rows, cols]
        light = self.surface.reflectance(overpass.day, overpass.moisture, rows, cols)
        light = light * (1 - snow) + endmember("snow")[:, None, None] * snow
        light *= 1 + 0.06 * np.tan(sky.sun.zenith) * self.surface.texture[3, rows, cols]
        light = _through_optics(light, self._rng(3, overpass.number).normal(0, 0.22, 2))
        light = _through_air(light, sky, rows, cols, self._rng(4, overpass.number, TILES.index(acquisition.tile)))
        edge = ~self._seen(acquisition)
        bands, saturated = _measure(rng, light[:, PAD:-PAD, PAD:-PAD], edge)
        inside = tuple(slice(start // 2, (start + self.layout.size) // 2) for start in (row, col))
        masks = _masks(sky, inside, edge, saturated, snow[PAD:-PAD, PAD:-PAD], self._water(rows, cols))
        percent = 100 * float((masks["CLM_R2"][~_halved(edge)] & 2 > 0).mean()) if not edge.all() else 0.0
        return Image(bands, masks, percent, float(np.degrees(sky.sun.zenith)), float(np.degrees(sky.sun.azimuth)))

    def _rng(self, *path: int) -> np.random.Generator:
        return np.random.default_rng([self.params.seed, 1000, *path])

    def _snow(self, overpass: Overpass) -> np.ndarray:
        """Part of each pixel of the landscape under snow; more on the slopes away from the sun, less under trees."""
        slopes = self.surface.texture[3]
        if not overpass.snow:
            return np.zeros_like(slopes)
        lying = np.clip(0.9 * (slopes - np.quantile(slopes, 1 - overpass.snow)), 0, 0.9)
        trees = np.isin(self.land.class_map, (16, 17, 1, 23))
        return (lying * np.where(trees, 0.35, 1)).astype(np.float32)

    def _water(self, rows: slice, cols: slice) -> np.ndarray:
        return (self.land.codes[self.land.index[0, rows, cols]] == 23)[PAD:-PAD, PAD:-PAD]

    def _seen(self, acquisition: Acquisition) -> np.ndarray:
        """Pixels inside the swath, bool (y, x) at 10 m, whole pixels of 20 m."""
        size = self.layout.size
        grid = self.layout.tile(acquisition.tile)
        seen = np.ones((size // 2, size // 2), dtype=bool)
        y = grid.affine.f - 20 * (np.arange(size // 2) + 0.5)
        if acquisition.overpass.orbit != OWN_ORBIT[acquisition.tile]:
            x = grid.affine.c + 20 * (np.arange(size // 2) + 0.5)
            jitter = self._rng(5, acquisition.overpass.number).normal(0, 0.06)
            away = 1 if acquisition.overpass.orbit == 51 else -1
            border = MEETING[0] + away * (0.45 + jitter) * size * PIXEL + 0.23 * (y - MEETING[1])
            seen = away * (border[:, None] - x[None, :]) > 0
        if acquisition.half != "whole":
            north = np.arange(size // 2) < round(0.55 * size / 2)
            seen &= (north if acquisition.half == "north" else ~north)[:, None]
        return seen.repeat(2, axis=0).repeat(2, axis=1)


def make_scene(seed: int = 0, size: int = 300, dates: int = 38) -> Scene:
    """Draw the landscape, the seasons and the calendar of a demo; images are rendered on demand.

    Raises:
        pydantic.ValidationError: a value out of the bounds that `DemoParams` declares.
    """
    params = DemoParams(seed=seed, size=size, dates=dates)
    layout = Layout(size)
    rngs = [np.random.default_rng([seed, part]) for part in range(3)]
    surface = make_surface(rngs[1], make_landscape(rngs[0], layout))
    return Scene(params, layout, surface, choose_products(rngs[2], make_passes(rngs[2]), dates))


def _through_optics(light: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Blurred by the optics and displaced by a part of a pixel, as images of different dates are."""
    taps = np.arange(-1, 2)
    for axis, away in ((1, shift[0]), (2, shift[1])):
        weights = np.exp(-((taps - np.clip(away, -0.6, 0.6)) ** 2) / (2 * 0.48**2)).astype(np.float32)
        weights /= weights.sum()
        light = sum(weight * np.roll(light, -tap, axis=axis) for weight, tap in zip(weights, taps, strict=True))
    return light


def _through_air(light: np.ndarray, sky: Sky, rows: slice, cols: slice, rng: np.random.Generator) -> np.ndarray:
    """Under shadows, haze and clouds, and after an atmospheric correction that errs a little for each date."""

    def at_10_m(field: np.ndarray) -> np.ndarray:
        window = field[rows.start // 2 : rows.stop // 2, cols.start // 2 : cols.stop // 2]
        fine = window.repeat(2, axis=0).repeat(2, axis=1)
        for axis in (0, 1):
            fine = 0.5 * fine + 0.25 * (np.roll(fine, 1, axis) + np.roll(fine, -1, axis))
        return fine

    blue = np.linspace(1, 0.15, len(ENDMEMBERS[0]), dtype=np.float32)
    gain = 1 + 0.025 * rng.normal() + 0.012 * rng.normal(size=len(blue))
    offset = 0.006 * rng.normal() * blue + 0.0015 * rng.normal(size=len(blue))
    light = light * gain[:, None, None].astype(np.float32) + offset[:, None, None].astype(np.float32)
    light *= 1 - at_10_m(sky.shadow)
    haze, cloud = at_10_m(sky.haze), at_10_m(sky.cloud)
    light = light * (1 - haze) + endmember("haze")[:, None, None] * haze
    return light * (1 - cloud) + endmember("cloud")[:, None, None] * (cloud * at_10_m(sky.brightness))


def _measure(
    rng: np.random.Generator, light: np.ndarray, edge: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Bands as integers at their resolution, with the noise of the sensor, and saturation bits of `R1` and `R2`."""
    height, width = edge.shape
    coarse = light[list(COARSE)].reshape(len(COARSE), height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    bands: dict[str, np.ndarray] = {}
    saturated: dict[str, np.ndarray] = {}
    for group, numbers, images, hidden in (
        ("R1", FINE, light[list(FINE)], edge),
        ("R2", COARSE, coarse, _halved(edge)),
    ):
        noise = rng.standard_normal(images.shape, dtype=np.float32)
        images = images + noise * (0.0015 + 0.012 * np.abs(images))
        bits = np.zeros(hidden.shape, dtype=np.uint8)
        for place, (number, image) in enumerate(zip(numbers, images, strict=True)):
            bits |= ((image > SATURATION) & ~hidden).astype(np.uint8) << place
            values = np.rint(np.clip(image, -0.05, SATURATION) * REFLECTANCE_SCALE)
            bands[BAND_NAMES[number]] = np.where(hidden, NODATA, values).astype(np.int16)
        saturated[group] = bits
    return bands, saturated


def _masks(
    sky: Sky,
    inside: tuple[slice, ...],
    edge: np.ndarray,
    saturated: Mapping[str, np.ndarray],
    snow: np.ndarray,
    water: np.ndarray,
) -> dict[str, np.ndarray]:
    """The four masks at 10 and 20 m. Bits as MUSCATE writes them."""
    seen = ~_halved(edge)
    cloud, thin, high, shadow = (
        one[inside] & seen for one in (sky.found_cloud, sky.found_thin, sky.found_high, sky.found_shadow)
    )
    several = cloud & (sky.brightness[inside] < 1.35)
    clm = _bits(
        {0: cloud | shadow, 1: cloud, 2: cloud & (sky.cloud[inside] > 0.5), 3: several, 4: thin, 5: shadow, 7: high}
    )
    mg2 = _bits({0: _halved(water) & ~cloud & seen, 1: cloud, 2: (_halved(snow) > 0.35) & ~cloud & seen, 3: shadow})
    edg = _bits({0: ~seen})
    coarse = {"CLM_R2": clm, "EDG_R2": edg, "MG2_R2": mg2}
    fine = {name.replace("R2", "R1"): mask.repeat(2, axis=0).repeat(2, axis=1) for name, mask in coarse.items()}
    return {**fine, **coarse, "SAT_R1": saturated["R1"], "SAT_R2": saturated["R2"]}


def _bits(planes: Mapping[int, np.ndarray]) -> np.ndarray:
    mask = np.zeros(next(iter(planes.values())).shape, dtype=np.uint8)
    for bit, plane in planes.items():
        mask |= plane.astype(np.uint8) << bit
    return mask


def _halved(mask: np.ndarray) -> np.ndarray:
    """The upper left one of each 2 x 2 pixels."""
    return mask[::2, ::2]
