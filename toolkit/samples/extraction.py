"""From polygons to samples: the pixels whose centre lies inside, and their features, in one pass over a tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from rasterio.features import rasterize

from toolkit.features.reading import TileFeatures
from toolkit.features.stack import FeatureStack
from toolkit.ground.block_files import Arrays
from toolkit.ground.crews import Crew
from toolkit.ground.grid import Block, aligned_blocks, blocks
from toolkit.ground.parts import SMALLEST_PART, WHOLE_BLOCKS, PartSize, halved, in_parts
from toolkit.ground.streaming import Progress, no_progress, stream
from toolkit.samples.store import SampleStore
from toolkit.series.buffers import BufferPool
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries

PIXEL = np.dtype([("row", "i4"), ("col", "i4"), ("polygon", "i8"), ("code", "u1")])
"""A candidate pixel: its place on the tile's grid, the polygon it lies in, and the class code."""

BLOCK = 512
"""Pixels a side of the squares in which polygons are burnt."""


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


MOST_SAMPLES = 1 << 14
"""Samples of a block, unless it is very small: their series and features are in memory together, 10 kB each."""


class PixelFeatures:
    """Work on a block for `stream`: the features of the sampled pixels in it.

    Args:
        row, col: of the pixels, (sample,).
        part: how much of a block is read at a time.
    """

    def __init__(
        self,
        series: TileSeries,
        stack: FeatureStack,
        row: np.ndarray,
        col: np.ndarray,
        part: PartSize | None = None,
    ) -> None:
        self.features = TileFeatures(series, stack)
        self.row, self.col = row, col
        self.part, self.buffers = part or PartSize(WHOLE_BLOCKS), BufferPool()

    @property
    def width(self) -> int:
        """Features of a sample."""
        return self.features.stack.width(len(self.features.series.acquisitions))

    def inside(self, block: Block) -> np.ndarray:
        """Positions of the pixels that lie in a block, int64."""
        rows, cols = block.slices
        hit = (self.row >= rows.start) & (self.row < rows.stop) & (self.col >= cols.start) & (self.col < cols.stop)
        return np.flatnonzero(hit)

    def __call__(self, block: Block) -> Arrays:
        """`position` (pixel,), `features` (pixel, feature) float32 and `clear` (pixel,) uint16."""
        return in_parts(self._part, block, self.part, _one_after_the_other)

    def _part(self, block: Block) -> Arrays:
        position = self.inside(block)
        if not len(position):
            features, clear = np.empty((self.width, 0), np.float32), np.empty(0, np.uint16)
        else:
            with self.buffers.one() as buffer:
                features, clear = self.features.read_pixels(self.row[position], self.col[position], buffer)
        return {"position": position, "features": np.ascontiguousarray(features.T), "clear": clear}


def sample_blocks(work: PixelFeatures, tiling: FileTiling) -> list[Block]:
    """The blocks of a tile that hold samples: those that fit its files, divided where many samples lie.

    They hang on the files and the samples alone, so that a run goes on with another memory or number of workers.
    """
    return [part for block in tiling.cover() for part in _divided(work, block)]


def _divided(work: PixelFeatures, block: Block) -> Iterator[Block]:
    count, shape = len(work.inside(block)), (block.height, block.width)
    if count > MOST_SAMPLES and block.height * block.width > SMALLEST_PART:
        for one in aligned_blocks(shape, halved(shape, (1, 1)), (0, 0)):
            yield from _divided(work, Block(block.row + one.row, block.col + one.col, one.height, one.width))
    elif count:
        yield block


def _one_after_the_other(block: Block, parts: Sequence[tuple[Block, Arrays]]) -> Arrays:
    return {name: np.concatenate([arrays[name] for _, arrays in parts]) for name in parts[0][1]}


def extract(
    work: PixelFeatures,
    pixels: np.ndarray,
    store: SampleStore,
    among: Sequence[Block] | None = None,
    *,
    key: str,
    crew: Crew | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write the samples of a tile into a store, reading only the blocks they lie in, each once.

    Args:
        work: on these pixels.
        pixels: (sample,) array of dtype `PIXEL`.
        among: the blocks that they lie in; `sample_blocks` where none are given.
        key: fingerprint of everything the features depend on; an extraction that was killed goes on with it.
        crew: who does the work; a thread a core where nobody is given.

    Raises:
        ProductError: a file cannot be read. FeatureError: an external feature fails. RunFolderError: the disk is full.
    """
    series = work.features.series
    among = sample_blocks(work, FileTiling.of(series)) if among is None else among
    results = stream(work, among, store.folder / series.tile / ".blocks", key=key, crew=crew, progress=progress)
    clear = np.zeros(len(pixels), dtype=np.uint16)
    with store.writing(series.tile, pixels, work.width) as target:
        for _, arrays in results:
            target.write(arrays["position"], arrays["features"])
            clear[arrays["position"]] = arrays["clear"]
    store.write_clear(series.tile, clear, key)
    results.discard()
