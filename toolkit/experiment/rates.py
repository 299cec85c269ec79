"""Find a learning rate for an experiment, on its samples."""

from __future__ import annotations

from typing import Any

from toolkit.experiment.config import Experiment
from toolkit.experiment.drawing import sources_of
from toolkit.experiment.folder import RunFolder
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.rates import RateSearch
from toolkit.learning.rates import find_rate as find_rate_for
from toolkit.samples.store import SampleStore


def find_rate(experiment: Experiment, **options: Any) -> RateSearch:
    """Train a new network of the experiment for a few updates with a growing rate; nothing of it is kept.

    Args:
        options: `lowest`, `highest` and `updates`, as of `toolkit.learning.rates.find_rate`.

    Raises:
        SampleError: the samples do not suffice, or `sample` was not run.
    """
    folder = RunFolder(experiment.folder)
    store = SampleStore(folder.samples)
    samples = store.open(experiment.sampling.min_clear_dates)
    return find_rate_for(
        TrainingSamples(samples.features, samples.codes, sources_of(folder, samples.polygons)),
        experiment.learning_with_code,
        seed=experiment.seed,
        nomenclature=experiment.nomenclature,
        feature_names=store.names,
        dates=experiment.stack.days,
        **options,
    )
