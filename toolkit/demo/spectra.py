"""Spectral endmembers: what a Sentinel-2 pixel wholly covered by one material reflects.

Approximate values, rounded, in the ten bands of `toolkit.ground.bands`, after the ECOSTRESS spectral library
(Meerdink et al. 2019, Remote Sensing of Environment 230) and the USGS spectral library version 7 (Kokaly et al.
2017, USGS Data Series 1035); canopies also after PROSAIL (Jacquemoud et al. 2009, Remote Sensing of Environment
113). A pixel is a linear mix of them, weighted by the ground each covers (Adams et al. 1986, Journal of
Geophysical Research 91).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

#                    B2   B3   B4   B5   B6   B7   B8  B8A  B11  B12   reflectance x 1000
_TABLE = {
    # green canopies
    "cereal":       ( 24,  54,  26,  92, 320, 430, 460, 480, 190,  90),
    "broad_crop":   ( 28,  66,  30, 105, 350, 450, 475, 495, 215, 105),
    "legume":       ( 26,  70,  27, 110, 372, 495, 520, 540, 200,  88),
    "maize":        ( 30,  62,  34,  98, 305, 395, 420, 445, 222, 112),
    "root_crop":    ( 27,  64,  28,  98, 345, 470, 500, 520, 172,  70),
    "grass":        ( 34,  70,  42, 112, 290, 365, 395, 415, 225, 115),
    "broad_leaf":   ( 20,  46,  23,  78, 265, 350, 380, 400, 180,  80),
    "needle_leaf":  ( 18,  33,  20,  52, 145, 180, 195, 205, 100,  45),
    "shrub":        ( 28,  52,  38,  88, 205, 260, 285, 305, 190, 100),
    "orchard_leaf": ( 27,  57,  33,  94, 270, 345, 375, 395, 200,  98),
    # ground and dead matter
    "straw":        ( 80, 118, 162, 195, 225, 248, 270, 290, 360, 280),
    "litter":       ( 42,  62,  84, 105, 132, 152, 172, 188, 250, 185),
    "pale_soil":    (108, 148, 192, 212, 232, 252, 270, 286, 365, 325),
    "dark_soil":    ( 56,  76, 102, 117, 130, 142, 157, 170, 232, 202),
    "red_soil":     ( 50,  78, 148, 176, 196, 212, 232, 248, 325, 285),
    "sandy_soil":   ( 84, 104, 128, 142, 154, 166, 178, 190, 300, 288),
    "limestone":    (165, 198, 225, 236, 245, 254, 262, 268, 318, 285),
    # built
    "roof_tile":    ( 70,  95, 158, 188, 203, 213, 228, 238, 300, 270),
    "concrete":     (140, 163, 182, 192, 200, 207, 213, 218, 248, 238),
    "asphalt":      ( 76,  86,  96, 102, 107, 111, 115, 119, 142, 136),
    "metal_roof":   (270, 288, 298, 304, 307, 309, 313, 314, 300, 280),
    "shade":        ( 15,  18,  15,  20,  26,  29,  31,  31,  21,  13),
    # water and weather
    "clear_water":  ( 30,  34,  20,  16,  12,  11,  10,   9,   4,   3),
    "turbid_water": ( 54,  78,  74,  64,  40,  38,  35,  26,   8,   5),
    "snow":         (780, 780, 770, 765, 750, 735, 720, 700, 100,  90),
    "cloud":        (640, 620, 620, 630, 640, 645, 650, 650, 500, 400),
    "haze":         (400, 370, 350, 345, 340, 335, 330, 325, 180, 120),
}  # fmt: skip

MATERIALS = tuple(_TABLE)
ENDMEMBERS = np.array(list(_TABLE.values()), dtype=np.float32) / 1000
"""Reflectance, float32 of shape (material, band)."""

BLOSSOM = np.array((2, 85, 85, 60, 30, 15, 10, 10, 0, 0), dtype=np.float32) / 1000
"""What yellow flowers at full bloom add to a canopy, float32 (band,): rapeseed loses its NDVI peak to them
(d'Andrimont et al. 2020, Remote Sensing of Environment 239)."""

MOISTURE = np.array((0.75, 0.8, 0.85, 0.85, 0.9, 0.9, 0.95, 1.0, 1.35, 1.6), dtype=np.float32)
"""How much more or less each band of a soil darkens when it is wet, relative to the mean band, float32 (band,)
(Lobell & Asner 2002, Soil Science Society of America Journal 66: the short-wave infrared darkens most)."""

LEAF_WATER = np.array((0.1, 0.2, 0.35, 0.3, 0.0, -0.1, -0.15, -0.15, 0.7, 1.2), dtype=np.float32)
"""Relative change of a canopy's bands when it wholly lacks water, float32 (band,)
(Ceccato et al. 2001, Remote Sensing of Environment 77)."""


def endmember(name: str) -> np.ndarray:
    """Reflectance of one material, float32 (band,)."""
    return ENDMEMBERS[MATERIALS.index(name)]


def shares(mixture: Mapping[str, float]) -> np.ndarray:
    """A mixture as shares of every material, float32 (material,), sum 1."""
    vector = np.zeros(len(MATERIALS), dtype=np.float32)
    for name, share in mixture.items():
        vector[MATERIALS.index(name)] = share
    return vector / vector.sum()


def random_mixtures(rng: np.random.Generator, means: np.ndarray, concentration: float) -> np.ndarray:
    """Mixtures that vary around `means` (n, material) after Dirichlet's law, float32 (n, material).

    Args:
        concentration: the larger, the nearer to the means.
    """
    draws = rng.standard_gamma(np.maximum(means * concentration, 1e-9), size=means.shape)
    draws *= means > 0
    return (draws / np.maximum(draws.sum(axis=1, keepdims=True), 1e-12)).astype(np.float32)
