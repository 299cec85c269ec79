"""The whole chain on 187 real Theia products, as `make real` does; train and test are apart in space."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import rasterio

from toolkit import Experiment, cross_validate, run

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "real_images.py"


@pytest.fixture
def example(real_data: Path):  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("real_images", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.DATA = real_data / "theia_maja_T31UFQ_fordead"
    return module


def test_forest_is_mapped_as_well_as_published(example, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    experiment = Experiment.load(example.prepare(tmp_path, seed=0))
    pooled = cross_validate(experiment, by="fold").metrics["pooled_left_out"]
    assert pooled["pixels"] == 80 * 80
    assert pooled["oa"] >= 0.90
    assert pooled["kappa"] >= 0.78


def test_map_of_real_images_looks_like_the_reference(example, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    experiment = Experiment.load(example.prepare(tmp_path, seed=0))
    run(experiment)
    with rasterio.open(experiment.folder / "mapping" / "classes.tif") as source:
        classes = source.read(1)
    with rasterio.open(example.DATA / example.REFERENCE) as source:
        reference = source.read(1)
    assert classes.shape == reference.shape
    assert np.mean((classes == 2) == (reference == 1)) > 0.93
    with rasterio.open(experiment.folder / "mapping" / "31UFQ" / "validity.tif") as source:
        assert 15 <= source.read(1).min() <= source.read(1).max() <= 25, "the empty dates do not count as clear"
