"""eo-learn's LinearInterpolationTask, as a process that waits for its turn; runs in `.venv-bench` (see `series.py`).

It reads one word a line: `parallel` or `single` to fill the scene, `save` to write the last result, `memory` to tell
what filling takes; and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from eolearn.core import EOPatch, FeatureType
from eolearn.features.extra.interpolation import LinearInterpolationTask
from memory import extra_memory

BANDS, MASK = (FeatureType.DATA, "BANDS"), (FeatureType.MASK, "VALID")


class Filler:
    """The scene as eo-learn holds it, (date, y, x, band), and its task."""

    def __init__(self, path: Path) -> None:
        scene = np.load(path)
        dates, bands, pixels = scene["values"].shape
        side = round(pixels**0.5)
        self.days = [day.astype("datetime64[s]").item() for day in scene["dates"]]
        self.values = np.ascontiguousarray(
            scene["values"].reshape(dates, bands, side, side).transpose(0, 2, 3, 1).astype(np.float32)
        )
        self.valid = scene["validity"].reshape(dates, side, side, 1)
        self.output_days = [str(day) for day in scene["output_dates"]]
        self.result: np.ndarray | None = None

    def fill(self, way: str) -> np.ndarray:
        patch = EOPatch(bbox=None, timestamps=self.days)
        patch[BANDS], patch[MASK] = self.values, self.valid
        task = LinearInterpolationTask(
            BANDS, mask_feature=MASK, resample_range=self.output_days, parallel=way == "parallel"
        )
        self.result = task.execute(patch)[BANDS]
        return self.result


def main() -> None:
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    filler = Filler(folder / "scene.npz")
    say({"numpy": np.__version__})
    for line in sys.stdin:
        word, start = line.strip(), time.perf_counter()
        if word == "save":
            assert filler.result is not None
            out, y, x, bands = filler.result.shape
            np.save(folder / "filled.npy", filler.result.transpose(0, 3, 1, 2).reshape(out, bands, y * x))
        elif word == "memory":
            say({"bytes": extra_memory(lambda: filler.fill("single")) or float("nan")})
            continue
        else:
            filler.fill(word)
        say({"seconds": time.perf_counter() - start})


def say(facts: dict[str, object]) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
