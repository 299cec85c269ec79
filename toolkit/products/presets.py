"""What is known of some sensors' files: names, bands, numbers and masks, to start a source of dated rasters from.

Sources: USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide, LSDS-1619 (scale, offset, fill, QA_PIXEL's bits);
MUSCATE product format of Landsat (CNES/CESBIO, Theia), its bands as iota2 reads them; S1Tiling (CNES), names of files.
"""

from __future__ import annotations

from typing import Any

CLOUDY = (0, 1, 2, 3, 4)
"""Bits of QA_PIXEL: fill, dilated cloud, cirrus, cloud, cloud shadow."""

_RADAR = {"VV": {"file": "vv"}, "VH": {"file": "vh"}}

PRESETS: dict[str, dict[str, Any]] = {
    "landsat_c2_l2": {
        "file": "LC0?_L2SP_*_{date}_*_{band}.TIF",
        "platform": "Landsat 8/9",
        "bands": {
            "SR_B1": {"meaning": "coastal aerosol"},
            "SR_B2": {"meaning": "blue", "like": "B2"},
            "SR_B3": {"meaning": "green", "like": "B3"},
            "SR_B4": {"meaning": "red", "like": "B4"},
            "SR_B5": {"meaning": "near infrared", "like": "B8A"},
            "SR_B6": {"meaning": "short-wave infrared", "like": "B11"},
            "SR_B7": {"meaning": "short-wave infrared", "like": "B12"},
        },
        "scale": 2.75e-5,
        "offset": -0.2,
        "nodata": 0,
        "mask": {"file": "LC0?_L2SP_*_{date}_*_QA_PIXEL.TIF", "bits": CLOUDY},
    },
    "landsat8_theia": {
        "file": "LANDSAT8-*_{date}-*_L2A_T{tile}_*_FRE_{band}.tif",
        "platform": "Landsat 8",
        "bands": {
            "B1": {"meaning": "coastal aerosol"},
            "B2": {"meaning": "blue", "like": "B2"},
            "B3": {"meaning": "green", "like": "B3"},
            "B4": {"meaning": "red", "like": "B4"},
            "B5": {"meaning": "near infrared", "like": "B8A"},
            "B6": {"meaning": "short-wave infrared", "like": "B11"},
            "B7": {"meaning": "short-wave infrared", "like": "B12"},
        },
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
