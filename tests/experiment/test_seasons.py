"""Seasons and the longest gap in an experiment: how results stand, what the inspector shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit import Experiment
from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.stages import classify_step, stages
from toolkit.experiment.tiles import open_series

SEASONS = [{"start": "2018-03-01", "end": "2018-05-31"}, {"start": "2018-08-01", "end": "2018-10-31", "step_days": 20}]


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    experiment = Experiment.load(tiny_demo)
    experiment.set({"series.tiles": ("31TCJ",), "series.seasons": SEASONS, "series.margin_days": 10})
    return experiment


def test_seasons_are_saved_and_read_again(experiment: Experiment) -> None:
    experiment.save()
    again = Experiment.load(experiment.path)
    assert again.series.seasons == experiment.series.seasons and len(again.series.seasons) == 2
    assert len(again.stack.days) == 10 + 5


def test_images_far_from_all_seasons_are_not_read(experiment: Experiment) -> None:
    (seasons,) = open_series(experiment)
    experiment.set({"series.seasons": ()})
    (whole,) = open_series(experiment)
    expected = [day for day in whole.dates if experiment.series.model_copy().serve(np.array([day])).all()]
    assert len(expected) == len(whole.dates) > len(seasons.dates) > 0
    assert all("2018-02-19" <= str(day) <= "2018-11-10" for day in seasons.dates)
    assert not any("2018-06-10" < str(day) < "2018-07-22" for day in seasons.dates)


def test_the_line_of_a_pixel_is_broken_between_seasons(experiment: Experiment) -> None:
    reader = PixelReader(experiment, classes=False)
    report = reader.read(*reader.middle("31TCJ"), methods=["composite"])
    reader.close()
    assert report.series is not None
    for curve in report.series.curves("NDVI"):
        gaps = np.flatnonzero(np.isnan(curve.line_values))
        assert gaps.tolist() == [10] and len(curve.line_days) == 16
        assert (np.diff(curve.line_days) >= np.timedelta64(0)).all()
    frame = report.to_frame()
    assert (frame["kind"] == "gap-filled").sum() == 15 and frame["NDVI"].notna().all()


def test_results_made_before_stand_and_a_further_layer_is_further_work(finished_demo: Path) -> None:
    experiment = Experiment.load(finished_demo)
    assert {one.state for one in stages(experiment)} == {"up to date"}
    experiment.set({"mapping.longest_gap": True})
    states = {one.name: one.state for one in stages(experiment)}
    assert states["train"] == "up to date" and states["classify 31TCJ"] == "waiting"
    assert classify_step(experiment, "31TCJ").outputs[-1].name == "longest_gap.tif"
    experiment.set({"mapping.longest_gap": False, "series.seasons": SEASONS})
    assert {one.name: one.state for one in stages(experiment)}["clean"] == "outdated"
