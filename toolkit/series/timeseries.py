"""The time series of a tile: its products on one pixel grid, read block by block."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox
from pydantic import field_validator, model_validator

from toolkit.ground.bands import BAND_NAME, BAND_NAMES, NODATA
from toolkit.ground.errors import ParameterError, ProductError
from toolkit.ground.grid import (
    Block,
    aligned_blocks,
    crop,
    describe,
    is_aligned,
    offset,
    project_bounds,
    resolution,
    tile_name,
    union,
)
from toolkit.ground.params import Params, param
from toolkit.products.handles import read_as_free
from toolkit.products.layout import TIFF
from toolkit.products.masks import MaskFile
from toolkit.products.product import BandFile, Product
from toolkit.products.raster import layout_of
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.delivered import in_period
from toolkit.series.headers import read_headers
from toolkit.series.images import BlockImages, CoarseBands, Strip, only_measured
from toolkit.series.methods import LINEAR, GapFilling
from toolkit.series.placed import CoarseWindow, PlacedFile, coarse_window, read_band, read_coarse, read_mask
from toolkit.series.prepared import PreparedTile
from toolkit.series.resampling import Method
from toolkit.series.seasons import SeasonParams, check_seasons
from toolkit.series.sensors import SensorParams, check_on_grid, check_sensors, warp_line
from toolkit.series.team import Team
from toolkit.series.timeline import FIRST_DAY, LAST_DAY, Period, days_of, in_periods

FEWEST_ROWS = 256
"""Rows of bands on the grid that are read at a time, at least: each time all files are opened again."""


class SeriesParams(Params):
    """Which images, over which period, on which grid of days."""

    source: str = param(..., "Source of images in the data catalog.")
    tiles: tuple[str, ...] = param(..., "Sentinel-2 tiles, such as 31TCJ.", min_length=1)
    start: date = param(..., "First day of the regular grid.", ge=FIRST_DAY, le=LAST_DAY)
    end: date = param(..., "Last day of the regular grid.", ge=FIRST_DAY, le=LAST_DAY)
    step_days: int = param(10, "Step of the regular grid.", unit="days", ge=1, le=366)
    margin_days: int = param(
        30, "Acquisitions up to this long before the start and after the end serve too.", unit="days", ge=0, le=366
    )
    seasons: tuple[SeasonParams, ...] = param(
        (),
        "Parts of the period that alone are looked at, one after the other, such as spring and autumn of two years: "
        "{start: 2018-03-01, end: 2018-05-31, step_days: 10}. Empty: the whole period.",
    )
    gap_filling: GapFilling = param(LINEAR, "How gaps are filled, and the grid of days is made.")
    bands: tuple[str, ...] = param(
        BAND_NAMES, "Bands, as the source calls them, in the order of the features.", min_length=1
    )
    resampling: Method = param("bilinear", "How bands of coarser pixels, such as those of 20 m, come onto the grid.")
    area: tuple[float, float, float, float] | None = param(
        None,
        "Area of interest: west, south, east, north, longitude and latitude. Empty: whole tiles.",
        unit="degrees",
    )
    missing_band: Literal["error", "skip"] = param(
        "error", "What to do with a date on which a band was not delivered: stop, or leave the date out."
    )
    missing_mask: Literal["error", "skip", "accept"] = param(
        "error",
        "What to do with a date on which a mask was not delivered that others have: stop, leave the date out, or take "
        "the date as clear. `accept` is also needed for a series without any cloud mask.",
    )
    sensors: tuple[SensorParams, ...] = param(
        (), "Further sensors, on the pixels of this one: {name: landsat, source: l8, bands: [B4, B8], step_days: 16}."
    )

    @field_validator("gap_filling", mode="before")
    @classmethod
    def _usual_method(cls, section: Any) -> Any:
        """A section that names no method is of the usual one."""
        return {"method": LINEAR.method, **section} if isinstance(section, Mapping) else section

    @field_validator("tiles")
    @classmethod
    def _tile_names(cls, tiles: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(_as_value_error(tile_name, tile) for tile in tiles)
        if len(set(names)) < len(names):
            raise ValueError("a tile stands twice; name it once")
        return names

    @field_validator("bands")
    @classmethod
    def _band_names(cls, bands: tuple[str, ...]) -> tuple[str, ...]:
        for band in bands:
            if not re.fullmatch(BAND_NAME, band):
                raise ValueError(f"{band!r} is no name of a band: letters, digits and _, a letter first, at most 32")
        if len(set(bands)) < len(bands):
            raise ValueError("a band stands twice; name it once")
        return bands

    @model_validator(mode="after")
    def _ordered(self) -> SeriesParams:
        if self.end < self.start:
            raise ValueError(f"series.end = {self.end} is before series.start = {self.start}; exchange them")
        check_seasons(self.seasons, self.start, self.end)
        check_sensors(self)
        if self.area:
            west, south, east, north = self.area
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                raise ValueError(
                    f"series.area = {self.area}: west, south, east, north are needed in this order, in degrees of "
                    "longitude (-180 to 180) and latitude (-90 to 90)"
                )
        return self

    @property
    def periods(self) -> tuple[Period, ...]:
        """First day, last day and step of each season, or else of the whole period."""
        seasons = tuple((one.start, one.end, one.step_days or self.step_days) for one in self.seasons)
        return seasons or ((self.start, self.end, self.step_days),)

    @property
    def days(self) -> np.ndarray:
        """The regular grid of days: those of every period one after the other, datetime64[D]."""
        return days_of(self.periods)

    def serve(self, days: np.ndarray) -> np.ndarray:
        """Whether acquisitions of these days serve the series: within a period or its margin, bool."""
        return in_periods(days, self.periods, self.margin_days)


def _as_value_error(function, value):  # type: ignore[no-untyped-def]
    try:
        return function(value)
    except ParameterError as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True)
class Acquisition:
    """A product whose files are placed on the grid of its tile."""

    product: Product
    bands: tuple[tuple[BandFile, PlacedFile], ...]
    masks: tuple[tuple[MaskFile, PlacedFile], ...]


@dataclass(frozen=True)
class TileSeries:
    """The acquisitions of a tile on one grid."""

    tile: str
    grid: GeoBox
    bands: tuple[str, ...]
    acquisitions: tuple[Acquisition, ...]
    resampling: Method = "bilinear"
    prepared: PreparedTile | None = None
    """What is read in place of the files; they give the same."""
    others: tuple[TileSeries, ...] = ()
    """Series of the further sensors, on the same grid."""

    @classmethod
    def open(
        cls, tile: str, products: Sequence[Product], params: SeriesParams, onto: GeoBox | None = None
    ) -> TileSeries:
        """Place the products of the period on the union of their grids, or onto another; only headers are read.

        Raises:
            ProductError: no product in the period, a band that was not delivered, a file cut short, a mask of
                another size, grids that do not fit, or an area of interest outside of the tile.
        """
        chosen = in_period(tile, products, params)
        headers = read_headers(chosen, params.bands)
        if onto is not None:
            check_on_grid(chosen, params.bands, headers, onto)
            placed = tuple(_place(one, params.bands, headers, onto) for one in chosen)
            return cls(tile, onto, params.bands, placed, params.resampling)
        fine = min(resolution(headers[one.bands[band].path]) for one in chosen for band in params.bands)
        whole = union([_at_resolution(headers[one.bands[params.bands[0]].path], fine) for one in chosen])
        placed = tuple(_place(one, params.bands, headers, whole) for one in chosen)
        grid = whole if params.area is None else _inside(whole, params.area, tile)
        row, col = (round(value) for value in offset(grid, whole))
        if row or col:
            placed = tuple(_shift(one, -row, -col) for one in placed)
        return cls(tile, grid, params.bands, placed, params.resampling)

    @property
    def dates(self) -> np.ndarray:
        """Days of acquisition, datetime64[D] of shape (date,); a day may stand twice."""
        return np.array([one.product.date for one in self.acquisitions], dtype="datetime64[D]")

    def read(self, block: Block, buffer: SeriesBuffer | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Values and validity over a block.

        Args:
            buffer: memory to use; what is returned lies in it, until it is used for another block.

        Returns:
            values: (date, band, y, x) int16, reflectance x 10000, -10000 where nothing was measured.
            validity: (date, y, x) bool, true where every mask is clear and every band has a value.

        Raises:
            ProductError: a file cannot be read.
        """
        images = self.images(block, Team(buffer or SeriesBuffer()), on_grid=True)
        only_measured(images.values, images.clear.view(np.uint8), NODATA)
        return images.values, images.clear

    def images(self, block: Block, team: Team, *, on_grid: bool = False) -> BlockImages:
        """Images over a block, to be looked at a few rows at a time; they lie in the team's buffer.

        Args:
            on_grid: bring all bands onto the grid at once.

        Raises:
            ProductError: a file cannot be read.
        """
        if self.prepared is not None and self.prepared.has(block, self.resampling):
            return self.prepared.images(self, block, team, on_grid=on_grid)
        images = self._room(block, self._coarse(block, team.buffer, none=on_grid), team.buffer)
        team.share(read_as_free, self._reads(block, images))
        return images

    def _room(self, block: Block, coarse: CoarseBands, buffer: SeriesBuffer, row: int = 0) -> BlockImages:
        """Room to read a block into, as if all of it were clear."""
        shape = (block.height, block.width)
        images = BlockImages.room(len(self.acquisitions), len(self.bands), shape, coarse, buffer, row=row)
        images.clear[:] = True
        return images

    def strips(self, block: Block, team: Team, rows: int) -> Iterator[Sequence[Strip]]:
        """Values and validity over a block, as `read` gives them, so many rows at a time.

        Bands on the grid are read by the rows of files' tiles, or of a prepared series' chunks, coarser ones for
        the whole block: so each tile of either is decoded once, and what is in memory is little. Strips that come
        together can be loaded side by side, until the next ones are asked for.

        Args:
            team: reads what strips are loaded from.

        Raises:
            ProductError: a file cannot be read; also as strips are loaded.
        """
        there = self.prepared is None or self.prepared.has(block, self.resampling)
        if self.rows_at_once is None or not there:
            yield self.images(block, team).strips(rows)
            return
        if self.prepared is not None:
            yield from self.prepared.strips(self, block, team, rows)
            return
        coarse = self._coarse(block, team.buffer)
        first_row = self.acquisitions[0].bands[0][1].row - block.row
        for part in aligned_blocks((block.height, block.width), (self.rows_at_once, block.width), (first_row, 0)):
            images = self._room(part, coarse, team.buffer, part.row)
            lines = Block(block.row + part.row, block.col, part.height, part.width)
            team.share(read_as_free, self._reads(lines, images, coarse=part.row == 0))
            yield images.strips(rows)

    @cached_property
    def rows_at_once(self) -> int | None:
        """How many rows of a block `strips` reads at a time of the bands on the grid; None for all.

        All, where GDAL opens the files, which takes longer than it saves; and beside further sensors, whose tiles are
        others.
        """
        fine = [placed for _, placed in self.acquisitions[0].bands if placed.scale == 1]
        if self.others or not fine:
            return None
        if self.prepared is not None:
            return self.prepared.rows_of_chunks
        layouts = [layout_of(placed.path) for placed in fine]
        if any(layout.decoder != TIFF for layout in layouts):
            return None
        rows = max(layout.rows for layout in layouts)
        return rows * -(-FEWEST_ROWS // rows)

    def _reads(
        self, block: Block, images: BlockImages, *, coarse: bool = True
    ) -> Iterator[tuple[Path, Callable[[SeriesBuffer], None]]]:
        """Each file, and what reads it over a block into the images; those of coarse bands only where asked for."""
        one_mask, edges = threading.Lock(), images.buffer.edges

        def read_clear(t: int, mask: MaskFile, placed: PlacedFile, buffer: SeriesBuffer) -> None:
            clear = read_mask(mask, placed, block, buffer)
            with one_mask:  # a date has several
                images.clear[t] &= clear

        def read(file: BandFile, placed: PlacedFile, out: np.ndarray, window: CoarseWindow | None, _: Any) -> None:
            if window is None:
                read_band(file, placed, block, self.resampling, out, edges)
            else:
                read_coarse(file, placed, window, out, edges)

        for t, acquisition in enumerate(self.acquisitions):
            for mask, placed in acquisition.masks:
                yield placed.path, partial(read_clear, t, mask, placed)
            for place, band in enumerate(images.on_grid):
                file, placed = acquisition.bands[band]
                yield placed.path, partial(read, file, placed, images.values[t, place], None)
            for band, window in images.coarse.windows.items() if coarse else ():
                file, placed = acquisition.bands[band]
                yield placed.path, partial(read, file, placed, images.coarse.values[band][t], window)

    @cached_property
    def ratios(self) -> dict[int, int]:
        """Place of a band -> pixels of the grid for one of its own along each axis, of the bands that are stored in
        coarser pixels, the same on all dates."""
        found = {}
        for band in range(len(self.bands)):
            places = {(file.scale, file.row, file.col) for file in (one.bands[band][1] for one in self.acquisitions)}
            if len(places) == 1 and (scale := places.pop()[0]) > 1:
                found[band] = int(scale)
        return found

    def _coarse(self, block: Block, buffer: SeriesBuffer, *, none: bool = False) -> CoarseBands:
        """Room for the coarse pixels that a block is made of, of the bands in `ratios`; or for none."""
        first = self.acquisitions[0].bands
        windows = {b: coarse_window(first[b][1], block, self.resampling) for b in (() if none else self.ratios)}
        return CoarseBands.room(len(self.acquisitions), windows, self.resampling, buffer)

    def __repr__(self) -> str:
        dates = self.dates
        return f"TileSeries({self.tile}: {len(dates)} dates from {dates[0]} to {dates[-1]}, {describe(self.grid)})"


def _at_resolution(grid: GeoBox, pixel: float) -> GeoBox:
    return grid.zoom_out(pixel / resolution(grid)) if resolution(grid) != pixel else grid


def _place(product: Product, bands: Sequence[str], headers: dict[Path, GeoBox], whole: GeoBox) -> Acquisition:
    extent = headers[product.bands[bands[0]].path].boundingbox
    for path in product.files(bands):
        _check_extent(path, headers[path], extent, product)
    return Acquisition(
        product,
        tuple((product.bands[band], _place_file(product.bands[band].path, headers, whole)) for band in bands),
        tuple((mask, _place_file(mask.path, headers, whole)) for mask in product.masks.values()),
    )


def _check_extent(path: Path, grid: GeoBox, extent: BoundingBox, product: Product) -> None:
    """All files of a product cover the same ground, to within one coarse pixel."""
    box = grid.boundingbox
    slack = resolution(grid)
    if any(abs(a - b) > slack for a, b in zip(box, extent, strict=True)):
        raise ProductError(
            f"{path.name} of {product.name} covers {describe(grid)}, unlike the product's bands "
            f"({extent.left:.0f}, {extent.bottom:.0f} to {extent.right:.0f}, {extent.top:.0f}); fetch the product again"
        )


def _place_file(path: Path, headers: dict[Path, GeoBox], whole: GeoBox) -> PlacedFile:
    grid = headers[path]
    if not is_aligned(grid, whole):
        raise ProductError(
            f"{path} ({describe(grid)}) does not fit the tile's grid ({describe(whole)}); fetch it again, or warp "
            f"it, as by\n    {warp_line(grid, whole)}"
        )
    row, col = offset(grid, whole)
    scale = resolution(grid) / resolution(whole)
    # Whole to the thousandth, as its alignment says; a header that gives 19.9999 m is a file of 20 m.
    whole_scale = round(scale) if scale >= 1 else 1 / round(1 / scale)
    return PlacedFile(path, round(row), round(col), whole_scale)


def _shift(one: Acquisition, rows: int, cols: int) -> Acquisition:
    def moved(placed: PlacedFile) -> PlacedFile:
        return PlacedFile(placed.path, placed.row + rows, placed.col + cols, placed.scale)

    return Acquisition(
        one.product,
        tuple((band, moved(placed)) for band, placed in one.bands),
        tuple((mask, moved(placed)) for mask, placed in one.masks),
    )


def _inside(whole: GeoBox, area: tuple[float, float, float, float], tile: str) -> GeoBox:
    grid = crop(whole, project_bounds(area, "EPSG:4326", whole.crs))
    if grid is None:
        raise ProductError(
            f"series.area = {area} lies outside of tile {tile} ({describe(whole)}); move it, or drop the tile"
        )
    return grid
