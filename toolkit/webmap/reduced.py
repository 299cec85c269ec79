"""Reduced copies of rasters that have no (or too few) overviews, in memory.

A band as Theia delivers it is 10980 x 10980 pixels in strips: a picture of the whole tile would read them all, every
time. So they are read once, on first need, and a copy of a quarter of the width and height is kept, with overviews of
its own: a second or two for a band, then a few milliseconds for a picture. Copies are compressed and their sum is
bounded; those not used for longest are dropped. Nothing is written beside the user's files.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from affine import Affine
from rasterio.enums import Resampling
from rasterio.io import DatasetReader, DatasetWriter, MemoryFile
from rasterio.windows import Window

STEP = 4
"""Pixels of the file across one pixel of its copy."""
ENOUGH = 1024
"""Pixels across from which a picture is made at once, without a copy or a further overview."""
MOST_BYTES = 256 * 2**20
"""What all copies together may take."""
_ROWS = 256 * STEP
"""Rows of the file read at a time."""


class ReducedCopies:
    """Copies by a key that names file, content and way of reducing. Threads share them."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._copies: OrderedDict[Hashable, MemoryFile] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def of(self, key: Hashable, dataset: DatasetReader, nodata: float | None, averaged: bool) -> str:
        """The name under which a copy can be opened; it is made if need be, while others that ask for it wait.

        Args:
            dataset: the raster to reduce, a handle of this thread.
            nodata: the value that means "no data" in it.
            averaged: the mean of the pixels that have data, else the most frequent value.

        Raises:
            RasterioError: the raster cannot be read.
        """
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            if (found := self._found(key)) is None:
                found = reduced(dataset, nodata, averaged)
                self._keep(key, found)
        return str(found.name)

    def _found(self, key: Hashable) -> MemoryFile | None:
        with self._lock:
            if key in self._copies:
                self._copies.move_to_end(key)
            return self._copies.get(key)

    def _keep(self, key: Hashable, copy: MemoryFile) -> None:
        with self._lock:
            self._copies[key] = copy
            self._making.pop(key, None)
            while len(self._copies) > 1 and sum(map(len, self._copies.values())) > self._most_bytes:
                self._copies.popitem(last=False)[1].close()


def reduced(dataset: DatasetReader, nodata: float | None, averaged: bool) -> MemoryFile:
    """A copy of band 1, `STEP` times smaller in width and height, with overviews.

    Raises:
        RasterioError: the raster cannot be read.
    """
    height, width = -(-dataset.height // STEP), -(-dataset.width // STEP)
    profile = {
        "driver": "GTiff",
        "dtype": dataset.dtypes[0],
        "count": 1,
        "height": height,
        "width": width,
        "crs": dataset.crs,
        "transform": dataset.transform * Affine.scale(STEP),
        "nodata": nodata,
        "tiled": True,
        "compress": "deflate",
        "zlevel": 1,
    }
    copy = MemoryFile(ext=".tif")
    with copy.open(**profile) as target:
        _fill(target, dataset, nodata, averaged)
        factors = [2**power for power in range(1, 12) if max(height, width) / 2**power > ENOUGH / 4]
        target.build_overviews(factors, Resampling.average if averaged else Resampling.mode)
    return copy


def _fill(target: DatasetWriter, dataset: DatasetReader, nodata: float | None, averaged: bool) -> None:
    for row in range(0, dataset.height, _ROWS):
        window = Window(0, row, dataset.width, min(_ROWS, dataset.height - row))
        shape = -(-window.height // STEP), target.width
        if averaged:
            values = mean_of_blocks(dataset.read(1, window=window), nodata)
        else:
            values = dataset.read(1, window=window, out_shape=shape, resampling=Resampling.mode)
        target.write(values, 1, window=Window(0, row // STEP, *reversed(shape)))


def mean_of_blocks(values: np.ndarray, nodata: float | None) -> np.ndarray:
    """Mean of each block of `STEP` x `STEP` pixels (y, x) over those that have data, in the type of the values.

    Blocks without any data are `nodata`; those at the edge may be smaller.
    """
    valid = np.ones(values.shape, bool) if nodata is None else ~_equal(values, nodata)
    exact = np.float64 if values.dtype.kind == "f" else np.int64 if values.dtype.itemsize > 2 else np.int32
    totals, counts = _sums(np.where(valid, values, 0), exact), _sums(valid, np.int32)
    means = totals / np.maximum(counts, 1)
    if values.dtype.kind != "f":
        means = np.rint(means)
    return np.where(counts > 0, means, 0 if nodata is None else nodata).astype(values.dtype)


def _sums(values: np.ndarray, dtype: type) -> np.ndarray:
    """Sum of each block; slice by slice, which is four times faster than to reduce over two axes."""
    rows, cols = -(-values.shape[0] // STEP), -(-values.shape[1] // STEP)
    down = np.zeros((rows, values.shape[1]), dtype)
    for start in range(STEP):
        part = values[start::STEP]
        down[: len(part)] += part
    across = np.zeros((rows, cols), dtype)
    for start in range(STEP):
        part = down[:, start::STEP]
        across[:, : part.shape[1]] += part
    return across


def _equal(values: np.ndarray, nodata: float) -> np.ndarray:
    return np.isnan(values) if np.isnan(nodata) else values == nodata
