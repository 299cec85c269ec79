"""Classify a tile: read, fill gaps, compute features, apply the network, block by block in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.features.reading import TileFeatures
from toolkit.features.stack import FeatureStack
from toolkit.ground.grid import Block, blocks
from toolkit.ground.params import Params, param
from toolkit.ground.streaming import Progress, no_progress, stream
from toolkit.learning.checkpoint import Model
from toolkit.learning.devices import torch_threads
from toolkit.mapping.rasters import NO_CLASS, map_writers, write_block
from toolkit.series.timeseries import TileSeries

LAYERS = {"classes": "uint8", "confidence": "uint8", "validity": "uint16"}
"""What a classified tile has: class code, largest probability (0-100), number of clear dates."""
LONGEST_GAP = "longest_gap"
"""The layer of the longest time between clear dates, days, where it is asked for."""

BLOCK_SIZES = (1024, 768, 512, 384, 256, 192, 128, 64)
WORK_COPIES = 1.3
"""Peak of a block's memory over that of its series and features: masks in the making, the network's activations.

Measured on 70 dates of 10 bands: 1.02 to 1.07 with blocks of 512 and 256 and one or two workers; the rest is margin.
"""
RESULT_BYTES = 14
"""Bytes a pixel of a block's results while they are made: class indices of 8 bytes, then the layers."""
BASE_MEMORY = 0.9
"""Gigabytes that Python, torch and open files take before the first block (0.55 measured), and GDAL's cache."""


class MappingParams(Params):
    """How whole tiles are classified."""

    memory_gb: float = param(4.0, "Memory that may be used; it decides the size of blocks.", unit="GB", ge=1, le=4096)
    workers: int | None = param(None, "Blocks worked on at the same time. Empty: one a processor core.", ge=1, le=1024)
    longest_gap: bool = param(
        False, "Also write the longest time between two clear dates, days, to `longest_gap.tif` of each tile."
    )
    crs: str | None = param(None, "Coordinate system of the mosaic, such as EPSG:2154. Empty: that of most tiles.")


def bytes_a_pixel(series: TileSeries, stack: FeatureStack) -> float:
    """Memory that reading a block and computing its features takes at its peak, bytes a pixel."""
    dates, bands = len(series.acquisitions), len(series.bands)
    return WORK_COPIES * (dates * (2 * bands + 1) + 4 * stack.held(dates) + RESULT_BYTES)


def block_size(series: TileSeries, stack: FeatureStack, memory_gb: float, workers: int) -> int:
    """The largest block that keeps all workers within the memory, pixels a side without padding."""
    pixels = max(memory_gb - BASE_MEMORY, 0.25) * 1e9 / workers / bytes_a_pixel(series, stack)
    return next((size for size in BLOCK_SIZES if (size + 2 * stack.padding) ** 2 <= pixels), BLOCK_SIZES[-1])


def workers_within(series: TileSeries, stack: FeatureStack, params: MappingParams, size: int) -> int:
    """How many blocks of this size, pixels a side, may be worked on at the same time within the memory."""
    height, width = (min(size, length) + 2 * stack.padding for length in series.grid.shape)
    block = height * width * bytes_a_pixel(series, stack)
    fitting = int(max(params.memory_gb - BASE_MEMORY, 0) * 1e9 // block)
    return max(1, min(params.workers or os.cpu_count() or 1, fitting))


def layers_of(params: MappingParams) -> dict[str, str]:
    """The layers that a tile is classified into, and their types."""
    return {**LAYERS, LONGEST_GAP: "uint16"} if params.longest_gap else LAYERS


@dataclass(frozen=True)
class BlockClassifier:
    """Work on a block for `stream`."""

    series: TileSeries
    stack: FeatureStack
    model: Model
    longest_gap: bool = False

    def __call__(self, block: Block) -> dict[str, np.ndarray]:
        """`classes`, `confidence` and `validity` of a block, and where asked for `longest_gap`, each (y, x)."""
        features, clear, seen, validity = TileFeatures(self.series, self.stack).read_for_map(block)
        classes, confidence = self.model.predict(features.reshape(len(features), -1))
        gaps = {LONGEST_GAP: self._gaps(validity, clear)} if self.longest_gap else {}
        return {
            "classes": np.where(seen, classes.reshape(seen.shape), NO_CLASS).astype(np.uint8),
            "confidence": np.where(seen, confidence.reshape(seen.shape), 0).astype(np.uint8),
            "validity": clear,
            **gaps,
        }

    def _gaps(self, validity: np.ndarray, clear: np.ndarray) -> np.ndarray:
        """The longest gap of each pixel; 0 where it was never seen, as in every layer."""
        return np.where(clear > 0, self.stack.longest_gap(validity, self.series.dates), 0).astype(np.uint16)


def classify_tile(
    series: TileSeries,
    stack: FeatureStack,
    model: Model,
    folder: Path,
    params: MappingParams,
    *,
    key: str,
    tags: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Path]:
    """Classify a tile into `folder/{classes,confidence,validity}.tif`, and `longest_gap.tif` where asked for.

    A pixel that was never seen is 0 in all, save where `stack.classifies_unseen`. A run that was killed goes on
    where it stopped and ends with the same bytes.

    Args:
        key: fingerprint of everything the map depends on.
        tags: provenance written into the files.

    Raises:
        ModelError: the model was trained on other features.
        ProductError: a file cannot be read.
        FeatureError: an external feature fails.
        RunFolderError: the disk is full.
    """
    model.check_features(stack.names, definitions=stack.definitions)
    # One thread for the network in each worker: the workers are the parallelism.
    workers = params.workers or os.cpu_count() or 1
    size = block_size(series, stack, params.memory_gb, workers)
    cover = list(blocks(series.grid.shape, size))
    work, layers = BlockClassifier(series, stack, model, params.longest_gap), layers_of(params)
    with torch_threads(1):
        results = stream(work, cover, folder / ".blocks", key=f"{key} {size}", workers=workers, progress=progress)
    paths = {layer: folder / f"{layer}.tif" for layer in layers}
    with map_writers(paths, series.grid, layers, model.nomenclature, tags or {}) as targets:
        for block, arrays in results:
            for layer, target in targets.items():
                write_block(target, block, arrays[layer])
    results.discard()
    return paths
