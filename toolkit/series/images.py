"""The images of a block as they are stored, brought onto one grid a few rows at a time.

A 20 m band has a quarter of the pixels of a 10 m one. Were it brought to 10 m for the whole block, it would be written
to memory and read again, and the block would take twice the memory, which costs time too when it is touched first. A
strip is still in the processor's cache when its gaps are filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit

import toolkit.series.compiling  # noqa: F401
from toolkit.ground.bands import NODATA
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.placed import CoarseWindow
from toolkit.series.resampling import Method, upsample_dates

PICKED_PIXELS = 4096
"""Pixels of a strip from which some are picked, unless a row is longer."""

Strip = tuple[slice, np.ndarray, np.ndarray]
"""Which rows of a block, their values (date, band, y, x) int16 and their validity (date, y, x) bool."""


@dataclass(frozen=True)
class BlockImages:
    """Room for the images of a block, which lies in a buffer until that is used for another one."""

    values: np.ndarray
    """(date, band, y, x) int16 of the bands that are on the grid."""
    on_grid: tuple[int, ...]
    """Place of each of them among all bands."""
    coarse: dict[int, np.ndarray]
    """Place of another band -> (date, y, x) int16 in its own pixels, C-contiguous."""
    windows: Mapping[int, CoarseWindow]
    """Place of such a band -> which pixels these are."""
    clear: np.ndarray
    """(date, y, x) bool, true where every mask is clear."""
    method: Method
    buffer: SeriesBuffer

    @classmethod
    def room(
        cls,
        dates: int,
        bands: int,
        shape: tuple[int, int],
        windows: Mapping[int, CoarseWindow],
        method: Method,
        buffer: SeriesBuffer,
    ) -> BlockImages:
        """Room to read into; what is not in `windows` is on the grid."""
        on_grid = tuple(band for band in range(bands) if band not in windows)
        coarse = {
            band: buffer.array(f"band {band}", (dates, *window.shape), np.int16) for band, window in windows.items()
        }
        values = buffer.array("values", (dates, len(on_grid), *shape), np.int16)
        return cls(values, on_grid, coarse, windows, buffer.array("clear", (dates, *shape), bool), method, buffer)

    def strips(self, rows: int) -> Iterator[Strip]:
        """So many rows at a time: which, and their values and validity as `TileSeries.read` gives them.

        They lie in the buffer until the next strip.
        """
        height = self.clear.shape[1]
        for top in range(0, height, rows):
            strip = slice(top, min(top + rows, height))
            yield strip, *self.strip(strip)

    def pixels(self, row: np.ndarray, col: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (date, band, pixel) int16 and validity (date, pixel) bool of some pixels, given by row and column.

        Only the strips that they lie in are brought onto the grid.
        """
        dates, height, width = self.clear.shape
        values = np.empty((dates, len(self.on_grid) + len(self.coarse), len(row)), np.int16)
        validity = np.empty((dates, len(row)), bool)
        rows = max(1, PICKED_PIXELS // width)
        order = np.argsort(row, kind="stable")
        for top in np.unique(row // rows) * rows:
            some = order[slice(*np.searchsorted(row[order], (top, top + rows)))]
            strip_values, strip_validity = self.strip(slice(top, min(top + rows, height)))
            values[:, :, some] = strip_values[:, :, row[some] - top, col[some]]
            validity[:, some] = strip_validity[:, row[some] - top, col[some]]
        return values, validity

    def strip(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Values and validity of some rows."""
        dates, bands, shape = len(self.clear), len(self.on_grid) + len(self.coarse), self.clear[0, rows].shape
        values = self.buffer.array("values of a strip", (dates, bands, *shape), np.int16)
        validity = self.buffer.array("validity of a strip", (dates, *shape), bool)
        for place, band in enumerate(self.on_grid):
            values[:, band] = self.values[:, place, rows]
        for band, coarse in self.coarse.items():
            window = self.windows[band]
            skip = window.skip[0] + rows.start, window.skip[1]
            upsample_dates(coarse, window.ratio, skip, self.method, NODATA, values, band)
        validity[:] = self.clear[:, rows]
        only_measured(values, validity.view(np.uint8), NODATA)
        return values, validity


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
