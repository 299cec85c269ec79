"""From compressed GeoTIFF products to the written map: how fast, where the time goes, and in how much memory.

    make bench-mapping                            a look: 2048 x 2048 pixels, 12 dates, one round
    make bench-mapping ARGS=--full                the measurement: 70 dates, three rounds
    python benchmarks/map_scale.py --size 10980 --dates 12 --only-ours     a full tile

All take turns on the same files. Peers work on a few windows, and their rate is scaled.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import map_peers
import numpy as np
import rasterio
from interleaved import CORES, Contender, agree, ratio, table, take_turns
from map_ours import Watched, ours
from map_scene import MapScene, open_scene, write_scene
from prepared import prepare

from toolkit.mapping.layers import CLASSES, VALIDITY
from toolkit.mapping.precision import try_both
from toolkit.products.handles import close_rasters
from toolkit.series.prepared import with_prepared
from toolkit.series.tiling import FileTiling

OURS, ALONE, DECODING = f"ours, {CORES} workers", "ours, 1 worker", "decoding"
NARROW, PREPARED, BOTH = "ours, bfloat16", "ours, prepared", "ours, prepared, bfloat16"
PEERS = (map_peers.LOADER, map_peers.NETWORK, map_peers.FOREST, map_peers.EOLEARN)
GOALS: dict[str, dict[str, float]] = {
    OURS: {ALONE: 0.85 * CORES, DECODING: 1.0, **dict(zip(PEERS, (4.5, 8.0, 8.0, 15.0), strict=True))},
    NARROW: {DECODING: 1.0, **dict(zip(PEERS, (5.5, 10.0, 10.0, 18.0), strict=True))},
    PREPARED: {OURS: 2.0, **dict(zip(PEERS, (8.0, 15.0, 15.0, 27.0), strict=True))},
    BOTH: {NARROW: 2.0, **dict(zip(PEERS, (11.0, 20.0, 20.0, 35.0), strict=True))},
}
"""Ours -> another -> how many times its rate it should have."""
ROOM_GB = 8.0
"""Memory given to ours while it takes turns with its peers."""
TOUCHED_GB = 2.0
"""Memory touched before each turn, whoever's it is: more than any of them takes."""


