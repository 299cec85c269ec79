"""What the first call of a process costs: processor seconds of compilation with an empty cache, and with a filled one.

python benchmarks/first_call.py             # 3 turns; as a process of its own: first_call.py --alone INDEX…
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

CASES = {"iota2's three indices": ("ndvi", "ndwi", "brightness"), "and three formulas": ("ndvi", "evi", "savi", "nbr")}


def alone(indices: tuple[str, ...]) -> dict[str, float]:
    """Processor seconds of numba's own start, and of the first features of this process."""
    import numpy as np
    from numba import njit

    from toolkit.features.stack import FeatureStack
    from toolkit.ground.bands import BAND_NAMES

    rng, first = np.random.default_rng(0), np.datetime64("2018-01-01")
    values = rng.integers(0, 9000, (70, 10, 600)).astype(np.int16)
    validity, dates = rng.random((70, 600)) < 0.6, first + 5 * np.arange(70)
    stack = FeatureStack(tuple(BAND_NAMES), tuple(str(day) for day in first + 10 * np.arange(37)), indices)
    clock = [time.process_time()]
    njit(lambda one: one + 1)(1)
    clock.append(time.process_time())
    stack.compute(values, validity, dates)
    clock.append(time.process_time())
    return {"start": clock[1] - clock[0], "first": clock[2] - clock[1]}


def measure_first_call(turns: int = 3) -> None:
    """Print the least of some turns: other programs only ever add."""
    print("\nFirst call of a process, processor seconds, the least of", turns)
    for name, indices in CASES.items():
        found: dict[str, list[dict[str, float]]] = {"empty": [], "filled": []}
        for _ in range(turns):
            with tempfile.TemporaryDirectory(prefix="landcover-bench-") as folder:
                for cache in found:
                    found[cache].append(_process(indices, folder))
        for cache, runs in found.items():
            start, first = (min(run[key] for run in runs) for key in ("start", "first"))
            print(f"  {name}, {cache} cache: {first:.2f}, numba's own start aside ({start:.2f})")


def _process(indices: tuple[str, ...], folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--alone", *indices]
    return json.loads(subprocess.check_output(command, env={**os.environ, "NUMBA_CACHE_DIR": folder}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        print(json.dumps(alone(tuple(sys.argv[2:]))))
    else:
        measure_first_call()
