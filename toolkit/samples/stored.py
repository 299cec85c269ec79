"""Features that stay on disk, written and read by rows: for samples that memory does not hold.

The files are not mapped: pages of a mapped file count as memory of the process until the system takes them
back, and a training would seem to hold all that it has ever seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.ground.errors import SampleError

GAP = 64
"""Rows between two wanted ones that are rather read along than skipped by another call."""
RUN = 1024
"""Rows read by one call at most."""


class RowWriter:
    """A new `.npy` file (row, feature) of float32, whose rows are written in any order.

    Raises:
        OSError: the disk is full.
    """

    def __init__(self, path: Path, rows: int, width: int) -> None:
        np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, width))
        with path.open("rb") as file:
            self._begin, self.width = _header(file, path)
        self._file = path.open("r+b", buffering=0)

    def write(self, rows: np.ndarray, features: np.ndarray) -> None:
        """Write some rows, (row, feature); neighbours by one call."""
        order = np.argsort(rows)
        for run in np.split(order, np.flatnonzero(np.diff(rows[order]) != 1) + 1) if len(rows) else ():
            self._file.seek(self._begin + 4 * self.width * int(rows[run[0]]))
            left = np.ascontiguousarray(features[run], dtype=np.float32).data.cast("B")
            while left:
                left = left[self._file.write(left) :]

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@dataclass(frozen=True)
class StoredPart:
    """Rows of one file (row, feature) of float32."""

    path: Path
    rows: np.ndarray
    """Those that count, ascending, int64."""

    @cached_property
    def width(self) -> int:
        """Columns of the file.

        Raises:
            SampleError: it is gone, or holds something else.
        """
        try:
            with self.path.open("rb") as file:
                return _header(file, self.path)[1]
        except OSError as error:
            raise SampleError(f"{self.path}: {error.strerror}; extract the samples again") from None


class StoredFeatures:
    """Features (sample, feature) float32 in files, one part after the other; `features[rows]` reads rows.

    A part with fewer columns, of a tile with fewer raw dates, is filled up with zeros: dates that are not valid.
    """

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, parts: Sequence[StoredPart], width: int) -> None:
        self.parts, self.shape = tuple(parts), (sum(len(part.rows) for part in parts), width)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        self.take(rows, out)
        return out

    def take(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Read rows into `out`, float32 (row, feature).

        Args:
            rows: indices of samples, in any order; ascending ones are read fastest.

        Raises:
            SampleError: a file is gone or shorter than it was.
        """
        order = None if np.all(rows[1:] > rows[:-1]) else np.argsort(rows, kind="stable")
        wanted = rows if order is None else rows[order]
        bounds = np.searchsorted(wanted, self._starts)
        for part, start, first, last in zip(self.parts, self._starts, bounds, bounds[1:], strict=False):
            if first < last:
                places = np.arange(first, last) if order is None else order[first:last]
                self._read(part, part.rows[wanted[first:last] - start], places, out)

    @cached_property
    def _starts(self) -> np.ndarray:
        """The first index of each part, and the end."""
        return np.cumsum([0, *(len(part.rows) for part in self.parts)])

    @cached_property
    def _scratch(self) -> np.ndarray:
        return np.empty(RUN * self.shape[1], dtype=np.float32)

    def _read(self, part: StoredPart, rows: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
        try:
            with part.path.open("rb", buffering=0) as file:
                offset, width = _header(file, part.path)
                if width != part.width or width > self.shape[1]:
                    raise SampleError(f"{part.path} has {width} columns now, not {part.width}; sample again")
                for run in _runs(rows):
                    count = int(rows[run.stop - 1] - rows[run.start] + 1)
                    span = self._scratch[: count * width].reshape(count, width)
                    file.seek(offset + int(rows[run.start]) * width * 4)
                    _fill(file, span, part.path)
                    out[places[run], :width] = span[rows[run] - rows[run.start]]
                out[places, width:] = 0
        except OSError as error:
            raise SampleError(f"{part.path}: {error.strerror}; extract the samples again") from None


def _runs(rows: np.ndarray) -> list[slice]:
    """Ascending rows in groups that are read by one call each."""
    breaks = np.flatnonzero(np.diff(rows) > GAP) + 1
    result = []
    for start, stop in zip([0, *breaks], [*breaks, len(rows)], strict=True):
        while start < stop:
            end = start + int(np.searchsorted(rows[start:stop], rows[start] + RUN))
            result.append(slice(int(start), end))
            start = end
    return result


def _header(file: Any, path: Path) -> tuple[int, int]:
    """Where the numbers of a `.npy` file begin, and its columns."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if len(shape) != 2 or fortran or dtype != np.float32:
        raise SampleError(f"{path} holds {dtype} of shape {shape}, not float32 (sample, feature); sample again")
    return int(file.tell()), shape[1]


def _fill(file: Any, array: np.ndarray, path: Path) -> None:
    view = array.view(np.uint8).reshape(-1).data
    while view:
        count = file.readinto(view)
        if not count:
            raise SampleError(f"{path} is shorter than its header says; sample again")
        view = view[count:]
