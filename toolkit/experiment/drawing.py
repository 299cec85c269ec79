"""From polygons to samples over all tiles of an experiment: clean, locate, extract; each tile is read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.sampling_memory import allot_samples, ready
from toolkit.experiment.stages import ground_truth_file
from toolkit.experiment.steps import Reporter
from toolkit.experiment.tiles import working_crs
from toolkit.ground.grid import outline
from toolkit.ground.parts import PartSize
from toolkit.ground.streaming import Progress
from toolkit.ground_truth.cleaning import clean_polygons
from toolkit.ground_truth.cleaning_report import CleaningReport
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.mapping.classify import local_crew
from toolkit.samples.extraction import PixelFeatures, extract, locate_pixels, sample_blocks
from toolkit.samples.store import SampleStore
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries


def cleaned_polygons(experiment: Experiment, series: Sequence[TileSeries]) -> tuple[GroundTruth, CleaningReport]:
    """The ground truth of an experiment, cleaned for these tiles, in the coordinate system of most of them.

    Raises:
        CatalogError: there is no such ground truth.
        GroundTruthError: no CRS, no class field, a class that is not in the nomenclature, no polygon in the tiles.
    """
    params, source, crs = experiment.ground_truth, ground_truth_file(experiment), working_crs(series)
    return clean_polygons(
        GroundTruth.read(source, params.class_field, layer=params.layer).frame,
        "code",
        experiment.nomenclature,
        crs,
        {one.tile: outline(one.grid, crs) for one in series},
        drop_unknown=params.drop_unknown,
        min_area_m2=params.min_area_m2,
        name=source.name,
    )


def train_first(ground_truth: GroundTruth) -> GroundTruth:
    """Where polygons overlap the later one has the pixel: no train pixel lies in a polygon that tests."""
    order = np.argsort(ground_truth.frame["role"].to_numpy() != "train", kind="stable")
    return GroundTruth(ground_truth.frame.iloc[order].reset_index(drop=True), ground_truth.name)


def pixels_of(ground_truth: GroundTruth, located: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The located pixels of these polygons."""
    return {tile: pixels[np.isin(pixels["polygon"], ground_truth.ids)] for tile, pixels in located.items()}


def locate_over_tiles(ground_truth: GroundTruth, series: Sequence[TileSeries]) -> dict[str, np.ndarray]:
    """The pixels of the polygons that belong to each tile: tile -> (pixel,) array of dtype `PIXEL`.

    A pixel belongs to the last polygon over it; one that a polygon of another tile covers too belongs to none, so
    that no ground is seen from two tiles.
    """
    found = {}
    for one in series:
        own = (ground_truth.frame["tile"] == one.tile).to_numpy()
        frame = ground_truth.frame.iloc[np.argsort(~own, kind="stable")].to_crs(str(one.grid.crs))
        polygons, codes = frame["polygon"].to_numpy("int64"), frame["code"].to_numpy("uint8")
        pixels = locate_pixels(frame.geometry.to_numpy(), polygons, codes, one.grid)
        found[one.tile] = pixels[np.isin(pixels["polygon"], polygons[: own.sum()])]
    return found


def sources_of(folder: RunFolder, polygons: np.ndarray) -> np.ndarray:
    """The feature of the ground truth that each polygon was cut from: parts of one stay together in any split."""
    frame = GroundTruth.read(folder.polygons("clean")).frame
    return frame.set_index("polygon")["source"].loc[polygons].to_numpy("int64")


def extract_over_tiles(
    experiment: Experiment,
    series: Sequence[TileSeries],
    pixels: Mapping[str, np.ndarray],
    folder: Path,
    key: str,
    reporter: Reporter,
    step: str,
) -> SampleStore:
    """Features of these pixels, in a store; a tile without any is left out. What is there with this key stays."""
    store, stack = SampleStore(folder), experiment.stack
    if store.is_made_from(key):
        return store
    store.clear_away(but=key)
    for place, one in enumerate(series):
        if len(pixels[one.tile]) and not store.has(one.tile, key):
            progress = reporter.progress(step, f"extracting {one.tile}", (place, len(series)))
            _extract_within(experiment, one, pixels[one.tile], store, key, progress)
    store.finish(stack.names, key, stack.definitions)
    return store


def _extract_within(
    experiment: Experiment, series: TileSeries, pixels: np.ndarray, store: SampleStore, key: str, progress: Progress
) -> None:
    """Extract the samples of a tile within `mapping.memory_gb`."""
    params, tiling = experiment.mapping, FileTiling.of(series)
    work = PixelFeatures(series, experiment.stack, pixels["row"], pixels["col"])
    among = sample_blocks(work, tiling)
    allotment = allot_samples(work, among, tiling, params.bytes, ready(work), params.most_workers)
    work.part = PartSize(allotment.part, tiling.finest)
    work.buffers.edges.most_bytes = allotment.lines_bytes
    with local_crew(work, allotment, params) as crew:
        extract(work, pixels, store, among, key=key, crew=crew, progress=progress)
