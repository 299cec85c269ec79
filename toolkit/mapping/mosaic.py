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
from toolkit.mapping.layers import CLASSES, CONFIDENCE, LAYERS
from toolkit.mapping.rasters import forget_others, map_writers, side_file, to_cog, write_block
from toolkit.products.handles import close_rasters, open_raster
from toolkit.products.raster import grid_of, read_window

BLOCK = 1024
MAPS = (CLASSES, CONFIDENCE)
"""Layers that every mosaic has."""


def mosaic_tiles(
    tiles: Sequence[Path],
    folder: Path,
    nomenclature: Nomenclature,
    *,
    layers: Sequence[str] = MAPS,
    crs: str | None = None,
    tags: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Path]:
    """Mosaic classified tiles into a cloud-optimised GeoTIFF for each layer, block by block.

    Args:
        tiles: folders with a file for each layer, such as `classes.tif`.
        layers: names of `LAYERS`, `classes` among them; files of others that an earlier mosaic left are deleted.
        crs: coordinate system of the mosaic; default that of most tiles.

    Raises:
        ProductError: a map of a tile is absent or unreadable.
        RunFolderError: the disk is full.
    """
    paths = {layer: folder / f"{layer}.tif" for layer in layers}
    parts = {layer: folder / f".{layer}.strips.tif" for layer in layers}
    close_rasters()  # a handle of before may lie on a map that has been made again since
    try:
        grids = [grid_of(tile / "classes.tif") for tile in tiles]
        target = target_grid(grids, crs)
        cover = list(blocks(target.shape, BLOCK))
        with map_writers(parts, target, nomenclature, tags or {}) as writers:
            for done, block in enumerate(cover, start=1):
                for layer, values in merge_tiles(block.of(target), tiles, grids, layers).items():
                    write_block(writers[layer], block, values)
                progress(done, len(cover))
        for layer, path in paths.items():
            categorical = layer == CLASSES
            to_cog(parts[layer], path, categorical=categorical, nomenclature=nomenclature if categorical else None)
    finally:
        close_rasters()
        for part in parts.values():
            for path in (part, side_file(part)):
                path.unlink(missing_ok=True)
    forget_others(folder, layers)
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
    window: GeoBox, tiles: Sequence[Path], grids: Sequence[GeoBox], layers: Sequence[str] = MAPS
) -> dict[str, np.ndarray]:
    """Layers of the tiles over a window of the mosaic, (y, x) or (class, y, x) each; `classes` decide between tiles."""
    merged = {layer: _unseen(window, tiles[0], layer) for layer in layers}
    nearest = np.full(window.shape, np.inf, dtype=np.float32)
    for tile, grid in _touching(window, tiles, grids):
        distance = _distance_to_middle(window, grid)
        better = (_onto(window, tile, CLASSES, grid) > 0) & (distance < nearest)
        for layer, values in merged.items():
            values[..., better] = _onto(window, tile, layer, grid)[..., better]
        nearest[better] = distance[better]
    return merged


def _unseen(window: GeoBox, tile: Path, layer: str) -> np.ndarray:
    """A layer where nothing was seen."""
    kind = LAYERS[layer]
    bands = (open_raster(tile / f"{layer}.tif").count,) if kind.each_class else ()
    return np.full((*bands, *window.shape), kind.unseen, dtype=kind.dtype)


def _touching(window: GeoBox, tiles: Sequence[Path], grids: Sequence[GeoBox]) -> Iterator[tuple[Path, GeoBox]]:
    box = window.boundingbox
    for tile, grid in zip(tiles, grids, strict=True):
        left, bottom, right, top = project_bounds(grid.boundingbox, grid.crs, window.crs)
        if left < box.right and right > box.left and bottom < box.top and top > box.bottom:
            yield tile, grid


def _onto(window: GeoBox, tile: Path, layer: str, grid: GeoBox) -> np.ndarray:
    """A layer of a tile over a window of the mosaic, unseen beyond the tile's edges."""
    path, unseen, every = tile / f"{layer}.tif", LAYERS[layer].unseen, LAYERS[layer].each_class
    if is_aligned(grid, window) and np.isclose(resolution(grid), resolution(window)):
        (row, col), (height, width) = offset(window, grid), window.shape
        return read_window(path, round(row), round(col), height, width, fill=unseen, all_bands=every)
    warped, source = _unseen(window, tile, layer), open_raster(path)
    reproject(
        rasterio.band(source, list(source.indexes) if every else 1),
        warped,
        dst_transform=window.affine,
        dst_crs=str(window.crs),
        src_nodata=unseen,
        dst_nodata=unseen,
        resampling=Resampling.nearest,
        tolerance=0,  # exact, so that a pixel does not depend on the block it is in
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
