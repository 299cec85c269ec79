"""Tiles, pixel grids and blocks. A pixel grid is an odc-geo `GeoBox`: shape, affine transform, CRS.

Blocks are the unit of streaming: rectangles that cover a grid, each processed on its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from toolkit.ground.errors import ParameterError, ProductError

TILE_PATTERN = re.compile(r"^T?(\d{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])$")


def tile_name(text: str) -> str:
    """The name of an MGRS tile without its leading T: `"T31TCJ"` -> `"31TCJ"`.

    Raises:
        ParameterError: `text` is not a tile name.
    """
    match = TILE_PATTERN.match(text.strip())
    if not match:
        raise ParameterError(f"{text!r} is not a Sentinel-2 tile name; write it like 31TCJ")
    return match.group(1)


@dataclass(frozen=True)
class Block:
    """A rectangle of a grid: first row and column, and size, in pixels."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """`(rows, columns)` to cut the block out of an array over the whole grid."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def padded(self, pixels: int) -> Block:
        """The block with so many pixels more on each side."""
        return Block(self.row - pixels, self.col - pixels, self.height + 2 * pixels, self.width + 2 * pixels)

    def of(self, grid: GeoBox) -> GeoBox:
        """The grid of the block itself; it may reach beyond `grid`."""
        affine = grid.affine * Affine.translation(self.col, self.row)
        return GeoBox((self.height, self.width), affine, grid.crs)


def blocks(shape: tuple[int, int], size: int) -> Iterator[Block]:
    """Blocks of at most `size` x `size` pixels that cover a grid of this shape, row by row."""
    height, width = shape
    for row in range(0, height, size):
        for col in range(0, width, size):
            yield Block(row, col, min(size, height - row), min(size, width - col))


def aligned_blocks(shape: tuple[int, int], size: tuple[int, int], start: tuple[int, int]) -> Iterator[Block]:
    """Blocks of at most `size` pixels (rows, columns) that cover a grid, row by row, and meet at lines through `start`.

    The first and last of a row or column may be smaller.
    """
    rows, cols = (_pieces(length, one, first) for length, one, first in zip(shape, size, start, strict=True))
    for row, height in rows:
        for col, width in cols:
            yield Block(row, col, height, width)


def _pieces(length: int, size: int, start: int) -> list[tuple[int, int]]:
    """Start and length of the pieces of a line that is cut every `size` pixels, at `start` among others."""
    cuts = [0, *range(start % size or size, length, size), length]
    return [(one, other - one) for one, other in pairwise(cuts)]


def check_metres(crs: str) -> str:
    """A coordinate system whose axes are in metres, as it was given.

    Raises:
        ValueError: it is not known, or in degrees or feet.
    """
    try:
        axes = CRS.from_user_input(crs).axis_info
    except CRSError:
        raise ValueError(f"{crs!r} is not a coordinate system; write it like EPSG:2154") from None
    units = {axis.unit_name for axis in axes}
    if units != {"metre"}:
        raise ValueError(f"its unit is the {' and '.join(sorted(units))}; give one in metres, such as EPSG:2154")
    return crs


def resolution(grid: GeoBox) -> float:
    """Pixel size of a square, north-up grid, in units of its CRS.

    Raises:
        ProductError: pixels are not square, or the grid is rotated.
    """
    affine = grid.affine
    if affine.b or affine.d or not np.isclose(affine.a, -affine.e):
        raise ProductError(
            f"a grid with square, north-up pixels is needed, not {tuple(affine)[:6]}; warp the images first"
        )
    return float(affine.a)


def offset(inner: GeoBox, outer: GeoBox) -> tuple[float, float]:
    """Row and column of `inner`'s upper left corner in pixels of `outer` (whole numbers if they are aligned)."""
    col, row = ~outer.affine * (inner.affine.c, inner.affine.f)
    return float(row), float(col)


def is_aligned(inner: GeoBox, outer: GeoBox) -> bool:
    """True where both have one CRS, a whole ratio of pixel sizes, and edges of coarse pixels that meet."""
    if inner.crs != outer.crs:
        return False
    fine, coarse = sorted((resolution(inner), resolution(outer)))
    ratio = coarse / fine
    row, col = offset(inner, outer)
    scale = resolution(outer) / fine
    return all(abs(value - round(value)) < 1e-3 for value in (ratio, row * scale, col * scale))


