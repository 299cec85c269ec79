"""Passes over a class map: each reads the map that the one before left, block by block with the padding it needs.

A pass gives the same whatever the blocks, so the whole chain does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from odc.geo.geobox import GeoBox

from toolkit.features.block import inner
from toolkit.ground.grid import Block, blocks
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.streaming import Progress, no_progress, stream
from toolkit.mapping.rasters import NO_CLASS, map_writer, side_file, to_cog, write_block
from toolkit.products.raster import grid_of, read_window

BLOCK = 1024
"""Pixels a side of a block, unless the padding is larger."""

BYTES_A_PIXEL = 24
"""Memory that a filter takes for each pixel of a block, padding included: classes, regions, pixels in their order."""

Filter = Callable[[np.ndarray, Block], np.ndarray]
"""Classes of a window, and the window, to other classes."""


class MapWork(Protocol):
    """Work on a block of a map for `stream`: gives `classes`, uint8 (y, x), and how many pixels have `changed`."""

    def __call__(self, block: Block) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class FilterBlock:
    """Read a block with padding, filter it, cut the padding off."""

    source: Path
    padding: int
    filter: Filter
    only: frozenset[Block] | None = None
    """Blocks that are filtered; the others stay as they are. None: all."""

    def __call__(self, block: Block) -> dict[str, np.ndarray]:
        """`classes` and `changed` of a block."""
        if self.only is not None and block not in self.only:
            classes = read_classes(self.source, block)
            return work_result(classes, classes)
        wide = block.padded(self.padding)
        window = read_classes(self.source, wide)
        return work_result(inner(self.filter(window, wide), self.padding), inner(window, self.padding))


@dataclass(frozen=True)
class Pass:
    """A step of post-processing."""

    words: str
    work: Callable[[Path], MapWork]
    """On the map that it reads."""
    padding: int = 0
    bytes_a_pixel: float = BYTES_A_PIXEL
    repeats: bool = False
    """Whether it is a filter that is done again until nothing changes."""

    @property
    def block(self) -> int:
        """Pixels a side of its blocks."""
        return max(BLOCK, self.padding)

    def workers_within(self, memory_gb: float, workers: int | None) -> int:
        """How many blocks may be worked on at the same time."""
        window = (self.block + 2 * self.padding) ** 2 * self.bytes_a_pixel
        return max(1, min(workers or os.cpu_count() or 1, int(memory_gb * 1e9 // window)))


def read_classes(source: Path, block: Block) -> np.ndarray:
    """Classes of a block, uint8 (y, x), no class beyond the map."""
    return read_window(source, block.row, block.col, block.height, block.width, fill=NO_CLASS)


def work_result(classes: np.ndarray, before: np.ndarray) -> dict[str, np.ndarray]:
    """What `MapWork` gives of a block."""
    return {"classes": classes.astype(np.uint8, copy=False), "changed": np.array(np.count_nonzero(classes != before))}


@dataclass
class Chain:
    """Passes that are run one after the other, from the map at `source` to a cloud-optimised one at `path`."""

    source: Path
    path: Path
    nomenclature: Nomenclature
    key: str
    """Fingerprint of everything the result depends on."""
    memory_gb: float
    workers: int | None
    tags: Mapping[str, str]
    written: int = 0
    """Maps written so far."""

    def run(self, passes: Sequence[Pass], progress: Progress = no_progress) -> float:
        """Run the passes.

        Returns:
            Share of the pixels of another class than before.

        Raises:
            ProductError: a raster cannot be read. RunFolderError: the disk is full.
        """
        current = self.source
        try:
            for index, one in enumerate(passes):
                current, changed = self._write(one, one.work(current), current, part_of(progress, index, len(passes)))
                while one.repeats and changed:
                    again = replace(one.work(current), only=_near(changed, grid_of(self.source), one))  # type: ignore[type-var]
                    current, changed = self._write(one, again, current, no_progress)
            to_cog(current, self.path, categorical=True, nomenclature=self.nomenclature)
            return share_changed(self.source, current)
        finally:
            self._forget(current)

    def _write(self, one: Pass, work: MapWork, before: Path, progress: Progress) -> tuple[Path, set[Block]]:
        """The map of a pass, and the blocks in which it changed anything; the map before is deleted."""
        grid, self.written = grid_of(self.source), self.written + 1
        part = self.path.with_name(f".{self.path.stem}.{self.written}.part.tif")
        results = stream(
            work,
            list(blocks(grid.shape, one.block)),
            self.path.with_name(f".{self.path.stem}.blocks"),
            key=f"{self.key} {self.written} {one.block} {one.padding}",
            workers=one.workers_within(self.memory_gb, self.workers),
            progress=progress,
        )
        changed = set()
        with map_writer(part, grid, "uint8", nodata=NO_CLASS, nomenclature=self.nomenclature, tags=self.tags) as target:
            for block, arrays in results:
                write_block(target, block, arrays["classes"])
                if arrays["changed"].any():
                    changed.add(block)
        results.discard()
        self._forget(before)
        return part, changed

    def _forget(self, part: Path) -> None:
        """Delete the map of a pass, once it is read; never the first."""
        if part != self.source:
            part.unlink(missing_ok=True)
            side_file(part).unlink(missing_ok=True)


def part_of(progress: Progress, index: int, parts: int) -> Progress:
    """A callback for one of several parts of the same length."""
    return lambda done, total: progress(index * total + done, parts * total)


def share_changed(before: Path, after: Path) -> float:
    """Share of the pixels with a class that have another one in `after`, a map of the same grid."""
    changed = mapped = 0
    for block in blocks(grid_of(before).shape, BLOCK):
        old, new = read_classes(before, block), read_classes(after, block)
        changed += int(np.count_nonzero(old != new))
        mapped += int(np.count_nonzero(old))
    return changed / max(mapped, 1)


def _near(changed: Iterable[Block], grid: GeoBox, one: Pass) -> frozenset[Block]:
    """The blocks whose padded window touches one of these."""
    most = -(-one.padding // one.block)
    reach = range(-most, most + 1)
    places = {
        (block.row // one.block + down, block.col // one.block + right)
        for block in changed
        for down in reach
        for right in reach
    }
    return frozenset(
        block for block in blocks(grid.shape, one.block) if (block.row // one.block, block.col // one.block) in places
    )
