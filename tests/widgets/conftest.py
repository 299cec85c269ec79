"""An experiment without files, for widgets that only edit parameters."""

from __future__ import annotations

import pytest

from toolkit.experiment.config import Experiment, ExperimentParams


@pytest.fixture
def experiment() -> Experiment:
    series = {"source": "s2", "tiles": ["31TCJ", "31TCK"], "start": "2018-01-01", "end": "2018-12-27"}
    return Experiment(ExperimentParams(name="trial", series=series, ground_truth={"source": "polygons"}))
