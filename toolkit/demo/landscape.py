"""One landscape under the four tiles: parcels with their classes, and how much of each lies in every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from toolkit.demo.fields import fractal_field, gaussian_field
from toolkit.demo.kinds import CODES
from toolkit.demo.overlays import draw_overlays
from toolkit.demo.parcels import TargetArea, cut_parcels
from toolkit.demo.tiles import MEETING, PIXEL, TILES, Layout

SUBPIXELS = 4
"""Each pixel is rasterised as 4 x 4 points, to know what shares of it the parcels cover."""
DEPTH = 3
"""Parcels kept a pixel: the three that cover most of it."""
AT_LEAST = 5
"""Parcels of each class in each tile, so that a tile can be left out and every class still be tested."""

_ARABLE = {5: 0.09, 6: 0.32, 7: 0.025, 8: 0.10, 9: 0.20, 10: 0.245, 12: 0.025}
_ARABLE_FACTOR = {
    "31TCJ": {6: 1.1, 9: 1.2, 10: 0.9},
    "31TCK": {5: 1.2, 9: 1.2, 8: 0.8},
    "31TDJ": {10: 1.5, 8: 1.3, 9: 0.7},
    "31TDK": {6: 1.2, 10: 0.8, 9: 0.8, 7: 1.4},
}


@dataclass(frozen=True)
class Landscape:
    """Parcels and their raster. The first parcels are cells of land, then hedges, water and roads lie over them."""

    grid: GeoBox
    """10 m grid of the rasters: the union of the tiles and a margin."""
    shapes: list[BaseGeometry]
    """Outline of each parcel as seen from above, EPSG:32631; empty where others hide it wholly."""
    codes: np.ndarray
    """Class code of each parcel, uint8 (parcel,)."""
    centres: np.ndarray
    """Place of each parcel relative to the meeting point, -1 to 1 from edge to edge, float64 (parcel, 2): x, y."""
    surveyed: np.ndarray
    """Whether a ground-truth polygon may be drawn from a parcel, bool (parcel,): not from hedges and lanes."""
    index: np.ndarray
    """Parcels of each pixel, int32 (3, y, x), the one with the largest share first."""
    share: np.ndarray
    """Share of the pixel each of them covers, float32 (3, y, x), sum 1."""

    @property
    def class_map(self) -> np.ndarray:
        """Code of the class that covers most of each pixel, uint8 (y, x)."""
        codes = self.codes[self.index]
        votes = [(self.share * (codes == codes[k])).sum(axis=0) for k in range(DEPTH)]
        return np.take_along_axis(codes, np.argmax(votes, axis=0)[None], axis=0)[0]


def make_landscape(rng: np.random.Generator, layout: Layout) -> Landscape:
    """Draw the landscape of a demo of this layout."""
    grid = layout.land
    half = PIXEL * max(grid.shape) / 2
    scale = float(np.clip(layout.size / 300, 0.3, 1))
    towns = _towns(rng)
    outline = shapely.box(*grid.boundingbox.bbox)
    cells = cut_parcels(rng, outline, _target_area(towns, half, scale))
    centres = _relative(cells, half)
    codes = _classes_of_cells(rng, centres, towns, layout)
    over = draw_overlays(rng, cells, codes, towns[:, :2], half, scale)
    every = [*cells, *(one.shape for one in over)]
    codes = np.array([*codes, *(one.code for one in over)], dtype=np.uint8)
    surveyed = np.array([True] * len(cells) + [one.surveyed for one in over])
    index, share = _rasterise(every, grid)
    visible = _cut_away(every, len(cells))
    return Landscape(grid, visible, codes, _relative(every, half), surveyed, index, share)


def tile_of(centres: np.ndarray) -> np.ndarray:
    """Name of the tile on whose side of the meeting point each place lies, str (parcel,)."""
    quadrant = 2 * (centres[:, 0] > 0) + (centres[:, 1] > 0)
    return np.array(TILES)[quadrant]


def _relative(shapes_: Sequence[BaseGeometry], half: float) -> np.ndarray:
    points = shapely.centroid(np.array(shapes_, dtype=object))
    return np.stack([shapely.get_x(points) - MEETING[0], shapely.get_y(points) - MEETING[1]], axis=1) / half


def _towns(rng: np.random.Generator) -> np.ndarray:
    """A town in each quarter, (town, 4): x, y, radius, direction of its industrial zone; relative to the half width."""
    signs = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)])
    places = signs * rng.uniform(0.32, 0.68, (4, 2))
    radii = np.array([0.25, 0.15, 0.17, 0.19]) * rng.uniform(0.9, 1.15, 4)
    return np.column_stack([places, radii, rng.uniform(0, 2 * np.pi, 4)])


def _target_area(towns: np.ndarray, half: float, scale: float) -> TargetArea:
    def area(x: float, y: float) -> float:
        place = np.array([x - MEETING[0], y - MEETING[1]]) / half
        nearest = np.min(np.hypot(*(towns[:, :2] - place).T) / towns[:, 2])
        hectares = 0.45 if nearest < 0.5 else 0.7 if nearest < 1.2 else 1.35
        return hectares * 1e4 * scale

    return area


def _classes_of_cells(rng: np.random.Generator, centres: np.ndarray, towns: np.ndarray, layout: Layout) -> np.ndarray:
    """Class of each cell: town, else forest, heath, vines or orchards where their patches are, else fields."""
    grid = layout.land
    smooth = [_at(gaussian_field(rng, grid.shape, 0.045 * layout.size), centres) for _ in range(5)]
    hill = _at(fractal_field(rng, grid.shape, 0.5 * layout.size), centres)
    forest, needle, heath, vines, orchards = smooth
    codes = _fields(rng, centres)
    codes[_top(orchards, 0.06) & (rng.random(len(codes)) < 0.75)] = 14
    codes[_top(vines, 0.075) & (rng.random(len(codes)) < 0.8)] = 15
    wild = _top(heath + 0.5 * hill, 0.13) & (rng.random(len(codes)) < 0.9)
    codes[wild] = rng.choice([18, 19, 16, 13], wild.sum(), p=[0.46, 0.36, 0.1, 0.08])
    woods = _top(forest + 0.7 * hill, 0.2)
    codes[woods] = np.where(needle[woods] > 0.5, 17, 16)
    _build_towns(rng, codes, centres, towns)
    _guarantee(rng, codes, tile_of(centres))
    return codes


def _fields(rng: np.random.Generator, centres: np.ndarray) -> np.ndarray:
    """Grassland or an annual crop for each cell; the mix of crops differs from tile to tile."""
    codes = np.empty(len(centres), dtype=np.uint8)
    tiles = tile_of(centres)
    for tile in TILES:
        here = np.flatnonzero(tiles == tile)
        weights = np.array([share * _ARABLE_FACTOR[tile].get(code, 1) for code, share in _ARABLE.items()])
        codes[here] = rng.choice(list(_ARABLE), len(here), p=weights / weights.sum())
    codes[rng.random(len(codes)) < 0.27] = 13
    return codes


def _build_towns(rng: np.random.Generator, codes: np.ndarray, centres: np.ndarray, towns: np.ndarray) -> None:
    for x, y, radius, direction in towns:
        dx, dy = centres[:, 0] - x, centres[:, 1] - y
        distance = np.hypot(dx, dy) / radius * np.exp(rng.normal(0, 0.12, len(codes)))
        sector = np.cos(np.arctan2(dy, dx) - direction) > 0.8
        built = rng.random(len(codes)) < 0.9
        codes[(distance < 1) & built] = 2
        codes[(distance < 0.42) & built] = 1
        codes[(distance > 0.35) & (distance < 1.25) & sector & built] = 3


def _guarantee(rng: np.random.Generator, codes: np.ndarray, tiles: np.ndarray) -> None:
    """Turn cells of frequent classes into those of which a tile has too few."""
    for tile in TILES:
        for code in CODES:
            lacking = AT_LEAST - int(((tiles == tile) & (codes == code)).sum())
            donors = np.flatnonzero((tiles == tile) & np.isin(codes, (6, 9, 10, 13)))
            if lacking > 0 and code not in (4, 23):
                codes[rng.choice(donors, min(lacking, len(donors)), replace=False)] = code


def _cut_away(every: Sequence[BaseGeometry], cells: int) -> list[BaseGeometry]:
    """What is seen of each parcel: its outline less what lies over it."""
    shown = list(every)
    tree = shapely.STRtree(list(every))
    for lower, upper in tree.query(list(every), predicate="intersects").T:
        if upper > lower and upper >= cells:
            shown[lower] = shapely.difference(shown[lower], every[upper])
    return shown


def _rasterise(every: Sequence[BaseGeometry], grid: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """The parcels that cover most of each pixel, and their shares: int32 and float32 (3, y, x)."""
    height, width = grid.shape
    fine = grid.zoom_out(1 / SUBPIXELS)
    burnt = rasterize(
        ((shape, number + 1) for number, shape in enumerate(every) if not shape.is_empty),
        out_shape=fine.shape,
        transform=fine.affine,
        dtype="int32",
    )
    points = burnt.reshape(height, SUBPIXELS, width, SUBPIXELS).swapaxes(1, 2).reshape(height, width, -1)
    index = np.zeros((DEPTH, height, width), dtype=np.int32)
    share = np.zeros((DEPTH, height, width), dtype=np.float32)
    free = points > 0
    for k in range(DEPTH):
        votes = (points[..., :, None] == points[..., None, :]).sum(axis=-1, dtype=np.int8) * free
        best = np.take_along_axis(points, votes.argmax(axis=-1)[..., None], axis=-1)
        index[k], share[k] = np.maximum(best[..., 0] - 1, 0), votes.max(axis=-1)
        free &= points != best
    return index, share / np.maximum(share.sum(axis=0), 1)


def _at(field: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Values of a field over the landscape at places given relative to its half width."""
    height, width = field.shape
    rows = np.clip(((1 - centres[:, 1]) / 2 * height).astype(int), 0, height - 1)
    cols = np.clip(((1 + centres[:, 0]) / 2 * width).astype(int), 0, width - 1)
    return field[rows, cols]


def _top(values: np.ndarray, share: float) -> np.ndarray:
    """Where the values are among the largest, as many as `share` says."""
    return values > np.quantile(values, 1 - share)
