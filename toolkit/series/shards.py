"""Windows of a Zarr array whose chunks hold all dates, read without the layers between.

The array is an ordinary one of Zarr 3 (shards, Blosc, a checksum a chunk), which zarr and xarray open too. Here its
chunks are read by the thousand: a shard is a file with an index at its end, a chunk is decoded into memory that is used
again and copied to its place. Decoding lets go of the interpreter, so that threads read side by side.

Source: Zarr core specification 3.0, codec `sharding_indexed` 1.0 (zarr-specs.readthedocs.io).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any, Self

import google_crc32c
import numpy as np
from numcodecs import blosc

from toolkit.ground.errors import ProductError
from toolkit.ground.grid import Block

CHECKSUM = 4
"""Bytes of a CRC32C at the end of a chunk and of an index."""
MOST = 2**40
"""Bytes of a shard that nobody writes: a number beyond is not a place in it."""
CODECS = ["bytes", "blosc", "crc32c"]
"""What a chunk goes through, in the order of writing."""


@dataclass(frozen=True)
class OpenShard:
    """A shard that is open; threads take turns at its place."""

    file: FileIO
    turns: threading.Lock = field(default_factory=threading.Lock)

    def checked(self, start: int, length: int) -> bytes:
        """What stands before a checksum; OSError where it is not what was written."""
        if not 0 <= start <= MOST or not CHECKSUM < length <= MOST:
            raise OSError(None, "it is cut short, or its index is not one")
        with self.turns:
            self.file.seek(start)
            content, checksum = self.file.read(length - CHECKSUM), self.file.read(CHECKSUM)
        if google_crc32c.value(content) != int.from_bytes(checksum, "little"):
            raise OSError(None, "its checksum is not that of its content")
        return content


class OpenShards:
    """Shards that stay open, and their indexes, while a block is read a few rows at a time, by several threads."""

    def __init__(self) -> None:
        self._open: dict[Path, tuple[OpenShard, np.ndarray]] = {}
        self._files, self._opening = ExitStack(), threading.Lock()

    def of(self, path: Path, chunks: tuple[int, int]) -> tuple[OpenShard, np.ndarray]:
        """A shard of so many rows and columns of chunks; start and length of each of them, (row, col, 2).

        Raises:
            OSError: it cannot be read, or its index is damaged.
        """
        with self._opening:
            if path not in self._open:
                shard = OpenShard(self._files.enter_context(path.open("rb", buffering=0)))
                length = 16 * chunks[0] * chunks[1] + CHECKSUM
                index = np.frombuffer(shard.checked(shard.file.seek(0, 2) - length, length), "<u8")
                self._open[path] = shard, index.reshape(*chunks, 2)
            return self._open[path]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.clear()
        self._files.close()


@dataclass(frozen=True)
class ShardedArray:
    """An array (date, y, x) on disk. It travels to other processes as its path."""

    folder: Path
    shape: tuple[int, int, int]
    chunk: tuple[int, int]
    """Rows and columns; all dates are in each."""
    shard: tuple[int, int]
    fill: int
    """The value beyond the array's edges."""
    dtype: str

    @classmethod
    def open(cls, folder: Path) -> ShardedArray:
        """Read what the array is; none of its values.

        Raises:
            ProductError: it is not there, or not an array as `landcover prepare` writes it.
        """
        try:
            content = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))
            return cls(folder, *_layout(content))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ProductError(_damaged(folder, f"{type(error).__name__}: {error}")) from None

    def read(
        self, window: Block, out: np.ndarray, chosen: slice | np.ndarray, scratch: np.ndarray, shards: OpenShards
    ) -> None:
        """Values of a window, which may reach beyond the array's edges.

        Args:
            out: (date, y, x), of the window's size; written to.
            chosen: the dates wanted, in the order of `out`.
            scratch: (`scratch_bytes`,) uint8 at least, for one chunk at a time.
            shards: those that are open.

        Raises:
            ProductError: a file is not there or damaged.
        """
        _, height, width = self.shape
        inside = window.row >= 0 and window.col >= 0
        if not (inside and window.row + window.height <= height and window.col + window.width <= width):
            out[:] = self.fill
        chunk = scratch[: self.scratch_bytes].view(self.dtype).reshape(self.shape[0], *self.chunk)
        for place, data in self._chunks(window, shards):
            self._decode(data, chunk)
            rows = slice(max(place.row, window.row), min(place.row + place.height, window.row + window.height))
            cols = slice(max(place.col, window.col), min(place.col + place.width, window.col + window.width))
            out[:, _moved(rows, window.row), _moved(cols, window.col)] = chunk[
                chosen, _moved(rows, place.row), _moved(cols, place.col)
            ]

    @property
    def scratch_bytes(self) -> int:
        """Memory of a chunk."""
        return int(self.shape[0] * self.chunk[0] * self.chunk[1] * np.dtype(self.dtype).itemsize)

    def files(self) -> list[Path]:
        """The shards' files."""
        rows, cols = (-(-length // side) for length, side in zip(self.shape[1:], self.shard, strict=True))
        return [self._file(row, col) for row in range(rows) for col in range(cols)]

    def _file(self, row: int, col: int) -> Path:
        return self.folder / "c" / "0" / str(row) / str(col)

    def _chunks(self, window: Block, shards: OpenShards) -> Iterator[tuple[Block, bytes]]:
        """The chunks that a window meets, as they are stored, with their places cut at the array's edges."""
        rows = range(max(window.row, 0), min(window.row + window.height, self.shape[1]))
        cols = range(max(window.col, 0), min(window.col + window.width, self.shape[2]))
        if not rows or not cols:
            return
        for i in range(rows[0] // self.shard[0], rows[-1] // self.shard[0] + 1):
            for j in range(cols[0] // self.shard[1], cols[-1] // self.shard[1] + 1):
                top, left = i * self.shard[0], j * self.shard[1]
                met_rows = range(max(rows[0], top) - top, min(rows[-1] + 1, top + self.shard[0]) - top)
                met_cols = range(max(cols[0], left) - left, min(cols[-1] + 1, left + self.shard[1]) - left)
                for place, data in self._of_shard(shards, self._file(i, j), met_rows, met_cols):
                    row, col = top + place[0] * self.chunk[0], left + place[1] * self.chunk[1]
                    height, width = min(self.chunk[0], self.shape[1] - row), min(self.chunk[1], self.shape[2] - col)
                    yield Block(row, col, height, width), data

    def _of_shard(
        self, shards: OpenShards, path: Path, rows: range, cols: range
    ) -> Iterator[tuple[tuple[int, int], bytes]]:
        """The chunks of a shard that these rows and columns of it meet, and their places in it, counted in chunks."""
        try:
            shard, index = shards.of(path, (self.shard[0] // self.chunk[0], self.shard[1] // self.chunk[1]))
            for row in range(rows[0] // self.chunk[0], rows[-1] // self.chunk[0] + 1):
                for col in range(cols[0] // self.chunk[1], cols[-1] // self.chunk[1] + 1):
                    yield (row, col), shard.checked(*index[row, col].tolist())
        except OSError as error:
            raise ProductError(_damaged(path, error.strerror or str(error))) from None

    def _decode(self, data: bytes, chunk: np.ndarray) -> None:
        try:
            blosc.decompress(data, chunk)
        except (RuntimeError, ValueError) as error:
            raise ProductError(_damaged(self.folder, str(error))) from None


def _layout(content: dict[str, Any]) -> tuple[Any, ...]:
    """Shape, chunk, shard, fill and type of an array's metadata; ValueError where they are of another kind."""
    sharding = content["codecs"][0]
    inner = sharding["configuration"]
    kinds = [one["name"] for one in inner["codecs"]]
    shape, shard = content["shape"], content["chunk_grid"]["configuration"]["chunk_shape"]
    chunk, dtype = inner["chunk_shape"], content["data_type"]
    whole_dates = len(shape) == 3 and shape[0] == shard[0] == chunk[0]
    ours = sharding["name"] == "sharding_indexed" and kinds == CODECS and inner["index_location"] == "end"
    if not (whole_dates and ours and dtype in ("int16", "uint8")):
        raise ValueError(f"an array of {shape} {dtype} in chunks of {chunk} by {kinds}")
    return tuple(shape), tuple(chunk[1:]), tuple(shard[1:]), int(content["fill_value"]), np.dtype(dtype).str


def _moved(one: slice, start: int) -> slice:
    return slice(one.start - start, one.stop - start)


def _damaged(path: Path, why: str) -> str:
    return (
        f"{path} of a prepared series cannot be read ({why}); make it anew with `landcover prepare "
        "--overwrite`, or read the images themselves: prepare.use: false"
    )
