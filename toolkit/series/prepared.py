"""A prepared series: each band of a tile once, as compressed chunks of all dates, read in place of the products.

    <folder>/<source>_<tile>.zarr/       a group of Zarr 3
        B2, B3, …                        (date, y, x) int16 at the band's own resolution, reflectance x 10000
        validity                         (date, y, x) uint8, 1 where every mask is clear
        date, y, x, y_20m, x_20m         coordinates

Products have a file a date and a band, in tiles as large as a block: to read a block decodes seven hundred files. Here
a chunk holds all dates of a small square. What is read is the same to the bit: bands are stored as they were delivered
and come onto the tile's grid when they are read, by the same function.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from toolkit.ground.bands import NODATA, REFLECTANCE_SCALE
from toolkit.ground.errors import ProductError
from toolkit.ground.grid import Block, aligned_blocks, describe, is_aligned, offset, resolution
from toolkit.ground.params import Params, param
from toolkit.products.product import BandFile
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.images import BlockImages, CoarseBands, Strip
from toolkit.series.placed import CoarseWindow
from toolkit.series.resampling import REACH, Method, upsample_dates
from toolkit.series.shards import OpenShards, ShardedArray
from toolkit.series.team import Team

if TYPE_CHECKING:
    from toolkit.series.timeseries import Acquisition, TileSeries

LOG = logging.getLogger(__name__)

VALIDITY = "validity"
ABOUT = "landcover"
"""The attribute of the group that holds what this file needs to know."""
FORMAT = 1


class PrepareParams(Params):
    """A copy of the images that is quicker to read."""

    folder: Path = param(
        Path("prepared"), "Folder of the prepared series, relative to the experiment file; experiments may share it."
    )
    use: bool = param(True, "Whether a prepared series is read in place of the images, where there is one of them.")
    level: int = param(
        1, "How hard chunks are compressed: from 3 on a few percent smaller, and ten times slower to write.", ge=1, le=9
    )


Sides = tuple[bool, bool, bool, bool]
"""Top, left, bottom, right."""


@dataclass(frozen=True)
class Sources:
    """What the values of a date were read from: a fingerprint of each band's file, and of all masks."""

    name: str
    """Of the product."""
    bands: dict[str, str]
    masks: str