def union(grids: Sequence[GeoBox]) -> GeoBox:
    """The smallest grid that holds all of these, which have the same CRS, pixel size and alignment.

    Raises:
        ProductError: the grids are not aligned.
    """
    first = grids[0]
    for grid in grids[1:]:
        if not (is_aligned(grid, first) and np.isclose(resolution(grid), resolution(first))):
            raise ProductError(f"grids {describe(first)} and {describe(grid)} are not aligned; warp one onto the other")
    boxes = [grid.boundingbox for grid in grids]
    return from_bounds(
        (
            min(b.left for b in boxes),
            min(b.bottom for b in boxes),
            max(b.right for b in boxes),
            max(b.top for b in boxes),
        ),
        resolution(first),
        first.crs,
    )


def from_bounds(bounds: Iterable[float], pixel: float, crs: object) -> GeoBox:
    """The grid with this pixel size over `(left, bottom, right, top)`, its upper left corner kept."""
    left, bottom, right, top = bounds
    shape = (max(1, round((top - bottom) / pixel)), max(1, round((right - left) / pixel)))
    return GeoBox(shape, Affine(pixel, 0, left, 0, -pixel, top), crs)  # type: ignore[arg-type]


def crop(grid: GeoBox, bounds: Iterable[float]) -> GeoBox | None:
    """The part of `grid` that touches `(left, bottom, right, top)`, snapped outwards to its pixels; None if none."""
    left, bottom, right, top = bounds
    (col0, row0), (col1, row1) = ~grid.affine * (left, top), ~grid.affine * (right, bottom)
    height, width = grid.shape
    rows = max(0, int(np.floor(row0 + 1e-6))), min(height, int(np.ceil(row1 - 1e-6)))
    cols = max(0, int(np.floor(col0 + 1e-6))), min(width, int(np.ceil(col1 - 1e-6)))
    if rows[0] >= rows[1] or cols[0] >= cols[1]:
        return None
    return Block(rows[0], cols[0], rows[1] - rows[0], cols[1] - cols[0]).of(grid)


def project_bounds(bounds: Iterable[float], source: object, target: object) -> tuple[float, float, float, float]:
    """`(left, bottom, right, top)` that holds a box of one coordinate system in another, its curved sides too."""
    left, bottom, right, top = bounds
    if str(source) == str(target):
        return left, bottom, right, top
    transformer = Transformer.from_crs(str(source), str(target), always_xy=True)
    return transformer.transform_bounds(left, bottom, right, top, densify_pts=21)


def outline(grid: GeoBox, crs: object, steps: int = 64) -> shapely.Polygon:
    """The ground that a grid covers, in another coordinate system.

    Each side has `steps` points, for a straight line of one projection is bent in another: the outline of a tile of
    110 km is true to 0.3 m in the neighbouring UTM zone with 8 points, to 5 mm with 64.
    """
    height, width = grid.shape
    along = np.arange(steps) / steps
    zero, one = np.zeros(steps), np.ones(steps)
    col = np.concatenate([along, one, 1 - along, zero]) * width
    row = np.concatenate([zero, along, one, 1 - along]) * height
    x, y = grid.affine * (col, row)
    if str(grid.crs) != str(crs):
        x, y = Transformer.from_crs(str(grid.crs), str(crs), always_xy=True).transform(x, y)
    return shapely.Polygon(np.stack([x, y], axis=1))


def describe(grid: GeoBox) -> str:
    """A grid in words: `"300 x 300 pixels of 10 m, EPSG:32631, upper left 300000, 4900020"`."""
    height, width = grid.shape
    corner = f"{grid.affine.c:.0f}, {grid.affine.f:.0f}"
    return f"{height} x {width} pixels of {abs(grid.affine.a):g} m, {crs_name(grid.crs)}, upper left {corner}"


def crs_name(crs: object) -> str:
    """`EPSG:32631` where the system (pyproj's, odc-geo's, rasterio's) has a code, else its name; `no CRS` for None."""
    if crs is None:
        return "no CRS"
    system = CRS.from_user_input(crs)
    epsg = system.to_epsg()
    return f"EPSG:{epsg}" if epsg else system.name
