"""What is known of some sensors' files: names, bands, numbers and masks, to start a source of dated rasters from.

Sources: USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide, LSDS-1619 (scale, offset, fill, QA_PIXEL's bits);
MUSCATE product format of Landsat (CNES/CESBIO, Theia), its bands as iota2 reads them; S1Tiling (CNES), names of files.
"""

from __future__ import annotations

from typing import Any

CLOUDY = (0, 1, 2, 3, 4)
"""Bits of QA_PIXEL: fill, dilated cloud, cirrus, cloud, cloud shadow."""

_RADAR = {"VV": {"file": "vv"}, "VH": {"file": "vh"}}


def _bands_of_oli(begin: str) -> dict[str, dict[str, str]]:
    """The bands of the Operational Land Imager, whose names begin so and end with their number."""
    known = (
        ("coastal aerosol", ""), ("blue", "B2"), ("green", "B3"), ("red", "B4"), ("near infrared", "B8A"),
        ("short-wave infrared", "B11"), ("short-wave infrared", "B12"),
    )  # fmt: skip
    return {
        f"{begin}{number}": {"meaning": meaning, **({"like": like} if like else {})}
        for number, (meaning, like) in enumerate(known, start=1)
    }


PRESETS: dict[str, dict[str, Any]] = {
    "landsat_c2_l2": {
        "file": "LC0?_L2SP_*_{date}_*_{band}.TIF",
        "platform": "Landsat 8/9",
        "bands": _bands_of_oli("SR_B"),
        "scale": 2.75e-5,
        "offset": -0.2,
        "nodata": 0,
        "mask": {"file": "LC0?_L2SP_*_{date}_*_QA_PIXEL.TIF", "bits": CLOUDY},
    },
    "landsat8_theia": {
        "file": "LANDSAT8-*_{date}-*_L2A_T{tile}_*_FRE_{band}.tif",
        "platform": "Landsat 8",
        "bands": _bands_of_oli("B"),
        "scale": 1e-4,
        "nodata": -10000,
        "mask": {"file": "LANDSAT8-*_{date}-*_L2A_T{tile}_*_CLM_XS.tif", "bits": tuple(range(16))},
    },
    "sentinel1_power": {
        "file": "s1?_{tile}_{band}_*_{date}t*.tif",
        "platform": "Sentinel-1",
        "bands": _RADAR,
        "unit": "power",
        "nodata": 0,
    },
    "sentinel1_db": {
        "file": "s1?_{tile}_{band}_*_{date}t*.tif",
        "platform": "Sentinel-1",
        "bands": _RADAR,
        "unit": "dB",
        "nodata": 0,
    },
}
"""By name. What an entry of the catalog says itself stands in place of what is said here."""
