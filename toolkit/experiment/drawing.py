"""From polygons to samples over all tiles of an experiment: locate, draw, extract; each tile is read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.steps import Reporter
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.mapping.classify import workers_within
from toolkit.samples.extraction import BLOCK, extract, locate_pixels
from toolkit.samples.store import SampleStore
from toolkit.series.timeseries import TileSeries


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
    for one in series:
        if len(pixels[one.tile]) and not store.has(one.tile, key):
            progress = reporter.progress(step, f"extracting {one.tile}")
            workers = workers_within(one, stack, experiment.mapping, BLOCK)
            extract(one, stack, pixels[one.tile], store, key=key, workers=workers, progress=progress)
    store.finish(stack.names, key)
    return store
