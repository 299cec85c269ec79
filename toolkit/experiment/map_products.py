"""Verbs that make something of the mosaic: a post-processed map, and polygons."""

from __future__ import annotations

import logging
from pathlib import Path

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import Record, provenance_tags
from toolkit.experiment.stages import postprocess_step, rule_files, vectorise_step
from toolkit.experiment.steps import Observer, Reporter, perform
from toolkit.mapping.postprocess import postprocess_map
from toolkit.mapping.reclassify import conditions_of
from toolkit.mapping.vectorise import MapFiles, vectorise_map
from toolkit.products.raster import grid_of

LOG = logging.getLogger(__name__)


def postprocess(experiment: Experiment, *, overwrite: bool = False, observer: Observer | None = None) -> Path:
    """Do to the mosaic what the section `postprocess` asks for; nothing, where it asks for nothing.

    Leaves `mapping/postprocessed/classes.tif`, a cloud-optimised GeoTIFF; the mosaic stays as it is.

    Returns:
        Path of the class map: the post-processed one, or the mosaic's where nothing is asked for.

    Raises:
        ParameterError: a class that is not in the nomenclature, or a unit that the map cannot have.
        CatalogError, ProductError, GroundTruthError: what a rule looks at is not found, not readable or no polygons.
        RunFolderError: there is no mosaic yet, or smoothing is asked for and there are no probabilities.
    """
    folder, params = RunFolder(experiment.folder), experiment.postprocess
    if not params.is_asked:
        return folder.map()
    params.check_codes(experiment.nomenclature)

    def work(reporter: Reporter, record: Record) -> str:
        return postprocess_map(
            folder.map(),
            folder.postprocessed,
            experiment.nomenclature,
            params,
            key=record.key,
            conditions=conditions_of(params.rules, rule_files(experiment), grid_of(folder.map())),
            probabilities=folder.map("probabilities"),
            memory_gb=experiment.mapping.memory_gb,
            workers=experiment.mapping.workers,
            tags=provenance_tags(experiment, record),
            progress=reporter.progress("postprocess"),
        )

    perform(experiment, postprocess_step(experiment), work, overwrite=overwrite, observer=observer)
    return folder.postprocessed


def vectorise(experiment: Experiment, *, overwrite: bool = False, observer: Observer | None = None) -> Path:
    """Make polygons of the map: of the post-processed one where it is asked for, else of the mosaic.

    Leaves `mapping/classes.gpkg` (or `.parquet`). It is no part of `run`.

    Returns:
        Path of the file.

    Raises:
        RunFolderError: there is no map yet.
        ParameterError: the map is in degrees, or GeoParquet is asked for and pyarrow is not installed.
    """
    folder, params = RunFolder(experiment.folder), experiment.vectorise
    path = folder.vector_map(params.format)
    asked = experiment.postprocess.is_asked
    files = MapFiles(
        folder.postprocessed if asked else folder.map(),
        folder.map("confidence"),
        [folder.tile(tile) for tile in experiment.series.tiles],
        folder.map() if asked else None,
    )

    def work(reporter: Reporter, record: Record) -> str:
        progress = reporter.progress("vectorise")
        count = vectorise_map(files, path, experiment.nomenclature, params, progress=progress)
        if not count:
            LOG.warning("%s has no polygon: the map has no class, or vectorise.min_area_m2 is too large", path)
        return f"{count:,} polygons in {path}"

    perform(experiment, vectorise_step(experiment), work, overwrite=overwrite, observer=observer)
    return path
