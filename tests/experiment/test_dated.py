"""Other sensors than Sentinel-2, from the catalog to the map: radar and Landsat, beside it and alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine

from tests.experiment.test_sensors import LTAE, read
from toolkit import Experiment, classify, clean, mosaic, prepare, run, sample, train, validate
from toolkit.cli import main
from toolkit.demo import write_demo
from toolkit.experiment.acquisitions import acquisitions, available_tiles
from toolkit.experiment.feature_list import feature_list
from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.sources import known_catalog
from toolkit.experiment.tiles import open_series
from toolkit.features.reading import TileFeatures
from toolkit.ground.bands import NODATA
from toolkit.ground.errors import ModelError, ParameterError, ProductError
from toolkit.ground.grid import Block
from toolkit.learning.checkpoint import Model
from toolkit.learning.models.sensors import SensorNetwork

LANDSAT = {"SR_B3": "B3", "SR_B4": "B4", "SR_B5": "B8A", "SR_B6": "B11"}


@pytest.fixture(scope="module")
def radar_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo with radar images; do not write into it."""
    return write_demo(tmp_path_factory.mktemp("radar") / "demo", seed=0, size=80, dates=8, radar=True)


@pytest.fixture
def folder(radar_demo: Path, tmp_path: Path) -> Path:
    """A demo of one's own, with the images of another."""
    for name in ("theia", "s1"):
        (tmp_path / name).symlink_to(radar_demo / name)
    for path in radar_demo.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def both(folder: Path) -> Experiment:
    """Sentinel-2 and Sentinel-1 of two tiles."""
    experiment = Experiment.load(folder / "experiment_s1.yml")
    experiment.set({"series.tiles": ["31TCJ", "31TDJ"], "learning.network": LTAE, "learning.epochs": 2})
    return experiment


def add_source(experiment: Experiment, name: str, uri: str, **driver: Any) -> None:
    path = experiment.path.parent / "data_catalog.yml"
    content = yaml.safe_load(path.read_text())
    content[name] = {**content["s1_demo"], "uri": uri, "driver": {"name": "dated_rasters", **driver}}
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def test_sentinel_2_and_1_from_sample_to_validation(both: Experiment) -> None:
    for verb in (clean, sample, train, classify, mosaic):
        verb(both)
    assert 0 < validate(both).matrix.oa <= 1
    model = Model.load(both.folder / "learning" / "model")
    network = model._network_of(standardised=False, bfloat16=False).network
    assert isinstance(network, SensorNetwork) and len(network.encoders) == 2
    names = [name for name in model.feature_names if name.startswith("s1/")]
    assert names[0] == "s1/VV_20180101" and names[-1] == "s1/RVI_20181227" and len(names) == 31 * 5
    assert model.definitions["s1/series"] == "gap-filled power x 10000"
    assert model.definitions["s1/RVI"] == "4 * VH / (VV + VH) x 1000"
    assert "s1" in (both.folder / "validation" / "report.html").read_text()
    assert (read(both.folder / "mapping" / "31TCJ" / "classes.tif") > 0).mean() > 0.9
    reader = PixelReader(both)
    report = reader.read(*reader.middle("31TCJ"))
    reader.close()
    assert report.probabilities and not report.notes


def test_indices_of_radar_are_those_of_its_power(both: Experiment) -> None:
    (opened, *_) = open_series(both)
    block = Block(10, 20, 6, 7)
    features, _ = TileFeatures(opened, both.stack).read(block)
    found = dict(zip(both.stack.names, features, strict=True))
    day = "20180326"  # between two passes
    vv, vh = (found[f"s1/{name}_{day}"].astype(np.float64) / 10000 for name in ("VV", "VH"))
    assert np.allclose(found[f"s1/RVI_{day}"], 1000 * 4 * vh / (vv + vh), rtol=1e-5)
    assert np.allclose(found[f"s1/VVdB_{day}"], 4343 * np.log(vv), rtol=1e-5)
    values, _ = opened.others[0].read(block)
    path = next((both.path.parent / "s1" / "31TCJ").glob("*_vh_*_20180323t*.tif"))
    stored = read(path)[10:16, 20:27]
    at = list(opened.others[0].dates.astype(str)).index("2018-03-23")
    assert np.array_equal(values[at, 1], np.round(stored.astype(np.float64) * 10000))


