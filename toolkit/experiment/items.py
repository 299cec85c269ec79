"""The STAC items of an experiment's maps."""

from __future__ import annotations

from pathlib import Path

from toolkit.experiment.config import Experiment
from toolkit.experiment.provenance import Record, provenance_tags
from toolkit.mapping.classify import layers_of
from toolkit.mapping.stac import write_item
from toolkit.products.handles import close_rasters
from toolkit.products.raster import grid_of


def note_maps(experiment: Experiment, record: Record, folder: Path, tile: str | None = None) -> Path:
    """Write `item.json` beside the maps of a tile, or of the mosaic."""
    series = experiment.series
    try:
        grid = grid_of(folder / "classes.tif")
    finally:
        close_rasters()
    return write_item(
        folder,
        f"{experiment.name}-{tile}" if tile else experiment.name,
        layers_of(experiment.mapping),
        grid,
        experiment.nomenclature,
        (series.start, series.end),
        tags=provenance_tags(experiment, record),
        cloud_optimised=tile is None,
    )
