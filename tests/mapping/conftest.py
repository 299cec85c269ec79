"""A small tile, and a network trained for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_theia
from toolkit.features.stack import FeatureStack
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.checkpoint import Model
from toolkit.learning.models import MlpParams
from toolkit.learning.parameters import LearningParams
from toolkit.learning.training import train_network
from toolkit.products.handles import close_rasters
from toolkit.products.theia import find_theia
from toolkit.series.timeseries import SeriesParams, TileSeries

NAMES = Nomenclature("two", (LandCoverClass(3, "Dark & <wet>", "#112233"), LandCoverClass(9, "Bright", "#ffee00")))
STACK = FeatureStack(("B2", "B8"), ("2018-01-01", "2018-04-01"), ())


@pytest.fixture
def series(tmp_path: Path) -> TileSeries:
    """40 x 40 pixels: dark left, bright right; a corner that was never seen, half of it clouded once."""
    value = np.full((40, 40), 500)
    value[:, 20:] = 4000
    never = np.zeros((40, 40), dtype=np.uint8)
    never[:5, :5] = 1
    once = never.copy()
    once[30:, :] = 1
    for day, cloud in (("2018-01-10", never), ("2018-03-01", once)):
        write_theia(tmp_path / "theia", day, size=40, value=value, cloud=cloud)
    params = SeriesParams.model_validate(
        {"source": "s", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-06-30", "bands": ["B2", "B8"]}
    )
    yield TileSeries.open("31TCJ", find_theia(tmp_path / "theia"), params)
    close_rasters()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.array([3, 9], dtype=np.uint8), 200)
    features = np.where(codes == 3, 520, 4020)[:, None] + rng.normal(0, 100, (400, len(STACK)))
    folder = tmp_path_factory.mktemp("learning")
    train_network(
        TrainingSamples(features.astype(np.float32), codes, np.arange(400) // 10),
        LearningParams(network=MlpParams(hidden=(8,)), epochs=15, batch_size=32, learning_rate=0.01),
        seed=0,
        nomenclature=NAMES,
        feature_names=STACK.names,
        dates=np.array(STACK.dates, dtype="datetime64[D]"),
        folder=folder,
        key="k",
    )
    return Model.load(folder / "model")
