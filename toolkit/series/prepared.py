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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from toolkit.ground.bands import NODATA, REFLECTANCE_SCALE
from toolkit.ground.errors import ProductError
from toolkit.ground.grid import Block, describe, is_aligned, offset, resolution
from toolkit.ground.params import Params, param
from toolkit.products.product import BandFile
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.images import BlockImages
from toolkit.series.placed import CoarseWindow
from toolkit.series.resampling import REACH, Method, upsample_dates
from toolkit.series.shards import ShardedArray

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
        3, "How hard chunks are compressed: more is a few percent smaller, and much slower to write.", ge=1, le=9
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

    def images(
        self,
        acquisitions: Sequence[Acquisition],
        bands: Sequence[str],
        block: Block,
        method: Method,
        buffer: SeriesBuffer,
        *,
        on_grid: bool,
    ) -> BlockImages:
        """Images over a block: as `TileSeries.images`.

        Raises:
            ProductError: a file is not there or damaged.
        """
        here = Block(block.row + self.row, block.col + self.col, block.height, block.width)
        chosen, dates = self._chosen(acquisitions), len(acquisitions)
        arrays = [self.bands[name] for name in bands]
        windows = {b: CoarseWindow.of(here, ratio, method) for b, (ratio, _) in enumerate(arrays) if ratio > 1}
        shape = (block.height, block.width)
        images = BlockImages.room(dates, len(bands), shape, {} if on_grid else windows, method, buffer)

        def read(array: ShardedArray, window: Block, out: np.ndarray) -> None:
            scratch = buffer.array(f"chunk of {array.scratch_bytes}", (array.scratch_bytes,), np.uint8)
            array.read(window, out, chosen, scratch)

        read(self.validity, here, images.clear.view(np.uint8))
        for b, (_, array) in enumerate(arrays):
            if b not in windows:
                read(array, here, images.values[:, images.on_grid.index(b)])
                continue
            window = windows[b]
            coarse = (
                images.coarse[b] if b in images.coarse else buffer.array("coarse", (dates, *window.shape), np.int16)
            )
            read(array, window.around, coarse)
            if on_grid:
                upsample_dates(coarse, window.ratio, window.skip, method, NODATA, images.values, b)
        return images

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
