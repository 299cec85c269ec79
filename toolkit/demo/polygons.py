"""Ground truth of the demo: polygons of some parcels, with the faults that such files usually have."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from toolkit.demo.kinds import CODES
from toolkit.demo.landscape import tile_of
from toolkit.demo.scene import Scene
from toolkit.demo.tiles import EPSG, PIXEL, TILES
from toolkit.ground.nomenclature import Nomenclature

TRUTH_EPSG = 2154
"""Lambert-93, in which French ground truth comes; the images are in UTM."""
SURVEYED = 0.58
"""Share of parcels of which a polygon is drawn."""
AT_LEAST = 4
"""Polygons of each class in each tile, if it has as many parcels."""
AT_MOST = 44
"""Polygons of each class in each tile."""
WRONG = 0.03
"""Share of polygons with the label of another class."""
SLOPPY = 0.1
"""Share of polygons drawn carelessly, beyond the parcel's border."""
ALIKE = ((1, 2, 3, 4, 20), (5, 6, 7), (8, 9, 10, 12), (13, 18, 19), (14, 15), (16, 17, 19), (23,))
"""Classes that a person takes for one another."""


def make_polygons(scene: Scene) -> gpd.GeoDataFrame:
    """The ground truth: columns `id`, `code`, `label`, `source`, geometry in Lambert-93 (EPSG:2154).

    Polygons are shrunk a little from the parcels' borders, some are drawn carelessly, some labels are wrong, and a
    few records are faulty: twice the same geometry, empty, null, a bow-tie, of two parts, smaller than a pixel,
    outside of the images.
    """
    rng = np.random.default_rng([scene.params.seed, 10])
    land = scene.land
    chosen = _survey(rng, scene)
    shapes = [_drawn(rng, land.shapes[parcel]) for parcel in chosen]
    codes = land.codes[chosen].astype(int)
    kept = [number for number, shape in enumerate(shapes) if not shape.is_empty]
    codes = _mislabelled(rng, codes)
    shapes, codes = [shapes[number] for number in kept], codes[kept]
    source = np.where(np.isin(codes, (5, 6, 7, 8, 9, 10, 12, 13, 14, 15)), "land register", "photo-interpretation")
    frame = gpd.GeoDataFrame({"code": codes, "source": source}, geometry=shapes, crs=f"EPSG:{EPSG}")
    frame = gpd.GeoDataFrame(_with_faults(rng, frame, scene), crs=frame.crs).to_crs(TRUTH_EPSG)
    nomenclature = Nomenclature.load("oso_23")
    frame.insert(1, "label", [nomenclature.label(code) for code in frame["code"]])
    frame.insert(0, "id", np.arange(1, len(frame) + 1))
    return frame


def _survey(rng: np.random.Generator, scene: Scene) -> np.ndarray:
    """Parcels of which polygons are drawn: a sample of each class in each tile."""
    land = scene.land
    frame = shapely.box(*scene.layout.union.boundingbox.bbox)
    inside = shapely.contains(frame, np.array(land.shapes, dtype=object))
    large = np.array([shape.area for shape in land.shapes]) > 5 * PIXEL**2
    tiles = tile_of(land.centres)
    chosen = []
    for tile in TILES:
        for code in CODES:
            here = np.flatnonzero(inside & large & land.surveyed & (tiles == tile) & (land.codes == code))
            count = int(np.clip(round(SURVEYED * len(here)), min(AT_LEAST, len(here)), AT_MOST))
            chosen.append(rng.choice(here, count, replace=False))
    return rng.permutation(np.concatenate(chosen))


def _drawn(rng: np.random.Generator, parcel: BaseGeometry) -> BaseGeometry:
    """A polygon as a person draws it: a little inside of the parcel, or carelessly across its border."""
    if rng.random() < SLOPPY:
        outline = translate(parcel.buffer(rng.uniform(-2, 9)), *rng.normal(0, 9, 2))
    else:
        inward = min(rng.uniform(1, 8), 0.12 * np.sqrt(parcel.area))
        outline = parcel.buffer(-inward)
    parts = [part for part in shapely.get_parts(outline) if part.area > PIXEL**2]
    return shapely.simplify(max(parts, key=lambda part: part.area), 0.5) if parts else shapely.Polygon()


def _mislabelled(rng: np.random.Generator, codes: np.ndarray) -> np.ndarray:
    """The codes, a few of them wrong: mostly one that looks alike, oftener a frequent one, sometimes any."""
    labels = codes.copy()
    for number in np.flatnonzero(rng.random(len(codes)) < WRONG):
        alike = [code for group in ALIKE if codes[number] in group for code in group]
        others = codes[np.isin(codes, alike) & (codes != codes[number])]
        labels[number] = rng.choice(others if len(others) and rng.random() < 0.75 else codes)
    return labels


def _with_faults(rng: np.random.Generator, frame: gpd.GeoDataFrame, scene: Scene) -> gpd.GeoDataFrame:
    """The same records with faulty ones strewn in."""
    spots = rng.choice(len(frame), 10, replace=False)
    left, _, right, top = scene.layout.union.boundingbox.bbox
    faults: list[tuple[BaseGeometry | None, int]] = [
        *((frame.geometry.iloc[spot], frame["code"].iloc[spot]) for spot in spots[:3]),
        (shapely.Polygon(), 6),
        (None, 13),
        *((_bow_tie(frame.geometry.iloc[spot]), frame["code"].iloc[spot]) for spot in spots[3:5]),
        *((_two_parts(frame.geometry.iloc[spot]), frame["code"].iloc[spot]) for spot in spots[5:7]),
        *((_sliver(frame.geometry.iloc[spot]), frame["code"].iloc[spot]) for spot in spots[7:10]),
        (shapely.box(right + 4000, top + 4000, right + 4150, top + 4120), 10),
        (shapely.box(left - 6100, top - 900, left - 5980, top - 760), 6),
    ]
    extra = gpd.GeoDataFrame(
        {"code": [int(code) for _, code in faults], "source": "land register"},
        geometry=[shape for shape, _ in faults],
        crs=frame.crs,
    )
    places = np.concatenate([np.arange(len(frame)), rng.uniform(0, len(frame), len(extra))])
    rows = [*frame.itertuples(index=False), *extra.itertuples(index=False)]
    rows = [rows[place] for place in np.argsort(places, kind="stable")]
    return gpd.GeoDataFrame(rows, columns=["code", "source", "geometry"], geometry="geometry", crs=frame.crs)


def _bow_tie(shape: BaseGeometry) -> BaseGeometry:
    """A polygon over the same place whose border crosses itself."""
    left, bottom, right, top = shape.bounds
    return shapely.Polygon([(left, bottom), (right, top), (right, bottom), (left, top)])


def _two_parts(shape: BaseGeometry) -> BaseGeometry:
    """The western and the eastern third of a polygon as one record."""
    left, bottom, right, top = shape.bounds
    third = (right - left) / 3
    parts = [
        shape & shapely.box(left, bottom, left + third, top),
        shape & shapely.box(right - third, bottom, right, top),
    ]
    return shapely.MultiPolygon(
        [part for both in parts for part in shapely.get_parts(both) if part.geom_type == "Polygon"]
    )


def _sliver(shape: BaseGeometry) -> BaseGeometry:
    """A strip narrower and shorter than a pixel."""
    x, y = shape.representative_point().coords[0]
    return shapely.box(x, y, x + 7, y + 1.5)
