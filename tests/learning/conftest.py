"""Small samples in the manner of real ones: reflectances of a few classes, in polygons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.devices import torch_threads
from toolkit.learning.models import MlpParams, registry
from toolkit.learning.parameters import LearningParams
from toolkit.learning.training import TrainingResult, train_network

CODES = (2, 5, 9, 30, 200)
"""Codes with gaps; 30 has no samples."""

DATES = np.array(["2018-01-01", "2018-01-11"], dtype="datetime64[D]")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads wait for each other on a machine that is busy with other tests."""
    with torch_threads(1):
        yield


@pytest.fixture
def registered() -> Iterator[dict[str, Any]]:
    """The registry of networks, put back afterwards as it was."""
    before = dict(registry._NETWORKS)
    yield registry._NETWORKS
    registry._NETWORKS.clear()
    registry._NETWORKS.update(before)


@pytest.fixture
def nomenclature() -> Nomenclature:
    return Nomenclature("toy", tuple(LandCoverClass(code, f"class {code}", f"#0000{code:02x}") for code in CODES))


@pytest.fixture
def samples() -> TrainingSamples:
    return make_samples()


@pytest.fixture
def toy() -> Callable[..., TrainingSamples]:
    """`make_samples` itself."""
    return make_samples


def make_samples(
    codes: tuple[int, ...] = (2, 5, 9, 200), polygons: int = 10, pixels: int = 12, features: int = 20, seed: int = 0
) -> TrainingSamples:
    """`polygons` polygons a class of `pixels` pixels each, separable but not trivially so."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(2500, 400, (256, features))
    owner = np.repeat(np.arange(len(codes) * polygons), pixels)
    code = np.repeat(np.array(codes, dtype=np.uint8), polygons * pixels)
    fields = rng.normal(0, 250, (len(codes) * polygons, features))
    values = centres[code] + fields[owner] + rng.normal(0, 250, (len(owner), features))
    order = rng.permutation(len(owner))
    return TrainingSamples(values[order].astype(np.float32), code[order], 1000 + owner[order].astype(np.int64))


@pytest.fixture
def train(samples: TrainingSamples, nomenclature: Nomenclature, tmp_path: Path) -> Callable[..., TrainingResult]:
    """`train(folder_name, key=…, stop=…, callbacks=…, seed=…, samples=…, **parameters)`, on one thread."""

    def run(name: str = "learning", **options: Any) -> TrainingResult:
        taken = {option: options.pop(option) for option in ("stop", "callbacks", "overwrite") if option in options}
        chosen = options.pop("samples", samples)
        seed, key = options.pop("seed", 3), options.pop("key", "key")
        known = options.pop("nomenclature", nomenclature)
        names = options.pop("feature_names", [f"B2_{number}" for number in range(chosen.features.shape[1])])
        dates = options.pop("dates", DATES)
        params = LearningParams(**({"epochs": 5, "batch_size": 64, "learning_rate": 1e-3, "threads": 1} | options))
        return train_network(
            chosen,
            params,
            seed=seed,
            nomenclature=known,
            feature_names=names,
            dates=dates,
            folder=tmp_path / name,
            key=key,
            **taken,
        )

    return run


@pytest.fixture
def dropout() -> MlpParams:
    """A network whose training draws random numbers at each step, and keeps statistics."""
    return MlpParams(hidden=(16, 8), dropout=0.3, batch_norm=True)
