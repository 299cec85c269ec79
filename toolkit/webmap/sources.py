"""Files of a web map: where they lie in its projection, and which of their reductions serves a view.

Handles stay open, each thread's its own, for GDAL's cannot be shared; a file that changed is opened anew.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import rasterio
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.warp import calculate_default_transform, transform_bounds

from toolkit.ground.errors import ProductError
from toolkit.webmap.layers import State, state_of
from toolkit.webmap.reduced import ENOUGH, STEP, ReducedCopies

WEB_MERCATOR = CRS.from_epsg(3857)
"""The projection of web maps."""

OPEN_FILES = 64
"""Handles that a thread keeps at most; each overview in use is one."""

Rectangle = tuple[float, float, float, float]
"""West, south, east and north, metres of `WEB_MERCATOR`."""

_open = threading.local()
_copies = ReducedCopies()


@dataclass(frozen=True)
class Source:
    """A file as it is now, and where it lies."""

    path: Path
    state: State
    bounds: Rectangle
    pixel: float
    """Width of a pixel, metres of `WEB_MERCATOR`."""
    factors: tuple[int, ...]
    """1, then how many of its pixels lie across one of each overview."""
    dtype: str
    nodata: float | None
    """What the file itself declares."""


def source_of(path: Path) -> Source:
    """A file as it is now.

    Raises:
        ProductError: it is absent, or does not say where it lies.
        RasterioError: it cannot be read.
    """
    return _described(path, state_of(path))


def reduction(source: Source, wanted: float, nodata: float | None, averaged: bool) -> DatasetReader:
    """A handle on what serves a view of which a pixel is `wanted` of the file's pixels wide.

    That is the coarsest that is not coarser than the view: the file itself, one of its overviews, or, where a large
    file has none that is coarse enough, a reduced copy, which is made once.

    Raises:
        RasterioError: the file cannot be read.
    """
    dataset, factor = _overview(str(source.path), source.state, source.factors, wanted)
    if wanted < factor * STEP or max(dataset.width, dataset.height) <= ENOUGH:
        return dataset
    copy = _copies.of((source.path, source.state, nodata, averaged), dataset, nodata, averaged)
    factors = (1, *_handle(copy, source.state).overviews(1))
    return _overview(copy, source.state, factors, wanted / (factor * STEP))[0]


@lru_cache(maxsize=512)
def _described(path: Path, state: State) -> Source:
    dataset = _handle(str(path), state)
    if dataset.crs is None:
        raise ProductError(f"{path} has no coordinate reference system; set it with `gdal_edit.py -a_srs`")
    size = dataset.width, dataset.height
    return Source(
        path,
        state,
        transform_bounds(dataset.crs, WEB_MERCATOR, *dataset.bounds),
        calculate_default_transform(dataset.crs, WEB_MERCATOR, *size, *dataset.bounds)[0].a,
        (1, *dataset.overviews(1)),
        dataset.dtypes[0],
        dataset.nodata,
    )


def _overview(name: str, state: State, factors: tuple[int, ...], wanted: float) -> tuple[DatasetReader, int]:
    """The coarsest of a file and its overviews that is not coarser than `wanted`, and its factor."""
    level = max(level for level, factor in enumerate(factors) if factor <= max(wanted, 1))
    return _handle(name, state, level), factors[level]


def _handle(name: str, state: State, level: int = 0) -> DatasetReader:
    """This thread's handle on a file (level 0) or one of its overviews; handles on what it was before are closed."""
    if not hasattr(_open, "handles"):
        _open.handles = OrderedDict()
    handles: OrderedDict[tuple[str, int, State], DatasetReader] = _open.handles
    key = (name, level, state)
    if key not in handles:
        old = [other for other in handles if other[0] == name and other[2] != state]
        old += list(handles)[: max(0, len(handles) + 1 - OPEN_FILES)]
        for other in dict.fromkeys(old):
            handles.pop(other).close()
        handles[key] = rasterio.open(name, **({"OVERVIEW_LEVEL": level - 1} if level else {}))
    handles.move_to_end(key)
    return handles[key]
