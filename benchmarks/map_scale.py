"""From compressed GeoTIFF products to the written map: how fast, where the time goes, and in how much memory.

    make bench-mapping                                         a look: a small scene of a few dates
    python benchmarks/map_scale.py --size 2048 --dates 70      the measurement (a quarter of an hour on two cores)
    python benchmarks/map_scale.py --size 10980 --dates 12 --only-ours     a full tile

Peers are re-creations of how the same is usually written; they work on a few windows, and their rate is scaled.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from unittest.mock import patch

import map_peers
import numpy as np
import rasterio
from interleaved import CORES, Contender, own_seconds, table, take_turns
from map_scene import MapScene, open_scene, write_scene

from toolkit.features.stack import FeatureStack
from toolkit.ground import block_files
from toolkit.ground.memory import resident
from toolkit.learning.checkpoint import Model
from toolkit.mapping.classify import classify_tile
from toolkit.mapping.memory import MappingParams, allot
from toolkit.products.raster import close_rasters
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries


def ours(scene: MapScene, folder: Path, memory_gb: float, workers: int = CORES) -> dict[str, Path]:
    shutil.rmtree(folder, ignore_errors=True)
    params = MappingParams(memory_gb=memory_gb, workers=workers)
    return classify_tile(scene.series, scene.stack, scene.model, folder, params, key="bench")


class Stages:
    """Seconds that threads spend in each stage, all threads together."""

    WATCHED = (
        ("read", TileSeries, "read"),
        ("gaps and features", FeatureStack, "compute"),
        ("network", Model, "predict"),
        ("write a block", block_files.np, "savez"),
    )

    def __init__(self) -> None:
        self.seconds = dict.fromkeys([name for name, *_ in self.WATCHED], 0.0)
        self._lock, self._stack = threading.Lock(), ExitStack()

    def __enter__(self) -> Stages:
        for name, owner, attribute in self.WATCHED:
            self._stack.enter_context(patch.object(owner, attribute, self._timed(name, getattr(owner, attribute))))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _timed(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        @wraps(function)
        def timed(*arguments: object, **named: object) -> object:
            begun = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                with self._lock:
                    self.seconds[name] += time.perf_counter() - begun

        return timed


def one_run(scene_folder: Path, memory_gb: float) -> dict[str, object]:
    """A map in a process of its own: what it took."""
    command = [sys.executable, __file__, "--child", str(memory_gb), "--scene", str(scene_folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def child(scene_folder: Path, memory_gb: float) -> None:
    scene = open_scene(scene_folder)
    tiling = FileTiling.of(scene.series)
    params = MappingParams(memory_gb=memory_gb, workers=CORES)
    chosen = allot(scene.series, scene.stack, tiling, params.bytes, resident(), CORES)
    base = resident()
    with tempfile.TemporaryDirectory() as folder, Stages() as stages:
        wall, used = time.perf_counter(), own_seconds()
        ours(scene, Path(folder) / "map", memory_gb)
        wall, used = time.perf_counter() - wall, own_seconds() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {
        "memory_gb": memory_gb, "peak_gb": peak / 1e9, "base_gb": base / 1e9, "wall": wall, "busy": used / wall / CORES,
        "overlap": wall / (sum(stages.seconds.values()) / CORES), "stages": stages.seconds,
        "mpx": scene.pixels / 1e6 / wall, "part": chosen.part, "workers": chosen.workers, "open": chosen.keep_open,
        "decoded": chosen.decoded,
    }  # fmt: skip
    print(json.dumps(found))


def show(found: dict[str, object]) -> None:
    stages = found["stages"]
    total = sum(stages.values())
    shares = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in stages.items())
    print(
        f"{found['memory_gb']:5g} GB: peak {found['peak_gb']:.2f} GB ({found['peak_gb'] / found['memory_gb']:.0%}), "
        f"{found['mpx']:.3f} Mpx/s, {found['mpx'] / CORES:.3f} a core, cores {found['busy']:.0%} busy, wall / "
        f"(stages / cores) {found['overlap']:.2f}\n          {shares}; at first {found['workers']} worker(s), parts of "
        f"{found['part'][0]} x {found['part'][1]}, files {'open' if found['open'] else 'opened anew'}, decoded "
        f"{found['decoded']:.1f} times"
    )


def decode(path: Path) -> None:
    with rasterio.open(path) as raster:
        for _, window in raster.block_windows(1):
            raster.read(1, window=window)


def measure_peers(scene: MapScene, folder: Path, rounds: int, windows: int) -> None:
    amount, pool = scene.pixels / 1e6, ThreadPoolExecutor(CORES)
    contenders = [
        Contender("decoding", lambda: list(pool.map(decode, scene.files)), amount),
        Contender("ours", lambda: ours(scene, folder / "ours", 8), amount),
        *map_peers.contenders(scene, folder, windows),
    ]
    take_turns(contenders, rounds)
    pool.shutdown()
    dates, (height, width) = len(scene.series.acquisitions), scene.series.grid.shape
    print(
        table(
            f"Maps of {height} x {width} pixels, {dates} dates, {CORES} cores", "Mpx", contenders, ["decoding", "ours"]
        )
    )
    print("decoding: the same files, tile by tile, each once, by all cores, and dropped")
    for word in map_peers.REMARKS:
        print(word)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048, help="pixels a side (default: 2048)")
    parser.add_argument("--dates", type=int, default=6, help="dates (default: 6)")
    parser.add_argument("--codec", choices=["deflate", "zstd"], default="deflate", help="of the files")
    parser.add_argument("--rounds", type=int, default=1, help="turns of every contender (default: 1)")
    parser.add_argument("--windows", type=int, default=1, help="windows of 512 pixels that peers do (default: 1)")
    parser.add_argument("--memory", type=float, nargs="*", default=[1, 2, 4], help="budgets to be kept, GB")
    parser.add_argument("--only-ours", action="store_true", help="no peers")
    parser.add_argument("--scene", type=Path, help="folder of the scene, kept (default: one that is dropped)")
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.scene, options.child)
        return 0
    with tempfile.TemporaryDirectory(prefix="landcover-bench-") as own:
        folder = options.scene or Path(own) / "scene"
        write_scene(folder, options.size, options.dates, options.codec)
        for memory in options.memory:
            show(one_run(folder, memory))
        if not options.only_ours:
            print()
            measure_peers(open_scene(folder), Path(own), options.rounds, options.windows)
        close_rasters()
    return 0


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