def test_radar_alone_has_map_report_and_panels(both: Experiment) -> None:
    index = "ratio = VH / VV"
    both.set(
        {
            "name": "radar", "series.source": "s1_demo", "series.sensors": [], "series.bands": ["VV", "VH"],
            "features.indices": [index], "series.tiles": ["31TCJ"], "series.step_days": 12,
        }
    )  # fmt: skip
    both.save(both.path.parent / "radar.yml")
    experiment = Experiment.load(both.path.parent / "radar.yml")
    run(experiment)
    assert set(available_tiles(experiment)) == {"31TCJ", "31TCK", "31TDJ", "31TDK"}
    table = acquisitions(experiment, "31TCJ")
    assert (table["clear_share"].dropna() == 1).all() and table["used"].any()
    assert set(table["platform"]) == {"Sentinel-1"}
    assert "ratio" in feature_list(experiment)
    reader = PixelReader(experiment)
    report = reader.read(*reader.middle("31TCJ"))
    reader.close()
    assert report.series is not None and report.probabilities and not report.notes
    frame = report.to_frame()
    assert frame["VV"].between(0.001, 3).all() and np.allclose(frame["ratio"], frame["VH"] / frame["VV"], rtol=0.3)
    maps = read(experiment.folder / "mapping" / "31TCJ" / "classes.tif")
    prepare(experiment)
    classify(experiment, overwrite=True)
    assert open_series(experiment)[0].prepared is not None
    assert np.array_equal(read(experiment.folder / "mapping" / "31TCJ" / "classes.tif"), maps)


def as_landsat(folder: Path, tile: str) -> None:
    """The images of a tile as Landsat would be delivered: 20 m for 30 m, other numbers, a mask of bits."""
    for product in sorted((folder / "theia" / tile).glob("SENTINEL2*")):
        scene = f"LC08_L2SP_199030_{product.name.split('_')[1][:8]}_20200902_02_T1"
        target = folder / "l8" / tile / f"{scene}{product.name[-20:]}"
        target.mkdir(parents=True)
        for name, like in LANDSAT.items():
            with rasterio.open(product / f"{product.name}_FRE_{like}.tif") as file:
                values, profile = file.read(1), {**file.profile, "dtype": "uint16"}
            if like in ("B3", "B4"):
                values = values[::2, ::2]
                profile |= {"height": len(values), "width": len(values), "transform": file.transform * Affine.scale(2)}
            stored = np.where(values == NODATA, 0, np.clip(np.round((values / 10000 + 0.2) / 2.75e-5), 1, 65535))
            with rasterio.open(target / f"{scene}_{name}.TIF", "w", **{**profile, "predictor": 1}) as out:
                out.write(stored.astype(np.uint16), 1)
        with rasterio.open(product / "MASKS" / f"{product.name}_CLM_R2.tif") as file:
            cloudy, profile = file.read(1) > 0, {**file.profile, "dtype": "uint16"}
        with rasterio.open(target / f"{scene}_QA_PIXEL.TIF", "w", **profile) as out:
            out.write(np.where(cloudy, 22280, 21824).astype(np.uint16), 1)


def test_landsat_by_its_preset_with_named_indices(both: Experiment) -> None:
    as_landsat(both.path.parent, "31TCJ")
    add_source(both, "l8", "l8/{tile}", preset="landsat_c2_l2")
    sensor = {"name": "landsat", "source": "l8", "bands": list(LANDSAT), "indices": ["ndvi", "savi", "brightness"]}
    both.set({"series.tiles": ["31TCJ"], "series.sensors": [{**sensor, "step_days": 16}]})
    (opened,) = open_series(both)
    block = Block(0, 0, *opened.grid.shape)
    own, clear = opened.read(block)
    values, validity = opened.others[0].read(block)
    assert (opened.others[0].bands, validity.any(), validity.all()) == (tuple(LANDSAT), True, False)
    red, nir = (own[:, opened.bands.index(name)] for name in ("B11", "B8A"))
    for place, theirs in ((3, red), (2, nir)):  # of 20 m in both
        both_clear = validity & clear[: len(validity)]
        assert np.abs(values[:, place].astype(int) - theirs)[both_clear].max() <= 1
    stack = dict(both.stack.others)["landsat"]
    assert stack.definitions["NDVI"] == "(SR_B5 - SR_B4) / (SR_B5 + SR_B4) x 1000"
    features, _ = TileFeatures(opened, both.stack).read(block)
    found = dict(zip(both.stack.names, features, strict=True))
    a, b = (found[f"landsat/{name}_20180101"] for name in ("SR_B5", "SR_B4"))
    seen = (a + b) > 1
    assert np.allclose(found["landsat/NDVI_20180101"][seen], (1000 * (a - b) / (a + b))[seen], atol=0.01)


