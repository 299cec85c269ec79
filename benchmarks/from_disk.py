"""Train from disk in a process of its own, and print its peak memory, GB: started by `learning.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.fitting import prepare
from toolkit.learning.inputs import InputLayout
from toolkit.learning.parameters import LearningParams
from toolkit.samples.stored import StoredFeatures, StoredPart

FEATURES, CLASSES, BATCH, RATE = 481, 20, 4096, 1e-3


def pace(done: int, batches: int) -> float:
    return RATE


def simulated_samples(count: int, seed: int = 0) -> tuple[TrainingSamples, Nomenclature]:
    """Samples of 481 features around a centre for each class, 50 to a polygon."""
    rng = np.random.default_rng(seed)
    codes, polygons = drawn_codes(count, seed)
    features = rng.standard_normal((count, FEATURES), dtype=np.float32)
    centres = rng.standard_normal((CLASSES + 1, FEATURES), dtype=np.float32) * np.float32(0.2)
    for start in range(0, count, 4096):
        features[start : start + 4096] += centres[codes[start : start + 4096]]
    return TrainingSamples(features, codes, polygons), nomenclature()


def drawn_codes(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Class code and polygon of each sample."""
    polygons = np.arange(count) // 50
    drawn = np.random.default_rng((seed, 1)).integers(1, CLASSES + 1, polygons[-1] + 1)
    return drawn.astype(np.uint8)[polygons], polygons


def nomenclature() -> Nomenclature:
    named = tuple(LandCoverClass(code, f"class {code}", f"#{code * 12:02x}8040") for code in range(1, CLASSES + 1))
    return Nomenclature("simulated", named)


def main(path: Path, count: int, precision: str) -> None:
    """An epoch and a look at the valid samples."""
    codes, polygons = drawn_codes(count)
    stored = StoredFeatures([StoredPart(path, np.arange(count))], FEATURES)
    params = LearningParams(learning_rate=RATE, batch_size=BATCH, device="cpu", precision=precision)  # type: ignore[arg-type]
    samples = TrainingSamples(stored, codes, polygons)
    fitting, _ = prepare(samples, params, 0, nomenclature(), InputLayout.unnamed(FEATURES), streamed=True)
    fitting.train_epoch(1, pace)
    fitting.evaluate()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    print(float(peak.split()[1]) * 1024 / 1e9)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
