"""Samples of a tile at full width: 0.3 % of its pixels, beside rasterio's `sample`.

    python benchmarks/extraction.py --size 1024 --dates 12          a look
    python benchmarks/extraction.py --full --rounds 2               the measurement: 2048 x 2048 pixels, 70 dates

`sample` is given all points of a few dates, for each date costs it the same; its gaps are filled by NumPy for those
dates alone. That both find the same is held first, on these dates.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from interleaved import Contender, agree, ratio, table, take_turns
from map_scene import open_scene, write_scene
from mapping import Tile, ours_samples, random_pixels, sampled, usual_features

from toolkit.products.handles import close_rasters

FEW = 2
"""Dates that `sample` is given."""
DENSITY = 0.003
WANTED = 40


def measure(tile: Tile, rounds: int) -> None:
    dates = len(tile.series.acquisitions)
    pixels = random_pixels(tile.series, round(DENSITY * tile.pixels), seed=1)
    few = replace(tile, series=replace(tile.series, acquisitions=tile.series.acquisitions[:FEW], resampling="nearest"))
    peer = usual_features(sampled(few, pixels), few.stack)
    agree("samples with rasterio's sample", np.abs(ours_samples(few, pixels) - peer).max())
    contenders = [
        Contender("ours", lambda: ours_samples(tile, pixels), len(pixels) / 1e3),
        Contender("sample()", lambda: usual_features(sampled(few, pixels), few.stack), len(pixels) / 1e3 * FEW / dates),
    ]
    take_turns(contenders, rounds)
    print(table(f"{len(pixels):,} samples of {dates} dates", "k samples", contenders, ["sample()"]))
    print(f"ours / sample(): {ratio(*contenders)}, wanted {WANTED}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="2048 x 2048 pixels, 70 dates")
    parser.add_argument("--size", type=int, help="pixels a side (default: 1024, in full 2048)")
    parser.add_argument("--dates", type=int, help="dates (default: 12, in full 70)")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each (default: 1)")
    parser.add_argument("--scene", type=Path, help="folder of the scene, kept (default: one that is dropped)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="landcover-bench-") as own:
        folder = options.scene or Path(own) / "scene"
        size, dates = options.size or (2048 if options.full else 1024), options.dates or (70 if options.full else 12)
        write_scene(folder, size, dates, "zstd")
        scene = open_scene(folder)
        measure(Tile(scene.series, scene.stack, scene.model, None, Path(own)), options.rounds)
        close_rasters()
    return 0


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
