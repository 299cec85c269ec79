"""Read windows of raster files, whatever product they belong to.

Files stay open between blocks, up to a bound. GDAL's handles serve one thread at a time: either each thread has its
own (`open_raster`), or they take turns (`shared_raster`). GDAL's own memory of blocks read is bounded too: by default
it takes a share of the machine's, whatever the toolkit may use.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
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
"""Handles that may be kept where memory is short; None for as many as there may be."""

Area = tuple[float, float, float, float] | None
"""West, south, east, north in degrees; None for all there is."""

_open = threading.local()


class _SharedFile:
    """A file's handle, of which one thread at a time has the lock."""

    def __init__(self) -> None:
        self.lock, self.users, self.dataset = threading.RLock(), 0, None


_shared: OrderedDict[Path, _SharedFile] = OrderedDict()
_sharing = threading.Lock()


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
    files[path] = dataset = _opened(path)
    return dataset


@contextmanager
def shared_raster(path: Path) -> Iterator[DatasetReader]:
    """The process's handle on the file, which no other thread uses meanwhile; it is kept open for the next.

    Of a series, whose files are many, each worker needs each for a moment only: see `read_as_free`.

    Raises:
        ProductError: absent, or not a raster that can be read.
    """
    with _sharing:
        file = _shared.setdefault(path, _SharedFile())
        _shared.move_to_end(path)
        file.users += 1
    try:
        with file.lock:
            if file.dataset is None:
                _ask_for_files()
                file.dataset = _opened(path)
            yield file.dataset
    finally:
        with _sharing:
            file.users -= 1
            most = max(16, _room() // 2) if _kept is None else _kept
            _close_shared(len(_shared) - most)


def read_as_free(reads: Iterable[tuple[Path, Callable[[], None]]]) -> None:
    """Read files in whatever order; one that another thread is at is come back to as soon as it is free.

    Two workers on the same files would wait for each other at every second one. They stay a few files apart instead, so
    that each finds what both need, the tiles around their blocks, in GDAL's cache.

    Args:
        reads: files, and what reads each by its shared handle.
    """
    waiting: deque[tuple[Path, Callable[[], None]]] = deque()
    for path, read in reads:
        waiting.append((path, read))
        for _ in range(len(waiting)):
            if _is_free(waiting[0][0]):
                waiting.popleft()[1]()
            else:
                waiting.rotate(-1)
    for _, read in waiting:
        read()


def _is_free(path: Path) -> bool:
    """Whether no other thread uses the shared handle now."""
    with _sharing:
        file = _shared.get(path)
    if file is None:
        return True
    if free := file.lock.acquire(blocking=False):
        file.lock.release()
    return free


def _close_shared(count: int) -> None:
    """Close so many of the shared handles that nobody uses now, those used longest ago first."""
    idle = (path for path, file in _shared.items() if not file.users)
    for path in list(islice(idle, max(0, count))):
        dataset = _shared.pop(path).dataset
        if dataset is not None:
            dataset.close()


def _opened(path: Path) -> DatasetReader:
    try:
        return rasterio.open(path)
    except RasterioError as error:
        raise ProductError(_unreadable(path, error)) from None


def use_raster_memory(cache_mb: int, *, keep_open: bool) -> None:
    """Bound what rasters take of this process's memory from now on.

    Args:
        cache_mb: what GDAL keeps of tiles decoded, over all files; a `GDAL_CACHEMAX` of the user's own stands.
        keep_open: whether files stay open between blocks. GDAL keeps a tile of each that does: half a megabyte where
            tiles have 512 x 512 pixels, so that a year of one tile takes a gigabyte. To open them anew costs half a
            millisecond each.
    """
    global _kept
    _kept = None if keep_open else 1
    if os.environ["GDAL_CACHEMAX"] == str(GDAL_CACHE):
        set_gdal_config("GDAL_CACHEMAX", cache_mb * 2**20)  # rasterio gives it to GDAL as bytes


@contextmanager
def raster_memory(cache_mb: int, *, keep_open: bool) -> Iterator[None]:
    """As `use_raster_memory`, while the block runs; no shared handle stays open after it."""
    use_raster_memory(cache_mb, keep_open=keep_open)
    try:
        yield
    finally:
        use_raster_memory(GDAL_CACHE, keep_open=True)
        close_rasters()


def close_rasters() -> None:
    """Close this thread's handles, and the shared ones that nobody uses now."""
    while getattr(_open, "files", None):
        _open.files.popitem()[1].close()
    with _sharing:
        _close_shared(len(_shared))


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
    path: Path, row: int, col: int, height: int, width: int, fill: float, *, all_bands: bool = False, number: int = 1
) -> np.ndarray:
    """A band over a window in the file's own pixels, shape (height, width); `fill` beyond the file's edges.

    Args:
        all_bands: every band instead, shape (band, height, width).
        number: which band, from 1 on.

    Raises:
        ProductError: the file cannot be read there, most often because it is cut short.
    """
    dataset = open_raster(path)
    shape = (dataset.count, height, width) if all_bands else (height, width)
    array = np.empty(shape, dtype=dataset.dtypes[0])
    _read(dataset, array, path, row, col, fill, number)
    return array


