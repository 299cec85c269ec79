"""The tiles of an experiment: their products, and their series on one grid each."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from toolkit.experiment.config import Experiment
from toolkit.ground.errors import CatalogError, ProductError
from toolkit.ground.streaming import Progress, no_progress
from toolkit.products.catalog import TILE
from toolkit.series.delivered import in_period
from toolkit.series.methods import LINEAR
from toolkit.series.prepared import with_prepared
from toolkit.series.sensors import series_of
from toolkit.series.timeline import longest_without
from toolkit.series.timeseries import SeriesParams, TileSeries

LOG = logging.getLogger(__name__)

LONG_GAP = 60
"""Days without any image from which it is said."""


def check_tiles(experiment: Experiment, tiles: Sequence[str]) -> None:
    """Refuse a tile whose images cannot serve before the first of several is worked on: by their names, and one header
    where an area is asked for.

    Raises:
        CatalogError, ProductError: there are none, bands or masks were not delivered, or the area lies outside.
    """
    catalog, params = experiment.data, experiment.series
    for tile in tiles:
        products = in_period(tile, catalog.products(params.source, tile), params)
        if params.area is not None:
            try:
                TileSeries.open(tile, products[:1], params)
            except ProductError:
                TileSeries.open(tile, products, params)  # others may reach further than the first


def open_series(
    experiment: Experiment,
    progress: Progress = no_progress,
    tiles: Sequence[str] | None = None,
    *,
    prepared: bool = True,
) -> list[TileSeries]:
    """The series of each tile, with those of further sensors, described from the headers of their files.

    The first sensor's is read from a prepared one that is there; those of others from their files.

    Args:
        prepared: whether prepared series are looked for, as far as `prepare.use` allows.

    Raises:
        CatalogError, ProductError: images are not found, not readable, or do not fit together.
    """
    catalog, params = experiment.data, experiment.series
    tiles = tiles or params.tiles
    opened = []
    for done, tile in enumerate(tiles, start=1):
        first = TileSeries.open(tile, catalog.products(params.source, tile), params)
        if prepared and experiment.prepare.use:
            first = with_prepared(first, prepared_folder(experiment, tile))
        for period in params.periods:
            _say_gap(tile, longest_without(first.dates, period))
        opened.append(replace(first, others=_others(experiment, first)))
        progress(done, len(tiles))
    return opened


@lru_cache(maxsize=1000)
def _say_gap(tile: str, gap: tuple[date, date]) -> None:
    """Once for each, where a series has no image for so long that what lies between is hardly known."""
    first, last = gap
    if (last - first).days > LONG_GAP:
        LOG.warning(
            "tile %s has no image from %s to %s (%d days): what the features say of that time is drawn from the images "
            "around it", tile, first, last, (last - first).days,
        )  # fmt: skip


def prepared_folder(experiment: Experiment, tile: str) -> Path:
    """Where the prepared series of a tile stands, or would."""
    source = re.sub(r"[^\w.-]", "_", experiment.series.source)
    return experiment.path.parent / experiment.prepare.folder / f"{source}_{tile}.zarr"


def _others(experiment: Experiment, first: TileSeries) -> tuple[TileSeries, ...]:
    """The series of the further sensors, on the pixels of the first."""
    opened = []
    for sensor in experiment.series.sensors:
        with _named(sensor.place):
            params = series_of(sensor, experiment.series)
            products = experiment.data.products(sensor.source, first.tile)
            opened.append(TileSeries.open(first.tile, products, params, onto=first.grid))
    return tuple(opened)


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Errors say of which sensor they are."""
    try:
        yield
    except (CatalogError, ProductError) as error:
        raise type(error)(f"{place}: {error}") from None


def product_files(experiment: Experiment, tiles: Sequence[str] | None = None) -> list[Path]:
    """Every image, mask and metadata file of the first sensor that the experiment reads, without opening them.

    Raises:
        CatalogError, ProductError: no product of a tile in the period.
    """
    return _files_of(experiment, experiment.series, tiles)


def input_files(experiment: Experiment, tiles: Sequence[str] | None = None) -> list[Path]:
    """Every file that features are made from: those of all sensors, and rasters.

    Raises:
        CatalogError, ProductError: no product of a tile in the period, or a raster is absent.
    """
    files = product_files(experiment, tiles)
    for sensor in experiment.series.sensors:
        with _named(sensor.place):
            files += _files_of(experiment, series_of(sensor, experiment.series), tiles)
    return files + layer_files(experiment, tiles)


def reading_of(experiment: Experiment) -> dict[str, Any]:
    """How images of all sensors are read, where the catalog says it and it is not the usual way.

    Raises:
        CatalogError: no such source.
    """
    sources = dict.fromkeys([experiment.series.source, *(one.source for one in experiment.series.sensors)])
    return {
        f"{source}.driver.{name}": value
        for source in sources
        for name, value in experiment.data.reading(source).items()
    }


def _files_of(experiment: Experiment, params: SeriesParams, tiles: Sequence[str] | None) -> list[Path]:
    return [
        path
        for tile in tiles or params.tiles
        for product in in_period(tile, experiment.data.products(params.source, tile), params)
        for path in product.inputs(params.bands)
    ]


def layer_files(experiment: Experiment, tiles: Sequence[str] | None = None) -> list[Path]:
    """The rasters that external features read.

    Raises:
        CatalogError: one is not in the catalog, or absent.
    """
    tiles = tiles or experiment.series.tiles
    asked = sorted({source for one in experiment.features.external for source in one.rasters.values()})
    files = {experiment.data.layer(source, tiles).replace(TILE, tile) for source in asked for tile in tiles}
    return [Path(file) for file in sorted(files)]


def images_key(experiment: Experiment) -> tuple[Any, ...]:
    """All that decides which images an experiment takes, and on which pixels: equal keys, equal images.

    (Of the series that is everything but the days of its regular grid, how these are filled, and the resampling.)
    """
    images = experiment.series.model_copy(update={"step_days": 1, "resampling": "nearest", "gap_filling": LINEAR})
    return experiment.path, experiment.params.catalog, images


def working_crs(series: Sequence[TileSeries]) -> Any:
    """The coordinate system of most tiles, in which polygons are kept."""
    systems = {str(one.grid.crs): one.grid.crs for one in series}
    most, _ = Counter(str(one.grid.crs) for one in series).most_common(1)[0]
    return systems[most]
