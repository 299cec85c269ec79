"""Does a pixel of a map cost the same whatever the size of the tile, and does memory stay as it is?

    python benchmarks/map_flat.py --scenes FOLDER                 512 to 4096 pixels a side, 12 dates, three rounds
    python benchmarks/map_flat.py --scenes FOLDER --dates 70      (30 GB of files, some twenty minutes)

Each map is made in a process of its own, after a small one that loads and compiles what a process needs once, and after
as much memory was touched as the map may take: a virtual machine may have to get it from its host first, which took 2 s
a GB on one, and 0.1 s where the host had given it already. Sizes take turns. What counts is processor time a million
pixels, from the files to the written map, the best of the rounds; the wall time of few blocks says more of how they are
shared out among the workers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from interleaved import CORES, touch
from map_ours import ours
from map_scene import open_scene, write_scene

from toolkit.ground.memory import PeakWatch

SIZES = (512, 1024, 2048, 4096)
FLAT = 0.05
"""By how much the dearest size may exceed the cheapest."""


def child(first: Path, scene: Path, memory_gb: float, workers: int) -> dict[str, float]:
    """The map of a scene in a process that is warm, and what it took."""
    with tempfile.TemporaryDirectory(dir=scene) as folder:
        ours(open_scene(first), Path(folder) / "first", memory_gb, workers)
        wanted = open_scene(scene)
        touch(memory_gb)
        with PeakWatch() as watch:
            wall, used = time.perf_counter(), time.process_time()
            ours(wanted, Path(folder) / "map", memory_gb, workers)
            wall, used = time.perf_counter() - wall, time.process_time() - used
            peak = watch.take()
    megapixels = wanted.pixels / 1e6
    return {"used": used / megapixels, "wall": wall / megapixels, "peak": peak / 1e9}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="pixels a side")
    parser.add_argument("--dates", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=float, default=4, help="GB")
    parser.add_argument("--workers", type=int, default=CORES)
    parser.add_argument("--scenes", type=Path, required=True, help="folder of the scenes; they are kept")
    options = parser.parse_args()
    scenes = {size: options.scenes / f"{size}_{options.dates}" for size in options.sizes}
    for size, folder in scenes.items():
        write_scene(folder, size, options.dates, "zstd")
    found: dict[int, list[dict[str, float]]] = {size: [] for size in scenes}
    for _ in range(options.rounds):
        for size, folder in scenes.items():
            asked = [str(scenes[min(scenes)]), str(folder), str(options.memory), str(options.workers)]
            done = subprocess.run([sys.executable, __file__, "child", *asked], check=True, stdout=subprocess.PIPE)
            found[size].append(json.loads(done.stdout.splitlines()[-1]))
    print("pixels a side   core-s / Mpx: best (median)   s / Mpx: best   peak GB")
    for size, runs in found.items():
        used, wall, peak = ([one[name] for one in runs] for name in ("used", "wall", "peak"))
        print(f"{size:13d}   {min(used):12.2f} ({np.median(used):.2f})        {min(wall):13.2f}   {max(peak):7.2f}")
    best = [min(one["used"] for one in runs) for runs in found.values()]
    apart = max(best) / min(best) - 1
    print(f"a pixel of the dearest size costs {apart:.1%} more than one of the cheapest (wanted: {FLAT:.0%} at most)")
    return 0


if __name__ == "__main__":
    np.seterr(all="ignore")
    if sys.argv[1:2] == ["child"]:
        small, large, gigabytes, count = sys.argv[2:]
        print(json.dumps(child(Path(small), Path(large), float(gigabytes), int(count))))
        sys.exit(0)
    sys.exit(main())