@dataclass(frozen=True)
class PreparedTile:
    """The prepared series of a tile on disk, and where the grid of the series that reads it lies."""

    folder: Path
    grid: GeoBox
    open_sides: Sides
    """Whether there is nothing beyond a side of the grid in the products either."""
    dates: tuple[Sources, ...]
    bands: dict[str, tuple[int, ShardedArray]]
    """Name -> pixels of the grid for one of the band's along each axis, and its values."""
    validity: ShardedArray
    row: int = 0
    """Row of `grid` at which that of the series begins."""
    col: int = 0

    @classmethod
    def open(cls, folder: Path) -> PreparedTile:
        """Read what there is; no values.

        Raises:
            ProductError: it is not a prepared series, or one of another version of the toolkit.
        """
        try:
            about = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))["attributes"][ABOUT]
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']}, not {FORMAT}")
            grid = about["grid"]
            box = GeoBox(tuple(grid["shape"]), Affine(*grid["affine"]), grid["crs"])
            bands = {name: (ratio, ShardedArray.open(folder / name)) for name, ratio in about["bands"].items()}
            dates = tuple(Sources(**one) for one in about["dates"])
            return cls(folder, box, tuple(about["open_sides"]), dates, bands, ShardedArray.open(folder / VALIDITY))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ProductError(f"{folder} is not a prepared series ({type(error).__name__}: {error})") from None

    def why_not(self, series: TileSeries) -> str:
        """Why a series cannot be read from here, in words; empty where it can. Every file of it is looked at."""
        if resolution(self.grid) != resolution(series.grid) or not is_aligned(self.grid, series.grid):
            return f"its grid is {describe(self.grid)}"
        absent = [band for band in series.bands if band not in self.bands]
        if absent:
            return f"band {', '.join(absent)} is not in it"
        there = {one.name: one for one in self.dates}
        changed = [one for one in series.acquisitions if not self._is_of(there.get(one.product.name), one)]
        if changed:
            first, last = changed[0].product, len(changed) - 1
            more = f" (and {last} more)" if last else ""
            verb = "was changed since" if first.name in there else "is not in it"
            return f"{first.name}{more} {verb}"
        lost = next((path for path in self.files() if not path.exists()), None)
        if lost:
            return f"its file {lost.relative_to(self.folder)} is lost"
        beyond = self._placed(series)._beyond(Block(0, 0, *series.grid.shape), 0)
        return f"it covers {describe(self.grid)} only" if beyond else ""

    def of(self, series: TileSeries) -> PreparedTile:
        """The same, for the grid of a series.

        Raises:
            ProductError: the series cannot be read from here.
        """
        why = self.why_not(series)
        if why:
            raise ProductError(f"{self.folder} does not serve: {why}")
        return self._placed(series)

    def has(self, block: Block, method: Method) -> bool:
        """Whether all is here that is needed for a block of the series' grid, which may reach beyond it."""
        coarsest = max((ratio for ratio, _ in self.bands.values()), default=1)
        return not self._beyond(block, (REACH[method] + 1) * coarsest if coarsest > 1 else 0)

    def images(self, series: TileSeries, block: Block, team: Team, *, on_grid: bool) -> BlockImages:
        """Images of a series over a block: as `TileSeries.images`.

        Raises:
            ProductError: a file is not there or damaged.
        """
        bands, method = series.bands, series.resampling
        shape, windows = (block.height, block.width), self._windows(block, bands, method)
        with OpenShards() as shards:
            read = _Reader(len(series.acquisitions), self._chosen(series.acquisitions), shards)
            if not on_grid:
                coarse = self._coarse(read, team, bands, windows, method)
                images = BlockImages.room(read.dates, len(bands), shape, coarse, team.buffer)
                self._read_on_grid(read, team, bands, self._here(block), images)
                return images
            none = CoarseBands({}, {}, method)
            images = BlockImages.room(read.dates, len(bands), shape, none, team.buffer)
            self._read_on_grid(read, team, bands, self._here(block), images)
            for b, window in windows.items():
                values = team.buffer.array("coarse", (read.dates, *window.shape), np.int16)
                read(self.bands[bands[b]][1], window.around, values, team.buffer)
                upsample_dates(values, window.ratio, window.skip, method, NODATA, images.values, b)
        return images

    def strips(self, series: TileSeries, block: Block, team: Team, rows: int) -> Iterator[Sequence[Strip]]:
        """Values and validity of a series over a block, some rows at a time: as `TileSeries.strips`.

        Bands on the grid are unpacked for a strip, whose rows are those of chunks where so many may be: what comes out
        of a chunk is still in the processor's cache when its gaps are filled. Coarser bands are for the whole block.

        Raises:
            ProductError: a file is not there or damaged; also as strips are loaded.
        """
        bands, high = series.bands, self.rows_of_chunks
        here, part_rows = self._here(block), max(high, rows // high * high)
        with OpenShards() as shards:
            read = _Reader(len(series.acquisitions), self._chosen(series.acquisitions), shards)
            coarse = self._coarse(read, team, bands, self._windows(block, bands, series.resampling), series.resampling)
            coarse.look_for_holes()

            def unpacked(part: Block, team: Team, one_strip: bool) -> BlockImages:
                images = BlockImages.room(
                    read.dates, len(bands), (part.height, part.width), coarse, team.buffer,
                    row=part.row, one_strip=one_strip,
                )  # fmt: skip
                lines = Block(here.row + part.row, here.col, part.height, part.width)
                self._read_on_grid(read, team, bands, lines, images)
                return images

            def load(part: Block, buffer: SeriesBuffer) -> tuple[np.ndarray, np.ndarray]:
                return unpacked(part, Team(buffer), one_strip=True).load(slice(0, part.height), buffer)

            parts = aligned_blocks((block.height, block.width), (part_rows, block.width), (-here.row % high, 0))
            if part_rows <= rows:
                yield [Strip(slice(one.row, one.row + one.height), partial(load, one)) for one in parts]
                return
            for part in parts:
                yield unpacked(part, team, one_strip=False).strips(rows)

    @property
    def rows_of_chunks(self) -> int:
        """Rows of the largest chunks of what is on the grid."""
        on_grid = [self.validity, *(array for ratio, array in self.bands.values() if ratio == 1)]
        return max(array.chunk[0] for array in on_grid)

    def _here(self, block: Block) -> Block:
        """A block of the series' grid in this one's."""
        return Block(block.row + self.row, block.col + self.col, block.height, block.width)

    def _windows(self, block: Block, bands: Sequence[str], method: Method) -> dict[int, CoarseWindow]:
        """The coarse pixels that a block is made of, by the place of their band."""
        ratios = [self.bands[name][0] for name in bands]
        return {b: CoarseWindow.of(self._here(block), ratio, method) for b, ratio in enumerate(ratios) if ratio > 1}

    def _coarse(
        self, read: _Reader, team: Team, bands: Sequence[str], windows: Mapping[int, CoarseWindow], method: Method
    ) -> CoarseBands:
        """The bands that are coarser than the grid."""
        coarse = CoarseBands.room(read.dates, windows, method, team.buffer)

        def read_band(band: int, buffer: SeriesBuffer) -> None:
            read(self.bands[bands[band]][1], windows[band].around, coarse.values[band], buffer)

        team.each(read_band, windows)
        return coarse

    def _read_on_grid(self, read: _Reader, team: Team, bands: Sequence[str], here: Block, images: BlockImages) -> None:
        """Read the validity, and the bands that are on the grid."""
        found = [(self.validity, images.clear.view(np.uint8))]
        for band, name in enumerate(bands):
            ratio, array = self.bands[name]
            if ratio == 1:
                found.append((array, images.on_all_dates(band)))
        team.each(lambda one, buffer: read(one[0], here, one[1], buffer), found)

    def files(self) -> list[Path]:
        """All files of values."""
        return [path for array in self.arrays() for path in array.files()]

    def arrays(self) -> list[ShardedArray]:
        """The arrays of all bands, and that of the validity."""
        return [*(array for _, array in self.bands.values()), self.validity]

    def _placed(self, series: TileSeries) -> PreparedTile:
        row, col = offset(series.grid, self.grid)
        return replace(self, row=round(row), col=round(col))

    def _beyond(self, block: Block, around: int) -> bool:
        """Whether a block, and so many pixels around it, reaches beyond a side where the products have more."""
        row, col = block.row + self.row, block.col + self.col
        room = (row, col, self.grid.shape[0] - row - block.height, self.grid.shape[1] - col - block.width)
        return any(left < around and not is_open for left, is_open in zip(room, self.open_sides, strict=True))

    def _chosen(self, acquisitions: Sequence[Acquisition]) -> slice | np.ndarray:
        """The dates here of these acquisitions."""
        places = {one.name: place for place, one in enumerate(self.dates)}
        chosen = np.array([places[one.product.name] for one in acquisitions])
        return slice(None) if np.array_equal(chosen, np.arange(len(self.dates))) else chosen

    def _is_of(self, there: Sources | None, acquisition: Acquisition) -> bool:
        """Whether a date was prepared from the files of an acquisition as they are now."""
        if there is None:
            return False
        now = sources_of(acquisition, self.folder.parent)
        return there.masks == now.masks and all(there.bands.get(band) == now.bands[band] for band in now.bands)


@dataclass(frozen=True)
class _Reader:
    """Reads windows of arrays on the chosen dates."""

    dates: int
    chosen: slice | np.ndarray
    shards: OpenShards

    def __call__(self, array: ShardedArray, window: Block, out: np.ndarray, buffer: SeriesBuffer) -> None:
        scratch = buffer.array(f"chunk of {array.scratch_bytes}", (array.scratch_bytes,), np.uint8)
        array.read(window, out, self.chosen, scratch, self.shards)


def known_to_serve(folder: Path) -> Path:
    """A folder beside a prepared series that lives as long as it, for notes about whom it serves."""
    return folder.with_name(f".{folder.name}.serves")


def with_prepared(series: TileSeries, folder: Path) -> TileSeries:
    """The series, read from a prepared one where there is one that serves it; where there is another, says so."""
    if not (folder / "zarr.json").exists():
        return series
    try:
        return replace(series, prepared=PreparedTile.open(folder).of(series))
    except ProductError as error:
        LOG.warning("%s; the images are read. `landcover prepare --overwrite` makes it anew", error)
        return series


def sources_of(acquisition: Acquisition, base: Path) -> Sources:
    """What a date is read from, as its files are now.

    Args:
        base: folder that names are relative to, so that a prepared series may be moved together with its images.

    Raises:
        ProductError: a file is absent.
    """

    base = base.resolve()

    def stamp(path: Path) -> list[Any]:
        try:
            stat = path.stat()
        except OSError:
            raise ProductError(f"{path} does not exist; deliver the file again") from None
        return [os.path.relpath(path.resolve(), base), stat.st_size, stat.st_mtime_ns]

    read = {band.path for band, _ in acquisition.bands}
    bands = {
        name: _fingerprint([*stamp(band.path), band.scale, band.offset, band.nodata, *_special(band)])
        for name, band in acquisition.product.bands.items()
        if band.path in read
    }
    masks = sorted([*stamp(mask.path), mask.bits, sorted(mask.values)] for mask, _ in acquisition.masks)
    return Sources(acquisition.product.name, bands, _fingerprint(masks))


def _special(band: BandFile) -> list[Any]:
    """What is said of a band that is not a file of reflectances alone; nothing of one that is."""
    plain = (band.per_unit, band.number) == (REFLECTANCE_SCALE, 1)
    return [] if plain else [band.per_unit, band.number]


def _fingerprint(content: Any) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()
