"""From SAFE folders to a map: the same landscape as the demo of Theia's format gives nearly the same map."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml

from tests.conftest import own_demo
from toolkit import Experiment, classify, prepare, run
from toolkit.demo import write_demo
from toolkit.experiment.acquisitions import acquisitions, available_tiles
from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.plan import plan
from toolkit.experiment.stages import sample_step, stages
from toolkit.experiment.tiles import open_series, prepared_folder
from toolkit.ground.errors import ProductError, RunFolderError
from toolkit.ground.grid import Block
from toolkit.series.timeseries import TileSeries


@pytest.fixture(scope="module")
def safe_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment file of a finished demo of SAFE folders; do not write into its run folder."""
    source = write_demo(tmp_path_factory.mktemp("safe") / "demo", seed=0, size=80, dates=12, format="sen2cor")
    path = own_demo(source, tmp_path_factory.mktemp("finished_safe") / "demo")
    run(Experiment.load(path))
    return path


@pytest.fixture
def experiment(safe_demo: Path, tmp_path: Path) -> Experiment:
    shutil.copytree(safe_demo.parent, tmp_path / "demo", symlinks=True, copy_function=shutil.copy2)
    return Experiment.load(tmp_path / "demo" / safe_demo.name)


def edit_catalog(experiment: Experiment, **driver: object) -> None:
    path = experiment.path.parent / "data_catalog.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["s2_demo"]["driver"].update(driver)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def map_of(path: Path) -> np.ndarray:
    with rasterio.open(Experiment.load(path).folder / "mapping" / "classes.tif") as file:
        return file.read(1)


def test_both_formats_give_nearly_the_same_map(safe_demo: Path, finished_demo: Path) -> None:
    safe, theia = map_of(safe_demo), map_of(finished_demo)
    assert safe.shape == theia.shape
    assert (safe == theia).mean() > 0.7, "networks of three epochs differ where classes are alike"
    assert np.array_equal(safe == 0, theia == 0)


def test_the_series_is_one_whatever_the_baseline(safe_demo: Path, finished_demo: Path) -> None:
    (safe,), (theia,) = (open_series(Experiment.load(path), tiles=["31TCK"]) for path in (safe_demo, finished_demo))
    assert np.array_equal(safe.dates, theia.dates)
    values, validity = safe.read(Block(0, 0, *safe.grid.shape))
    expected, valid = theia.read(Block(0, 0, *safe.grid.shape))
    both = validity & valid
    assert (validity == valid).mean() > 0.99, "saturation is told at 20 m"
    differences = np.abs(values.astype(int) - expected)[np.broadcast_to(both[:, None], values.shape)]
    assert np.quantile(differences, 0.99) == 0 and differences.max() < 600, "old products have nothing below zero"


def test_a_prepared_series_gives_the_same_map_to_the_bit(experiment: Experiment) -> None:
    tile, maps = "31TCJ", experiment.folder / "mapping" / "31TCJ"
    before = {path.name: path.read_bytes() for path in maps.glob("*.tif")}
    assert before
    shutil.rmtree(maps)
    advice = dict(plan(experiment, time=False).rows())["advice"]
    assert "images of 31TCJ are JPEG 2000" in advice and "landcover prepare" in advice
    alone = Experiment.load(experiment.path)
    alone.set({"series.tiles": [tile]})
    prepare(alone)
    found = plan(experiment, time=False)
    assert "advice" not in dict(found.rows()) and found.tiles[0].prepared
    classify(experiment)
    assert {path.name: path.read_bytes() for path in maps.glob("*.tif")} == before


def test_other_classes_of_the_classification_make_results_outdated(experiment: Experiment) -> None:
    assert all(one.state == "up to date" for one in stages(experiment))
    (tile,) = open_series(experiment, tiles=["31TCJ"])
    prepared = prepared_folder(experiment, "31TCJ")
    assert not prepared.exists() and tile.prepared is None
    edit_catalog(experiment, scl=[0, 1, 3, 7, 8, 9, 10])
    changed = Experiment.load(experiment.path)
    states = {one.name: one for one in stages(changed)}
    assert states["sample"].state == states["classify 31TCJ"].state == "outdated"
    assert "s2_demo.driver.scl = not given (now [0, 1, 3, 7, 8, 9, 10])" in states["sample"].message
    assert sample_step(changed).arguments["s2_demo.driver.scl"]
    with pytest.raises(RunFolderError, match=r"s2_demo\.driver\.scl"):
        classify(changed)


def test_the_table_of_images_obeys_the_classification(experiment: Experiment) -> None:
    assert list(available_tiles(experiment)) == list(experiment.series.tiles)
    usual = acquisitions(experiment, "31TDK")
    assert usual["used"].any() and usual["clear_share"].between(0, 1)[usual["data_share"] > 0].all()
    assert (usual["data_share"] < 1).any(), "images of the neighbouring orbit"
    edit_catalog(experiment, scl=[0, 1, 3, 4, 5, 6, 8, 9, 10, 11])
    none = acquisitions(Experiment.load(experiment.path), "31TDK")
    assert (none["clear_share"].fillna(0) == 0).all()


def test_a_series_without_its_classification_is_told(experiment: Experiment) -> None:
    products = experiment.data.products("s2_demo", "31TCJ")
    without = [replace(one, masks={}) for one in products]
    with pytest.raises(ProductError, match=r"no cloud mask \(SCL\) was delivered with any product, such as S2"):
        TileSeries.open("31TCJ", without, experiment.series)
    with pytest.raises(ProductError, match=r"mask SCL was not delivered in S2"):
        TileSeries.open("31TCJ", [without[0], *products[1:], without[-1]], experiment.series)


def test_a_pixel_is_inspected(safe_demo: Path) -> None:
    experiment = Experiment.load(safe_demo)
    reader = PixelReader(experiment)
    report = reader.read(*reader.middle("31TCK"))
    (opened,) = open_series(experiment, tiles=[report.place.tile])
    values, validity = opened.read(Block(0, 0, *opened.grid.shape))
    assert report.series is not None
    assert np.array_equal(report.series.values, values[:, :, report.place.row, report.place.col])
    assert np.array_equal(report.series.validity, validity[:, report.place.row, report.place.col])
    assert 0 < report.series.clear_dates < len(opened.dates)
    reader.close()
