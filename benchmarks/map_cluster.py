"""A map by one and by two processes of a local cluster, by turns: how much faster are two?

    python benchmarks/map_cluster.py --scene FOLDER               2048 x 2048 pixels, 70 dates, four rounds
    python benchmarks/map_cluster.py --scene FOLDER --dates 12    a look

Each worker is a process with one thread, as `cluster: {kind: local}` starts it; both clusters are there all the time
and take turns after a first map each, which loads and compiles what a process needs once. Threads of this process take
turns too. All maps must have the same bytes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from interleaved import CORES, Contender, ratio, table, take_turns
from map_scene import MapScene, open_scene, write_scene

from toolkit.ground.clusters import ClusterParams, cluster_crew
from toolkit.ground.crews import Crew
from toolkit.mapping.classify import classify_tile
from toolkit.mapping.memory import MappingParams

WANTED = 1.7
WORKER_GB = 4.0


def map_by(scene: MapScene, folder: Path, processes: int, crew: Crew | None = None) -> None:
    """The map of a scene, by a crew or by as many threads; it must be the one that is there from others."""
    shutil.rmtree(folder / "map", ignore_errors=True)
    params = MappingParams(memory_gb=WORKER_GB if crew else WORKER_GB * processes, workers=1 if crew else processes)
    made = classify_tile(scene.series, scene.stack, scene.model, folder / "map", params, key="bench", crew=crew)
    for name, path in made.items():
        first = folder / f"{name}.tif"
        if not first.exists():
            path.replace(first)
        elif path.read_bytes() != first.read_bytes():
            sys.exit(f"{name} of {processes} process(es) has other bytes: nothing is timed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048, help="pixels a side (default: 2048)")
    parser.add_argument("--dates", type=int, default=70, help="dates (default: 70)")
    parser.add_argument("--rounds", type=int, default=4, help="turns of every contender (default: 4)")
    parser.add_argument("--scene", type=Path, required=True, help="folder of the scene, kept")
    options = parser.parse_args()
    write_scene(options.scene, options.size, options.dates, "zstd")
    scene = open_scene(options.scene)
    with tempfile.TemporaryDirectory(prefix="landcover-bench-") as own, ExitStack() as until:
        contenders = []
        for processes in (2, 1):
            crew = until.enter_context(
                cluster_crew(ClusterParams(kind="local", workers=processes), WORKER_GB * processes)
            )
            run = partial(map_by, scene, Path(own), processes, crew)
            contenders.append(Contender(f"{processes} process(es)", run, scene.pixels / 1e6))
        threads = partial(map_by, scene, Path(own), CORES)
        contenders.append(Contender(f"{CORES} threads", threads, scene.pixels / 1e6))
        take_turns(contenders, options.rounds)
    title = f"Maps of {options.size} x {options.size} pixels, {options.dates} dates, by processes"
    print(table(title, "Mpx", contenders, [contenders[1].name]))
    two, one, _ = contenders
    print(f"two processes / one, ratio of medians (of bests): {ratio(two, one)}, wanted {WANTED}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
