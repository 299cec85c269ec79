"""Cleaning of a ground truth: what the workflow cannot use is repaired or removed, and every case is reported.

Pure: polygons come in and other polygons go out; the file they were read from is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from shapely import GeometryType
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from toolkit.ground.errors import GroundTruthError
from toolkit.ground.grid import crs_name
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground_truth.cleaning_report import CleaningReport, CleaningStep, Effect
from toolkit.ground_truth.polygons import NO_CLASS, GroundTruth, free_names, number
from toolkit.ground_truth.vector_files import extent

AREAL = (GeometryType.POLYGON, GeometryType.MULTIPOLYGON, GeometryType.GEOMETRYCOLLECTION)

MEANINGS = {
    "empty": "without geometry",
    "not_polygon": "points or lines, not polygons",
    "without_class": "class field empty",
    "repaired": "outline that crosses itself or is broken otherwise, rebuilt",
    "no_area": "no area left once repaired",
    "flattened": "heights (Z) dropped",
    "split": "several parts, each made a polygon of its own",
    "reprojected": "coordinates changed to the CRS of the tiles",
    "beyond_crs": "outside what the CRS of the tiles can hold",
    "duplicate": "same outline and class as an earlier polygon",
    "conflict": "same outline as another polygon but another class: all copies removed",
    "unknown_class": "class not in the nomenclature",
    "too_small": "smaller than ground_truth.min_area_m2",
    "outside": "outside all tiles",
}
"""What each step of the cleaning means, in the order of the steps."""


def clean_polygons(
    frame: gpd.GeoDataFrame,
    class_field: str,
    nomenclature: Nomenclature,
    crs: Any,
    footprints: Mapping[str, Polygon],
    *,
    drop_unknown: bool = False,
    min_area_m2: float = 0.0,
    name: str = "the ground truth",
) -> tuple[GroundTruth, CleaningReport]:
    """Polygons that the workflow can use, and a report of what was done to them.

    Args:
        frame: features as read, with CRS; not modified.
        class_field: field of the class codes; `"code"` for the frame of a `GroundTruth`.
        nomenclature: classes of the map.
        crs: working CRS, in metres, of the result and of the footprints.
        footprints: outline of each tile.
        drop_unknown: remove polygons of unknown classes instead of refusing them.
        min_area_m2: polygons smaller than this are removed.
        name: name of the file, for messages.

    Returns:
        The polygons with further columns `source` (the number of the feature each comes from: the parts of a
        multipolygon share it) and `tile`, and the report. A polygon that lies in several tiles belongs to the one
        that holds its largest part; where several hold as much, to the one whose centre is nearest to its centroid.

    Raises:
        GroundTruthError: no such field; classes that are no whole numbers or not in the nomenclature; no polygon
            is left, or none is in a tile.
    """
    work = _Cleaning(_with_source(number(frame, class_field, name)))
    _repair_shapes(work)
    _reproject(work, CRS.from_user_input(crs))
    _remove_copies(work)
    _remove_unknown(work, nomenclature, drop_unknown, name)
    work.remove("too_small", shapely.area(work.shapes) < min_area_m2)
    if work.frame.empty:
        gone = [f"{step.count:,} {step.meaning}" for step in work.steps if step.count and step.effect == "removed"]
        raise GroundTruthError(f"{name}: no polygon is left of {len(frame):,} features ({'; '.join(gone)}); correct it")
    _assign_tiles(work, footprints, name)
    result = GroundTruth(work.frame.reset_index(drop=True), name)
    tiles = {str(tile): int(count) for tile, count in work.frame["tile"].value_counts(sort=False).sort_index().items()}
    report = CleaningReport(
        name, len(frame), len(result), crs_name(result.crs), tuple(work.steps), result.counts, tiles
    )
    return result, report


def assign_tiles(shapes: np.ndarray, footprints: Mapping[str, Polygon]) -> np.ndarray:
    """Name of the tile that each polygon belongs to; an empty name where no tile holds a part of it.

    Among the tiles that hold the largest part of a polygon, the one whose centre is nearest to its centroid; among
    equally near ones, the first by name.

    Args:
        shapes: polygons, of shape (polygon,).
        footprints: outline of each tile, in the same CRS.
    """
    names = sorted(footprints)
    outlines = [footprints[name] for name in names]
    parts = np.stack([_area_within(shapes, outline) for outline in outlines])
    centroids = shapely.centroid(shapes)
    distances = np.stack([shapely.distance(centroids, outline.centroid) for outline in outlines])
    largest = parts.max(axis=0)
    distances[parts < largest * (1 - 1e-9)] = np.inf
    nearest = np.array(names, dtype=object)[distances.argmin(axis=0)]
    nearest[largest == 0] = ""
    return nearest


class _Cleaning:
    """The polygons at the present step, and the steps so far."""

    def __init__(self, frame: gpd.GeoDataFrame) -> None:
        self.frame = frame
        self.steps: list[CleaningStep] = []

    @property
    def shapes(self) -> np.ndarray:
        return self.frame.geometry.to_numpy()

    def note(self, name: str, effect: Effect, where: np.ndarray) -> None:
        """Report the rows where `where` is true; their numbers are left out where these are all there are."""
        count = int(where.sum())
        every = count if count == len(where) else 0
        ids = () if every else tuple(self.frame["polygon"].to_numpy()[where].tolist())
        self.steps.append(CleaningStep(name, MEANINGS[name], effect, ids, every))

    def remove(self, name: str, gone: np.ndarray) -> None:
        """Remove the rows where `gone` is true."""
        self.note(name, "removed", gone)
        self.frame = self.frame[~gone]

    def change(self, name: str, where: np.ndarray, how: Callable[[np.ndarray], np.ndarray]) -> None:
        """Replace the shapes where `where` is true by what `how` makes of them."""
        self.note(name, "changed", where)
        shapes = self.shapes.copy()
        shapes[where] = how(shapes[where])
        self.frame = self.frame.set_geometry(gpd.GeoSeries(shapes, index=self.frame.index, crs=self.frame.crs))


def _with_source(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The frame with a column `source`; fields of the input that bear the name of a coming column get another."""
    further = list(frame.columns[3:])
    names = free_names(further, taken=("polygon", "code", "geometry", "source", "tile", "role", "fid"))
    frame = frame.rename(columns=names)
    frame.insert(2, "source", frame["polygon"])
    return frame


