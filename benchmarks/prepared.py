"""Maps from a prepared series beside maps from the files it was made of, by turns: speed, memory, disk.

    python benchmarks/prepared.py --size 512 --dates 70                a look
    python benchmarks/prepared.py --size 2048 --dates 70 --rounds 3    the measurement

First the two maps are compared, byte by byte. Then reading alone and whole maps are timed by turns. Peak of memory and
processor time are those of a process of its own for each, with the budget of `--memory`; processor time is what other
programs disturb least.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from interleaved import CORES, Contender, table, take_turns, watched
from map_scene import CODECS, MapScene, open_scene, write_scene

from toolkit.ground.grid import Block
from toolkit.ground.memory import PeakWatch
from toolkit.ground.parts import PartSize
from toolkit.mapping.classify import classify_tile
from toolkit.mapping.memory import MappingParams, allot
from toolkit.products.handles import close_rasters
from toolkit.series.buffers import BufferPool
from toolkit.series.prepared import PreparedTile, PrepareParams, with_prepared
from toolkit.series.preparing import prepare_tile
from toolkit.series.store_plan import StorePlan
from toolkit.series.tiling import FileTiling


def classified(scene: MapScene, folder: Path, memory_gb: float) -> dict[str, bytes]:
    """The maps' bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    params = MappingParams(memory_gb=memory_gb, workers=CORES)
    paths = classify_tile(scene.series, scene.stack, scene.model, folder, params, key="bench")
    return {name: path.read_bytes() for name, path in paths.items()}


def read_all(scene: MapScene, memory_gb: float) -> None:
    """Every block once, part by part, as a map reads them: a worker a block."""
    tiling, pool = FileTiling.of(scene.series), BufferPool()
    part = PartSize(allot(scene.series, scene.stack, tiling, int(memory_gb * 1e9), int(4e8), CORES).part)

    def read(block: Block) -> None:
        with pool.one() as buffer:
            for one in part.of(block):
                scene.series.read(one, buffer)

    with ThreadPoolExecutor(CORES) as workers:
        list(workers.map(read, tiling.cover()))


def both(scene_folder: Path, store: Path) -> tuple[MapScene, MapScene]:
    """The scene read from its files, and from its prepared series."""
    scene = open_scene(scene_folder)
    prepared = with_prepared(scene.series, store)
    if prepared.prepared is None:
        sys.exit(f"{store} is not of {scene_folder}: delete it")
    return scene, replace(scene, series=prepared)


def prepare(scene: MapScene, store: Path) -> None:
    """Make the prepared series, and say what it took."""
    begun = time.perf_counter()
    plan = StorePlan.of(scene.series)
    with watched() as others:
        prepare_tile(scene.series, plan, store, PrepareParams().level, workers=CORES)
    seconds = time.perf_counter() - begun
    written = sum(path.stat().st_size for path in PreparedTile.open(store).files())
    files = sum(path.stat().st_size for path in scene.files)
    print(
        f"prepared in {seconds:.0f} s, {scene.pixels / 1e6 / seconds:.3f} Mpx/s (others took {others[0]:.1f} cores): "
        f"{written / 1e6:.0f} MB of {files / 1e6:.0f} MB of files, {plan.bytes / 1e6:.0f} MB of values"
    )


def alone(scene_folder: Path, store: Path, kind: str, memory_gb: float) -> dict[str, float]:
    """What a process takes that makes the map twice: peak of memory, and processor time of the second."""
    command = [sys.executable, __file__, "--child", kind, "--scene", str(scene_folder), "--store", str(store)]
    done = subprocess.run([*command, "--memory", str(memory_gb)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def child(scene_folder: Path, store: Path, kind: str, memory_gb: float) -> None:
    scene = both(scene_folder, store)[kind == "prepared"]
    with tempfile.TemporaryDirectory() as folder, PeakWatch() as watch:
        classified(scene, Path(folder) / "map", memory_gb)
        before = time.process_time()
        classified(scene, Path(folder) / "map", memory_gb)
        seconds = time.process_time() - before
        peak = watch.take()
    print(json.dumps({"peak": peak / 1e9, "processor": seconds / scene.pixels * 1e6}))


def measure(scene_folder: Path, store: Path, own: Path, rounds: int, memory_gb: float) -> None:
    of_files, of_prepared = both(scene_folder, store)
    maps = [classified(one, own / "map", memory_gb) for one in (of_files, of_prepared)]
    if maps[0] != maps[1]:
        sys.exit("the maps differ: nothing is timed")
    print(f"the maps are the same: {', '.join(f'{name} {len(data):,} bytes' for name, data in maps[0].items())}\n")
    amount = of_files.pixels / 1e6
    contenders = [
        Contender("files, read", lambda: read_all(of_files, memory_gb), amount),
        Contender("prepared, read", lambda: read_all(of_prepared, memory_gb), amount),
        Contender("files, map", lambda: classified(of_files, own / "map", memory_gb), amount),
        Contender("prepared, map", lambda: classified(of_prepared, own / "map", memory_gb), amount),
    ]
    take_turns(contenders, rounds)
    dates, (height, width) = len(of_files.series.acquisitions), of_files.series.grid.shape
    title = f"Prepared series: {height} x {width} pixels, {dates} dates, {CORES} cores, {memory_gb:g} GB"
    print(table(title, "Mpx", contenders, ["files, read", "files, map"]))
    print(f"{len(FileTiling.of(of_files.series).cover())} block(s): no more than so many workers have work")
    for kind in ("files", "prepared"):
        found = alone(scene_folder, store, kind, memory_gb)
        print(f"{kind}: peak {found['peak']:.2f} GB, {found['processor']:.2f} core-seconds a million pixels")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="pixels a side (default: 1024)")
    parser.add_argument("--dates", type=int, default=70, help="dates (default: 70)")
    parser.add_argument("--codec", choices=list(CODECS), default="deflate", help="of the files")
    parser.add_argument("--rounds", type=int, default=2, help="turns of every contender (default: 2)")
    parser.add_argument("--memory", type=float, default=4, help="budget, GB (default: 4)")
    parser.add_argument("--scene", type=Path, help="folder of the scene, kept (default: one that is dropped)")
    parser.add_argument("--store", type=Path, help="the prepared series, kept (default: one that is dropped)")
    parser.add_argument("--child", choices=["files", "prepared"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.scene, options.store, options.child, options.memory)
        return 0
    with tempfile.TemporaryDirectory(prefix="landcover-bench-") as own:
        folder, store = options.scene or Path(own) / "scene", options.store or Path(own) / "store" / "bench.zarr"
        write_scene(folder, options.size, options.dates, options.codec)
        if not store.exists():
            store.parent.mkdir(parents=True, exist_ok=True)
            prepare(open_scene(folder), store)
        measure(folder, store, Path(own), options.rounds, options.memory)
        close_rasters()
    return 0


if __name__ == "__main__":
    np.seterr(all="ignore")
    sys.exit(main())
