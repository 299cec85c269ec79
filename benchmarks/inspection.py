"""The pixel inspector: how long a person waits for a pixel, with files not opened yet and opened in advance.

python benchmarks/inspection.py EXPERIMENT.yml
"""

from __future__ import annotations

import sys
import time

import numpy as np
from pyproj import Transformer

from toolkit.experiment.config import Experiment
from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.tiles import open_series
from toolkit.series.timeseries import TileSeries

PLACES = 50


def places_in(series: TileSeries, rng: np.random.Generator, count: int) -> list[tuple[float, float]]:
    """Longitude and latitude of random pixels of a tile."""
    height, width = series.grid.shape
    to_degrees = Transformer.from_crs(str(series.grid.crs), "EPSG:4326", always_xy=True)
    return [
        to_degrees.transform(*(series.grid.affine * (col, row)))
        for row, col in zip(rng.uniform(0, height, count), rng.uniform(0, width, count), strict=True)
    ]


def seconds_of(reader: PixelReader, place: tuple[float, float]) -> float:
    before = time.perf_counter()
    reader.read(*place)
    return time.perf_counter() - before


def main(path: str) -> None:
    experiment, rng = Experiment.load(path), np.random.default_rng(0)
    tiles = open_series(experiment)
    cold = seconds_of(PixelReader(experiment), places_in(tiles[0], rng, 1)[0])
    reader = PixelReader(experiment)
    before = time.perf_counter()
    reader.warm()
    warmed = time.perf_counter() - before
    waits = [seconds_of(reader, place) for one in tiles for place in places_in(one, rng, PLACES)]
    files = sum(len(one.bands) + len(one.masks) for one in tiles[0].acquisitions)
    print(f"{len(tiles)} tiles of {tiles[0].grid.shape}, {files} files to a pixel")
    print(f"first pixel, nothing opened   {cold:6.2f} s")
    print(f"opening all in advance        {warmed:6.2f} s")
    print(f"first pixel after that        {waits[0]:6.3f} s")
    print(f"a pixel: median, worst        {np.median(waits):6.3f} s  {max(waits):6.3f} s of {len(waits)}")


if __name__ == "__main__":
    main(sys.argv[1])