def _repair_shapes(work: _Cleaning) -> None:
    """Leave valid, flat, single polygons."""
    work.remove("empty", shapely.is_missing(work.shapes) | shapely.is_empty(work.shapes))
    work.remove("not_polygon", ~np.isin(shapely.get_type_id(work.shapes), AREAL))
    work.remove("without_class", work.frame["code"].to_numpy() == NO_CLASS)
    broken = ~shapely.is_valid(work.shapes) | (shapely.get_type_id(work.shapes) == GeometryType.GEOMETRYCOLLECTION)
    work.change("repaired", broken, lambda shapes: areal(shapely.make_valid(shapes)))
    work.remove("no_area", shapely.area(work.shapes) == 0)
    work.change("flattened", shapely.has_z(work.shapes), shapely.force_2d)
    _split_parts(work)


def areal(shapes: np.ndarray) -> np.ndarray:
    """Each shape reduced to its polygons: a polygon, a multipolygon, or an empty polygon where it has none."""
    return np.array([_areal(shape) for shape in shapes], dtype=object)


def _areal(shape: BaseGeometry) -> BaseGeometry:
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    inner = [_areal(part) for part in getattr(shape, "geoms", ())]
    polygons = [part for one in inner for part in getattr(one, "geoms", [one]) if not part.is_empty]
    return shapely.union_all(polygons) if polygons else Polygon()


