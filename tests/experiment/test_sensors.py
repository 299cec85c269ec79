"""Two sensors from the experiment file to the map: each with its own dates, on the pixels of the first."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml

from tests.experiment.test_any_model import a_year_later
from toolkit import Experiment, apply_model, classify, clean, mosaic, plan, run, sample, train, validate
from toolkit.cli import main
from toolkit.experiment.feature_list import feature_list
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.network_list import network_list
from toolkit.experiment.provenance import Manifest
from toolkit.experiment.stages import stages
from toolkit.experiment.tiles import open_series
from toolkit.features.reading import TileFeatures
from toolkit.ground.errors import CatalogError, ModelError, ParameterError, ProductError, RunFolderError
from toolkit.ground.grid import Block
from toolkit.learning.checkpoint import Model
from toolkit.learning.models.sensors import SensorNetwork
from toolkit.samples.store import SampleStore
from toolkit.series.tiling import FileTiling

TILES = ["31TCJ", "31TDJ"]
SECOND: dict[str, Any] = {
    "name": "second",
    "source": "other",
    "bands": ["B4", "B8", "B11"],
    "indices": ["ndvi"],
    "step_days": 20,
    "gap_filling": {"method": "nearest"},
}
LTAE = {"name": "ltae", "width": 32, "heads": 4, "mlp": 24, "decoder": [16]}


def add_source(folder: Path, name: str, uri: str) -> None:
    path = folder / "data_catalog.yml"
    content = yaml.safe_load(path.read_text())
    content[name] = {**content["s2_demo"], "uri": uri}
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def every_other(folder: Path, tiles: list[str]) -> None:
    """A source `other` of every other image of a demo's."""
    for tile in tiles:
        (folder / "other" / tile).mkdir(parents=True)
        for path in sorted((folder / "theia" / tile).glob("SENTINEL2*"))[::2]:
            (folder / "other" / tile / path.name).symlink_to(path.resolve())


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    """Two tiles of a tiny demo; a second source has every other image of them."""
    folder = tiny_demo.parent
    every_other(folder, TILES)
    add_source(folder, "other", "other/{tile}")
    experiment = Experiment.load(tiny_demo)
    experiment.set({"series.tiles": TILES, "series.sensors": [SECOND], "learning.network": LTAE})
    return experiment


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def alone(experiment: Experiment) -> Experiment:
    """An experiment of the second sensor only, as if it were the first."""
    found = Experiment(experiment.params, experiment.path)
    found.set(
        {
            "series.source": "other",
            "series.sensors": [],
            **{f"series.{name}": SECOND[name] for name in ("bands", "step_days", "gap_filling")},
            "features.indices": SECOND["indices"],
        }
    )
    return found


