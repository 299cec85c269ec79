"""What it costs to read ESA's JPEG 2000: blocks of a tile, beside every file decoded once, and a prepared series.

    python benchmarks/jpeg_2000.py FOLDER              writes two dates into FOLDER once (0.8 GB, some minutes)

Files have the layout of ESA's (tiles of 1024 pixels at 10 m, of 640 at 20 m), filled with noise that takes 8 bits
a pixel, as true images do. GDAL's cache is as small as for a year of dates, so that no tile waits there for the next
block. All figures are processor time a million pixels of 10 m and date, ten bands and the classification.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from toolkit.ground.bands import SENTINEL2
from toolkit.products.handles import close_rasters, raster_memory
from toolkit.products.sen2cor import find_sen2cor
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.prepared import PrepareParams, with_prepared
from toolkit.series.preparing import prepare_tile
from toolkit.series.store_plan import StorePlan
from toolkit.series.team import Team
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import SeriesParams, TileSeries

SIDE = 5120
"""Pixels of 10 m after which the tiles of all files end together."""
DAYS = ("20180103", "20180113")
FILE_TILE = {10: 1024, 20: 640}
CACHE_MB = 8
"""Of GDAL, for two dates: what 256 MB are for seventy."""
PARAMS = SeriesParams(source="esa", tiles=("31TCJ",), start=date(2018, 1, 1), end=date(2018, 2, 1))


def write_scene(folder: Path) -> None:
    """Two products of baseline 05.09."""
    rng = np.random.default_rng(0)
    for day in DAYS:
        safe = folder / f"S2A_MSIL2A_{day}T105441_N0509_R051_T31TCJ_20240601T120000.SAFE"
        images = safe / "GRANULE" / f"L2A_T31TCJ_A013204_{day}T105441" / "IMG_DATA"
        for band in SENTINEL2:
            name = band.name if band.name == "B8A" else f"B{int(band.name[1:]):02}"
            values = np.clip(3000 + rng.normal(0, 40, (SIDE * 10 // band.resolution,) * 2), 1, 20000)
            _write(images / f"T31TCJ_{day}T105441_{name}_{band.resolution}m.jp2", values.astype(np.uint16))
        classes = rng.integers(4, 7, (SIDE // 80, SIDE // 80), dtype=np.uint8).repeat(40, axis=0).repeat(40, axis=1)
        _write(images / f"T31TCJ_{day}T105441_SCL_20m.jp2", classes)


def _write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixel = SIDE * 10 // len(values)
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", height=len(values), width=len(values), count=1, dtype=values.dtype,
        crs="EPSG:32631", transform=from_origin(300000, 4900020, pixel, pixel), tiled=True, QUALITY="100",
        blockxsize=FILE_TILE[pixel], blockysize=FILE_TILE[pixel], REVERSIBLE="YES",
    ) as file:  # fmt: skip
        file.write(values, 1)


def decode_once(series: TileSeries) -> None:
    """Every tile of every file."""
    for one in series.acquisitions:
        for path in [band.path for band, _ in one.bands] + [mask.path for mask, _ in one.masks]:
            with rasterio.open(path) as file:
                for _, window in file.block_windows(1):
                    file.read(1, window=window)


def read_blocks(series: TileSeries) -> None:
    """Every block, as a map reads them."""
    buffer = SeriesBuffer()
    for block in FileTiling.of(series).cover():
        series.images(block, Team(buffer))


def measured(series: TileSeries, store: Path) -> Iterator[tuple[str, float]]:
    """What was done, and seconds of processor time."""

    def seconds(work: Callable[[], None]) -> float:
        begun = time.process_time()
        with raster_memory(CACHE_MB, keep_open=True):
            work()
        close_rasters()
        return time.process_time() - begun

    yield "every tile of every file once", seconds(lambda: decode_once(series))
    yield "blocks from the files", seconds(lambda: read_blocks(series))
    level = PrepareParams().level
    yield "to prepare", seconds(lambda: prepare_tile(series, StorePlan.of(series), store, level, workers=1))
    yield "blocks from the prepared series", seconds(lambda: read_blocks(with_prepared(series, store)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not (folder / "esa").exists():
        write_scene(folder / "esa")
    series = TileSeries.open("31TCJ", find_sen2cor(folder / "esa"), PARAMS)
    for what, taken in measured(series, folder / "prepared.zarr"):
        print(f"{what:<34}{taken / (SIDE**2 / 1e6) / len(DAYS):6.2f} s", flush=True)


if __name__ == "__main__":
    main()
