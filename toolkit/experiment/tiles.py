"""The tiles of an experiment: their products, and their series on one grid each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.experiment.config import Experiment
from toolkit.ground.streaming import Progress, no_progress
from toolkit.products.catalog import TILE
from toolkit.series.methods import LINEAR
from toolkit.series.prepared import with_prepared
from toolkit.series.timeseries import TileSeries, in_period


def open_series(
    experiment: Experiment,
    progress: Progress = no_progress,
    tiles: Sequence[str] | None = None,
    *,
    prepared: bool = True,
) -> list[TileSeries]:
    """The series of each tile, described from the headers of its files, and read from a prepared one that is there.

    Args:
        prepared: whether prepared series are looked for, as far as `prepare.use` allows.

    Raises:
        CatalogError, ProductError: images are not found, not readable, or do not fit together.
    """
    catalog, params = experiment.data, experiment.series
    tiles = tiles or params.tiles
    opened = []
    for done, tile in enumerate(tiles, start=1):
        series = TileSeries.open(tile, catalog.products(params.source, tile), params)
        use = prepared and experiment.prepare.use
        opened.append(with_prepared(series, prepared_folder(experiment, tile)) if use else series)
        progress(done, len(tiles))
    return opened


def prepared_folder(experiment: Experiment, tile: str) -> Path:
    """Where the prepared series of a tile stands, or would."""
    source = re.sub(r"[^\w.-]", "_", experiment.series.source)
    return experiment.path.parent / experiment.prepare.folder / f"{source}_{tile}.zarr"


def product_files(experiment: Experiment, tiles: Sequence[str] | None = None) -> list[Path]:
    """Every image, mask and metadata file that the experiment reads, without opening them.

    Raises:
        CatalogError, ProductError: no product of a tile in the period.
    """
    catalog, params = experiment.data, experiment.series
    return [
        path
        for tile in tiles or params.tiles
        for product in in_period(tile, catalog.products(params.source, tile), params)
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
