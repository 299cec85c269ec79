"""The verbs `postprocess` and `vectorise`: where asked for, up to date or outdated as other steps, and measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio

from toolkit import Experiment, postprocess, run, validate, vectorise
from toolkit.cli import main
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.stages import stage_names, stages
from toolkit.experiment.verbs import postprocessed_assessment
from toolkit.ground.errors import CatalogError, ParameterError, RunFolderError
from toolkit.mapping.majority import majority
from toolkit.mapping.sieve import sieve
from toolkit.mapping.smoothing import smooth
from toolkit.widgets.map_content import ENTROPY, POSTPROCESSED, VALIDITY, result_layers


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


@pytest.fixture
def finished(finished_demo: Path, tmp_path: Path) -> Experiment:
    """A finished demo of its own."""
    shutil.copytree(finished_demo.parent, tmp_path / "demo", symlinks=True, copy_function=shutil.copy2)
    return Experiment.load(tmp_path / "demo" / finished_demo.name)


def test_nothing_asked_for_is_nothing_done(finished: Experiment) -> None:
    folder = RunFolder(finished.folder)
    assert postprocess(finished) == folder.map()
    assert not folder.postprocessed.parent.exists()
    assert "postprocess" not in stage_names(finished)
    assert POSTPROCESSED not in result_layers(finished)
    validate(finished)
    assert postprocessed_assessment(folder) is None


def test_map_is_postprocessed_measured_and_kept_up_to_date(finished: Experiment) -> None:
    folder = RunFolder(finished.folder)
    before = validate(finished)
    finished.set({"postprocess.majority_radius": 1, "postprocess.sieve.min_area_m2": 500.0})
    assert stage_names(finished)[-2:] == ["postprocess", "validate"]
    assert {one.name: one.state for one in stages(finished)}["postprocess"] == "waiting"
    told = []
    run(finished, overwrite=True, observer=told.append)
    message = next(one.message for one in told if one.step == "postprocess" and one.state == "done")
    assert message.startswith("majority of 3 x 3, sieve of 5 pixels: ") and message.endswith("of the pixels changed")
    mosaic = read(folder.map())
    assert np.array_equal(read(folder.postprocessed), sieve(majority(mosaic, 1), 5))
    with rasterio.open(folder.postprocessed) as dataset, rasterio.open(folder.map()) as source:
        assert dataset.colormap(1) == source.colormap(1)
        assert dataset.tags(1)["CLASS_NAMES"] == source.tags(1)["CLASS_NAMES"]
        assert dataset.tags()["PARAMETERS"] != source.tags()["PARAMETERS"]
        assert (dataset.crs, dataset.transform) == (source.crs, source.transform)
    assert {one.state for one in stages(finished)} == {"up to date"}

    after = postprocessed_assessment(folder)
    assert after is not None and after.polygons == before.polygons
    metrics = json.loads(folder.metrics.read_text())
    assert metrics["oa"] == pytest.approx(before.matrix.oa)
    assert metrics["postprocessed"]["oa"] == pytest.approx(after.matrix.oa)
    assert "After post-processing" in folder.report.read_text()
    assert [layer.files for layer in result_layers(finished)[POSTPROCESSED]] == [(folder.postprocessed,)]

    finished.set({"postprocess.majority_radius": 2})
    found = {one.name: one for one in stages(finished)}
    assert found["mosaic"].state == "up to date" and found["postprocess"].state == "outdated"
    assert found["postprocess"].message == "made with postprocess.majority_radius = 1 (now 2)"
    with pytest.raises(RunFolderError, match="majority_radius = 1"):
        postprocess(finished)

    finished.set({"postprocess.majority_radius": 0, "postprocess.sieve.min_area_m2": 0.0})
    validate(finished, overwrite=True)
    assert postprocessed_assessment(folder) is None, "it is not asked for any more"


def test_rules_find_their_files_and_a_changed_file_is_noticed(finished: Experiment) -> None:
    here = finished.path.parent
    with rasterio.open(RunFolder(finished.folder).map()) as source:
        profile, ones = source.profile, np.ones(source.shape, dtype=np.uint8)
    profile = {key: profile[key] for key in ("crs", "transform", "height", "width", "count", "dtype")}
    with rasterio.open(here / "mask.tif", "w", driver="GTiff", **profile) as target:
        target.write(ones, 1)
    finished.set({"postprocess.rules": [{"change": {17: 16}, "where": "mask.tif"}]})
    assert 17 not in read(postprocess(finished))
    source = next(name for name, one in finished.data.sources.items() if one.data_type == "GeoDataFrame")
    finished.set({"postprocess.rules": [{"change": {17: 16}, "where": source}]})
    changed = read(postprocess(finished, overwrite=True)) != read(RunFolder(finished.folder).map())
    assert 0 < changed.mean() < 1
    finished.set({"postprocess.rules": [{"change": {17: 16}, "where": "nowhere.tif"}]})
    with pytest.raises(CatalogError, match=r"nowhere\.tif is neither a file"):
        postprocess(finished)
    finished.set({"postprocess.rules": [{"change": {17: 99}}]})
    with pytest.raises(ParameterError, match=r"postprocess\.rules: class 99 is not in nomenclature"):
        postprocess(finished)


def test_smoothing_without_probabilities_is_refused_in_words(finished: Experiment) -> None:
    finished.set({"postprocess.smoothing.window": 7})
    with pytest.raises(RunFolderError, match=r"probabilities\.tif does not exist"):
        postprocess(finished)


def test_polygons_of_the_map(finished: Experiment) -> None:
    folder = RunFolder(finished.folder)
    frame = gpd.read_file(vectorise(finished))
    mosaic = read(folder.map())
    assert frame["pixels"].sum() == np.count_nonzero(mosaic)
    areas = frame.groupby("code")["pixels"].sum()
    assert areas.to_dict() == {code: int((mosaic == code).sum()) for code in np.unique(mosaic[mosaic > 0]).tolist()}
    assert frame["validity"].between(1, 12).all() and frame["confidence"].between(1, 100).all()
    assert frame["label"].tolist() == [finished.nomenclature.label(code) for code in frame["code"]]
    assert not [name for name in frame.columns if name.startswith("share")]
    assert {one.state for one in stages(finished, "vectorise")} == {"up to date"}

    finished.set({"postprocess.sieve.min_pixels": 9})
    with pytest.raises(RunFolderError, match="no result of `postprocess`"):
        vectorise(finished, overwrite=True)
    postprocess(finished)
    fewer = gpd.read_file(vectorise(finished, overwrite=True))
    assert len(fewer) < len(frame) and fewer["pixels"].sum() == frame["pixels"].sum()
    shares = fewer[[name for name in fewer.columns if name.startswith("share_")]]
    assert np.allclose(shares.sum(axis=1), 100, atol=0.2)
    assert (shares.max(axis=1) < 100).any(), "some polygons took pixels of other classes"
    with pytest.raises(RunFolderError, match=r"vectorise\.outline = 'smooth' \(now 'pixels'\)"):
        finished.set({"vectorise.outline": "pixels"})
        vectorise(finished)


def test_command_line(finished: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["postprocess", str(finished.path), "--postprocess.majority_radius", "1"]) == 0
    assert "postprocessed/classes.tif" in capsys.readouterr().out
    assert main(["vectorise", str(finished.path), "--vectorise.outline", "pixels"]) == 0
    assert "mapping/classes.gpkg" in capsys.readouterr().out
    assert main(["postprocess", str(finished.path), "--postprocess.sieve.connectivity", "5"]) == 2
    assert "postprocess.sieve.connectivity = 5: input should be 4 or 8" in capsys.readouterr().err


def test_smoothing_of_the_maps_own_probabilities(finished: Experiment) -> None:
    """From `mapping.probabilities` to the smoothed map, with nothing made by hand."""
    folder = RunFolder(finished.folder)
    before = read(folder.map())
    finished.set({"mapping.probabilities": True, "mapping.entropy": True, "postprocess.smoothing.window": 5})
    assert {one.name: one.state for one in stages(finished)}["mosaic"] == "waiting"
    run(finished, overwrite=True)
    assert np.array_equal(read(folder.map()), before), "other layers do not change the classes"
    smoothed = read(folder.postprocessed)
    with rasterio.open(folder.map("probabilities")) as dataset:
        probabilities = dataset.read()
        codes = np.array([int(text.split()[0]) for text in dataset.descriptions])
    assert np.array_equal(codes, finished.nomenclature.codes)
    wanted = smooth(probabilities, codes, window=5, share=0.5, smoothness=np.full(len(codes), 20.0))
    assert np.array_equal(smoothed, np.where(probabilities.any(axis=0), wanted, before))
    assert 0 < (smoothed != before).mean() < 0.5
    shown = result_layers(finished)
    assert [layer.files for layer in shown[ENTROPY]] == [(folder.map("entropy"),)]
    assert [layer.files for layer in shown[VALIDITY]] == [(folder.map("validity"),)]
    assert {one.state for one in stages(finished)} == {"up to date"}
