"""Classify a tile: read, fill gaps, compute features, apply the network, block by block in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from toolkit.features.reading import TileFeatures
from toolkit.features.stack import FeatureStack
from toolkit.ground.block_files import Arrays, BlockResults, StreamJob
from toolkit.ground.crews import Crew, LocalCrew
from toolkit.ground.grid import Block
from toolkit.ground.ledger import key_of
from toolkit.ground.memory import MemoryPace, PeakWatch, in_use, keep_freed
from toolkit.ground.parts import WHOLE_BLOCKS, PartSize, Say, in_parts, join_maps
from toolkit.ground.streaming import Progress, no_progress, stream_all
from toolkit.learning import outputs
from toolkit.learning.checkpoint import Model
from toolkit.learning.devices import torch_threads, use_one_thread
from toolkit.learning.ensemble import AnyModel, Ensemble
from toolkit.learning.on_device import DeviceStrips, bytes_on_device, goes_beside, strips_on_device
from toolkit.learning.precision import Precision, Stored
from toolkit.mapping.layers import (
    CLASSES,
    CONFIDENCE,
    ENTROPY,
    LAYERS,
    LONGEST_GAP,
    MARGIN,
    PROBABILITIES,
    VALIDITY,
    layer_bytes,
)
from toolkit.mapping.memory import START_BYTES, Allotment, MappingParams, allot
from toolkit.mapping.precision import form_of, settle_precision
from toolkit.mapping.rasters import forget_others, map_writers, write_block
from toolkit.products.edges import MOST_BYTES
from toolkit.products.handles import raster_memory, use_raster_memory
from toolkit.series.buffers import BufferPool
from toolkit.series.matrix import MatrixForm
from toolkit.series.team import Team
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries

ALWAYS = (CLASSES, CONFIDENCE, VALIDITY)
"""The layers that a classified tile has in any case."""
ASKED = (LONGEST_GAP, PROBABILITIES, MARGIN, ENTROPY)
"""Those that it has where the parameter of their name says so."""
BY_THE_NETWORK = {CLASSES: outputs.CLASS, CONFIDENCE: outputs.CONFIDENCE, PROBABILITIES: outputs.PROBABILITIES}
BY_THE_NETWORK |= {MARGIN: outputs.MARGIN, ENTROPY: outputs.ENTROPY}
"""Layer -> output of the network."""

FEW_DATES, SIDE = 2, 16
"""Dates, and pixels a side, that are worked on to see what a process takes before its first block."""
_BEGUN: set[str] = set()
"""Kinds of work of which this process has worked on some pixels: what the first of them bring is there."""


def layers_of(params: MappingParams) -> tuple[str, ...]:
    """The layers that a tile is classified into."""
    return (*ALWAYS, *(layer for layer in ASKED if getattr(params, layer)))


def more_bytes(layers: Sequence[str], classes: int) -> int:
    """Bytes a pixel of the layers besides those of every tile, of a nomenclature of so many classes."""
    return layer_bytes(layers, classes) - layer_bytes(ALWAYS, classes)


@dataclass(frozen=True)
class BlockClassifier:
    """Work on a block for `stream`."""

    series: TileSeries
    stack: FeatureStack
    model: AnyModel
    layers: Sequence[str] = ALWAYS
    precision: Stored = "float32"
    """Of the network's arithmetic."""
    part: PartSize = field(default_factory=lambda: PartSize(WHOLE_BLOCKS), compare=False)
    """How much is worked on at a time."""
    cache_mb: int | None = None
    """GDAL's cache in a process that only works on blocks."""
    keep_open: bool = True
    """Whether files stay open there."""
    lines_bytes: int = MOST_BYTES
    """Lines at the edges of files' tiles that are kept."""
    threads: int = 1
    """That share a block."""
    buffers: BufferPool = field(default_factory=BufferPool, compare=False, repr=False)
    on_device: DeviceStrips = field(default_factory=DeviceStrips, compare=False, repr=False)
    """How many pixels a GPU is given at once."""

    def __post_init__(self) -> None:
        self.buffers.edges.most_bytes = self.lines_bytes

    def __call__(self, block: Block) -> Arrays:
        """Each of the layers of a block, (y, x); probabilities (class, y, x)."""
        return in_parts(self._part, block, self.part, join_maps)

    @property
    def kind(self) -> str:
        """What the code depends on that it runs, in words: features, network, and how images are stored."""
        stored = "prepared" if self.series.prepared else self.series.acquisitions[0].bands[0][1].path.suffix
        models = self.model.members if isinstance(self.model, Ensemble) else (self.model,)
        return repr((self.stack, [one.params for one in models], list(self.layers), stored))

    def settle(self) -> None:
        """Make a process ready that does nothing but work on blocks."""
        use_one_thread()  # a nanny of Dask's sees to that too, but a worker may have none
        self.buffers.edges.most_bytes = self.lines_bytes
        if self.cache_mb is not None:
            use_raster_memory(self.cache_mb, keep_open=self.keep_open)

    def _part(self, block: Block) -> Arrays:
        tile, form = TileFeatures(self.series, self.stack), form_of(self.model, self.precision)
        with self.buffers.one() as buffer, Team(buffer, self.threads) as team:
            found = self._room(block)
            take = partial(self._take, found, form)
            if not _computes_beside(self.model, self.stack):
                tile.strips_for_map(block, team, take, form)
                return found
            device: Any = self.model.device  # type: ignore[union-attr]
            while True:
                pixels = self.on_device.pixels(device, bytes_on_device(self.stack, len(self.series.acquisitions)))
                try:
                    for strip in strips_on_device(tile, block, team, form, device, pixels):
                        take(strip)
                    return found
                except Exception as error:
                    if not self.on_device.halve(pixels, error):
                        raise

    def _room(self, block: Block) -> Arrays:
        """Room for the layers of a block."""
        shape, names = (block.height, block.width), self.model.nomenclature
        return {layer: LAYERS[layer].empty(shape, names) for layer in self.layers}

    def _take(self, found: Arrays, form: MatrixForm, strip: Any) -> None:
        """Classify a strip into its rows of the layers."""
        rows, features, clear, seen, validity = strip
        wanted = {layer: BY_THE_NETWORK[layer] for layer in self.layers if layer in BY_THE_NETWORK}
        columns = features.reshape(len(features), -1)
        given = self.model.predict_outputs(columns, tuple(wanted.values()), standardised=not form.plain)
        for layer, output in wanted.items():
            values = given[output].reshape(*given[output].shape[:-1], *seen.shape)
            found[layer][..., rows, :] = np.where(seen, values, LAYERS[layer].unseen)
        found[VALIDITY][rows] = clear
        if LONGEST_GAP in found:
            gap = self.stack.longest_gap(validity, self.series.dates)
            found[LONGEST_GAP][rows] = np.where(clear > 0, gap, 0)  # 0 where never seen, as in every layer


