"""Handles on raster files, kept open between blocks up to a bound.

GDAL's handles serve one thread at a time: either each thread has its own (`open_raster`), or they take turns
(`shared_raster`). GDAL's own memory of blocks read is bounded too: by default it takes a share of the machine's,
whatever the toolkit may use.
"""

from __future__ import annotations

import errno
import os
import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

import rasterio
from rasterio.env import set_gdal_config
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from toolkit.ground.errors import ProductError

try:
    import resource
except ImportError:  # Windows, which sets no such limit
    resource = None  # type: ignore[assignment]

# rasterio says of the grid that it makes to burn polygons into that it lies nowhere, and silences itself, but not in a
# thread.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)

Room = TypeVar("Room")

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


def read_as_free(reads: Iterable[tuple[Path, Callable[[Room], None]]], room: Room) -> None:
    """Read files in whatever order; one that another thread is at is come back to as soon as it is free.

    Two workers on the same files of GDAL's would wait for each other at every second one. They stay a few files apart
    instead, so that each finds what both need, the tiles around their blocks, in GDAL's cache. Files that are decoded
    without GDAL are always free.

    Args:
        reads: files, and what reads each.
        room: what each is read with, such as memory to use.
    """
    waiting: deque[tuple[Path, Callable[[Room], None]]] = deque()
    for path, read in reads:
        waiting.append((path, read))
        for _ in range(len(waiting)):
            if _is_free(waiting[0][0]):
                waiting.popleft()[1](room)
            else:
                waiting.rotate(-1)
    for _, read in waiting:
        read(room)


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
        raise ProductError(unreadable(path, error)) from None


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


def unreadable(path: Path, reason: object) -> str:
    """That a file cannot be read, why, and what to do."""
    if os.strerror(errno.EMFILE) in str(reason):
        return (
            f"{path} cannot be read: the process has all {_limit():,} files open that it may; raise the limit with "
            "`ulimit -n`, or set fewer mapping.workers"
        )
    if not path.exists():
        return f"{path} does not exist; deliver the file again, or take its product folder away"
    size = path.stat().st_size
    why = f"{reason}; {size:,} bytes" if size else "it is empty"
    return f"{path} cannot be read ({why}); fetch the file again, or take its product folder away"
