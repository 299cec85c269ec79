"""The images of a block as they are stored, brought onto one grid a few rows at a time.

A 20 m band has a quarter of the pixels of a 10 m one. Were it brought to 10 m for the whole block, it would be written
to memory and read again, and the block would take twice the memory, which costs time too when it is touched first. A
strip is still in the processor's cache when its gaps are filled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numba import njit

import toolkit.series.compiling  # noqa: F401
from toolkit.ground.bands import NODATA
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.placed import CoarseWindow
from toolkit.series.resampling import Method, find_holes, upsample_dates

PICKED_PIXELS = 4096
"""Pixels of a strip from which some are picked, unless a row is longer."""


@dataclass(frozen=True)
class Strip:
    """Some rows of a block, to be loaded when their turn comes."""

    rows: slice
    """Which of the block."""
    load: Callable[[SeriesBuffer], tuple[np.ndarray, np.ndarray]]
    """Their values (date, band, y, x) int16 and validity (date, y, x) bool; they lie in the buffer given until the
    next strip is loaded into it."""


@dataclass(frozen=True)
class CoarseBands:
    """The bands of a block whose pixels are coarser than those of the grid, in their own pixels."""

    windows: Mapping[int, CoarseWindow]
    """Place of such a band among all -> which pixels these are."""
    values: Mapping[int, np.ndarray]
    """The same -> (date, y, x) int16, C-contiguous."""
    method: Method
    holes: dict[int, np.ndarray] = field(default_factory=dict)
    """The same -> where pixels have no data: see `find_holes`."""

    @classmethod
    def room(cls, dates: int, windows: Mapping[int, CoarseWindow], method: Method, buffer: SeriesBuffer) -> CoarseBands:
        """Room to read into, which lies in a buffer."""
        values = {band: buffer.array(f"band {band}", (dates, *one.shape), np.int16) for band, one in windows.items()}
        return cls(windows, values, method)

    def look_for_holes(self) -> None:
        """Find where pixels have no data, once: all are read, and no strip is brought onto the grid yet."""
        for band, values in self.values.items():
            if band not in self.holes:
                self.holes[band] = find_holes(values, NODATA)

    def bring_onto(self, fine: np.ndarray, row: int) -> None:
        """Write some rows of the block, from this one on, into their places of (date, band, y, x)."""
        for band, values in self.values.items():
            window = self.windows[band]
            skip = window.skip[0] + row, window.skip[1]
            upsample_dates(values, window.ratio, skip, self.method, NODATA, fine, band, self.holes[band])


@dataclass(frozen=True)
class BlockImages:
    """Room for the images of a block, which lies in a buffer until that is used for another one."""

    values: np.ndarray
    """(date, band, y, x) int16 of the bands that are on the grid; of one strip, of all bands."""
    on_grid: tuple[int, ...]
    """Place among all bands of those that are on the grid."""
    coarse: CoarseBands
    """The others."""
    clear: np.ndarray
    """(date, y, x) bool, true where every mask is clear."""
    buffer: SeriesBuffer
    row: int = 0
    """The first, of the block that the coarser bands are of."""
    one_strip: bool = False
    """Whether all rows are looked at together, and once: nothing is copied then."""

    @classmethod
    def room(
        cls,
        dates: int,
        bands: int,
        shape: tuple[int, int],
        coarse: CoarseBands,
        buffer: SeriesBuffer,
        *,
        row: int = 0,
        one_strip: bool = False,
    ) -> BlockImages:
        """Room to read into; what is not coarser is on the grid."""
        on_grid = tuple(band for band in range(bands) if band not in coarse.windows)
        values = buffer.array("values", (dates, bands if one_strip else len(on_grid), *shape), np.int16)
        return cls(values, on_grid, coarse, buffer.array("clear", (dates, *shape), bool), buffer, row, one_strip)

    def on_all_dates(self, band: int) -> np.ndarray:
        """Room of a band that is on the grid, (date, y, x)."""
        return self.values[:, band if self.one_strip else self.on_grid.index(band)]

    def strips(self, rows: int) -> list[Strip]:
        """So many rows each; what is loaded of them is as `TileSeries.read` gives it."""
        self.coarse.look_for_holes()
        first, height = self.row, self.clear.shape[1]
        strips = [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
        return [Strip(slice(first + one.start, first + one.stop), partial(self.load, one)) for one in strips]

    def pixels(self, row: np.ndarray, col: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (date, band, pixel) int16 and validity (date, pixel) bool of some pixels, given by row and column.

        Only the strips that they lie in are brought onto the grid.
        """
        self.coarse.look_for_holes()
        dates, height, width = self.clear.shape
        values = np.empty((dates, self._bands, len(row)), np.int16)
        validity = np.empty((dates, len(row)), bool)
        rows = max(1, PICKED_PIXELS // width)
        order = np.argsort(row, kind="stable")
        for top in np.unique(row // rows) * rows:
            some = order[slice(*np.searchsorted(row[order], (top, top + rows)))]
            strip_values, strip_validity = self.load(slice(top, min(top + rows, height)), self.buffer)
            values[:, :, some] = strip_values[:, :, row[some] - top, col[some]]
            validity[:, some] = strip_validity[:, row[some] - top, col[some]]
        return values, validity

    def load(self, rows: slice, buffer: SeriesBuffer) -> tuple[np.ndarray, np.ndarray]:
        """Values and validity of some rows of these images."""
        values, validity = (self.values, self.clear) if self.one_strip else self._copied(rows, buffer)
        self.coarse.bring_onto(values, self.row + rows.start)
        only_measured(values, validity.view(np.uint8), NODATA)
        return values, validity

    def _copied(self, rows: slice, buffer: SeriesBuffer) -> tuple[np.ndarray, np.ndarray]:
        """Room for the values of a strip, those that are on the grid in it, and its validity."""
        dates, shape = len(self.clear), self.clear[0, rows].shape
        values = buffer.array("values of a strip", (dates, self._bands, *shape), np.int16)
        validity = buffer.array("validity of a strip", (dates, *shape), bool)
        for place, band in enumerate(self.on_grid):
            values[:, band] = self.values[:, place, rows]
        validity[:] = self.clear[:, rows]
        return values, validity

    @property
    def _bands(self) -> int:
        return len(self.on_grid) + len(self.coarse.windows)


@njit(nogil=True, cache=True)
def only_measured(values, validity, nodata):  # type: ignore[no-untyped-def]
    """Take from the validity (date, y, x) uint8 what has no value in a band of (date, band, y, x)."""
    dates, bands, height, _ = values.shape
    for t in range(dates):
        for b in range(bands):
            for y in range(height):
                line, valid = values[t, b, y], validity[t, y]
                for x in range(line.size):
                    valid[x] &= np.uint8(line[x] != nodata)
