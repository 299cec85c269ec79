"""Read windows of raster files, whatever product they belong to.

Files stay open between blocks (each thread has its own handles, for GDAL's are not shared), up to a bound. GDAL's
own memory of blocks read is bounded too: by default it takes a share of the machine's, whatever the toolkit may use.
"""

from __future__ import annotations

import errno
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.env import set_gdal_config
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from toolkit.ground.errors import ProductError
from toolkit.ground.grid import crop, offset, project_bounds

try:
    import resource
except ImportError:  # Windows, which sets no such limit
    resource = None  # type: ignore[assignment]

# rasterio says of the grid that it makes to burn polygons into that it lies nowhere, and silences itself, but not in a
# thread.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

GDAL_CACHE = 256
"""Megabytes that GDAL keeps of blocks read, over all threads; the user's own GDAL_CACHEMAX stands."""
os.environ.setdefault("GDAL_CACHEMAX", str(GDAL_CACHE))

OPEN_FILES = 2000
"""Handles that a thread keeps open at most."""
PROCESS_FILES = 8192
"""Files that the process asks to open; usual limits, 1024 and less, are meant for programs that use `select`."""
OTHER_FILES = 256
"""Files left to the rest of the process: the notebook's sockets, libraries, results being written."""

_kept: int | None = None
"""Handles that a thread may keep where memory is short; None for as many as there may be."""

Area = tuple[float, float, float, float] | None
"""West, south, east, north in degrees; None for all there is."""

_open = threading.local()


def open_raster(path: Path) -> DatasetReader:
    """A handle of this thread on the file, kept open for the next block.

    Raises:
        ProductError: absent, or not a raster that can be read.
    """
    if not hasattr(_open, "files"):
        _open.files = OrderedDict()
        _ask_for_files()
    files: OrderedDict[Path, DatasetReader] = _open.files
    if path in files:
        files.move_to_end(path)
        return files[path]
    while len(files) >= _share():
        files.popitem(last=False)[1].close()
    try:
        dataset = rasterio.open(path)
    except RasterioError as error:
        raise ProductError(_unreadable(path, error)) from None
    files[path] = dataset
    return dataset


def use_raster_memory(cache_mb: int, *, keep_open: bool) -> None:
    """Bound what rasters take of this process's memory from now on.

    Args:
        cache_mb: what GDAL keeps of tiles decoded, over all files; a `GDAL_CACHEMAX` of the user's own stands.
        keep_open: whether files stay open between blocks. GDAL keeps a tile of each that does: half a megabyte where
            tiles have 512 x 512 pixels, so that a year of one tile takes half a gigabyte in each thread. To open them
            anew costs half a millisecond each.
    """
    global _kept
    _kept = None if keep_open else 1
    if os.environ["GDAL_CACHEMAX"] == str(GDAL_CACHE):
        set_gdal_config("GDAL_CACHEMAX", cache_mb * 2**20)  # rasterio gives it to GDAL as bytes


@contextmanager
def raster_memory(cache_mb: int, *, keep_open: bool) -> Iterator[None]:
    """As `use_raster_memory`, while the block runs."""
    use_raster_memory(cache_mb, keep_open=keep_open)
    try:
        yield
    finally:
        use_raster_memory(GDAL_CACHE, keep_open=True)


def close_rasters() -> None:
    """Close this thread's handles."""
    while getattr(_open, "files", None):
        _open.files.popitem()[1].close()


def grid_of(path: Path) -> GeoBox:
    """The pixel grid of a raster.

    Raises:
        ProductError: the file is absent, unreadable or without CRS.
    """
    dataset = open_raster(path)
    if dataset.crs is None:
        raise ProductError(f"{path} has no coordinate reference system; set it with `gdal_edit.py -a_srs`")
    return GeoBox.from_rio(dataset)


def read_window(
    path: Path, row: int, col: int, height: int, width: int, fill: float, *, all_bands: bool = False
) -> np.ndarray:
    """Band 1 over a window in the file's own pixels, shape (height, width); `fill` beyond the file's edges.

    Args:
        all_bands: every band instead, shape (band, height, width).

    Raises:
        ProductError: the file cannot be read there, most often because it is cut short.
    """
    dataset = open_raster(path)
    shape = (dataset.count, height, width) if all_bands else (height, width)
    array = np.empty(shape, dtype=dataset.dtypes[0])
    read_into(array, path, row, col, fill)
    return array


