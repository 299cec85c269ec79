"""Reading of vector files, with a clear word about whatever makes one unusable."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
from pyproj.exceptions import CRSError

from toolkit.ground.errors import GroundTruthError, did_you_mean
from toolkit.ground.grid import crs_name

log = logging.getLogger(__name__)

UNREADABLE = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.GeometryError, CRSError)
TOLD = (UserWarning, RuntimeWarning)
"""Warnings about a file that reach the log. All others keep their filters, for these are one for all threads."""
SHAPEFILE_PARTS = (".cpg", ".dbf", ".prj", ".shx")
NAMED_CRS = re.compile(r"EPSG[ _:-]?(\d{4,6})", re.IGNORECASE)


def read_vector(path: Path, layer: str | None = None) -> gpd.GeoDataFrame:
    """All features of a vector file, as they are.

    Raises:
        GroundTruthError: the file is absent, unreadable, of several layers none of which is named, empty, without
            geometry or without CRS, or its coordinates cannot be those of its CRS.
    """
    if not path.exists():
        near = did_you_mean(path.name, _vector_files_beside(path))
        raise GroundTruthError(f"{path} does not exist; correct ground_truth.source{near}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            for category in TOLD:
                warnings.simplefilter("always", category)
            frame = gpd.read_file(path, layer=_choose_layer(path, layer))
    except UNREADABLE as error:
        raise GroundTruthError(
            f"{path} cannot be read as a vector file ({str(error).rstrip('.')}); copy it again, with all its parts "
            "(a shapefile is .shp, .shx, .dbf and .prj)"
        ) from error
    for warning in caught:
        if issubclass(warning.category, TOLD):
            log.warning("%s: %s", path.name, warning.message)
    _check_frame(frame, path)
    return frame


def is_vector(path: Path) -> bool:
    """Whether a file holds layers of geometry; only its head is read."""
    try:
        return bool(layers_of(path))
    except GroundTruthError:
        return False


def layers_of(path: Path) -> list[str]:
    """The layers of a vector file that have geometry; only its head is read.

    Raises:
        GroundTruthError: the file cannot be read.
    """
    try:
        return [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    except UNREADABLE as error:
        raise GroundTruthError(f"{path} cannot be read as a vector file ({error})") from error


def fields_of(path: Path, layer: str | None = None) -> dict[str, str]:
    """Name -> type of each field of a vector file, such as `int64`; only its head is read.

    Raises:
        GroundTruthError: the file or the layer cannot be read.
    """
    try:
        head = pyogrio.read_info(path, layer=layer)
    except UNREADABLE as error:
        raise GroundTruthError(f"{path} cannot be read as a vector file ({error})") from error
    return dict(zip(map(str, head["fields"]), map(str, head["dtypes"]), strict=True))


def parts_of(path: Path) -> list[Path]:
    """The files that a vector file is made of: itself, and beside a `.shp` those of its parts that are there."""
    if path.suffix.lower() != ".shp":
        return [path]
    beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    return [path, *(one for one in beside if one.stem == path.stem and one.suffix.lower() in SHAPEFILE_PARTS)]


def extent(bounds: Iterable[float]) -> str:
    """Bounds `(left, bottom, right, top)` in words: whole metres, or degrees with four decimals."""
    left, bottom, right, top = bounds
    digits = 0 if max(abs(left), abs(bottom), abs(right), abs(top)) > 360 else 4
    return f"x {left:.{digits}f} to {right:.{digits}f}, y {bottom:.{digits}f} to {top:.{digits}f}"


def _vector_files_beside(path: Path) -> list[str]:
    suffixes = {".shp", ".gpkg", ".geojson", ".json", ".sqlite", ".fgb", ".gml", ".kml", path.suffix}
    folder = path.parent
    return [one.name for one in folder.iterdir() if one.suffix in suffixes] if folder.is_dir() else []


def _choose_layer(path: Path, layer: str | None) -> str | None:
    """The layer asked for; None where none is and the file has but one with geometry."""
    layers = pyogrio.list_layers(path)
    spatial = [str(name) for name, kind in layers if kind is not None]
    if layer is not None and layer not in [str(name) for name, _ in layers]:
        hint = did_you_mean(layer, [str(name) for name, _ in layers])
        raise GroundTruthError(f"{path} has no layer {layer!r}; correct ground_truth.layer{hint}")
    if layer is None and len(spatial) > 1:
        raise GroundTruthError(f"{path} holds the layers {', '.join(spatial)}; name one of them in ground_truth.layer")
    return layer if layer is not None else next(iter(spatial), None)


def _check_frame(frame: pd.DataFrame, path: Path) -> None:
    if not isinstance(frame, gpd.GeoDataFrame):
        raise GroundTruthError(f"{path} holds a table without geometry; give a file of polygons")
    if frame.empty:
        raise GroundTruthError(f"{path} holds no feature; give a file with at least one polygon of each class")
    if frame.crs is None:
        raise GroundTruthError(
            f"{path} has no CRS, so its polygons cannot be placed; assign the one it was drawn in "
            "(a .prj file beside a shapefile, or `ogr2ogr -a_srs EPSG:2154`)"
        )
    _check_coordinates(frame, path)


def _check_coordinates(frame: gpd.GeoDataFrame, path: Path) -> None:
    """Refuse metres declared as degrees; warn of a file name that tells another CRS than the file."""
    bounds = frame.total_bounds
    if frame.crs.is_geographic and (np.abs(bounds) > 360).any():
        raise GroundTruthError(
            f"{path} declares {crs_name(frame.crs)}, in degrees, but its extent is {extent(bounds)}; "
            "assign the CRS it was drawn in"
        )
    named = NAMED_CRS.search(path.stem)
    if named and frame.crs.to_epsg() not in (None, int(named.group(1))):
        log.warning(
            "%s is named after EPSG:%s but declares %s; the declared CRS is used",
            *(path.name, named.group(1), crs_name(frame.crs)),
        )
