"""A STAC item beside a map: where, when, which classes, which files.

SpatioTemporal Asset Catalog 1.1.0, with the extensions projection 2.0.0, classification 2.0.0 and raster 2.0.0. Links
to files are relative, so that the folder may be moved.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import shapely
from odc.geo.geobox import GeoBox

from toolkit.ground.grid import crs_name, outline
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.ground.writing import write_text
from toolkit.mapping.layers import CLASSES, LAYERS

ITEM = "item.json"
VERSION = "1.1.0"
EXTENSION = "https://stac-extensions.github.io/{}/v2.0.0/schema.json"
GEOTIFF = "image/tiff; application=geotiff"
OUTLINE_STEPS = 8
"""Points a side of the footprint: true to a third of a metre for a tile."""


def write_item(
    folder: Path,
    name: str,
    layers: Sequence[str],
    grid: GeoBox,
    nomenclature: Nomenclature,
    period: tuple[date, date],
    *,
    tags: Mapping[str, str],
    cloud_optimised: bool,
) -> Path:
    """Write `folder/item.json`, about the layers' files beside it.

    Args:
        name: of the item, unique within the catalog that it goes into.
        period: first and last day of the series that was classified.
        tags: provenance, which become properties `landcover:…`.
        cloud_optimised: whether the files are.

    Raises:
        RunFolderError: it cannot be written.
    """
    ground = shapely.geometry.polygon.orient(outline(grid, "EPSG:4326", OUTLINE_STEPS))
    box, (height, width) = grid.boundingbox, grid.shape
    item = {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [EXTENSION.format(one) for one in ("projection", "classification", "raster")],
        "id": name,
        "geometry": shapely.geometry.mapping(ground),
        "bbox": list(ground.bounds),
        "properties": {
            "title": f"Land cover {name}",
            "datetime": None,
            "start_datetime": f"{period[0]}T00:00:00Z",
            "end_datetime": f"{period[1]}T23:59:59Z",
            "proj:code": crs_name(grid.crs) if crs_name(grid.crs).startswith("EPSG:") else None,
            "proj:shape": [height, width],
            "proj:transform": list(grid.affine)[:6],
            "proj:bbox": [box.left, box.bottom, box.right, box.top],
            **{f"landcover:{key.lower()}": value for key, value in tags.items()},
        },
        "links": [],
        "assets": {layer: _asset(layer, nomenclature, cloud_optimised) for layer in layers},
    }
    path = folder / ITEM
    write_text(path, json.dumps(item, indent=1, ensure_ascii=False) + "\n")
    return path


def _asset(layer: str, nomenclature: Nomenclature, cloud_optimised: bool) -> dict[str, Any]:
    kind = LAYERS[layer]
    asset: dict[str, Any] = {
        "href": f"./{layer}.tif",
        "type": GEOTIFF + ("; profile=cloud-optimized" if cloud_optimised else ""),
        "title": kind.words,
        "roles": ["data", layer],
        "data_type": kind.dtype,
    }
    if kind.nodata is not None:
        asset["nodata"] = kind.nodata
    if layer == CLASSES:
        unseen = {"value": kind.unseen, "name": "no_data", "title": "no data", "nodata": True}
        asset["classification:classes"] = [unseen, *(_class(one) for one in nomenclature.classes)]
    if kind.each_class:
        scale = {"raster:scale": kind.scale}
        asset["bands"] = [{"name": str(one.code), "description": one.label, **scale} for one in nomenclature.classes]
    return asset


def _class(one: LandCoverClass) -> dict[str, Any]:
    plain = unicodedata.normalize("NFKD", one.label).encode("ascii", "ignore").decode()
    name = re.sub(r"[^0-9A-Za-z_-]+", "_", plain).strip("_").lower()
    colour = one.colour.lstrip("#").upper()
    return {"value": one.code, "name": name or f"class_{one.code}", "title": one.label, "color_hint": colour}