def _computes_beside(model: AnyModel, stack: FeatureStack) -> bool:
    """Whether features are computed on the GPU that the network is on."""
    return isinstance(model, Model) and model.device.type != "cpu" and goes_beside(stack)


def map_job(
    series: TileSeries,
    stack: FeatureStack,
    model: AnyModel,
    folder: Path,
    allotment: Allotment,
    tiling: FileTiling,
    *,
    key: str,
    layers: Sequence[str] = ALWAYS,
    precision: Stored = "float32",
    progress: Progress = no_progress,
    say: Say | None = None,
) -> StreamJob:
    """The classification of a tile as work on blocks; their files go to `folder/.blocks`.

    Args:
        precision: as `precision_of` gives it.

    Raises:
        ModelError: the model was trained on other features.
    """
    model.check_features(stack.names, definitions=stack.definitions)
    part = PartSize(allotment.part, tiling.finest, say)
    work = BlockClassifier(
        series, stack, model, layers, precision, part,
        allotment.cache_mb, allotment.keep_open, allotment.lines_bytes, allotment.threads,
        on_device=DeviceStrips(say=say),
    )  # fmt: skip
    return StreamJob(
        work, tiling.cover(), folder / ".blocks", _key_of_blocks(key, tiling, layers, precision), progress, series.tile
    )


def precision_of(
    wanted: Precision,
    series: TileSeries,
    stack: FeatureStack,
    model: AnyModel,
    folder: Path,
    tiling: FileTiling,
    *,
    key: str,
    layers: Sequence[str] = ALWAYS,
    say: Say | None = None,
) -> Stored:
    """The precision of a tile's map: that of the blocks which are there, else by a trial (see `settle_precision`).

    Raises:
        ParameterError: bfloat16 is wanted, and the network cannot be run in it.
        ProductError: a file cannot be read. FeatureError: an external feature fails.
    """
    begun = key_of(folder / ".blocks")
    for precision in get_args(Stored):
        if wanted in ("auto", precision) and begun == _key_of_blocks(key, tiling, layers, precision):
            return precision
    return settle_precision(wanted, series, stack, model, tiling.cover(), say or (lambda _: None))


def _key_of_blocks(key: str, tiling: FileTiling, layers: Sequence[str], precision: Stored) -> str:
    """What the arrays of a tile's blocks depend on; another cut, other layers or precision never go on with them."""
    height, width = tiling.block_size
    words = [key, height, width, *(layer for layer in layers if layer not in ALWAYS)]
    return " ".join(map(str, words if precision == "float32" else [*words, precision]))


