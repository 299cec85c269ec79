"""Mosaic: the maps of several tiles on one grid, each pixel classified once.

Where tiles overlap, a pixel comes from the tile whose middle is nearest, so that a seam runs half-way through the
overlap; a pixel that this tile never saw comes from the next. Tiles of another UTM zone are warped (nearest pixel).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

from toolkit.ground.errors import ProductError
from toolkit.ground.grid import blocks, from_bounds, is_aligned, offset, project_bounds, resolution, union
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.streaming import Progress, no_progress
from toolkit.mapping.rasters import map_writers, side_file, to_cog, write_block
from toolkit.products.raster import close_rasters, grid_of, open_raster, read_window

BLOCK = 1024
MAPS = {"classes": "uint8", "confidence": "uint8"}
"""Layers of the mosaic."""


def mosaic_tiles(
    tiles: Sequence[Path],
    folder: Path,
    nomenclature: Nomenclature,
    *,
    crs: str | None = None,
    tags: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Path]:
    """Mosaic classified tiles into `folder/{classes,confidence}.tif`, cloud-optimised GeoTIFFs.

    Args:
        tiles: folders with `classes.tif` and `confidence.tif`.
        crs: coordinate system of the mosaic; default that of most tiles.

    Raises:
        ProductError: a map of a tile is absent or unreadable.
        RunFolderError: the disk is full.
    """
    paths = {layer: folder / f"{layer}.tif" for layer in MAPS}
    parts = {layer: folder / f".{layer}.strips.tif" for layer in MAPS}
    close_rasters()  # a handle of before may lie on a map that has been made again since
    try:
        grids = [grid_of(tile / "classes.tif") for tile in tiles]
        target = target_grid(grids, crs)
        cover = list(blocks(target.shape, BLOCK))
        with map_writers(parts, target, MAPS, nomenclature, tags or {}) as writers:
            for done, block in enumerate(cover, start=1):
                for layer, values in merge_tiles(block.of(target), tiles, grids).items():
                    write_block(writers[layer], block, values)
                progress(done, len(cover))
        for layer, path in paths.items():
            categorical = layer == "classes"
            to_cog(parts[layer], path, categorical=categorical, nomenclature=nomenclature if categorical else None)
    finally:
        close_rasters()
        for part in parts.values():
            for path in (part, side_file(part)):
                path.unlink(missing_ok=True)
    return paths


def target_grid(grids: Sequence[GeoBox], crs: str | None = None) -> GeoBox:
    """The grid of the mosaic: over all tiles, with the finest pixel.

    Raises:
        ProductError: `crs` is not known.
    """
    try:
        wanted = rasterio.CRS.from_user_input(crs or Counter(str(grid.crs) for grid in grids).most_common(1)[0][0])
    except (rasterio.errors.CRSError, ValueError):
        raise ProductError(f"mapping.crs = {crs!r} is not a coordinate system; write it like EPSG:2154") from None
    pixel = min(resolution(grid) for grid in grids)
    own = [grid for grid in grids if rasterio.CRS.from_user_input(str(grid.crs)) == wanted]
    if len(own) == len(grids):
        return union(grids)
    boxes = np.array([project_bounds(grid.boundingbox, grid.crs, wanted) for grid in grids])
    (left, bottom), (right, top) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    origin = (own[0].affine.c, own[0].affine.f) if own else (0.0, 0.0)
    left = origin[0] + np.floor((left - origin[0]) / pixel) * pixel
    top = origin[1] + np.ceil((top - origin[1]) / pixel) * pixel
    return from_bounds((left, bottom, right, top), pixel, str(wanted))


def merge_tiles(
    window: GeoBox, tiles: Sequence[Path], grids: Sequence[GeoBox], layers: Mapping[str, str] = MAPS
) -> dict[str, np.ndarray]:
    """Layers of the tiles, name -> type, over a window of the mosaic, (y, x) each; `classes` decide between tiles."""
    merged = {layer: np.zeros(window.shape, dtype=dtype) for layer, dtype in layers.items()}
    nearest = np.full(window.shape, np.inf, dtype=np.float32)
    for tile, grid in _touching(window, tiles, grids):
        distance = _distance_to_middle(window, grid)
        better = (_onto(window, tile / "classes.tif", grid) > 0) & (distance < nearest)
        for layer, values in merged.items():
            values[better] = _onto(window, tile / f"{layer}.tif", grid)[better]
        nearest[better] = distance[better]
    return merged


def _touching(window: GeoBox, tiles: Sequence[Path], grids: Sequence[GeoBox]) -> Iterator[tuple[Path, GeoBox]]:
    box = window.boundingbox
    for tile, grid in zip(tiles, grids, strict=True):
        left, bottom, right, top = project_bounds(grid.boundingbox, grid.crs, window.crs)
        if left < box.right and right > box.left and bottom < box.top and top > box.bottom:
            yield tile, grid


def _onto(window: GeoBox, path: Path, grid: GeoBox) -> np.ndarray:
    """A map over a window of the mosaic, 0 beyond its edges."""
    if is_aligned(grid, window) and np.isclose(resolution(grid), resolution(window)):
        (row, col), (height, width) = offset(window, grid), window.shape
        return read_window(path, round(row), round(col), height, width, fill=0)
    warped = np.zeros(window.shape, dtype=open_raster(path).dtypes[0])
    reproject(
        rasterio.band(open_raster(path), 1),
        warped,
        dst_transform=window.affine,
        dst_crs=str(window.crs),
        src_nodata=0,
        dst_nodata=0,
        resampling=Resampling.nearest,
    )
    return warped


def _distance_to_middle(window: GeoBox, grid: GeoBox) -> np.ndarray:
    """`distance_to_middle` of each pixel of a window, float32 (y, x)."""
    height, width = window.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    east, north = window.affine * (x, y)
    if grid.crs != window.crs:
        east, north = Transformer.from_crs(str(window.crs), str(grid.crs), always_xy=True).transform(east, north)
    return distance_to_middle(east, north, grid).astype(np.float32)


def distance_to_middle(east: np.ndarray, north: np.ndarray, grid: GeoBox) -> np.ndarray:
    """Distance of places to the middle of a tile, as a share of the tile's half side; places in the tile's CRS."""
    box = grid.boundingbox
    across = np.abs(east - (box.left + box.right) / 2) / (box.right - box.left)
    along = np.abs(north - (box.bottom + box.top) / 2) / (box.top - box.bottom)
    return 2 * np.hypot(across, along)
