"""Our own maps in the benchmark: made, and looked at while they are made.

As a program it makes one map within a budget and tells what that took in a line of JSON (see `map_scale.py`); it loads
nothing that peers need.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from unittest.mock import patch

from interleaved import CORES, Clock, own_seconds
from map_scene import MapScene, open_scene

from toolkit.features.stack import FeatureStack
from toolkit.ground import block_files
from toolkit.ground.memory import PeakWatch, resident
from toolkit.learning.checkpoint import Model
from toolkit.learning.precision import Stored
from toolkit.mapping import classify
from toolkit.mapping.memory import MappingParams
from toolkit.series import timeseries
from toolkit.series.images import BlockImages


def ours(
    scene: MapScene, folder: Path, memory_gb: float, workers: int = CORES, precision: Stored = "float32"
) -> dict[str, Path]:
    """The map of a scene; none of an earlier run is gone on with."""
    shutil.rmtree(folder, ignore_errors=True)
    params = MappingParams(memory_gb=memory_gb, workers=workers, precision=precision)
    return classify.classify_tile(scene.series, scene.stack, scene.model, folder, params, key="bench")


class Stages:
    """Seconds that threads spend in each stage, all threads together."""

    WATCHED = (
        ("read", timeseries, "read_as_free"),
        ("20 m to 10 m", BlockImages, "load"),
        ("gaps and features", FeatureStack, "compute"),
        ("network", Model, "predict_outputs"),
        ("write blocks", block_files.np, "savez"),
        ("write maps", classify, "write_maps"),
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


@dataclass
class Watched:
    """Runs of one contender, each with what its threads did and how busy they kept the cores."""

    run: Callable[[], object]
    workers: int
    stages: list[dict[str, float]] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        clock, before = Clock(), own_seconds()
        with Stages() as stages:
            self.run()
        elapsed, others = clock.stop()
        self.stages.append(stages.seconds)
        self.walls.append(elapsed)
        self.used.append(own_seconds() - before)
        self.others.append(max(0.0, others))

    def lines(self) -> list[str]:
        """Where the time went, of all runs but the one to warm up."""
        seconds = {name: sum(one[name] for one in self.stages[1:]) for name in self.stages[0]}
        total, wall, used = sum(seconds.values()), sum(self.walls[1:]), sum(self.used[1:])
        free = self.workers * wall - max(0.0, sum(self.others[1:]) - (CORES - self.workers) * wall)
        return [
            "where threads' time goes: " + ", ".join(f"{name} {one / total:.1%}" for name, one in seconds.items()),
            f"cores busy: {used / wall / self.workers:.0%} of {self.workers}, {min(1.0, used / free):.0%} of what "
            f"other programs left; wall / (threads' seconds / {self.workers}): {wall / (total / self.workers):.2f}",
        ]


def child(scene_folder: Path, memory_gb: float) -> dict[str, object]:
    """A map within a budget, and what it took."""
    scene, base, chosen = open_scene(scene_folder), resident(), []
    allot = classify.allot

    def noted(*arguments: object, **named: object) -> object:
        chosen.append(allot(*arguments, **named))
        return chosen[-1]

    with (
        patch.object(classify, "allot", noted),
        tempfile.TemporaryDirectory(dir=scene_folder) as folder,
        PeakWatch() as watch,
    ):
        wall, used = time.perf_counter(), time.process_time()
        paths = ours(scene, Path(folder) / "map", memory_gb)
        wall, used = time.perf_counter() - wall, time.process_time() - used
        written = sum(path.stat().st_size for path in paths.values())
    return {
        "memory": memory_gb, "base": base / 1e9, "peak": watch.take() / 1e9, "wall": wall, "used": used,
        "mpx": scene.pixels / 1e6, "written": written / 1e9, "part": chosen[0].part, "workers": chosen[0].workers,
        "decoded": chosen[0].decoded, "files": sum(path.stat().st_size for path in scene.files) / 1e9,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(child(Path(sys.argv[1]), float(sys.argv[2]))))