def test_several_bands_in_one_file_and_decibels(both: Experiment) -> None:
    folder = both.path.parent
    (folder / "db" / "31TCJ").mkdir(parents=True)
    for path in sorted((folder / "s1" / "31TCJ").glob("*_vv_*.tif")):
        with rasterio.open(path) as file, rasterio.open(str(path).replace("_vv_", "_vh_")) as cross:
            stack, profile = np.stack([cross.read(1), file.read(1)]), {**file.profile, "count": 2}
        with rasterio.open(folder / "db" / "31TCJ" / f"{path.stem[-15:-7]}.tif", "w", **profile) as out:
            out.write(10 * np.log10(stack))
    add_source(both, "db", "db/{tile}", file="{date}.tif", bands=["VH", "VV"], unit="dB", nodata=0)
    power = "it = 10 ** (VV / 10)"
    other = {"name": "db", "source": "db", "bands": ["VV", "VH"], "indices": [power], "step_days": 12}
    both.set({"series.tiles": ["31TCJ"], "series.sensors": [*both.get("series.sensors"), other]})
    (opened,) = open_series(both)
    block = Block(0, 0, *opened.grid.shape)
    (linear, _), (decibels, valid) = (one.read(block) for one in opened.others)
    assert (
        valid.all()
        and np.abs(decibels[:, 0] / 100 - 10 * np.log10(linear[:, 0] / 10000))[linear[:, 0] > 500].max() < 0.1
    )
    assert (decibels[:, 1] < decibels[:, 0]).mean() > 0.9
    assert both.stack.definitions["db/series"] == "gap-filled dB x 100"
    features, _ = TileFeatures(opened, both.stack).read(block)
    found = dict(zip(both.stack.names, features, strict=True))
    vv = found["db/VV_20180101"] / 100
    assert np.allclose(found["db/it_20180101"], 1000 * 10 ** (vv / 10), rtol=1e-4)