def read_into(out: np.ndarray, path: Path, row: int, col: int, fill: float) -> None:
    """As `read_window`, into an array or a view of one.

    Args:
        out: (y, x), or (band, y, x) for all bands, of the file's own type.

    Raises:
        ProductError: as of `read_window`.
    """
    dataset = open_raster(path)
    height, width = out.shape[-2:]
    rows = slice(max(row, 0), min(row + height, dataset.height))
    cols = slice(max(col, 0), min(col + width, dataset.width))
    if (rows.stop - rows.start, cols.stop - cols.start) != (height, width):
        out[...] = fill
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return
    inside = out[..., rows.start - row : rows.stop - row, cols.start - col : cols.stop - col]
    try:
        dataset.read(1 if out.ndim == 2 else None, window=Window.from_slices(rows, cols), out=inside)
    except RasterioError as error:
        raise ProductError(_unreadable(path, error)) from None


def read_thinned(path: Path, most: int, area: Area = None, *, like: tuple[int, int] | None = None) -> np.ndarray:
    """Band 1, or its part in an area, thinned out by leaving pixels out, (y, x); empty where the area is elsewhere.

    Args:
        most: rows and columns at most.
        like: the shape to give instead, of another file of the same ground.

    Raises:
        ProductError: the file cannot be read.
    """
    dataset, grid = open_raster(path), grid_of(path)
    part = crop(grid, project_bounds(area, "EPSG:4326", grid.crs)) if area else grid
    if part is None:
        return np.empty((0, 0), dtype=dataset.dtypes[0])
    row, col = offset(part, grid)
    height, width = part.shape
    try:
        return dataset.read(
            1,
            window=Window(round(col), round(row), width, height),
            out_shape=like or (min(most, height), min(most, width)),
        )
    except RasterioError as error:
        raise ProductError(_unreadable(path, error)) from None


def check_integer(path: Path) -> None:
    """Refuse a band or mask of decimal numbers, of which whole numbers would leave nothing.

    Raises:
        ProductError: the file holds floating-point values.
    """
    kind = np.dtype(open_raster(path).dtypes[0])
    if kind.kind not in "iu":
        raise ProductError(
            f"{path} holds {kind} values; whole numbers are needed (reflectance x 10000); fetch the file again, or "
            "convert it with gdal_translate -ot Int16 -scale 0 1 0 10000"
        )


def check_whole(path: Path) -> None:
    """Notice a GeoTIFF that is shorter than its own directory says, without reading its pixels.

    Raises:
        ProductError: the file is cut short.
    """
    dataset = open_raster(path)
    if dataset.driver != "GTiff":
        return
    height, width = dataset.block_shapes[0]
    last = f"{-(-dataset.width // width) - 1}_{-(-dataset.height // height) - 1}"
    start = dataset.get_tag_item(f"BLOCK_OFFSET_{last}", "TIFF", bidx=1)
    length = dataset.get_tag_item(f"BLOCK_SIZE_{last}", "TIFF", bidx=1)
    if start and length and int(start) + int(length) > path.stat().st_size:
        raise ProductError(_unreadable(path, "it is cut short"))


def _limit() -> int:
    """Files that the process may open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else PROCESS_FILES
    return PROCESS_FILES if resource and soft == resource.RLIM_INFINITY else soft


def _share() -> int:
    """Handles that this thread may keep: its part of what the process may open."""
    if _kept is not None:
        return _kept
    return min(OPEN_FILES, max(16, (_limit() - OTHER_FILES) // threading.active_count()))


def _ask_for_files() -> None:
    """Raise the soft limit of open files as far as the hard one allows; where that is refused, it stays."""
    if resource and _limit() < PROCESS_FILES:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        most = PROCESS_FILES if hard == resource.RLIM_INFINITY else min(hard, PROCESS_FILES)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _unreadable(path: Path, reason: object) -> str:
    if os.strerror(errno.EMFILE) in str(reason):
        return (
            f"{path} cannot be read: the process has all {_limit():,} files open that it may; raise the limit with "
            "`ulimit -n`, or set fewer mapping.workers"
        )
    if not path.exists():
        return f"{path} does not exist; deliver the file again, or take its product folder away"
    size = path.stat().st_size
    return f"{path} cannot be read ({reason}; {size:,} bytes); fetch the file again, or take its product folder away"