def classify_tile(
    series: TileSeries,
    stack: FeatureStack,
    model: AnyModel,
    folder: Path,
    params: MappingParams,
    *,
    key: str,
    tags: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
    say: Say | None = None,
    crew: Crew | None = None,
) -> dict[str, Path]:
    """Classify a tile into `folder/{classes,confidence,validity}.tif`, and the other layers that are asked for.

    A pixel that was never seen is `unseen` in all (see `LAYERS`), save where `stack.classifies_unseen`. A run that was
    killed goes on where it stopped and ends with the same bytes.

    Args:
        key: fingerprint of everything the map depends on.
        tags: provenance written into the files.
        say: is told in words what was changed while it worked, such as smaller blocks where memory did not suffice.
        crew: does the work instead of threads of this process, each of which has a block to itself.

    Raises:
        ModelError: the model was trained on other features.
        ProductError: a file cannot be read.
        FeatureError: an external feature fails.
        ParameterError: the memory is not enough.
        RunFolderError: the disk is full.
    """
    model.check_features(stack.names, definitions=stack.definitions)
    tiling = FileTiling.of(series)
    layers = layers_of(params)
    more = more_bytes(layers, len(model.nomenclature))
    base = ready(BlockClassifier(series, stack, model, layers), tiling.cover()[0])
    allotment = allot(series, stack, tiling, params.bytes, base, params.most_workers, more, sharing=crew is None)
    with raster_memory(allotment.cache_mb, keep_open=allotment.keep_open):
        precision = precision_of(
            params.precision, series, stack, model, folder, tiling, key=key, layers=layers, say=say
        )
        job = map_job(
            series, stack, model, folder, allotment, tiling,
            key=key, layers=layers, precision=precision, progress=progress, say=say,
        )  # fmt: skip
        with local_crew(job.work, allotment, params) if crew is None else _given(crew) as crew:
            ((_, results),) = stream_all([job], crew)
    return write_maps(results, series, model, folder, precision_tags(precision) | dict(tags or {}), layers)


def ready(work: BlockClassifier, block: Block) -> int:
    """Bytes that this process takes once all is there that the first pixels bring: compiled code, the network.

    A few pixels of a few dates are worked on for that, once for tiles of a kind. External features may want more of
    them: theirs is an estimate.

    Raises:
        ProductError: a file cannot be read.
    """
    if work.stack.external:
        return in_use() + START_BYTES
    if work.kind in _BEGUN:
        return in_use()
    few = replace(work.series, acquisitions=work.series.acquisitions[:FEW_DATES])
    with torch_threads(1), raster_memory(1, keep_open=False):
        replace(work, series=few)(Block(block.row, block.col, min(SIDE, block.height), min(SIDE, block.width)))
    _BEGUN.add(work.kind)
    return in_use()


def precision_tags(precision: Stored) -> dict[str, str]:
    """What a map says of its numbers; nothing where they are the usual ones."""
    return {} if precision == "float32" else {"PRECISION": precision}


@contextmanager
def local_crew(work: Any, allotment: Allotment, params: MappingParams) -> Iterator[LocalCrew]:
    """Threads of this process that work on the blocks of a tile within `params.memory_gb`.

    Args:
        work: on a block; its `part` says how much of it is worked on at a time, its `buffers` are kept.
    """

    def shrink(why: str) -> None:
        work.part.halve(work.part.size, why)
        work.buffers.clear()

    keep_freed()
    most = max(1, params.most_workers // allotment.threads)
    # One thread for the network in each worker: the workers are the parallelism.
    with torch_threads(1), raster_memory(allotment.cache_mb, keep_open=allotment.keep_open), PeakWatch() as watch:
        pace = MemoryPace(
            params.bytes, most, allotment.bytes // allotment.workers, watch,
            shrink=shrink, changed=work.buffers.keep,
        )  # fmt: skip
        with LocalCrew(most, pace=pace) as crew:
            yield crew


@contextmanager
def _given(crew: Crew) -> Iterator[Crew]:
    yield crew


def write_maps(
    results: BlockResults,
    series: TileSeries,
    model: AnyModel,
    folder: Path,
    tags: Mapping[str, str],
    layers: Sequence[str] = ALWAYS,
) -> dict[str, Path]:
    """Write the blocks of a tile as its maps, and delete their files.

    Raises:
        RunFolderError: the disk is full.
    """
    paths = {layer: folder / f"{layer}.tif" for layer in layers}
    with map_writers(paths, series.grid, model.nomenclature, tags) as targets:
        for block, arrays in results:
            for layer, target in targets.items():
                write_block(target, block, arrays[layer])
    results.discard()
    forget_others(folder, layers)
    return paths
