"""Writes an image as ESA delivers it: a SAFE folder of JPEG 2000 bands, the scene classification and XML.

Format: Sen2Cor Level-2A products of Sentinel-2 (ESA, S2-PDGS-TAS-DI-PSD): unsigned integers, 0 for no data, lossless.
As in a series that was collected over years, some products are of processing baseline 02.07, whose values are
reflectance x 10000 and at least 1, and some of 05.00, whose values are 1000 more. Of a whole product, the bands at
coarser resolutions than their own, the atmosphere (AOT, WVP), pictures (TCI), the data strip and the manifest are left
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox

from toolkit.demo.passes import Acquisition
from toolkit.demo.safe_names import OFFSET, SafeName, two_digits
from toolkit.demo.scene import Image
from toolkit.demo.sen2cor_metadata import granule_metadata, product_metadata
from toolkit.demo.tiles import EPSG
from toolkit.ground.bands import BANDS, NODATA

NO_DATA, SATURATED, SHADOW, PLANTS, BARE, WATER, LIKELY_CLOUD, CLOUD, CIRRUS, SNOW = 0, 1, 3, 4, 5, 6, 8, 9, 10, 11
"""Classes of the scene classification that occur."""


def write_safe(folder: Path, acquisition: Acquisition, image: Image, grid: GeoBox) -> Path:
    """Write the product's folder into `folder`.

    Args:
        grid: 10 m grid of the tile.

    Returns:
        The product's folder.

    Raises:
        OSError: the disk is full or the folder cannot be written (`rasterio.errors.RasterioIOError` among them).
    """
    name = SafeName(acquisition)
    product = folder / name.product
    for band, values in image.bands.items():
        pixel = BANDS[band].resolution
        place = name.image(two_digits(band), pixel)
        _write_jp2(product / f"{place}.jp2", _stored(values, name.has_offset), grid, pixel)
    classes = scene_classification(image)
    _write_jp2(product / f"{name.image('SCL', 20)}.jp2", classes, grid, 20)
    (product / "MTD_MSIL2A.xml").write_text(product_metadata(name, classes, grid), encoding="utf-8")
    granule = granule_metadata(name, image, classes, grid)
    (product / "GRANULE" / name.granule / "MTD_TL.xml").write_text(granule, encoding="utf-8")
    return product


def scene_classification(image: Image) -> np.ndarray:
    """Class of each pixel of 20 m, uint8 (y, x): what the masks found, said in Sen2Cor's classes."""
    masks = {kind: image.masks[f"{kind}_R2"] for kind in ("CLM", "MG2", "EDG", "SAT")}
    height, width = masks["CLM"].shape
    fine = image.masks["SAT_R1"].reshape(height, 2, width, 2).any(axis=(1, 3))
    red = image.bands["B4"].reshape(height, 2, width, 2).mean(axis=(1, 3))
    infrared = image.bands["B8A"].astype(np.float64)
    classes = np.where(infrared - red > 0.4 * (infrared + red), PLANTS, BARE)
    found: Mapping[int, np.ndarray] = {
        WATER: masks["MG2"] & 1,
        SNOW: masks["MG2"] & 4,
        CIRRUS: masks["CLM"] & (16 | 128),
        SHADOW: masks["CLM"] & 32,
        LIKELY_CLOUD: masks["CLM"] & 2,
        CLOUD: masks["CLM"] & 4,
        SATURATED: (masks["SAT"] > 0) | fine,
        NO_DATA: masks["EDG"],
    }
    for number, where in found.items():  # the later, the stronger
        classes[where > 0] = number
    return classes.astype(np.uint8)


def _stored(values: np.ndarray, has_offset: bool) -> np.ndarray:
    """Reflectance x 10000 as it stands in a file; 0 is kept for no data."""
    stored = np.maximum(values.astype(np.int32) + (OFFSET if has_offset else 0), 1)
    return np.where(values == NODATA, 0, stored).astype(np.uint16)


def _write_jp2(path: Path, values: np.ndarray, grid: GeoBox, pixel: int) -> None:
    """Write an array (y, x) as a lossless JPEG 2000 without a nodata value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", height=height, width=width, count=1, dtype=values.dtype,
        crs=f"EPSG:{EPSG}", transform=(grid if pixel == 10 else grid.zoom_out(2)).affine, QUALITY="100",
        REVERSIBLE="YES",
    ) as file:  # fmt: skip
        file.write(values, 1)
