"""A country's plan, simulated: 1,000 tiles of 500 dates, 1.2 x 10^11 pixels, through the real flow of blocks.

Nothing is read or computed: workers give a receipt at once. What is seen is what the process that hands out blocks
needs: its memory, which must not grow with the number of tiles, and its time a block, which bounds how many workers it
can keep busy.

    python benchmarks/map_country.py [--tiles 1000] [--dates 500] [--workers 1024]
"""

from __future__ import annotations

import argparse
import pickle
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from map_scene import PARAMS, TEN_METRES, random_model
from odc.geo.geobox import GeoBox

from toolkit.features.stack import FeatureParams, FeatureStack
from toolkit.ground.bands import BAND_NAMES
from toolkit.ground.block_files import Receipt, StreamJob
from toolkit.ground.grid import Block
from toolkit.ground.memory import resident
from toolkit.ground.streaming import stream_all
from toolkit.mapping.classify import map_job
from toolkit.mapping.memory import Allotment
from toolkit.products.masks import MaskFile
from toolkit.products.product import BandFile, Product
from toolkit.series.placed import PlacedFile
from toolkit.series.tiling import FileTiling, StoredFile
from toolkit.series.timeseries import Acquisition, TileSeries

SIDE = 10980
TILING = FileTiling(
    (StoredFile(512, 512, 524288),) * 4 + (StoredFile(1024, 1024, 524288, 2),) * 6, 500, (SIDE, SIDE), (0, 0)
)
ALLOTMENT = Allotment(1, (1024, 1024), True, 2_000_000_000, 0, 256, 1.0, 1e-5)


class Instant:
    """A crew whose blocks are done as soon as they are given out."""

    retries, is_elsewhere = 3, False

    def __init__(self, workers: int) -> None:
        self.slots, self.sent = 2 * workers, 0

    def take_on(self, job: StreamJob) -> None:
        self.sent = max(self.sent, len(pickle.dumps(job.work)))

    def submit(self, job: StreamJob, block: Block) -> Future[Receipt]:
        future: Future[Receipt] = Future()
        future.set_result(Receipt(block, 4_194_304, "0" * 32, 8.0, "node01:1234"))
        return future

    def noted(self, receipt: Receipt) -> None: ...

    def look_after(self, running: Mapping[Any, float]) -> None: ...

    def leave(self, job: StreamJob) -> None: ...


def series_of(tile: str, dates: int) -> TileSeries:
    """A tile with so many dates, as it is after its headers were read."""
    grid, found = GeoBox((SIDE, SIDE), Affine(10, 0, 300000, 0, -10, 4900020), "EPSG:32631"), []
    for number in range(dates):
        name = f"SENTINEL2A_{number:08d}-105824-462_L2A_T{tile}_C_V2-2"
        folder = Path("/data/theia") / name
        bands = {band: BandFile(folder / f"{name}_FRE_{band}.tif", 1e-4, 0.0, -10000) for band in BAND_NAMES}
        masks = {kind: MaskFile(folder / "MASKS" / f"{name}_{kind}.tif") for kind in ("CLM_R1", "EDG_R1", "SAT_R1")}
        product = Product(name, tile, np.datetime64("2018-01-01T10:00") + number, "SENTINEL2A", bands, masks)
        placed = tuple((one, PlacedFile(one.path, 0, 0, 1 if b in TEN_METRES else 2)) for b, one in bands.items())
        found.append(
            Acquisition(product, placed, tuple((one, PlacedFile(one.path, 0, 0, 1)) for one in masks.values()))
        )
    return TileSeries(tile, grid, BAND_NAMES, tuple(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=1000)
    parser.add_argument("--dates", type=int, default=500)
    parser.add_argument("--workers", type=int, default=1024)
    options = parser.parse_args()
    stack = FeatureStack.of(PARAMS, FeatureParams(indices=("ndvi", "ndwi", "brightness")))
    model, crew = random_model(stack), Instant(options.workers)
    with tempfile.TemporaryDirectory() as root:

        def jobs() -> Iterator[StreamJob]:
            for number in range(options.tiles):
                series = series_of(f"{number:05d}", options.dates)
                yield map_job(series, stack, model, Path(root) / series.tile, ALLOTMENT, TILING, key="bench")

        begun, blocks = time.perf_counter(), 0
        for done, (job, _) in enumerate(stream_all(jobs(), crew), start=1):
            blocks += len(job.blocks)
            shutil.rmtree(job.folder)  # as after its maps are written
            if done in (1, 10) or done % max(1, options.tiles // 10) == 0:
                each = 1e3 * (time.perf_counter() - begun) / blocks
                print(f"{done:6,} tiles, {blocks:9,} blocks: {resident() / 1e6:6.0f} MB, {each:.2f} ms a block")
    pixels = options.tiles * SIDE * SIDE
    print(f"{pixels:.3g} pixels of {options.dates} dates; {crew.sent / 1e6:.1f} MB to each worker for a tile")


if __name__ == "__main__":
    main()
