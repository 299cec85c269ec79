"""From polygons to samples: the pixels whose centre lies inside, and their features, in one pass over a tile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize

from toolkit.features.reading import TileFeatures
from toolkit.features.stack import FeatureStack
from toolkit.ground.grid import Block, blocks
from toolkit.ground.streaming import Progress, no_progress, stream
from toolkit.samples.store import SampleStore
from toolkit.series.timeseries import TileSeries

PIXEL = np.dtype([("row", "i4"), ("col", "i4"), ("polygon", "i8"), ("code", "u1")])
"""A candidate pixel: its place on the tile's grid, the polygon it lies in, and the class code."""

BLOCK = 512
"""Block of the passes over a tile: whole 512-pixel file tiles are decoded once."""


def locate_pixels(
    geometries: Sequence[shapely.Geometry], polygons: np.ndarray, codes: np.ndarray, grid: GeoBox
) -> np.ndarray:
    """The pixels whose centre lies inside a polygon.

    Where polygons overlap, a pixel belongs to the last of them. The order is that of the Orfeo ToolBox's sampling:
    polygon by polygon as given, row by row inside a polygon.

    Args:
        geometries: in the CRS of `grid`.
        polygons: (polygon,) int64 identifiers.
        codes: (polygon,) class codes.

    Returns:
        (pixel,) array of dtype `PIXEL`.
    """
    tree = shapely.STRtree(list(geometries))
    pieces = [_pixels_in(block, grid, tree, geometries) for block in blocks(grid.shape, BLOCK)]
    row, col, order = (np.concatenate([piece[axis] for piece in pieces]) for axis in range(3))
    sequence = np.lexsort((col, row, order))
    pixels = np.empty(len(sequence), dtype=PIXEL)
    pixels["row"], pixels["col"] = row[sequence], col[sequence]
    pixels["polygon"], pixels["code"] = polygons[order[sequence]], codes[order[sequence]]
    return pixels


def _pixels_in(
    block: Block, grid: GeoBox, tree: shapely.STRtree, geometries: Sequence[shapely.Geometry]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and position of the polygon, of the pixels of a block that lie in one."""
    window = block.of(grid)
    near = np.sort(tree.query(shapely.box(*window.boundingbox)))
    if not len(near):
        empty = np.empty(0, dtype=np.int64)
        return empty, empty, empty
    shapes = [(geometries[i], int(i) + 1) for i in near]
    burnt = rasterize(shapes, out_shape=window.shape, transform=window.affine, fill=0, dtype="int32")
    row, col = np.nonzero(burnt)
    return row + block.row, col + block.col, burnt[row, col].astype(np.int64) - 1


class PixelFeatures:
    """Work on a block for `stream`: the features of the sampled pixels in it."""

    def __init__(self, series: TileSeries, stack: FeatureStack, row: np.ndarray, col: np.ndarray) -> None:
        self.features = TileFeatures(series, stack)
        self.row, self.col = row, col

    def inside(self, block: Block) -> np.ndarray:
        """Positions of the pixels that lie in a block, int64."""
        rows, cols = block.slices
        hit = (self.row >= rows.start) & (self.row < rows.stop) & (self.col >= cols.start) & (self.col < cols.stop)
        return np.flatnonzero(hit)

    def __call__(self, block: Block) -> dict[str, np.ndarray]:
        """`position` (pixel,), `features` (pixel, feature) float32 and `clear` (pixel,) uint16."""
        position = self.inside(block)
        features, clear = self.features.read_pixels(self.row[position], self.col[position])
        return {"position": position, "features": np.ascontiguousarray(features.T), "clear": clear}


def extract(
    series: TileSeries,
    stack: FeatureStack,
    pixels: np.ndarray,
    store: SampleStore,
    *,
    key: str,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write the samples of a tile into a store, reading only the blocks they lie in, each once.

    Args:
        pixels: (sample,) array of dtype `PIXEL`.
        key: fingerprint of everything the features depend on; an extraction that was killed goes on with it.

    Raises:
        ProductError: a file cannot be read. FeatureError: an external feature fails. RunFolderError: the disk is full.
    """
    work = PixelFeatures(series, stack, pixels["row"], pixels["col"])
    wanted = [block for block in blocks(series.grid.shape, BLOCK) if len(work.inside(block))]
    aside = store.folder / series.tile / ".blocks"
    results = stream(work, wanted, aside, key=key, workers=workers, progress=progress)
    clear = np.zeros(len(pixels), dtype=np.uint16)
    with store.writing(series.tile, pixels, stack.width(len(series.acquisitions))) as features:
        for _, arrays in results:
            features[arrays["position"]] = arrays["features"]
            clear[arrays["position"]] = arrays["clear"]
    store.write_clear(series.tile, clear, key)
    results.discard()