def _split_parts(work: _Cleaning) -> None:
    """Make every part of a multipolygon a polygon; those of several parts get new numbers after all others."""
    frame = work.frame
    several = shapely.get_num_geometries(work.shapes) > 1
    work.note("split", "changed", several)
    first_free = int(frame["polygon"].max()) + 1 if len(frame) else 0
    parts, rows = shapely.get_parts(work.shapes, return_index=True)
    work.frame = frame.iloc[rows].set_geometry(gpd.GeoSeries(parts, index=frame.index[rows], crs=frame.crs))
    new = several[rows]
    ids = work.frame["polygon"].to_numpy(copy=True)
    ids[new] = first_free + np.arange(new.sum())
    work.frame["polygon"] = ids


def _reproject(work: _Cleaning, crs: CRS) -> None:
    """Bring the polygons to the working CRS, valid there too."""
    elsewhere = work.frame.crs != crs
    work.note("reprojected", "changed", np.full(len(work.frame), elsewhere))
    if elsewhere:
        work.frame = work.frame.to_crs(crs)
    work.remove("beyond_crs", ~np.isfinite(shapely.bounds(work.shapes)).all(axis=1))
    shapes = work.shapes.copy()
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = [_largest(shape) for shape in areal(shapely.make_valid(shapes[broken]))]
    work.frame = work.frame.set_geometry(gpd.GeoSeries(shapes, index=work.frame.index, crs=work.frame.crs))


def _largest(shape: BaseGeometry) -> BaseGeometry:
    """The largest polygon of a shape."""
    return max(shapely.get_parts(shape), key=lambda part: part.area, default=Polygon())


def _remove_copies(work: _Cleaning) -> None:
    """Keep the first of polygons with one outline; none of them where their classes differ."""
    outline = pd.Series(shapely.to_wkb(shapely.normalize(work.shapes)), index=work.frame.index, dtype=object)
    group = pd.factorize(outline)[0]
    classes = work.frame["code"].groupby(group).transform("nunique").to_numpy()
    copy = pd.Series(group).duplicated().to_numpy()
    work.remove("duplicate", copy & (classes == 1))
    work.remove("conflict", classes[~(copy & (classes == 1))] > 1)


def _remove_unknown(work: _Cleaning, nomenclature: Nomenclature, drop: bool, name: str) -> None:
    codes = work.frame["code"].to_numpy()
    unknown = ~np.isin(codes, nomenclature.codes)
    if unknown.any() and not drop:
        found = np.unique(codes[unknown], return_counts=True)
        told = ", ".join(
            f"{code} ({count:,} {'polygon' if count == 1 else 'polygons'})" for code, count in zip(*found, strict=True)
        )
        words = ("class", "is", "it") if len(found[0]) == 1 else ("classes", "are", "them")
        raise GroundTruthError(
            f"{words[0]} {told} of {name} {words[1]} not in nomenclature {nomenclature.name}: "
            f"add {words[2]} to the nomenclature, or set ground_truth.drop_unknown"
        )
    work.remove("unknown_class", unknown)


def _assign_tiles(work: _Cleaning, footprints: Mapping[str, Polygon], name: str) -> None:
    tiles = assign_tiles(work.shapes, footprints)
    if not (tiles != "").any():
        crs = work.frame.crs
        bounds = shapely.total_bounds(np.array(list(footprints.values()), dtype=object))
        raise GroundTruthError(
            f"{name} lies outside the tiles {', '.join(sorted(footprints))}: its polygons reach {crs_name(crs)} "
            f"{extent(work.frame.total_bounds)}, the tiles {extent(bounds)}; choose tiles that hold them, "
            "or correct the CRS of the file"
        )
    work.remove("outside", tiles == "")
    work.frame.insert(3, "tile", tiles[tiles != ""])


def _area_within(shapes: np.ndarray, outline: Polygon) -> np.ndarray:
    """Area of the part of each polygon inside `outline`, float64 of shape (polygon,)."""
    shapely.prepare(outline)
    area = np.where(shapely.contains_properly(outline, shapes), shapely.area(shapes), 0.0)
    crossing = shapely.intersects(outline, shapes) & (area == 0)
    area[crossing] = shapely.area(shapely.intersection(shapes[crossing], outline))
    return area