def test_two_sensors_from_sample_to_validation(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment.save()
    experiment = Experiment.load(experiment.path)
    clean(experiment)
    sample(experiment)
    store, stack = SampleStore(experiment.folder / "samples"), experiment.stack
    assert tuple(store.names) == stack.names and len(stack) == len(store.names)
    second = [name for name in store.names if name.startswith("second/")]
    assert len(second) == len(alone(experiment).stack) == 19 * 4 and second[0] == "second/B4_20180101"
    assert store.names[-len(second) :] == second
    (opened, _), (other, _) = open_series(experiment), open_series(alone(experiment))
    assert len(opened.others[0].acquisitions) < len(opened.acquisitions)

    whole, clear = TileFeatures(opened, stack).read(Block(0, 0, *opened.grid.shape))
    own, seen = TileFeatures(other, alone(experiment).stack).read(Block(0, 0, *opened.grid.shape))
    assert np.array_equal(whole[-len(second) :], own) and np.array_equal(clear > 0, (clear > 0) & (seen > 0))
    pixels = store.pixels("31TCJ")
    stored = np.load(store.folder / "31TCJ" / "features.npy", allow_pickle=False)
    assert np.array_equal(stored, whole[:, pixels["row"], pixels["col"]].T)

    train(experiment)
    model = Model.load(experiment.folder / "learning" / "model")
    network = model._network_of(standardised=False, bfloat16=False).network
    assert isinstance(network, SensorNetwork) and len(network.encoders) == 2
    assert plan(experiment, time=False).tiles[0].files > 1.2 * len(opened.acquisitions) * len(experiment.series.bands)
    with monkeypatch.context() as patch:
        patch.setattr(FileTiling, "block_size", (32, 32))
        folders = classify(experiment)
    in_blocks = {tile: read(folder / "classes.tif") for tile, folder in folders.items()}
    classify(experiment, overwrite=True)
    for tile, folder in folders.items():
        assert np.array_equal(read(folder / "classes.tif"), in_blocks[tile])
        assert np.array_equal(in_blocks[tile] == 0, read(folder / "validity.tif") == 0)
    codes, _ = model.predict(whole.reshape(len(whole), -1))
    expected = np.where(clear > 0, codes.reshape(clear.shape), 0)
    assert (in_blocks["31TCJ"] == expected).mean() > 0.999

    mosaic(experiment)
    assert 0 < validate(experiment).matrix.oa <= 1
    assert "every 20 days" in RunFolder(experiment.folder).report.read_text()
    record = Manifest(experiment.folder / "manifest.json").records()["sample"]
    assert record.params["series.sensors"][0]["name"] == "second"
    reader = PixelReader(experiment)
    report = reader.read(*reader.middle("31TCJ"))
    reader.close()
    assert report.probabilities and report.mapped and not report.notes
    assert next(iter(report.probabilities)) == report.mapped.code


def test_results_of_one_sensor_stand_as_they_were(finished_demo: Path) -> None:
    experiment = Experiment.load(finished_demo)
    records = Manifest(experiment.folder / "manifest.json").records()
    assert not [name for record in records.values() for name in record.params if "sensors" in name]
    assert {one.state for one in stages(experiment)} == {"up to date"}


def test_a_further_sensor_makes_samples_anew_and_leaves_the_polygons(experiment: Experiment) -> None:
    experiment.set({"series.sensors": []})
    clean(experiment)
    sample(experiment)
    experiment.set({"series.sensors": [SECOND]})
    states = {one.name: one.state for one in stages(experiment)}
    assert (states["clean"], states["sample"]) == ("up to date", "outdated")
    with pytest.raises(RunFolderError, match=r"series\.sensors"):
        sample(experiment)


def test_another_image_of_the_second_sensor_is_noticed(experiment: Experiment) -> None:
    clean(experiment)
    sample(experiment)
    sorted((experiment.path.parent / "other" / "31TCJ").iterdir())[0].unlink()
    states = {one.name: one for one in stages(experiment)}
    assert states["clean"].state == "up to date" and "other input files" in states["sample"].message


def test_where_a_sensor_never_saw_there_is_no_class(experiment: Experiment) -> None:
    """The second sensor's images end amid the tile."""
    folder = experiment.path.parent / "other" / "31TCJ"
    for product in list(folder.iterdir()):
        source = product.resolve()
        product.unlink()
        shutil.copytree(source, product)
        for path in product.glob("*_FRE_B8.tif"):
            with rasterio.open(path, "r+") as dataset:
                values = dataset.read(1)
                values[:, 40:] = -10000
                dataset.write(values, 1)
    opened = open_series(experiment)[0]
    features, clear = TileFeatures(opened, experiment.stack).read(Block(0, 0, *opened.grid.shape))
    experiment.set({"series.sensors": []})
    first, before = TileFeatures(replace(opened, others=()), experiment.stack).read(Block(0, 0, *opened.grid.shape))
    assert not clear[:, 40:].any() and (before[:, 40:] > 0).any()
    assert np.array_equal(clear[:, :40], before[:, :40]) and np.array_equal(features[: len(first)], first)


@pytest.mark.parametrize("network", [{"name": "mlp", "hidden": [16]}, {"name": "random_forest", "trees": 5}])
def test_whoever_eats_a_row_is_given_all_columns(experiment: Experiment, network: dict[str, Any]) -> None:
    experiment.set({"learning.network": network, "series.tiles": ["31TCJ"], "features.select": ["B8_*"]})
    for verb in (clean, sample, train):
        verb(experiment)
    model = Model.load(experiment.folder / "learning" / "model")
    assert {name.partition("_")[0] for name in model.feature_names} == {
        "B8", "second/B4", "second/B8", "second/B11", "second/NDVI",
    }  # fmt: skip


def test_raw_dates_of_the_first_beside_a_second(experiment: Experiment) -> None:
    experiment.set({"features.representation": "raw", "features.external": ["phenology"], "series.tiles": ["31TCJ"]})
    run(experiment)
    names = Model.load(experiment.folder / "learning" / "model").feature_names
    assert names[0] == "second/B4_20180101" and names[-2:] == ("day_*", "valid_*")
    opened = open_series(experiment)[0]
    width = experiment.stack.width(len(opened.acquisitions))
    assert TileFeatures(opened, experiment.stack).read(Block(0, 0, 9, 9))[0].shape == (width, 9, 9)
    lines = feature_list(experiment).splitlines()
    assert lines[-5:] == [
        "Sensor second: 76",
        *(f"  {f'{name}':<15} on 19 dates" for name in ("B4", "B8", "B11", "NDVI")),
    ]


def test_features_and_networks_are_listed(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.experiment.network_list.pixel_cost", lambda *_: 1e-6)
    assert "  second/NDVI     on 19 dates" in feature_list(experiment).splitlines()
    assert "37 dates of 13 channels, 19 dates of 4 channels of second and" in network_list(experiment)


def test_a_model_is_used_elsewhere_with_all_its_sensors(
    experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = {**SECOND, "start": "2018-02-01"}
    experiment.set({"series.tiles": ["31TCJ"], "series.sensors": [second], "learning.epochs": 1})
    run(experiment)
    catalog, model = experiment.path.parent / "data_catalog.yml", RunFolder(experiment.folder).model
    recipe = json.loads((model / "model.json").read_text())["recipe"]
    assert "source" not in recipe["series"]["sensors"][0]
    with pytest.raises(ModelError, match=r"was trained with sensor second besides; name the source"):
        apply_model(model, catalog, "s2_demo", ["31TCJ"], folder=tmp_path / "map")
    with pytest.raises(ModelError, match=r"trained without sensor secund; did you mean 'second'"):
        sensors = {"second": "other", "secund": "other"}
        apply_model(model, catalog, "s2_demo", ["31TCJ"], folder=tmp_path / "map", sensors=sensors)
    arguments = ["map", str(model), "--catalog", str(catalog), "--source", "s2_demo", "--tiles", "31TCJ"]
    assert main([*arguments, "--folder", str(tmp_path / "map"), "--sensors", "second=other"]) == 0
    capsys.readouterr()
    assert np.array_equal(read(RunFolder(experiment.folder).map()), read(RunFolder(tmp_path / "map/runs/map").map()))

    a_year_later(experiment.path.parent / "theia", tmp_path / "data" / "theia")
    every_other(tmp_path / "data", ["31TCJ"])
    shutil.copy(catalog, tmp_path / "data" / "data_catalog.yml")
    later = apply_model(
        model, tmp_path / "data" / "data_catalog.yml", "s2_demo", ["31TCJ"], start="2019-01-01",
        folder=tmp_path / "later", sensors={"second": "other"},
    )  # fmt: skip
    assert np.array_equal(read(RunFolder(experiment.folder).map()), read(later))
    (moved,) = Experiment.load(tmp_path / "later" / "experiment.yml").series.sensors
    assert str(moved.start) == "2019-02-01" and moved.end is None

    experiment.set({"name": "elsewhere", "mapping.model": str(model), "ground_truth.source": ""})
    experiment.set({"series.sensors": []})
    with pytest.raises(ModelError, match="was trained with sensor second besides, of which there are no images here"):
        classify(experiment)
    experiment.set({"series.sensors": [second, {**SECOND, "name": "third"}]})
    with pytest.raises(ModelError, match="was trained without sensor third"):
        classify(experiment)
    experiment.set({"series.sensors": [{**second, "step_days": 10}]})
    with pytest.raises(ModelError, match=r"sensor second has 33 days .* trained on 17"):
        classify(experiment)


def test_what_cannot_be_is_told_with_the_sensor(experiment: Experiment) -> None:
    def told(**changes: Any) -> None:
        experiment.set({"series.sensors": [{**SECOND, **changes}]})

    with pytest.raises(ParameterError, match=r"series\.sensors: two are called second; give one of them another name"):
        experiment.set({"series.sensors": [SECOND, {**SECOND, "name": "Second"}]})
    with pytest.raises(ParameterError, match=r"series\.sensors, second\.bands: band 'VV' is not known"):
        told(bands=["VV"])
    with pytest.raises(ParameterError, match=r"series\.sensors, second: .*ndvy"):
        told(indices=["ndvy"])
    with pytest.raises(ParameterError, match=r"series\.sensors, second: .*before series\.start"):
        told(end="2017-06-01")
    with pytest.raises(ParameterError, match="iota2 gives the numbers of one sensor"):
        experiment.set({"features.compatibility": "iota2"})
    told(bands=["B2"])
    with pytest.raises(ParameterError, match=r"series\.sensors, second: features\.indices need B8"):
        experiment.stack  # noqa: B018
    told(select=["B9_*"])
    with pytest.raises(ParameterError, match=r"series\.sensors, second: .*'B9_\*' matches none"):
        experiment.stack.names  # noqa: B018
    told(source="nowhere")
    with pytest.raises(CatalogError, match=r"series\.sensors, second: source 'nowhere' is not in"):
        clean(experiment)
    told()
    experiment.set({"series.tiles": [*TILES, "31TCK"]})
    with pytest.raises(CatalogError, match=r"series\.sensors, second: .*has no tile 31TCK; it has 31TCJ"):
        clean(experiment)
    (experiment.path.parent / "other" / "31TCK").mkdir()
    with pytest.raises(ProductError, match=r"series\.sensors, second: no product of tile 31TCK in source 'other'"):
        clean(experiment)
