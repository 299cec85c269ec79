"""The model that classifies: the experiment's own, or a saved one that `mapping.model` names; and what it carries."""

from __future__ import annotations

from typing import Any

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import ModelError
from toolkit.learning.checkpoint import Model
from toolkit.learning.periods import for_period


def load_model(experiment: Experiment) -> Model:
    """The model, ready for the features of the experiment; a saved one with the days of the experiment's period.

    Raises:
        ModelError: it is absent or damaged, or bands, dates, features or classes are not those of its training.
    """
    chosen = experiment.chosen_model
    if chosen is None:
        return Model.load(RunFolder(experiment.folder).model, network_file=experiment.network_file)
    stack, names = experiment.stack, experiment.nomenclature
    model = Model.load(chosen, network_file=experiment.network_file)
    model = for_period(model, stack.days, stack.seasons, stack.names)
    model.check_features(
        stack.names, f"the experiment, for mapping.model = {experiment.mapping.model},", definitions=stack.definitions
    )
    if model.nomenclature.classes != names.classes:
        raise ModelError(
            f"mapping.model = {experiment.mapping.model} has other classes ({model.nomenclature.name}) than "
            f"ground_truth.nomenclature = {names.name}; empty ground_truth.source, and the classes are the model's"
        )
    return model


def model_source(experiment: Experiment) -> dict[str, str]:
    """The hash of a saved model that was chosen, so that another one is noticed; nothing for the experiment's own.

    Raises:
        ModelError: it is absent or damaged.
    """
    card = experiment.model_card
    return {"sha256 of mapping.model": card.sha256} if card else {}


def recipe_of(experiment: Experiment) -> dict[str, Any]:
    """How the features of an experiment are made, as plain values: what a model must carry to be used elsewhere."""
    series = experiment.series.model_dump(mode="json", exclude={"source", "tiles", "area"})
    for one in series["sensors"]:
        del one["source"]
    files = sorted({one.file for one in experiment.features.external if one.file})
    sources = {file: SourceFile.read(experiment.path.parent / file).sha256 for file in files}
    return {"series": series, "features": experiment.features.model_dump(mode="json"), "sources": sources}
