"""Assessment of a class map against polygons of known land cover.

The polygons are made pixels of the map's own grid (a pixel belongs to a polygon that holds its centre) and each
pixel's class is set against the map's. The map is read block by block, and only where there are polygons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from rasterio.windows import Window

from toolkit.ground.accuracy import ConfusionMatrix, count_pairs
from toolkit.ground.errors import GroundTruthError, ProductError, RunFolderError
from toolkit.ground.grid import Block, blocks
from toolkit.ground.streaming import Progress, no_progress
from toolkit.validation.metrics import Assessment

UNMAPPED = 0
"""Value of a map where it holds no class."""


def assess_map(
    path: Path,
    frame: gpd.GeoDataFrame,
    codes: Sequence[int] | np.ndarray,
    *,
    block: int = 2048,
    progress: Progress = no_progress,
) -> Assessment:
    """Compare a class map with polygons.

    Where polygons overlap, the later one in the frame counts.

    Args:
        path: class raster; 0 and its nodata value mean "no class".
        frame: polygons with columns `polygon` and `code`, in any CRS.
        codes: codes of the nomenclature: the rows and columns of the matrix.
        block: edge of the blocks read, in pixels; it bounds the memory.
        progress: called with (blocks done, blocks to read).

    Raises:
        RunFolderError: the map is absent.
        ProductError: the map cannot be read, has no CRS, or holds a value that is no code.
        GroundTruthError: a polygon's class is no code, or no polygon holds a pixel of the map.
    """
    counter = _Counter(frame, codes, path)
    with _open(path) as dataset:
        counter.shapes = frame.geometry.to_crs(dataset.crs).to_numpy()
        todo = list(_blocks_with_polygons(dataset, counter.shapes, block))
        for done, (one, inside) in enumerate(todo, start=1):
            counter.add(dataset, one, inside)
            progress(done, len(todo))
    return counter.result()


class _Counter:
    """Pairs of reference and predicted classes, counted block by block."""

    def __init__(self, frame: gpd.GeoDataFrame, codes: Sequence[int] | np.ndarray, path: Path) -> None:
        self.path = path
        self.codes = tuple(int(code) for code in codes)
        self.ids = frame["polygon"].to_numpy(np.int64)
        self.reference = _indices(frame["code"].to_numpy(np.int64), self.codes)
        if (self.reference < 0).any():
            unknown = frame["code"].to_numpy()[self.reference < 0][0]
            raise GroundTruthError(
                f"class {unknown} of the reference polygons is not in the nomenclature; clean them first"
            )
        self.shapes = np.empty(0, dtype=object)
        self.counts = np.zeros((len(self.codes), len(self.codes)), dtype=np.int64)
        self.seen = np.zeros(len(frame), dtype=bool)
        self.unmapped = 0

    def add(self, dataset: DatasetReader, block: Block, inside: np.ndarray) -> None:
        """Count one block; `inside` are the rows of the polygons that reach into it."""
        rows = rasterize(
            ((self.shapes[row], row + 1) for row in inside),
            out_shape=(block.height, block.width),
            transform=block.of(GeoBox.from_rio(dataset)).affine,
            dtype=np.int32,
        )
        held = rows > 0
        if not held.any():
            return
        rows, predicted = rows[held] - 1, _read(dataset, block, self.path)[held]
        self.seen[np.unique(rows)] = True
        mapped = (predicted != UNMAPPED) & (predicted != (dataset.nodata or UNMAPPED))
        self.unmapped += int((~mapped).sum())
        self.counts += count_pairs(self.reference[rows[mapped]], self._known(predicted[mapped]), len(self.codes))

    def _known(self, predicted: np.ndarray) -> np.ndarray:
        indices = _indices(predicted.astype(np.int64), self.codes)
        if (indices < 0).any():
            raise ProductError(
                f"{self.path} holds the value {predicted[indices < 0][0]}, which is no class of the nomenclature; "
                "give the nomenclature that the map was made with"
            )
        return indices

    def result(self) -> Assessment:
        if not self.seen.any():
            raise GroundTruthError(
                f"no reference polygon holds a pixel of the map {self.path}; give polygons inside it"
            )
        without = tuple(int(one) for one in self.ids[~self.seen])
        return Assessment(ConfusionMatrix(self.counts, self.codes), self.unmapped, int(self.seen.sum()), without)


def _indices(values: np.ndarray, codes: Sequence[int]) -> np.ndarray:
    """Place of each value among the codes, int64; -1 where it is none."""
    order = np.argsort(codes)
    ordered = np.asarray(codes)[order]
    place = np.searchsorted(ordered, values).clip(max=len(ordered) - 1)
    return np.where(ordered[place] == values, order[place], -1)


def _open(path: Path) -> DatasetReader:
    if not path.is_file():
        raise RunFolderError(f"the map {path} does not exist; make it first (classify, then mosaic)")
    try:
        dataset = rasterio.open(path)
    except RasterioError as error:
        raise ProductError(f"the map {path} cannot be read ({error}); make it again") from error
    if dataset.crs is None:
        raise ProductError(f"the map {path} has no CRS, so polygons cannot be laid on it; make it again")
    return dataset


def _read(dataset: DatasetReader, block: Block, path: Path) -> np.ndarray:
    try:
        return dataset.read(1, window=Window(block.col, block.row, block.width, block.height))
    except RasterioError as error:
        raise ProductError(f"the map {path} is cut short or damaged ({error}); make it again") from error


def _blocks_with_polygons(dataset: DatasetReader, shapes: np.ndarray, size: int) -> Iterator[tuple[Block, np.ndarray]]:
    """Blocks into which polygons reach, each with the rows of these, in the order of the frame."""
    tree = shapely.STRtree(shapes)
    for block in blocks(dataset.shape, size):
        box = block.of(GeoBox.from_rio(dataset)).boundingbox
        inside = np.sort(tree.query(shapely.box(*box.bbox)))
        if len(inside):
            yield block, inside
