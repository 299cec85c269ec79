"""How a raster file is laid out: its size, and the tiles or strips that its pixels are stored in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

TIFF, GDAL, JPEG_2000 = "tiff", "GDAL", "JPEG 2000"
"""Who decodes a file: the toolkit itself, or GDAL, which takes many times as long where it is JPEG 2000."""


@dataclass(frozen=True)
class FileLayout:
    """The tiles of a file; strips are tiles as wide as it."""

    height: int
    width: int
    rows: int
    """Of a tile."""
    cols: int
    dtype: np.dtype
    decoder: str = TIFF
    """`TIFF`, `GDAL` or `JPEG_2000`."""

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return -(-self.height // self.rows) * -(-self.width // self.cols)

    def tiles(self, row: int, col: int, height: int, width: int) -> Iterator[tuple[int, int]]:
        """The tiles that a window meets, which may reach beyond the file."""
        rows = range(max(row, 0) // self.rows, (min(row + height, self.height) - 1) // self.rows + 1)
        cols = range(max(col, 0) // self.cols, (min(col + width, self.width) - 1) // self.cols + 1)
        return product(rows, cols)

    def tile(self, i: int, j: int) -> tuple[int, int, int, int]:
        """First row and column, height and width; the last ones end with the file."""
        top, left = i * self.rows, j * self.cols
        return top, left, min(self.rows, self.height - top), min(self.cols, self.width - left)

    def inside(self, out: np.ndarray, row: int, col: int, fill: float) -> tuple[np.ndarray, slice, slice]:
        """Of a window (…, y, x) that begins at a row and column: its part in the file, and the file's rows and columns.

        What lies beyond the file is filled.
        """
        height, width = out.shape[-2:]
        rows = slice(max(row, 0), max(min(row + height, self.height), row, 0))
        cols = slice(max(col, 0), max(min(col + width, self.width), col, 0))
        if (rows.stop - rows.start, cols.stop - cols.start) != (height, width):
            out[...] = fill
        return out[..., rows.start - row : rows.stop - row, cols.start - col : cols.stop - col], rows, cols
