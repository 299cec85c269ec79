"""Our own maps in the benchmark: made, and looked at while they are made."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from unittest.mock import patch

from interleaved import CORES, Clock, own_seconds
from map_scene import MapScene

from toolkit.features.stack import FeatureStack
from toolkit.ground import block_files
from toolkit.learning.checkpoint import Model
from toolkit.mapping import classify
from toolkit.mapping.memory import MappingParams
from toolkit.series.timeseries import TileSeries


def ours(scene: MapScene, folder: Path, memory_gb: float, workers: int = CORES) -> dict[str, Path]:
    """The map of a scene; none of an earlier run is gone on with."""
    shutil.rmtree(folder, ignore_errors=True)
    params = MappingParams(memory_gb=memory_gb, workers=workers)
    return classify.classify_tile(scene.series, scene.stack, scene.model, folder, params, key="bench")


class Stages:
    """Seconds that threads spend in each stage, all threads together."""

    WATCHED = (
        ("read", TileSeries, "read"),
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