def test_a_band_that_the_source_has_not_is_refused_at_once(
    both: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    before = both.params
    sensor = both.get("series.sensors")[0].model_dump()
    bands, sensors = "series.bands", "series.sensors"
    for changes, words, place in (
        ({bands: ["B4", "B44"]}, "bands: band 'B44' is not known in source 's2_demo'; did you mean", bands),
        ({bands: ["VV", "VH"]}, "none is a band of source 's2_demo', which has B2, B3", bands),
        ({sensors: [{**sensor, "bands": ["HH"]}]}, "s1.bands: band 'HH' .*; known: VH, VV", sensors),
        ({sensors: [{**sensor, "bands": None}]}, "s1.bands = B2, .*: none is a band", sensors),
        ({sensors: [{**sensor, "indices": ["x = VV / HV"]}]}, "s1.indices: at character 10, 'HV'", sensors),
        ({"features.indices": ["x = VV"]}, "indices: at character 5, 'VV' is not a band", "features.indices"),
    ):
        with pytest.raises(ParameterError, match=words) as caught:
            both.set(changes)
        assert caught.value.places == (place,) and both.params is before
    assert main(["sample", str(both.path), "--series.bands", "B4,B88"]) == 2
    assert "did you mean 'B8'" in capsys.readouterr().err
    text = both.path.read_text().replace("bands: [VV, VH]", "bands: [VV, HV]")
    both.path.write_text(text)
    with pytest.raises(ParameterError, match="band 'HV' is not known in source 's1_demo'; known: VH, VV"):
        Experiment.load(both.path)


def test_without_a_catalog_nothing_is_refused_until_images_are_needed(both: Experiment) -> None:
    (both.path.parent / "data_catalog.yml").unlink()
    experiment = Experiment.load(both.path)
    experiment.set({"series.bands": ["XX"]})
    assert experiment.series.bands == ("XX",)


def test_an_index_without_its_bands_says_what_to_do(both: Experiment) -> None:
    sensor = {**both.get("series.sensors")[0].model_dump(), "indices": ["ndvi"]}
    both.set({"series.sensors": [sensor]})
    with pytest.raises(
        ParameterError, match=r"series.sensors, s1: .*ndvi needs a band that is like B4 of .*`like: B4`"
    ):
        both.stack  # noqa: B018
    both.set({"series.sensors": [{**sensor, "indices": ["brightness"]}]})
    with pytest.raises(ParameterError, match="brightness is of reflectances x 10000, and VV is power x 10000"):
        both.stack  # noqa: B018


def test_the_catalog_is_read_again_when_it_changes(both: Experiment) -> None:
    path = both.path.parent / "data_catalog.yml"
    assert known_catalog(path) is known_catalog(path)
    path.write_text(path.read_text().replace("preset: sentinel1_power", "preset: sentinel1_power, bands: [VH]"))
    with pytest.raises(ParameterError, match="band 'VV' is not known"):
        both.set({"seed": 1})


def test_another_unit_is_another_feature(both: Experiment) -> None:
    """A model of linear power classifies no decibels, though names are the same."""
    both.set({"series.tiles": ["31TCJ"]})
    for verb in (clean, sample, train):
        verb(both)
    path = both.path.parent / "data_catalog.yml"
    path.write_text(path.read_text().replace("sentinel1_power", "sentinel1_db"))
    with pytest.raises(ModelError, match="dB x 100"):
        classify(both, overwrite=True)


def test_pixels_that_do_not_fit_are_refused_with_the_command_that_mends_it(both: Experiment) -> None:
    folder = both.path.parent
    (folder / "odd").mkdir()
    source = next((folder / "s1" / "31TCJ").glob("*_vv_*.tif"))
    with rasterio.open(source) as file:
        values, profile = file.read(1), file.profile
    moved = {**profile, "transform": profile["transform"] * Affine.translation(0.5, 0.5) * Affine.scale(3)}
    with rasterio.open(folder / "odd" / "20180301.tif", "w", **moved) as out:
        out.write(values, 1)
    add_source(both, "odd", "odd", file="{date}.tif", bands=["VV"], unit="power", nodata=0)
    odd = {"name": "odd", "source": "odd", "bands": ["VV"], "step_days": 12}
    both.set({"series.tiles": ["31TCJ"], "series.sensors": [odd]})
    with pytest.raises(
        ProductError, match=r"(?s)sensors, odd: .*gdalwarp -t_srs EPSG:32631 -te .* -tr 30 30 -r bilinear IN OUT"
    ):
        open_series(both)


def test_too_few_bands_in_a_file_are_noticed_before_work(both: Experiment) -> None:
    add_source(
        both, "few", "s1/{tile}", file="s1a_{tile}_vv_*_{date}t*.tif", bands=["VV", "VH"], unit="power", nodata=0
    )
    few = {"name": "few", "source": "few", "bands": ["VV", "VH"], "step_days": 12}
    both.set({"series.tiles": ["31TCJ"], "series.sensors": [few]})
    with pytest.raises(ProductError, match="has 1 band, and band 2 is wanted of it; mend `bands`"):
        open_series(both)
    add_source(both, "no", "theia/{tile}", file="*_{date}-*_FRE_{band}.tif", bands=["B4"], nodata=0.5)
    both.set({"series.sensors": [{**few, "source": "no", "bands": ["B4"]}]})
    with pytest.raises(ProductError, match=r"holds int16 values, which 0\.5 is none of; mend `nodata`"):
        open_series(both)


def test_a_composite_by_ndvi_knows_bands_by_what_they_are(both: Experiment) -> None:
    """A band that is called B8 and is none is not taken for near infrared."""
    bands = {"B4": {"file": "vv"}, "B8": {"file": "vh"}}
    add_source(both, "named", "s1/{tile}", file="s1a_{tile}_{band}_*_{date}t*.tif", bands=bands, unit="power", nodata=0)
    greenest = {"method": "composite", "statistic": "max_ndvi"}
    sensor = {"name": "odd", "source": "named", "bands": ["B4", "B8"], "step_days": 30, "gap_filling": greenest}
    both.set({"series.sensors": [sensor]})
    with pytest.raises(ParameterError, match="max_ndvi needs B4, and B8 or B8A"):
        both.stack  # noqa: B018
    both.set({"series.sensors": [{**sensor, "gap_filling": None, "indices": ["ndvi"]}]})
    with pytest.raises(ParameterError, match="needs a band that is like B4"):
        both.stack  # noqa: B018
