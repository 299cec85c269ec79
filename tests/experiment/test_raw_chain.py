"""The chain on raw dates: tiles with dates of their own, from the experiment file to the map."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer

from toolkit import Experiment, classify, clean, cross_validate, run, sample, train
from toolkit.experiment.feature_list import feature_list
from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.provenance import Manifest
from toolkit.experiment.tiles import open_series
from toolkit.features.reading import TileFeatures
from toolkit.ground.errors import ModelError, ParameterError, RunFolderError
from toolkit.ground.grid import Block
from toolkit.samples import extraction
from toolkit.samples.store import SampleStore
from toolkit.series.tiling import FileTiling

RAW = {"features.representation": "raw", "learning.interpolator": "attention", "learning.network.hidden": [24]}


def products(folder: Path, tile: str) -> list[Path]:
    return sorted((folder / "theia" / tile).glob("SENTINEL2*"))


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    """Two tiles of a tiny demo, one of them without every third date; raw dates and an interpolator."""
    folder = tiny_demo.parent
    source = (folder / "theia").resolve()
    (folder / "theia").unlink()
    shutil.copytree(source, folder / "theia")
    for path in products(folder, "31TDJ")[::3]:
        shutil.rmtree(path)
    experiment = Experiment.load(tiny_demo)
    experiment.set({"series.tiles": ["31TCJ", "31TDJ"], **RAW})
    return experiment


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def test_tiles_with_different_dates_from_sample_to_map(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    clean(experiment)
    sample(experiment)
    store = SampleStore(experiment.folder / "samples")
    assert store.names[-2:] == ["day_*", "valid_*"]
    opened = {one.tile: one for one in open_series(experiment)}
    counts = {tile: len(one.acquisitions) for tile, one in opened.items()}
    assert counts["31TDJ"] < counts["31TCJ"]
    for tile, series in opened.items():
        whole, _ = TileFeatures(series, experiment.stack).read(Block(0, 0, *series.grid.shape))
        pixels = store.pixels(tile)
        stored = np.load(store.folder / tile / "features.npy", allow_pickle=False)
        assert stored.shape[1] == experiment.stack.width(counts[tile])
        assert np.array_equal(stored, whole[:, pixels["row"], pixels["col"]].T)
    assert store.load().features.shape[1] == experiment.stack.width(max(counts.values()))

    train(experiment)
    with monkeypatch.context() as patch:
        patch.setattr(FileTiling, "block_size", (32, 32))
        folders = classify(experiment)
    in_blocks = {tile: read(folder / "classes.tif") for tile, folder in folders.items()}
    classify(experiment, overwrite=True)
    for tile, folder in folders.items():
        assert np.array_equal(read(folder / "classes.tif"), in_blocks[tile])
        clear = read(folder / "validity.tif")
        assert np.array_equal(in_blocks[tile] == 0, clear == 0) and clear.max() <= counts[tile]

    reader = PixelReader(experiment)
    report = reader.read(*_place(folders["31TDJ"] / "classes.tif", 40, 70))
    reader.close()
    assert report.probabilities and report.mapped and not report.notes
    assert next(iter(report.probabilities)) == report.mapped.code
    assert report.series is not None and report.series.filled["NDVI"].shape == experiment.stack.days.shape


def _place(path: Path, row: int, col: int) -> tuple[float, float]:
    with rasterio.open(path) as dataset:
        x, y = dataset.transform * (col + 0.5, row + 0.5)
        return Transformer.from_crs(dataset.crs, 4326, always_xy=True).transform(x, y)


def test_a_killed_extraction_goes_on_to_the_same_samples(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute, done, last = extraction.PixelFeatures.__call__, [0], [1000]

    def counted(self: extraction.PixelFeatures, block: Block) -> dict[str, np.ndarray]:
        if done[0] == last[0]:
            raise KeyboardInterrupt
        done[0] += 1
        return compute(self, block)

    monkeypatch.setattr(extraction.PixelFeatures, "__call__", counted)
    monkeypatch.setattr(extraction, "MOST_SAMPLES", 40)
    monkeypatch.setattr(extraction, "SMALLEST_PART", 400)
    experiment.set({"mapping.workers": 1})
    clean(experiment)
    sample(experiment)
    paths = sorted((experiment.folder / "samples").glob("*/features.npy"))
    whole, blocks = [path.read_bytes() for path in paths], done[0]
    shutil.rmtree(experiment.folder / "samples")

    done[0], last[0] = 0, blocks * 3 // 4
    with pytest.raises(KeyboardInterrupt):
        sample(experiment)
    last[0] = 1000
    sample(experiment)
    assert [path.read_bytes() for path in paths] == whole
    assert done[0] == blocks, "no block was computed twice"


def test_a_model_takes_tiles_with_other_dates(experiment: Experiment) -> None:
    clean(experiment)
    sample(experiment)
    train(experiment)
    first = read(classify(experiment)["31TCJ"] / "classes.tif")
    for path in products(experiment.path.parent, "31TCJ")[1::4]:
        shutil.rmtree(path)
    second = read(classify(experiment, overwrite=True)["31TCJ"] / "classes.tif")
    assert second.shape == first.shape and 0.5 < (second == first).mean() < 1
    experiment.set({"features.indices": ["ndvi"]})
    with pytest.raises(ModelError, match=r"missing NDWI_\*, Brightness_\*"):
        classify(experiment, overwrite=True)


def test_raw_dates_learn_as_well_as_filled_ones(experiment: Experiment) -> None:
    experiment.set({"learning.epochs": 15, "series.tiles": ["31TCJ", "31TCK", "31TDJ", "31TDK"]})
    scores = {}
    for representation, interpolator in (("raw", "attention"), ("gap_filled", "none")):
        experiment.set(
            {
                "name": representation,
                "features.representation": representation,
                "learning.interpolator": interpolator,
                "learning.network.hidden": None,
            }
        )
        clean(experiment)
        sample(experiment)
        result = train(experiment)
        assert result.best is not None
        scores[representation] = result.best["f_score"]
    assert scores["raw"] > 0.3 and scores["raw"] > scores["gap_filled"] - 0.05, scores


def test_leave_one_tile_out_on_raw_dates(experiment: Experiment) -> None:
    experiment.set({"learning.epochs": 2})
    clean(experiment)
    found = cross_validate(experiment)
    assert {fold["name"] for fold in found.metrics["folds"]} == {"31TCJ", "31TDJ"}


def test_what_cannot_go_together_is_told_before_any_work(experiment: Experiment) -> None:
    experiment.set({"learning.interpolator": "none"})
    with pytest.raises(ParameterError, match="network mlp has a weight for each feature and cannot read raw dates"):
        run(experiment)
    assert not (experiment.folder / "ground_truth").exists()
    with pytest.raises(ParameterError, match=r"features.compatibility = iota2 .* features.representation = raw"):
        experiment.set({"features.compatibility": "iota2"})


def test_features_are_listed_as_they_are(experiment: Experiment) -> None:
    experiment.set({"features.external": ["phenology"], "features.select": ["B8_*", "ndvi_*", "peak*"]})
    lines = feature_list(experiment).splitlines()
    assert lines[-6:] == [
        "Features of no date: 1",
        "  peak_day_NDVI",
        "Features of each date as it was acquired: 4",
        "  B8, NDVI: 0 where it is not clear",
        "  day: days since 2018-01-01",
        "  valid: 1 where it is clear, else 0",
    ]


def test_results_of_filled_series_are_not_taken_for_raw_ones(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    experiment.set({"series.tiles": ["31TCJ"]})
    clean(experiment)
    sample(experiment)
    record = Manifest(experiment.folder / "manifest.json").records()["sample"]
    assert not [name for name in record.params if "representation" in name], "as before there was a choice"
    experiment.set(RAW)
    with pytest.raises(RunFolderError, match=r"features\.representation"):
        sample(experiment)
