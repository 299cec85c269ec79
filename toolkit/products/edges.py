"""Windows that look one pixel over the edges of a file's tiles, without decoding the neighbours for each of them.

Interpolation onto a finer grid needs the pixels next to a block. Where the block is a tile of the file, these lie in
eight other tiles, and each would be decoded whole for a line of it: nine tiles decoded for one. So the outermost lines
of a tile are kept when it is decoded, for the blocks around it: a tile is then decoded twice at most while a file is
gone through, once for its lines and once for itself. Where a block is a part of a tile, its own tile is decoded for
each of the parts, and others' lines are taken from what is kept as well.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.products.layout import FileLayout
from toolkit.products.raster import held, read_into

MOST_BYTES = 64 * 2**20
"""Lines kept: of three rows of tiles of a Sentinel-2 tile with 70 dates, they take 57 MB."""

FEW_ROWS = 64
"""Strips of fewer rows are decoded again for a line: they are many, and each costs little."""


@dataclass(frozen=True)
class TileEdges:
    """The outermost lines of a tile of a file."""

    top: np.ndarray
    bottom: np.ndarray
    left: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, tile: np.ndarray) -> TileEdges:
        """Copies of the lines of a tile (y, x)."""
        return cls(tile[0].copy(), tile[-1].copy(), tile[:, 0].copy(), tile[:, -1].copy())

    @property
    def nbytes(self) -> int:
        """Memory of the lines."""
        return self.top.nbytes + self.bottom.nbytes + self.left.nbytes + self.right.nbytes


class EdgeStore:
    """Lines of tiles, shared by the workers of a process; those not asked for longest go first.

    It travels to another process empty.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes, self._bytes = most_bytes, 0
        self._kept: OrderedDict[tuple[Path, int, int], TileEdges] = OrderedDict()
        self._lock = threading.Lock()

    def read_into(self, whole: np.ndarray, path: Path, row: int, col: int, fill: float) -> None:
        """A window with a ring of one pixel around it: as `read_into` from one row and column before.

        Args:
            whole: (height + 2, width + 2), of the file's own type.
            row, col: where the window begins, without the ring.

        Raises:
            ProductError: the file cannot be read there.
        """
        with held(path) as file:
            height, width = whole.shape[0] - 2, whole.shape[1] - 2
            inside = row >= 0 and col >= 0 and row + height <= file.height and col + width <= file.width
            if not inside or (file.cols >= file.width and file.rows < FEW_ROWS):
                read_into(whole, path, row - 1, col - 1, fill)
            else:
                self._read_tiles(whole, path, file, row, col, fill)

    def _read_tiles(self, whole: np.ndarray, path: Path, file: FileLayout, row: int, col: int, fill: float) -> None:
        height, width = whole.shape[0] - 2, whole.shape[1] - 2
        for line in (whole[0], whole[-1], whole[:, 0], whole[:, -1]):  # beyond the file; tiles fill all the rest
            line[:] = fill
        for i, j in file.tiles(row - 1, col - 1, height + 2, width + 2):
            top, left, tall, wide = file.tile(i, j)
            place = top - row + 1, left - col + 1
            if top < row + height and top + tall > row and left < col + width and left + wide > col:
                self._lay_tile(whole, path, file, i, j, place, fill)
            else:  # it is met by the ring alone
                _lay(whole, self._edges(path, file, i, j, fill), *place, tall, wide)

    def _lay_tile(
        self, whole: np.ndarray, path: Path, file: FileLayout, i: int, j: int, place: tuple[int, int], fill: float
    ) -> None:
        """Copy what meets an array of a tile that lies at `place` in it; its lines are kept as it is decoded."""
        top, left, tall, wide = file.tile(i, j)
        rows = _meeting(slice(place[0], place[0] + tall), whole.shape[0])
        cols = _meeting(slice(place[1], place[1] + wide), whole.shape[1])
        inner = slice(rows.start - place[0], rows.stop - place[0]), slice(cols.start - place[1], cols.stop - place[1])
        with self._lock:
            known = (path, i, j) in self._kept
        target = whole[rows, cols]
        if known:  # a part of the tile is less to copy
            read_into(target, path, top + inner[0].start, left + inner[1].start, fill)
            return
        tile = target if target.shape == (tall, wide) else np.empty((tall, wide), whole.dtype)
        read_into(tile, path, top, left, fill)
        self._keep((path, i, j), TileEdges.of(tile))
        if tile is not target:
            target[...] = tile[inner]

    def clear(self) -> None:
        """Forget all lines; the files may be others the next time."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _edges(self, path: Path, file: FileLayout, i: int, j: int, fill: float) -> TileEdges:
        key = path, i, j
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        top, left, tall, wide = file.tile(i, j)
        tile = np.empty((tall, wide), file.dtype)
        read_into(tile, path, top, left, fill)
        edges = TileEdges.of(tile)
        self._keep(key, edges)
        return edges

    def _keep(self, key: tuple[Path, int, int], edges: TileEdges) -> None:
        with self._lock:
            before = self._kept.pop(key, None)
            self._bytes += edges.nbytes - (before.nbytes if before else 0)
            self._kept[key] = edges
            while self._bytes > self.most_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes

    def __getstate__(self) -> dict[str, int]:
        return {"most_bytes": self.most_bytes}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _lay(whole: np.ndarray, edges: TileEdges, top: int, left: int, tall: int, wide: int) -> None:
    """Copy what meets an array of the lines of a tile that lies at `top`, `left` beside it."""
    lines = (
        (slice(top, top + 1), slice(left, left + wide), edges.top[None]),
        (slice(top + tall - 1, top + tall), slice(left, left + wide), edges.bottom[None]),
        (slice(top, top + tall), slice(left, left + 1), edges.left[:, None]),
        (slice(top, top + tall), slice(left + wide - 1, left + wide), edges.right[:, None]),
    )
    height, width = whole.shape
    for rows, cols, values in lines:
        inner_rows, inner_cols = _meeting(rows, height), _meeting(cols, width)
        if inner_rows.start < inner_rows.stop and inner_cols.start < inner_cols.stop:
            whole[inner_rows, inner_cols] = values[
                inner_rows.start - rows.start : inner_rows.stop - rows.start,
                inner_cols.start - cols.start : inner_cols.stop - cols.start,
            ]


def _meeting(one: slice, length: int) -> slice:
    return slice(max(one.start, 0), min(one.stop, length))