def read_into(out: np.ndarray, path: Path, row: int, col: int, fill: float, number: int = 1) -> None:
    """As `read_window`, by a shared handle, into an array or a view of one.

    Args:
        out: (y, x), of the file's own type.

    Raises:
        ProductError: as of `read_window`.
    """
    with shared_raster(path) as dataset:
        _read(dataset, out, path, row, col, fill, number)


def _read(dataset: DatasetReader, out: np.ndarray, path: Path, row: int, col: int, fill: float, number: int) -> None:
    height, width = out.shape[-2:]
    rows = slice(max(row, 0), min(row + height, dataset.height))
    cols = slice(max(col, 0), min(col + width, dataset.width))
    if (rows.stop - rows.start, cols.stop - cols.start) != (height, width):
        out[...] = fill
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return
    inside = out[..., rows.start - row : rows.stop - row, cols.start - col : cols.stop - col]
    try:
        dataset.read(number if out.ndim == 2 else None, window=Window.from_slices(rows, cols), out=inside)
    except RasterioError as error:
        raise ProductError(_unreadable(path, error)) from None


def read_thinned(
    path: Path,
    most: int,
    area: Area = None,
    *,
    like: tuple[int, int] | None = None,
    number: int = 1,
    codes: bool = False,
) -> np.ndarray:
    """A band, or its part in an area, thinned out by leaving pixels out, (y, x); empty where the area is elsewhere.

    Args:
        most: rows and columns at most.
        like: the shape to give instead, of another file of the same ground.
        number: which band, from 1 on.
        codes: whether values are codes: those that the file holds reduced are not looked at then, which in JPEG 2000
            are means.

    Raises:
        ProductError: the file cannot be read.
    """
    dataset, grid = open_raster(path), grid_of(path)
    part = crop(grid, project_bounds(area, "EPSG:4326", grid.crs)) if area else grid
    if part is None:
        return np.empty((0, 0), dtype=dataset.dtypes[0])
    row, col = offset(part, grid)
    height, width = part.shape
    window, shape = Window(round(col), round(row), width, height), like or (min(most, height), min(most, width))
    try:
        if not codes:
            return dataset.read(number, window=window, out_shape=shape)
        with rasterio.open(path, OVERVIEW_LEVEL="NONE") as whole:
            return whole.read(number, window=window, out_shape=shape)
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


def check_band(path: Path, number: int, nodata: float) -> None:
    """Refuse a file that has fewer bands than are read of it, or that cannot hold the value for no data.

    Raises:
        ProductError: with how many it has, or its type.
    """
    dataset = open_raster(path)
    count, kind = dataset.count, np.dtype(dataset.dtypes[0])
    if kind.kind in "iu" and not (np.iinfo(kind).min <= nodata <= np.iinfo(kind).max and nodata == int(nodata)):
        raise ProductError(
            f"{path} holds {kind} values, which {nodata:g} is none of; mend `nodata` of its source in the data catalog"
        )
    if count < number:
        raise ProductError(
            f"{path} has {count} band{'s' * (count > 1)}, and band {number} is wanted of it; mend `bands` of its "
            "source in the data catalog, or fetch the file again"
        )


def check_whole(path: Path) -> None:
    """Notice a GeoTIFF or JPEG 2000 that is shorter than it says of itself, without reading its pixels.

    Raises:
        ProductError: the file is cut short.
    """
    dataset = open_raster(path)
    if dataset.driver.startswith("JP2") and _ends_amid_a_box(path):
        raise ProductError(_unreadable(path, "it is cut short"))
    if dataset.driver != "GTiff":
        return
    height, width = dataset.block_shapes[0]
    last = f"{-(-dataset.width // width) - 1}_{-(-dataset.height // height) - 1}"
    start = dataset.get_tag_item(f"BLOCK_OFFSET_{last}", "TIFF", bidx=1)
    length = dataset.get_tag_item(f"BLOCK_SIZE_{last}", "TIFF", bidx=1)
    if start and length and int(start) + int(length) > path.stat().st_size:
        raise ProductError(_unreadable(path, "it is cut short"))


def _ends_amid_a_box(path: Path) -> bool:
    """Whether a JPEG 2000 file, boxes one after the other, ends before its last box does (ISO 15444-1, annex I)."""
    at, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            length, kind = struct.unpack(">I4s", file.read(8))
            if at == 0 and kind != b"jP  ":  # the bare code stream
                return False
            if length == 0:  # to the end of the file, where a code stream has its last marker
                file.seek(-2, os.SEEK_END)
                return bool(kind == b"jp2c" and file.read(2) != b"\xff\xd9")
            at += struct.unpack(">Q", file.read(8))[0] if length == 1 else max(length, 8)
    return at > size


def _limit() -> int:
    """Files that the process may open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else PROCESS_FILES
    return PROCESS_FILES if resource and soft == resource.RLIM_INFINITY else soft


def _share() -> int:
    """Handles that this thread may keep: its part of what the process may open."""
    if _kept is not None:
        return _kept
    return min(OPEN_FILES, max(16, _room() // 2 // threading.active_count()))


def _room() -> int:
    """Files that the process may open to read images and maps; half of them for shared handles."""
    return _limit() - OTHER_FILES


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