def one_run(scene_folder: Path, memory_gb: float) -> dict[str, Any]:
    """A map in a process of its own: what it took."""
    command = [sys.executable, str(Path(__file__).with_name("map_ours.py")), str(scene_folder), str(memory_gb)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(found: dict[str, Any]) -> None:
    rate = f"{found['mpx'] / found['wall']:.3f} Mpx/s, {found['used'] / found['mpx']:.2f} core-seconds a Mpx"
    height, width = found["part"]
    print(
        f"{found['memory']:5g} GB given: peak {found['peak']:.2f} GB ({found['peak'] / found['memory']:.0%}; "
        f"{found['base']:.2f} before the start), {found['wall']:.0f} s, {rate}\n          "
        f"{found['workers']} worker(s) on {height} x {width} pixels, tiles decoded {found['decoded']:.1f} times; "
        f"{found['files']:.1f} GB of files, {found['written']:.3f} GB of maps",
        flush=True,
    )


def decode(path: Path) -> None:
    with rasterio.open(path) as raster:
        for _, window in raster.block_windows(1):
            raster.read(1, window=window)


def check_agreement(scene: MapScene, folder: Path) -> None:
    """Hold our map against the sequential loop's with the same network, on the pixels that were ever seen."""
    paths = ours(scene, folder, ROOM_GB)
    window, usual = map_peers.usual_classes(scene)
    with rasterio.open(paths[CLASSES]) as classes, rasterio.open(paths[VALIDITY]) as validity:
        seen = validity.read(1, window=window) > 0
        differ = classes.read(1, window=window)[seen] != usual[seen]
    # The window's edge is the end of 20 m bands there, and indices of the loop are not guarded against zero.
    what = f"map of {len(np.unique(usual))} classes with the sequential loop's, share of a window's pixels that differ"
    agree(what, float(differ.mean()), 0.01)


def measure_peers(scene: MapScene, folder: Path, rounds: int, windows: int) -> None:
    check_agreement(scene, folder / "ours")
    amount = scene.pixels / 1e6
    store = folder / "store" / "bench.zarr"
    store.parent.mkdir()
    prepare(scene, store)
    prepared = replace(scene, series=with_prepared(scene.series, store))
    all_cores = Watched(lambda: ours(scene, folder / "ours", ROOM_GB), CORES)
    with ExitStack() as until:
        pool = until.enter_context(ThreadPoolExecutor(CORES))
        contenders = [
            Contender(DECODING, lambda: list(pool.map(decode, scene.files)), amount),
            Contender(OURS, all_cores, amount),
            Contender(ALONE, lambda: ours(scene, folder / "ours", ROOM_GB, workers=1), amount),
            Contender(PREPARED, lambda: ours(prepared, folder / "prepared", ROOM_GB), amount),
            *_in_bfloat16(scene, prepared, folder),
            *map_peers.contenders(scene, folder, windows, until),
        ]
        take_turns(contenders, rounds, memory_gb=TOUCHED_GB)
    check_the_same(folder)
    dates, (height, width) = len(scene.series.acquisitions), scene.series.grid.shape
    title = f"Maps of {height} x {width} pixels, {dates} dates, {CORES} cores"
    print(table(title, "Mpx", contenders, [DECODING, ALONE]))
    print("decoding: the same files, tile by tile, each once, by all cores, and dropped: the bound")
    for word in map_peers.REMARKS:
        print(word)
    for line in (f"ours: {contenders[1].rate / CORES:.3f} Mpx/s and core", *all_cores.lines()):
        print(line)
    show_goals(contenders)


def check_the_same(folder: Path) -> None:
    """Hold the map from the prepared series against that from the files, byte by byte."""
    for file in (folder / "ours").glob("*.tif"):
        if file.read_bytes() != (folder / "prepared" / file.name).read_bytes():
            sys.exit(f"{file.name} from the prepared series is another: the table is of no worth")


def _in_bfloat16(scene: MapScene, prepared: MapScene, folder: Path) -> list[Contender]:
    """Ours with the network in bfloat16, where this processor is made for it."""
    trial = try_both(scene.series, scene.stack, scene.model, FileTiling.of(scene.series).cover())
    print(f"  {trial}")
    if trial.faster <= 1:
        return []
    runs = ((NARROW, scene), (BOTH, prepared))
    map_of = lambda one: ours(one, folder / "narrow", ROOM_GB, precision="bfloat16")  # noqa: E731
    return [Contender(name, partial(map_of, one), scene.pixels / 1e6) for name, one in runs]


def show_goals(contenders: list[Contender]) -> None:
    named = {one.name: one for one in contenders}
    print("\nratios of medians (of bests)")
    for mine, goals in GOALS.items():
        for name in (*goals, map_peers.OTB):
            if mine in named and name in named:
                words = "1 is the bound" if name == DECODING else f"wanted {goals[name]:g}" if name in goals else ""
                print(f"  {mine} / {name}: {ratio(named[mine], named[name])}{', ' * bool(words)}{words}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="70 dates, three rounds (a quarter of an hour)")
    parser.add_argument("--size", type=int, default=2048, help="pixels a side (default: 2048)")
    parser.add_argument("--dates", type=int, help="dates (default: 12, in full 70)")
    parser.add_argument("--codec", choices=["deflate", "zstd"], default="zstd", help="of the files (default: zstd)")
    parser.add_argument("--rounds", type=int, help="turns of every contender (default: 1, in full 3)")
    parser.add_argument("--windows", type=int, default=1, help="windows of 512 pixels that peers do (default: 1)")
    parser.add_argument("--memory", type=float, nargs="*", default=[1, 2, 4], help="budgets to be kept, GB")
    parser.add_argument("--only-ours", action="store_true", help="no peers")
    parser.add_argument("--scene", type=Path, help="folder of the scene, kept (default: one that is dropped)")
    options = parser.parse_args()
    options.dates = options.dates or (70 if options.full else 12)
    options.rounds = options.rounds or (3 if options.full else 1)
    return options


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="landcover-bench-") as own:
        folder, begun = options.scene or Path(own) / "scene", time.perf_counter()
        write_scene(folder, options.size, options.dates, options.codec)
        print(f"a scene of {options.dates} dates was written in {time.perf_counter() - begun:.0f} s", flush=True)
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
