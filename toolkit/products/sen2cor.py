"""Sen2Cor Level-2A products of Sentinel-2, as ESA delivers them: SAFE folders found and described.

    S2B_MSIL2A_20190501T105039_N0211_R051_T31TCJ_20190501T140320.SAFE/
        MTD_MSIL2A.xml                              (scale and, since baseline 04.00, an offset of each band)
        GRANULE/L2A_T31TCJ_A011231_20190501T105819/
            IMG_DATA/R10m/T31TCJ_20190501T105039_B02_10m.jp2 …    (uint16, 0 outside)
            IMG_DATA/R20m/T31TCJ_20190501T105039_SCL_20m.jp2      (scene classification)

Source: Sentinel-2 Products Specification Document (ESA, S2-PDGS-TAS-DI-PSD). Products of before 2018, which may have
the granules of several tiles (`S2A_USER_PRD_MSIL2A_…`), are read too, and so are images that were converted to GeoTIFF
and kept their names.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from toolkit.ground.bands import BANDS, REFLECTANCE_SCALE
from toolkit.ground.errors import ProductError
from toolkit.products.masks import SCL_UNUSABLE, MaskFile
from toolkit.products.metadata import given, number_of, read_xml
from toolkit.products.product import BandFile, Product

log = logging.getLogger(__name__)

FOLDER = re.compile(
    r"^S2(?P<unit>[A-Z])_(?:MSIL2A_(?P<sensed>\d{8}T\d{6})(?:_N(?P<baseline>\d{4}))?_R\d{3}_T\d{2}[A-Z]{3}"
    r"_(?P<made>\d{8}T\d{6})|USER_PRD_MSIL2A_\w{4}_(?P<old_made>\d{8}T\d{6})_R\d{3}_V(?P<old_sensed>\d{8}T\d{6})"
    r"_\d{8}T\d{6})(?:\.SAFE)?$"
)
GRANULE = re.compile(
    r"^(?:L2A|S2[A-Z]_\w+)_T(?P<tile>\d{2}[A-Z]{3})_(?:A\d{6}_(?P<strip>\d{8}T\d{6})|N(?P<first>\d{2})\.(?P<then>\d{2}))$"
)
IMAGE = re.compile(r"_(?P<kind>B\d{2}|B8A|SCL)_(?:\w+_)?(?P<resolution>10|20)m\.(?:jp2|tif)$")
ARCHIVE = re.compile(r"^(?P<name>S2[A-Z]_(?:USER_PRD_)?MSIL2A_\w+?)(?:\.SAFE)?\.(?:zip|tar|tar\.gz|tgz)$")
LEVEL_1C = re.compile(r"^S2[A-Z]_(?:OPER_PRD_)?MSIL1C_")

BAND_IDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
"""Bands by the `band_id` of the metadata."""
OFFSET, OFFSET_SINCE = -1000, 400
"""What is to be added to the values, and the processing baseline (04.00) since when it is."""
OWN_BASELINE = "9999"
"""Baseline in the names of products that a user made with Sen2Cor; the metadata alone tell of their offset."""
STRIPS_APART = np.timedelta64(15, "s")
"""Two strips of one datatake begin further apart than it takes to fly over a tile. A new processing of one may begin
a second earlier or later than the one before."""


@dataclass(frozen=True)
class _Granule:
    """What one product shows of one tile, by the names of its folders."""

    product: Path
    folder: Path
    tile: str
    unit: str
    sensed: np.datetime64
    """Start of the datatake, datetime64[s]."""
    strip: np.datetime64
    """Start of the strip of data that the tile was cut from."""
    baseline: str
    """`0509`; empty where no name tells it."""
    made: str

    @property
    def version(self) -> tuple[str, str]:
        """Greater for the newer of two processings."""
        return self.baseline, self.made


@dataclass
class _Found:
    """What lies below a folder."""

    granules: list[_Granule] = field(default_factory=list)
    archives: list[Path] = field(default_factory=list)
    level_1c: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    """Folders with the name of a product that hold none."""


def find_sen2cor(root: Path, *, scl: Sequence[int] = SCL_UNUSABLE, tile: str | None = None) -> list[Product]:
    """Every Sen2Cor L2A product below `root`, at any depth, in order of acquisition.

    Of several processings of one acquisition of a tile the newest counts: the highest baseline, then the latest. A
    band is read at its own resolution; where no image of 10 m was delivered at all, those of 20 m stand in. A band or
    classification that is absent is absent from the product.

    Args:
        root: a folder.
        scl: classes of the scene classification that make a pixel unusable.
        tile: whose products are wanted; None for all tiles'.

    Raises:
        ProductError: there is nothing but archives that are not unpacked, or images of level 1C; the metadata of a
            product give a number that is not usable; or an offset that nothing tells.
    """
    if ARCHIVE.match(root.name):
        raise ProductError(f"{root} is packed; unpack it, and name the folder that it lies in then")
    found = _look(root)
    _tell_unread(found, root)
    wanted = [one for one in found.granules if tile in (None, one.tile)]
    products = [_describe(one, scl) for one in _newest(wanted)]
    _tell_assumed(products)
    return sorted(products, key=lambda one: (one.acquired, one.name))


def _look(root: Path) -> _Found:
    found = _Found()
    for folder, below, files in os.walk(root, followlinks=True):
        below.sort()
        found.archives += [Path(folder) / name for name in sorted(files) if ARCHIVE.match(name)]
        for name in list(below):
            path, match = Path(folder) / name, FOLDER.match(name)
            if LEVEL_1C.match(name):
                found.level_1c.append(path)
                below.remove(name)
            elif match and (path / "GRANULE").is_dir():
                found.granules += _granules(path, match)
                below.remove(name)
            elif match:  # some tools unpack a product into a folder of its own name
                found.empty.append(path)
    return found


def _granules(product: Path, match: re.Match[str]) -> Iterator[_Granule]:
    sensed, made = _time(match["sensed"] or match["old_sensed"]), match["made"] or match["old_made"]
    if sensed is None:
        log.warning("%s is passed over: its name holds no possible date and time", product)
        return
    for folder in sorted((product / "GRANULE").iterdir()):
        if one := GRANULE.match(folder.name):
            strip = _time(one["strip"]) if one["strip"] else None
            baseline = match["baseline"] or f"{one['first'] or ''}{one['then'] or ''}"
            yield _Granule(
                product, folder, one["tile"], match["unit"], sensed, sensed if strip is None else strip, baseline, made
            )


def _time(text: str) -> np.datetime64 | None:
    """`20190501T105039` as datetime64[s]; None where there is no such time."""
    day, time = text[:8], text[9:]
    try:
        return np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}", "s")
    except ValueError:
        return None


def _newest(granules: Iterable[_Granule]) -> list[_Granule]:
    """The newest processing of each acquisition of each tile."""
    chosen: list[_Granule] = []
    for one in sorted(granules, key=lambda one: (one.tile, one.unit, one.sensed, one.strip)):
        last = chosen[-1] if chosen else None
        same = last is not None and (one.tile, one.unit, one.sensed) == (last.tile, last.unit, last.sensed)
        if last is None or not same or one.strip - last.strip >= STRIPS_APART:
            chosen.append(one)
            continue
        log.info("two processings of one acquisition: %s and %s", last.product.name, one.product.name)
        if one.version > last.version:
            chosen[-1] = one
    return chosen


def _describe(one: _Granule, scl: Sequence[int]) -> Product:
    images = _images(one.folder)
    metadata = _metadata_file(one.product)
    properties = _properties(metadata)
    quantification = number_of(properties, "BOA_QUANTIFICATION_VALUE", REFLECTANCE_SCALE, metadata, positive=True)
    nodata = number_of(properties, "NODATA", 0, metadata)
    usual = _usual_offset(one, properties)
    fine = any(resolution == 10 for _, resolution in images)
    bands = {}
    for name, band in BANDS.items():
        path = images.get((name, band.resolution if fine else 20))
        if path is not None:
            offset = number_of(properties, f"BOA_ADD_OFFSET of {name}", usual, metadata)
            bands[name] = BandFile(path, 1 / quantification, offset / quantification, nodata)
    mask = images.get(("SCL", 20))
    return Product(
        name=one.product.name.removesuffix(".SAFE"),
        tile=one.tile,
        acquired=one.sensed,
        platform=f"SENTINEL2{one.unit}",
        bands=bands,
        masks={"SCL": MaskFile(mask, values=frozenset(scl))} if mask else {},
        properties=properties,
        metadata=metadata,
        cloud_mask="SCL",
    )


def _images(granule: Path) -> dict[tuple[str, int], Path]:
    """Band (`B2`) or `SCL`, and pixel size -> its file; of two, the GeoTIFF, which is quicker to read."""
    found: dict[tuple[str, int], Path] = {}
    for folder, _, files in os.walk(granule / "IMG_DATA"):
        for name in sorted(files):
            if match := IMAGE.search(name):
                found[_plain(match["kind"]), int(match["resolution"])] = Path(folder) / name
    return found


def _metadata_file(product: Path) -> Path | None:
    names = (one for one in sorted(product.iterdir()) if one.suffix.lower() == ".xml")
    return next((one for one in names if re.search("MTD_(MSI|SAF)L2A", one.name, re.IGNORECASE)), None)


def _properties(metadata: Path | None) -> dict[str, str]:
    """What the metadata say of scale, offsets, nodata and clouds; nothing where they are absent or cut short."""
    tree = read_xml(metadata) if metadata else None
    if tree is None:
        return {}
    names = dict(enumerate(BAND_IDS)) | {
        int(one.get("bandId", "")): _plain(one.get("physicalBand", ""))
        for one in tree.iterfind(".//Spectral_Information")
        if one.get("bandId", "").isdigit()
    }
    offsets = {
        f"BOA_ADD_OFFSET of {names.get(int(one.get('band_id', '')), '?')}": one.text
        for one in tree.iterfind(".//BOA_ADD_OFFSET")
        if one.get("band_id", "").isdigit()
    }
    special = {one.findtext("SPECIAL_VALUE_TEXT"): one for one in tree.iterfind(".//Special_Values")}
    quantification = tree.findtext(".//BOA_QUANTIFICATION_VALUE") or tree.findtext(".//L2A_BOA_QUANTIFICATION_VALUE")
    return given(
        {
            "BOA_QUANTIFICATION_VALUE": quantification,
            "NODATA": special["NODATA"].findtext("SPECIAL_VALUE_INDEX") if "NODATA" in special else None,
            "version": tree.findtext(".//PROCESSING_BASELINE"),
            "cloud_percent": tree.findtext(".//Cloud_Coverage_Assessment"),
            "orbit": tree.findtext(".//SENSING_ORBIT_NUMBER"),
            **offsets,
        }
    )


def _plain(band: str) -> str:
    """`B2` for `B02`."""
    return f"B{int(band[1:])}" if band[1:].isdigit() else band


def _usual_offset(one: _Granule, properties: dict[str, str]) -> float:
    """What is to be added to the values where the metadata do not tell it: by the baseline.

    Raises:
        ProductError: neither metadata nor a name tell the baseline.
    """
    baseline = properties.get("version", "").replace(".", "") or one.baseline
    if not properties and baseline in ("", OWN_BASELINE):
        raise ProductError(
            f"{one.product} has no MTD_MSIL2A.xml that can be read, and its name does not tell by which baseline it "
            "was made: the offset of its reflectances is not known; deliver the file, or take the product away"
        )
    return OFFSET if baseline.isdigit() and OFFSET_SINCE <= int(baseline) < int(OWN_BASELINE) else 0


def _tell_assumed(products: Sequence[Product]) -> None:
    """Log of which products the offset is taken by their baseline."""
    assumed = [one for one in products if not one.properties or any(map(partial(_is_assumed, one), one.bands))]
    if assumed:
        offsets = sorted({round(band.offset * REFLECTANCE_SCALE) for one in assumed for band in one.bands.values()})
        log.warning(
            "%d products, such as %s, have no MTD_MSIL2A.xml that tells BOA_ADD_OFFSET: %s is taken, by their baseline",
            len(assumed), assumed[0].name, " or ".join(map(str, offsets)),
        )  # fmt: skip


def _is_assumed(product: Product, band: str) -> bool:
    return product.bands[band].offset != 0 and f"BOA_ADD_OFFSET of {band}" not in product.properties


def _tell_unread(found: _Found, root: Path) -> None:
    """Log what looks like products and is passed over.

    Raises:
        ProductError: there is nothing else.
    """
    there = {one.product.name.removesuffix(".SAFE") for one in found.granules}
    archives = [one for one in found.archives if (match := ARCHIVE.match(one.name)) and match["name"] not in there]
    products = [one.product for one in found.granules]
    empty = [one for one in found.empty if not any(path.is_relative_to(one) for path in products)]
    reasons = (
        (archives, "packed; unpack them"),
        (empty, "without a GRANULE folder; unpack or fetch them again"),
        (found.level_1c, "of level 1C, not corrected for the atmosphere; fetch level 2A, or run Sen2Cor on them"),
    )
    for paths, why in reasons:
        if paths and not products:
            raise ProductError(f"{root} holds no Sen2Cor product but {len(paths)}, such as {paths[0].name}, {why}")
        if paths:
            log.warning("%d products below %s, such as %s, are passed over: %s", len(paths), root, paths[0].name, why)
