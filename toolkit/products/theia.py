"""Theia (MUSCATE, MAJA) Level-2A products of Sentinel-2: folders found and described.

    SENTINEL2B_20180511-105804-037_L2A_T31TCJ_D_V1-7/
        SENTINEL2B_…_FRE_B2.tif … (flat reflectance, int16, reflectance x 10000, -10000 outside)
        SENTINEL2B_…_MTD_ALL.xml
        MASKS/SENTINEL2B_…_CLM_R1.tif …

Source: CNES/CESBIO, "Le format Sentinel-2 Muscate"; letters C, D and H stand for complete, distributed, hybrid.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from toolkit.ground.bands import BAND_NAMES, NODATA, REFLECTANCE_SCALE
from toolkit.products.masks import THEIA_MASKS, MaskFile
from toolkit.products.metadata import given, number_of, read_xml
from toolkit.products.product import BandFile, Product

log = logging.getLogger(__name__)

FOLDER = re.compile(
    r"^(?P<platform>SENTINEL2[A-Z])_(?P<day>\d{8})-(?P<time>\d{6})-\d{3}_L2A_T(?P<tile>\d{2}[A-Z]{3})_[CDH]"
    r"_V(?P<major>\d+)-(?P<minor>\d+)$"
)


def find_theia(root: Path, *, reflectance: str = "FRE") -> list[Product]:
    """Every Theia L2A product below `root`, at any depth, in order of acquisition.

    Of several versions of one acquisition of a tile the newest counts. Files that do not belong to a product
    (`.aux.xml`, quicklooks) are passed over, as is a folder whose name holds an impossible date; a band or a mask
    that is absent is absent from the product.

    Args:
        root: a folder.
        reflectance: `"FRE"` (slope-corrected, as iota2 reads) or `"SRE"`.

    Raises:
        ProductError: the metadata of a product give a scale or a nodata value that is not usable.
    """
    newest: dict[tuple[str, str], tuple[tuple[int, int], Product]] = {}
    for folder, match in _product_folders(root):
        acquired = _acquired(match)
        if acquired is None:
            log.warning("%s is passed over: %s-%s is no date and time", folder, match["day"], match["time"])
            continue
        product = _describe(folder, match, acquired, reflectance)
        version = int(match["major"]), int(match["minor"])
        key = product.tile, str(product.acquired)
        if key in newest:
            log.info("two versions of one acquisition: %s and %s", newest[key][1].name, product.name)
        if key not in newest or version > newest[key][0]:
            newest[key] = version, product
    return sorted((product for _, product in newest.values()), key=lambda one: (one.acquired, one.name))


def _product_folders(root: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for folder, below, _ in os.walk(root, followlinks=True):
        below.sort()
        matches = {name: match for name in below if (match := FOLDER.match(name))}
        for name, match in matches.items():
            yield Path(folder) / name, match
        below[:] = [name for name in below if name not in matches]


def _acquired(match: re.Match[str]) -> np.datetime64 | None:
    """Time of acquisition, datetime64[s]; None where the name holds no possible one."""
    day, time = match["day"], match["time"]
    try:
        return np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}", "s")
    except ValueError:
        return None


def _describe(folder: Path, match: re.Match[str], acquired: np.datetime64, reflectance: str) -> Product:
    metadata = folder / f"{folder.name}_MTD_ALL.xml"
    properties = _properties(metadata)
    scale = 1 / number_of(properties, "REFLECTANCE_QUANTIFICATION_VALUE", REFLECTANCE_SCALE, metadata, positive=True)
    nodata = number_of(properties, "nodata", NODATA, metadata)
    files = {band: folder / f"{folder.name}_{reflectance}_{band}.tif" for band in BAND_NAMES}
    return Product(
        name=folder.name,
        tile=match["tile"],
        acquired=acquired,
        platform=match["platform"],
        bands={band: BandFile(path, scale, 0.0, nodata) for band, path in files.items() if path.is_file()},
        masks=dict(_masks(folder)),
        properties={**properties, "version": f"{match['major']}.{match['minor']}"},
        metadata=metadata if metadata.is_file() else None,
    )


def _masks(folder: Path) -> Iterable[tuple[str, MaskFile]]:
    """CLM and EDG once, at 10 m where they are there; SAT at both resolutions, for each holds its own bands' bits."""
    for kind in THEIA_MASKS:
        names = [f"{kind}_R{resolution}" for resolution in (1, 2)]
        paths = {name: folder / "MASKS" / f"{folder.name}_{name}.tif" for name in names}
        there = {name: path for name, path in paths.items() if path.is_file()}
        if kind == "SAT":
            yield from ((name, MaskFile(path)) for name, path in there.items())
        elif there:
            yield kind, MaskFile(next(iter(there.values())))


def _properties(metadata: Path) -> dict[str, str]:
    """What MTD_ALL.xml says of scale, nodata and clouds; nothing where it is absent or cut short."""
    tree = read_xml(metadata) if metadata.is_file() else None
    if tree is None:
        return {}
    return given(
        {
            "REFLECTANCE_QUANTIFICATION_VALUE": tree.findtext(".//REFLECTANCE_QUANTIFICATION_VALUE"),
            "nodata": tree.findtext(".//SPECIAL_VALUE[@name='nodata']"),
            "cloud_percent": tree.findtext(".//QUALITY_INDEX[@name='CloudPercent']"),
            "orbit": tree.findtext(".//ORBIT_NUMBER"),
        }
    )
