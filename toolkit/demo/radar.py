"""Radar images of the demo's landscape, as Sentinel-1 would see it: backscatter in linear power, VV and VH.

The water cloud model: what vegetation scatters and what the ground scatters through it (Attema & Ulaby 1978, Radio
Science 13, 357-364),

    gamma0 = canopy (1 - t) + ground t,   t = exp(-2 b c)

with c the green cover and b how thick the canopy is to the wave; wet soil scatters more. Levels of crops and their
course follow Veloso et al. 2017, Remote Sensing of Environment 199 (Sentinel-1 of the same region), the others are
usual ones, rounded. Speckle is gamma-distributed with 4.4 looks, that of ground range products (Sentinel-1 Product
Definition, S1-RS-MDA-52-7440). One descending orbit passes every twelve days; nothing hides the ground from it.

Files are named and tiled as S1Tiling (CNES) makes them on the grid of Sentinel-2: float32, 0 where nothing was
measured.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolkit.demo.kinds import KINDS
from toolkit.demo.passes import NEW_YEAR
from toolkit.demo.scene import Scene
from toolkit.demo.theia import write_raster
from toolkit.demo.tiles import TILES

POLARISATIONS = ("vv", "vh")
FIRST, LAST = np.datetime64("2017-12-05"), np.datetime64("2019-01-25")
EVERY = 12
"""Days between two passes of one satellite on one orbit."""
ORBIT = "DES_110"
LOOKS = 4.4

_CROP = (-11.0, -16.5, -13.5, -21.5, 1.0)
_LEVELS = {
    #       canopy VV, VH; ground VV, VH (dB, dry); how thick the canopy is
    1: (-7.0, -13.5, -4.0, -12.0, 0.3), 2: (-8.5, -14.5, -5.5, -13.0, 0.5), 3: (-8.0, -15.0, -4.5, -14.0, 0.3),
    4: (-12.0, -18.0, -15.0, -23.5, 0.6), 5: (-9.5, -14.0, -13.0, -21.5, 1.3), 6: (-16.0, -21.0, -12.5, -20.5, 0.9),
    7: (-11.0, -17.0, -12.5, -20.5, 1.0), 8: (-10.5, -16.5, -13.5, -21.5, 1.0), 9: (-8.5, -14.5, -13.5, -21.5, 1.3),
    10: (-9.5, -15.5, -13.5, -21.5, 1.4), 12: (-9.0, -15.0, -12.0, -19.5, 1.2), 13: (-12.5, -19.0, -14.0, -21.5, 0.9),
    14: (-9.5, -15.0, -12.0, -18.5, 1.3), 15: (-10.5, -16.5, -11.5, -18.5, 0.9), 16: (-8.5, -13.5, -9.5, -15.0, 2.0),
    17: (-8.0, -13.0, -9.0, -14.5, 2.0), 18: (-12.5, -19.0, -13.5, -21.0, 0.7), 19: (-10.0, -15.5, -11.5, -17.5, 1.2),
    20: (-11.5, -19.0, -12.0, -20.0, 0.5), 23: (-19.0, -27.0, -20.0, -28.0, 1.0),
}  # fmt: skip
WET = 3.0
"""Decibels that wholly wet soil scatters more than dry one."""


def pass_days() -> np.ndarray:
    """Days on which radar images are made, datetime64[D]."""
    return np.arange(FIRST, LAST, EVERY)


def render_radar(scene: Scene, tile: str, day: np.datetime64) -> dict[str, np.ndarray]:
    """Backscatter of a tile on a day, linear power, float32 (y, x), by polarisation."""
    number = int((day - NEW_YEAR) / np.timedelta64(1, "D"))
    rng = np.random.default_rng([scene.params.seed, 2000, number + 100, TILES.index(tile)])
    rows, cols = (slice(start, start + scene.layout.size) for start in scene.layout.window(tile))
    surface, land = scene.surface, scene.land
    through = np.exp(-2 * _levels(scene)[:, 4] * surface.growth.cover(number))
    fine, slopes = surface.texture[2, rows, cols], surface.texture[3, rows, cols]
    found = {}
    for place, name in enumerate(POLARISATIONS):
        parcels = _of_parcels(scene, place, through, number)
        layers = zip(land.index[:, rows, cols], land.share[:, rows, cols], strict=True)
        power = np.sum([parcels[index] * share for index, share in layers], axis=0)
        texture = np.exp(0.12 * fine + 0.1 * slopes)
        speckle = rng.gamma(LOOKS, 1 / LOOKS, power.shape)
        found[name] = np.maximum(power * texture * speckle, 1e-5).astype(np.float32)
    return found


def write_radar(folder: Path, scene: Scene) -> list[Path]:
    """Write the radar images of every tile, `<tile>/s1a_<tile>_vv_DES_110_20180104t055813.tif`.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    paths = []
    for tile in TILES:
        (folder / tile).mkdir(parents=True)
        for day in pass_days():
            for name, values in render_radar(scene, tile, day).items():
                stamp = f"{str(day).replace('-', '')}t055813"
                paths.append(folder / tile / f"s1a_{tile}_{name}_{ORBIT}_{stamp}.tif")
                write_raster(paths[-1], np.round(values, 5), scene.layout.tile(tile))
    return paths


def _levels(scene: Scene) -> np.ndarray:
    """The row of the table for each parcel, (parcel, 5)."""
    return np.array([_LEVELS.get(one.code, _CROP) for one in KINDS])[scene.surface.kinds]


def _of_parcels(scene: Scene, place: int, through: np.ndarray, day: int) -> np.ndarray:
    """Backscatter of each parcel in one polarisation, linear power, float32 (parcel,)."""
    levels, surface = _levels(scene), scene.surface
    habit = np.random.default_rng([scene.params.seed, 2001, place]).normal(0, 0.8, (2, len(levels)))
    canopy = levels[:, place] + habit[0]
    ground = levels[:, 2 + place] + habit[1] + WET * surface.bare * _moisture(scene, day)
    mixed = 10 ** (canopy / 10) * (1 - through) + 10 ** (ground / 10) * through
    return mixed.astype(np.float32)


def _moisture(scene: Scene, day: int) -> float:
    """How wet soils are, 0 to 1: as at the pass of Sentinel-2 that is nearest in time."""
    passes = {one.overpass.number: one.overpass for one in scene.acquisitions}.values()
    return min(passes, key=lambda one: abs(one.day - day)).moisture
