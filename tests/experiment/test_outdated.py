"""Results that were made from something else: neither written over without being told to, nor built upon."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import rasterio

from toolkit import Experiment, apply_model, classify, mosaic, vectorise
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.stages import stages
from toolkit.ground.errors import ProductError, RunFolderError


@pytest.fixture
def experiment(finished_demo: Path, tmp_path: Path) -> Experiment:
    """One of its own, with a model, maps and a mosaic."""
    folder = tmp_path / "demo"
    shutil.copytree(finished_demo.parent, folder, symlinks=True, copy_function=shutil.copy2)
    return Experiment.load(folder / finished_demo.name)


def states(experiment: Experiment) -> dict[str, str]:
    return {one.name: one.state for one in stages(experiment)}


def test_another_layer_is_added_to_maps_that_stay_the_same(experiment: Experiment) -> None:
    folder = RunFolder(experiment.folder)
    with rasterio.open(folder.map()) as dataset:
        before = dataset.read()
    experiment.set({"mapping.entropy": True})
    assert {state for name, state in states(experiment).items() if name.startswith(("classify", "mosaic"))} == {
        "waiting"
    }
    classify(experiment)
    mosaic(experiment)
    with rasterio.open(folder.map()) as dataset:
        assert (dataset.read() == before).all()
    assert folder.map("entropy").exists()
    assert set(states(experiment).values()) == {"up to date"}, "what was made of the classes still holds"
    experiment.set({"mapping.entropy": False})
    assert set(states(experiment).values()) == {"up to date"}


def test_another_layer_is_no_leave_to_replace_maps_made_otherwise(experiment: Experiment) -> None:
    folder = RunFolder(experiment.folder)
    tile = folder.tile("31TCJ") / "classes.tif"
    maps, mosaicked = tile.read_bytes(), folder.map().read_bytes()
    experiment.set({"mapping.entropy": True, "mapping.crs": "EPSG:2154", "series.resampling": "nearest"})
    with pytest.raises(RunFolderError, match=r"`classify 31TCJ` made with series\.resampling = 'bilinear'"):
        classify(experiment)
    with pytest.raises(RunFolderError, match=r"`mosaic` made with mapping\.crs = not given"):
        mosaic(experiment)
    assert tile.read_bytes() == maps and folder.map().read_bytes() == mosaicked
    assert states(experiment)["classify 31TCJ"] == states(experiment)["mosaic"] == "outdated"


def test_nothing_is_made_of_a_mosaic_of_other_maps(experiment: Experiment) -> None:
    first, *_ = experiment.series.tiles
    experiment.set({"mapping.model": "other"})
    shutil.copytree(RunFolder(experiment.folder).model, experiment.path.parent / "other")
    classify(experiment, overwrite=True)
    with pytest.raises(RunFolderError, match=rf"`mosaic`, which `vectorise` needs, .*`classify {first}`.*run `mosaic`"):
        vectorise(experiment)
    mosaic(experiment, overwrite=True)
    assert vectorise(experiment).exists()


def test_maps_of_tiles_do_not_hang_on_the_other_tiles(experiment: Experiment) -> None:
    tiles = list(experiment.series.tiles)
    experiment.set({"series.tiles": tiles[:1]})
    found = {one.name: one for one in stages(experiment, "classify")} | {
        one.name: one for one in stages(experiment, "mosaic")
    }
    assert found[f"classify {tiles[0]}"].state == "up to date"
    assert found["mosaic"].state == "outdated"
    assert found["mosaic"].message == "made with " + "; ".join(
        f"a result of classify {tile} besides" for tile in tiles[1:]
    )


def test_a_tile_is_added_to_a_map_by_a_saved_model(experiment: Experiment, tmp_path: Path) -> None:
    model, catalog = RunFolder(experiment.folder).model, experiment.path.parent / "data_catalog.yml"
    tiles, folder = list(experiment.series.tiles)[:2], tmp_path / "ä map"

    def mapped(some: list[str], *, overwrite: bool) -> Path:
        start = pd.Timestamp(experiment.series.start)
        return apply_model(model, catalog, "s2_demo", some, folder=folder, start=start, overwrite=overwrite)

    mapped(tiles[:1], overwrite=False)
    made = RunFolder(Experiment.load(folder / "experiment.yml").folder).tile(tiles[0]) / "classes.tif"
    stamp = made.stat().st_mtime_ns
    mapped(tiles, overwrite=True)
    assert made.stat().st_mtime_ns == stamp, "it is not classified again"
    assert made.parents[1].joinpath(tiles[1], "classes.tif").exists()
    assert made.parents[2].name == "map"


def test_a_tile_that_cannot_be_classified_is_told_before_the_first_is(experiment: Experiment, tmp_path: Path) -> None:
    model, catalog = RunFolder(experiment.folder).model, experiment.path.parent / "data_catalog.yml"
    west, *_, east = experiment.series.tiles
    with rasterio.open(RunFolder(experiment.folder).tile(west) / "classes.tif") as dataset:
        left, bottom, right, top = rasterio.warp.transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    width, height = (right - left) / 20, (top - bottom) / 20
    area = left + width, top - 2 * height, left + 2 * width, top - height
    with pytest.raises(ProductError, match=f"outside of tile {east}"):
        apply_model(model, catalog, "s2_demo", [west, east], folder=tmp_path / "map", area=area)
    assert not (tmp_path / "map").exists(), "and nothing is left"


@pytest.mark.parametrize("day", [datetime(2018, 1, 1, 12), pd.Timestamp("2018-01-01"), "2018-01-01"])
def test_days_are_taken_as_the_field_writes_them(experiment: Experiment, tmp_path: Path, day: object) -> None:
    model, catalog = RunFolder(experiment.folder).model, experiment.path.parent / "data_catalog.yml"
    with pytest.raises(Exception, match="31TZZ"):
        apply_model(model, catalog, "s2_demo", ["31TZZ"], folder=tmp_path / "map", start=day)  # type: ignore[arg-type]
