"""The preview of the samples is what `sample` draws."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from toolkit import Experiment, clean, sample
from toolkit.experiment import sampling_preview
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.sampling_preview import SamplingPreview, preview_samples
from toolkit.ground.errors import GroundTruthError, ParameterError
from toolkit.ground_truth.polygons import GroundTruth

CHANGES: list[dict[str, Any]] = [
    {},
    {"split.train_ratio": 0.4, "sampling.max_per_class": 77},
    {"split.leave_out_tile": "31TCK", "sampling.class_caps": {17: 5, 23: 1000}},
    {"sampling.sampler": "random", "seed": 5, "split.train_ratio": 0.9},
    {"split.leave_out_tile": None, "sampling.max_per_class": 100_000, "sampling.class_caps": {}},
]


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    """The tiny demo, with polygons over one another: of one class and of others, within a tile and across two."""
    experiment = Experiment.load(tiny_demo)
    path = tiny_demo.parent / "ground_truth.gpkg"
    frame = gpd.read_file(path)
    moved = frame.iloc[::3].copy()
    moved.geometry = shapely.transform(moved.geometry.to_numpy(), lambda xy: xy + np.array([17.0, -13.0]))
    moved.iloc[::2, moved.columns.get_loc("code")] = 17
    gpd.GeoDataFrame(pd.concat([frame, moved], ignore_index=True), crs=frame.crs).to_file(path)
    few_files = {"series.tiles": ["31TCJ", "31TCK", "31TDK"], "series.bands": ["B2"], "features.indices": []}
    experiment.set(few_files)
    return experiment


def as_sampled(preview: pd.DataFrame, tiles: list[str]) -> pd.DataFrame:
    """The columns of `class_counts.csv`."""
    table = preview.rename(columns={"train": "polygons"})
    return table[["code", "label", "polygons", "pixels", *tiles]]


def assert_equal_to(sampled: pd.DataFrame, preview: pd.DataFrame, experiment: Experiment) -> None:
    tiles = list(experiment.series.tiles)
    found = sampled.reindex(columns=["code", "label", "polygons", "pixels", *tiles], fill_value=0)
    pd.testing.assert_frame_equal(as_sampled(preview, tiles), found, check_dtype=False)


def test_polygons_do_lie_over_one_another(experiment: Experiment) -> None:
    located = sampling_preview.Located.of(experiment)
    assert all(len(pixels) > 50 for pixels in located.contested.values())
    assert 10 < located.contenders.sum() < len(located.polygons)


def test_preview_is_what_sample_draws(experiment: Experiment) -> None:
    """The same preview for all changes, before anything is there, and again from the polygons that were written."""
    preview = SamplingPreview(experiment)
    assert not experiment.folder.exists()
    preview.look()
    clean(experiment)
    for changes in CHANGES:
        experiment.set(changes)
        before = preview.look()
        assert_equal_to(sample(experiment, overwrite=True), before.table, experiment)
        for role in ("train", "test", "left_out"):
            written = RunFolder(experiment.folder).polygons(role)
            ids = before.polygons.ids[before.polygons.frame["role"] == role]
            assert sorted(ids) == sorted(GroundTruth.read(written).ids if written.exists() else [])
            assert before.table[role].sum() == len(ids)
    assert preview_samples(experiment).equals(before.table)


def test_caps_and_what_is_available(experiment: Experiment) -> None:
    experiment.set({"sampling.class_caps": {17: 5}})
    table = preview_samples(experiment).set_index("code")
    assert table["cap"].loc[17] == 5 and table["cap"].loc[23] == 150
    assert (table["pixels"] == np.minimum(table["available"], table["cap"])).all()
    assert table["available"].loc[17] > 5


def test_a_cap_draws_anew_and_a_ratio_splits_anew_but_nothing_is_located_anew(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = SamplingPreview(experiment)
    first = preview.look()
    monkeypatch.setattr(sampling_preview.Located, "of", lambda *_: pytest.fail("located anew"))
    experiment.set({"split.train_ratio": 0.5, "series.step_days": 20})
    second = preview.look()
    assert second.table["train"].sum() < first.table["train"].sum()
    monkeypatch.setattr(sampling_preview, "assign_roles", lambda *_: pytest.fail("split anew"))
    experiment.set({"sampling.max_per_class": 10, "sampling.sampler": "random", "learning.epochs": 9})
    assert preview.look().table["pixels"].max() == 10


@pytest.mark.parametrize("change", [{"ground_truth.min_area_m2": 3000.0}, {"series.tiles": ["31TCJ", "31TCK"]}])
def test_other_polygons_are_found(experiment: Experiment, change: dict[str, Any]) -> None:
    preview = SamplingPreview(experiment)
    before = preview.look().table
    experiment.set(change)
    now = preview.look().table
    assert now["train"].sum() < before["train"].sum()
    assert now.equals(preview_samples(experiment))


def test_polygons_cleaned_for_other_parameters_are_not_taken(experiment: Experiment) -> None:
    clean(experiment)
    experiment.set({"ground_truth.min_area_m2": 3000.0})
    small = preview_samples(experiment)["train"].sum()
    experiment.set({"ground_truth.min_area_m2": 0.0})
    assert small < preview_samples(experiment)["train"].sum()


def test_what_sample_refuses_is_refused(experiment: Experiment) -> None:
    preview = SamplingPreview(experiment)
    experiment.set({"sampling.class_caps": {99: 5}})
    with pytest.raises(ParameterError, match="class 99 is not in nomenclature"):
        preview.look()
    experiment.set({"sampling.class_caps": {}, "ground_truth.class_field": "kind"})
    with pytest.raises(GroundTruthError, match="kind"):
        preview.look()
    experiment.set({"ground_truth.class_field": "code"})
    assert preview.look().table["pixels"].sum() > 0, "an error is not kept"


def test_the_preview_warns_of_nothing(experiment: Experiment, caplog: pytest.LogCaptureFixture) -> None:
    """It is asked again at each movement of a slider; a class that cannot train is seen in the table."""
    with caplog.at_level(logging.WARNING):
        preview_samples(experiment)
    assert not caplog.records
