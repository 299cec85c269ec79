"""A saved model on other tiles and in another year: the map that it would make there, or a refusal that says why."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from toolkit import Experiment, apply_model, clean, mosaic, plan, run
from toolkit.cli import main
from toolkit.experiment.chosen_model import load_model
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.stages import stages
from toolkit.ground.errors import CatalogError, ModelError, ParameterError, RunFolderError
from toolkit.learning.checkpoint import Model
from toolkit.learning.periods import for_period

TILE = "31TDJ"


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def a_year_later(theia: Path, folder: Path) -> Path:
    """The images of the demo as if they had been acquired a year later."""
    for path in sorted(theia.resolve().rglob("*")):
        if path.is_file():
            name = str(path.relative_to(theia.resolve()))
            target = folder / re.sub(r"_(20\d\d)(?=\d{4}-)", lambda year: f"_{int(year[1]) + 1}", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def trained(finished_demo: Path) -> Experiment:
    return Experiment.load(finished_demo)


@pytest.fixture
def elsewhere(trained: Experiment, tmp_path: Path) -> Path:
    """A catalog without ground truth whose images are of 2019."""
    a_year_later(trained.path.parent / "theia", tmp_path / "data" / "theia")
    shutil.copy(trained.path.parent / "data_catalog.yml", tmp_path / "data" / "data_catalog.yml")
    return tmp_path / "data" / "data_catalog.yml"


def saved(trained: Experiment) -> Path:
    return RunFolder(trained.folder).model


def test_the_same_images_of_another_year_give_the_same_map(
    trained: Experiment, elsewhere: Path, tmp_path: Path
) -> None:
    tiles = list(trained.series.tiles)[:2]
    path = apply_model(
        saved(trained), elsewhere, "s2_demo", tiles, start="2019-01-01", folder=tmp_path / "map_2019", entropy=True
    )  # fmt: skip
    experiment = Experiment.load(tmp_path / "map_2019" / "experiment.yml")
    folder, before = RunFolder(experiment.folder), RunFolder(trained.folder)
    assert path == folder.map() and path.exists() and folder.map("entropy").exists()
    for tile in tiles:
        for layer in ("classes", "confidence", "validity"):
            assert np.array_equal(read(folder.tile(tile) / f"{layer}.tif"), read(before.tile(tile) / f"{layer}.tif"))
    assert str(experiment.series.end) == "2019-12-27" and not experiment.ground_truth.source
    assert experiment.nomenclature.classes == trained.nomenclature.classes
    item = json.loads((folder.mapping / "item.json").read_text())
    assert item["properties"]["start_datetime"].startswith("2019-01-01")
    with rasterio.open(path) as dataset:
        assert dataset.colormap(1)[int(trained.nomenclature.codes[0])]

    told: list[str] = []
    again = apply_model(
        saved(trained), elsewhere, "s2_demo", tiles, start="2019-01-01", folder=tmp_path / "map_2019", entropy=True,
        observer=lambda event: told.append(event.state),
    )  # fmt: skip
    assert again == path and set(told) == {"up to date"}
    assert not plan(experiment).tiles

    with pytest.raises(CatalogError, match=r"ground_truth\.source .* is empty; .*mapping\.model"):
        clean(experiment)
    with pytest.raises(CatalogError, match="is empty"):
        run(experiment)


def test_command_maps_another_tile_of_the_year_itself(trained: Experiment, tmp_path: Path) -> None:
    tile, catalog = trained.series.tiles[3], trained.path.parent / "data_catalog.yml"
    command = ["map", str(saved(trained)), "--catalog", str(catalog), "--source", "s2_demo", "--tiles", tile]
    assert main([*command, "--folder", str(tmp_path / "m"), "--mapping.margin", "true"]) == 0
    folder = RunFolder(Experiment.load(tmp_path / "m" / "experiment.yml").folder)
    assert np.array_equal(
        read(folder.tile(tile) / "classes.tif"), read(RunFolder(trained.folder).tile(tile) / "classes.tif")
    )
    assert folder.map("margin").exists()


def test_command_says_what_does_not_fit(
    trained: Experiment, elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["map", str(saved(trained)), "--catalog", str(elsewhere), "--source", "s2_demo", "--tiles", "31TCJ"]
    period = ["--start", "2019-01-01", "--end", "2019-06-30"]
    assert main([*command, *period, "--folder", str(tmp_path / "m")]) == 2
    error = capsys.readouterr().err
    assert "19 days (2019-01-01 to 2019-06-30)" in error and "trained on 37" in error
    assert main([*command, "--start", "soon", "--folder", str(tmp_path / "n")]) == 2
    assert "'soon' is not a day" in capsys.readouterr().err
    assert not (tmp_path / "m" / "experiment.yml").exists(), "mended, the same folder may be named again"
    assert main([*command, "--start", "2019-01-01", "--folder", str(tmp_path / "m")]) == 0
    capsys.readouterr()
    other = [*command, "--start", "2019-01-01", "--folder", str(tmp_path / "m"), "--mapping.margin", "true"]
    assert main(other) == 2
    assert "of another map; name another folder" in (said := capsys.readouterr().err) and "--overwrite" in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"series.bands": ["B2", "B3", "B4", "B8", "B11"]}, r"missing B5_20180101, B6_20180101, .* and \d+ more"),
        ({"features.indices": ["ndvi", "ndwi"]}, "missing Brightness_2018"),
        ({"features.indices": ["ndvi", "ndwi", "brightness", "evi"]}, "unexpected EVI_2018"),
        ({"series.step_days": 20}, r"19 days .*, the model was trained on 37"),
        ({"series.step_days": 9, "series.end": "2018-11-21"}, r"has 9 days from .* was trained with 10"),
        ({"series.gap_filling": {"method": "akima"}}, "has another series than the model was trained with"),
    ],
)
def test_what_cannot_be_matched_is_refused_and_named(
    trained: Experiment, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    experiment = Experiment(trained.params, trained.path)
    experiment.set({"mapping.model": str(saved(trained)), "ground_truth.source": "", "name": "other", **changes})
    with pytest.raises(ModelError, match=message):
        load_model(experiment)


def test_other_classes_are_refused(trained: Experiment, tmp_path: Path) -> None:
    experiment = Experiment(trained.params, trained.path)
    (tmp_path / "two.csv").write_text("code,label,colour\n1,One,#112233\n2,Two,#445566\n", encoding="utf-8")
    experiment.set({"mapping.model": str(saved(trained)), "ground_truth.nomenclature": str(tmp_path / "two.csv")})
    with pytest.raises(ModelError, match=r"other classes \(oso_23\) than ground_truth\.nomenclature = two"):
        load_model(experiment)


def test_a_chosen_model_needs_no_training_and_is_noted(trained: Experiment) -> None:
    """Its hash stands in the record: a model trained anew makes the map outdated."""
    from toolkit.experiment.stages import classify_step

    own = classify_step(trained, "31TCJ")
    assert own.after == ("train",) and "sha256 of mapping.model" not in own.arguments
    experiment = Experiment(trained.params, trained.path)
    experiment.set({"mapping.model": str(saved(trained))})
    chosen = classify_step(experiment, "31TCJ")
    assert chosen.after == () and len(chosen.arguments["sha256 of mapping.model"]) == 64
    assert {one.state for one in stages(trained)} == {"up to date"}
    experiment.set({"mapping.model": "nowhere"})
    with pytest.raises(ModelError, match=r"nowhere.model\.json: No such file"):
        classify_step(experiment, "31TCJ")


def test_a_model_of_an_earlier_version_has_no_recipe(trained: Experiment, elsewhere: Path, tmp_path: Path) -> None:
    shutil.copytree(saved(trained), tmp_path / "old")
    document = json.loads((tmp_path / "old" / "model.json").read_text())
    del document["recipe"]
    (tmp_path / "old" / "model.json").write_text(json.dumps(document))
    assert Model.load(tmp_path / "old").recipe == {}
    with pytest.raises(ModelError, match=r"saved without the recipe .* mapping\.model"):
        apply_model(tmp_path / "old", elsewhere, "s2_demo", ["31TCJ"], folder=tmp_path / "m")


def test_another_experiment_in_the_folder_is_not_replaced(trained: Experiment, elsewhere: Path, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    shutil.copy(trained.path, folder / "experiment.yml")
    before = (folder / "experiment.yml").read_text()
    with pytest.raises(ParameterError, match="is there already, of another map"):
        apply_model(saved(trained), elsewhere, "s2_demo", ["31TCJ"], start="2019-01-01", folder=folder)
    assert (folder / "experiment.yml").read_text() == before


def test_mosaic_of_nothing_is_refused(trained: Experiment, tmp_path: Path) -> None:
    experiment = Experiment(trained.params, tmp_path / "experiment.yml")
    with pytest.raises(RunFolderError, match="no result of `classify"):
        mosaic(experiment)


def test_a_leap_year_has_the_days_in_the_same_places(trained: Experiment) -> None:
    model = Model.load(saved(trained))
    days = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-12-31"), 10)
    other = for_period(model, days)
    assert len(other.feature_names) == len(model.feature_names) and np.array_equal(other.dates, days)
    assert other.feature_names[0] == "B2_20200101" and other.feature_names[-1].endswith("_20201226")
    features = np.random.default_rng(0).uniform(0, 3000, (len(model.feature_names), 50)).astype(np.float32)
    for one, same in zip(model.predict(features), other.predict(features), strict=True):
        assert np.array_equal(one, same)
    assert for_period(model, model.dates) is model


def test_seasons_may_be_a_day_further_apart_and_not_two(trained: Experiment) -> None:
    model = Model.load(saved(trained))
    days, middle = model.dates.copy(), 20
    days[middle:] += 1
    with pytest.raises(ModelError, match="has 11 days from"):
        for_period(model, days)
    seasons = (middle, len(days) - middle)
    assert np.array_equal(for_period(model, days, seasons).dates, days)
    days[middle:] += 1
    with pytest.raises(ModelError, match="has 12 days from"):
        for_period(model, days, seasons)


def test_a_model_of_raw_dates_goes_to_another_year(tiny_demo: Path, elsewhere: Path, tmp_path: Path) -> None:
    """Its days are counted from the first of January of the first year, so the same images give the same map."""
    experiment = Experiment.load(tiny_demo)
    raw = {"features.representation": "raw", "learning.interpolator": "attention", "learning.network.hidden": [24]}
    experiment.set({"series.tiles": ["31TCJ", TILE], "learning.epochs": 1, **raw})
    run(experiment)
    folder = RunFolder(experiment.folder)
    path = apply_model(folder.model, elsewhere, "s2_demo", [TILE], start="2019-01-01", folder=tmp_path / "m")
    assert np.array_equal(read(path.parent / TILE / "classes.tif"), read(folder.tile(TILE) / "classes.tif"))


def test_several_models_make_one_map_of_the_mean_of_their_probabilities(trained: Experiment, tmp_path: Path) -> None:
    model = Model.load(saved(trained))
    rng = np.random.default_rng(3)
    shaken = {name: one + 0.05 * torch.from_numpy(rng.normal(size=one.shape)).float() for name, one in
              model.weights.items()}  # fmt: skip
    replace(model, weights=shaken).save(tmp_path / "second")
    tile, catalog = trained.series.tiles[0], trained.path.parent / "data_catalog.yml"

    def mapped(name: str, **mapping: object) -> tuple[Experiment, np.ndarray]:
        apply_model(
            saved(trained), catalog, "s2_demo", [tile], folder=tmp_path / name, probabilities=True, **mapping
        )  # fmt: skip
        experiment = Experiment.load(tmp_path / name / "experiment.yml")
        with rasterio.open(RunFolder(experiment.folder).tile(tile) / "probabilities.tif") as dataset:
            return experiment, dataset.read().astype(int)

    second = str(tmp_path / "second")
    experiment, both = mapped("both", ensemble=[second])
    assert len(load_model(experiment).members) == 2  # type: ignore[union-attr]
    _, first = mapped("first")
    _, twice = mapped("twice", ensemble=[str(saved(trained))])
    assert np.abs(first - twice).max() <= 1, "a model twice is the model"
    assert np.abs(first - both).max() > 1
    assert not plan(experiment).tiles
    replace(model, weights=shaken, seed=99).save(tmp_path / "second")
    assert plan(experiment, time=False).tiles, "another model in the ensemble is another map"


def test_a_band_that_one_date_lacks_may_be_passed_over(
    trained: Experiment, elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    next((elsewhere.parent / "theia").rglob("*T31TCJ*_FRE_B11.tif")).unlink()
    folder = tmp_path / "maps" / "2019"
    asked = ["map", str(saved(trained)), "--catalog", str(elsewhere), "--source", "s2_demo", "--tiles", "31TCJ"]
    asked += ["--start", "2019-01-01", "--folder", str(folder)]
    assert main(asked) == 2
    assert "B11 was not delivered" in capsys.readouterr().err
    assert not folder.exists(), "nothing is left of what was refused"
    assert main([*asked, "--series.missing_band", "skip"]) == 0
    assert Experiment.load(folder / "experiment.yml").series.missing_band == "skip"


def test_little_that_is_known_of_a_period_and_another_time_of_the_year_are_told(
    trained: Experiment, elsewhere: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in list((elsewhere.parent / "theia").rglob("SENTINEL2?_20190[3-9]*")):
        if path.is_dir():
            shutil.rmtree(path)
    apply_model(saved(trained), elsewhere, "s2_demo", ["31TCJ"], start="2019-01-25", folder=tmp_path / "map")
    assert "each date of the features is 24 days later in the year than what the model has learnt" in caplog.text
    assert re.search(r"tile 31TCJ has no image from 2019-0[12]-\d\d to 2019-1\d-\d\d \(2\d\d days\)", caplog.text)
