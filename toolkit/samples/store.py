"""Samples on disk: one folder a tile, with plain NumPy files that can be mapped into memory.

samples/
  stack.json                feature names, in order, and their definitions
  31TCJ/pixels.npy          (sample,) row, col, polygon, code
  31TCJ/clear.npy           (sample,) uint16, number of clear dates
  31TCJ/features.npy        (sample, feature) float32; raw dates: as many as the tile has
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toolkit.ground.errors import SampleError
from toolkit.ground.raw_rows import RawRow
from toolkit.ground.writing import aside, write_text
from toolkit.samples.stored import RowWriter, StoredFeatures, StoredPart

CHUNK = 2048
"""Samples copied at once."""


@dataclass(frozen=True)
class Samples:
    """Samples in memory; every array has one entry a sample."""

    features: np.ndarray
    """(sample, feature) float32; raw dates: each sample padded to the most dates of any tile."""
    codes: np.ndarray
    """(sample,) uint8."""
    polygons: np.ndarray
    """(sample,) int64."""

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        return f"Samples({len(self):,} of {len(np.unique(self.codes))} classes, {self.features.shape[1]} features)"


class StoredSamples(NamedTuple):
    """Samples whose features stay on disk; otherwise as `Samples`."""

    features: StoredFeatures
    codes: np.ndarray
    polygons: np.ndarray


@dataclass(frozen=True)
class SampleStore:
    """A folder of samples."""

    folder: Path

    @contextmanager
    def writing(self, tile: str, pixels: np.ndarray, features: int) -> Iterator[RowWriter]:
        """A file (sample, feature) float32 to fill; it is in its place when the block ends well."""
        with aside(self.folder / tile / "features.npy") as part, RowWriter(part, len(pixels), features) as target:
            yield target
        _write(self.folder / tile / "pixels.npy", pixels)

    def write_clear(self, tile: str, clear: np.ndarray, key: str) -> None:
        """Number of clear dates of each sample of a tile, and what the tile was made from: it is done."""
        _write(self.folder / tile / "clear.npy", clear)
        write_text(self.folder / tile / "key", key)

    def has(self, tile: str, key: str) -> bool:
        """Whether a tile is done, with this fingerprint."""
        path = self.folder / tile / "key"
        return path.is_file() and path.read_text(encoding="utf-8") == key

    def finish(self, names: Sequence[str], key: str, definitions: Mapping[str, str] | None = None) -> None:
        """Feature names and the fingerprint of what the samples were made from, once every tile is written.

        Args:
            definitions: what the features are: see `FeatureStack.definitions`.
        """
        content = {"key": key, "features": list(names), "definitions": dict(definitions or {})}
        write_text(self.folder / "stack.json", json.dumps(content, indent=1))

    def clear_away(self, but: str) -> None:
        """Take samples away, but those of tiles made from this fingerprint; blocks in the making know their own."""
        (self.folder / "stack.json").unlink(missing_ok=True)
        for path in self.folder.glob("*/*.npy"):
            if not self.has(path.parent.name, but):
                path.unlink()

    def is_made_from(self, key: str) -> bool:
        """Whether the store is finished, with this fingerprint."""
        path = self.folder / "stack.json"
        return path.is_file() and json.loads(path.read_text(encoding="utf-8"))["key"] == key

    @cached_property
    def names(self) -> list[str]:
        """Feature names, in order.

        Raises:
            SampleError: the store was never finished.
        """
        return list(self._stack["features"])

    @property
    def definitions(self) -> dict[str, str]:
        """What the features are, in words; empty in stores of earlier versions.

        Raises:
            SampleError: the store was never finished.
        """
        return dict(self._stack.get("definitions", {}))

    @property
    def _stack(self) -> dict[str, Any]:
        path = self.folder / "stack.json"
        if not path.is_file():
            raise SampleError(f"{self.folder} holds no finished samples; run `sample` first")
        return dict(json.loads(path.read_text(encoding="utf-8")))

    @cached_property
    def tiles(self) -> list[str]:
        """Tiles that have samples, sorted."""
        return sorted(path.parent.name for path in self.folder.glob("*/features.npy"))

    def pixels(self, tile: str) -> np.ndarray:
        """(sample,) row, col, polygon, code."""
        return np.load(self.folder / tile / "pixels.npy", allow_pickle=False)

    def clear(self, tile: str) -> np.ndarray:
        """(sample,) number of clear dates, uint16."""
        return np.load(self.folder / tile / "clear.npy", allow_pickle=False)

    def load(self, min_clear_dates: int = 1, choose: Mapping[str, np.ndarray] | None = None) -> Samples:
        """Samples of all tiles, in memory.

        Args:
            min_clear_dates: samples with fewer clear dates are left out.
            choose: for each tile, (sample,) bool; only these are taken. A tile that is not named gives none.

        Raises:
            SampleError: nothing is left.
        """
        keep = self._kept(min_clear_dates, choose)
        counts = [int(one.sum()) for one in keep.values()]
        stored = {tile: np.load(self._features(tile), mmap_mode="r", allow_pickle=False) for tile in keep}
        # Zeros are dates that are not valid, and take no memory until another value is written.
        features = np.zeros((sum(counts), max(one.shape[1] for one in stored.values())), dtype=np.float32)
        start = 0
        for (tile, chosen), count in zip(keep.items(), counts, strict=True):
            _fill(features[start : start + count], stored[tile], chosen)
            start += count
        return Samples(features, *self._codes_and_polygons(keep))

    def open(self, min_clear_dates: int = 1, choose: Mapping[str, np.ndarray] | None = None) -> StoredSamples:
        """Samples of all tiles, their features left on disk and read by rows; otherwise as `load`.

        Raises:
            SampleError: nothing is left.
        """
        keep = self._kept(min_clear_dates, choose)
        parts = [StoredPart(self._features(tile), np.flatnonzero(chosen)) for tile, chosen in keep.items()]
        width = max(part.width for part in parts) if RawRow.of(self.names) else len(self.names)
        return StoredSamples(StoredFeatures(parts, width), *self._codes_and_polygons(keep))

    def _features(self, tile: str) -> Path:
        return self.folder / tile / "features.npy"

    def _codes_and_polygons(self, keep: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        pixels = np.concatenate([self.pixels(tile)[chosen] for tile, chosen in keep.items()])
        return pixels["code"], pixels["polygon"]

    def _kept(self, min_clear_dates: int, choose: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """Of each tile, which samples count, (sample,) bool."""
        self.names  # noqa: B018 - refuses an unfinished store
        tiles = self.tiles if choose is None else [tile for tile in self.tiles if tile in choose]
        keep = {tile: self._keep(tile, min_clear_dates, None if choose is None else choose[tile]) for tile in tiles}
        if not any(one.any() for one in keep.values()):
            raise SampleError(
                f"{self.folder} holds no sample with {min_clear_dates} clear dates or more; "
                "lower sampling.min_clear_dates, or add ground truth"
            )
        return keep

    def _keep(self, tile: str, min_clear_dates: int, choose: np.ndarray | None) -> np.ndarray:
        keep = self.clear(tile) >= min_clear_dates
        return keep if choose is None else keep & choose


def _fill(target: np.ndarray, stored: np.ndarray, chosen: np.ndarray) -> None:
    """Copy the chosen of these samples, which may have fewer columns; nothing large is held twice."""
    rows = np.flatnonzero(chosen)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        target[start : start + len(part), : stored.shape[1]] = stored[part]


def _write(path: Path, array: np.ndarray) -> None:
    with aside(path) as part:
        np.save(part, array, allow_pickle=False)
