"""The model that classifies: the experiment's own, or a saved one that `mapping.model` names; and what it carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import ModelError
from toolkit.learning.card import ModelCard
from toolkit.learning.checkpoint import Model
from toolkit.learning.ensemble import AnyModel, Ensemble
from toolkit.learning.periods import for_period


def load_model(experiment: Experiment) -> AnyModel:
    """The model, or the ensemble, ready for the features of the experiment.

    Saved models are given the days of the experiment's period.

    Raises:
        ModelError: one is absent or damaged, or bands, dates, features or classes are not those of its training.
    """
    mapping = experiment.mapping
    if mapping.model is None:
        model = Model.load(
            RunFolder(experiment.folder).model, device=mapping.device, network_file=experiment.network_file
        )
    else:
        model = _saved(experiment, mapping.model, f"mapping.model = {mapping.model}")
    more = [_saved(experiment, Path(one), f"mapping.ensemble: {one}") for one in mapping.ensemble]
    return Ensemble((model, *more)) if more else model


def _saved(experiment: Experiment, folder: Path, what: str) -> Model:
    """A saved model, of which the person said `what`."""
    stack, names = experiment.stack, experiment.nomenclature
    model = Model.load(
        experiment.path.parent / folder, device=experiment.mapping.device, network_file=experiment.network_file
    )
    model = for_period(model, stack.days, stack.seasons, stack.names)
    model.check_features(stack.names, f"the experiment, for {what},", definitions=stack.definitions)
    if model.nomenclature.classes != names.classes:
        raise ModelError(
            f"{what} has other classes ({model.nomenclature.name}) than "
            f"ground_truth.nomenclature = {names.name}; empty ground_truth.source, and the classes are the model's"
        )
    return model


def model_source(experiment: Experiment) -> dict[str, str]:
    """The hashes of saved models that were chosen, so that others are noticed; nothing for the experiment's own.

    Raises:
        ModelError: one is absent or damaged.
    """
    card = experiment.model_card
    found = {"sha256 of mapping.model": card.sha256} if card else {}
    more = [ModelCard.read(experiment.path.parent / one).sha256 for one in experiment.mapping.ensemble]
    return found | ({"sha256 of mapping.ensemble": " ".join(more)} if more else {})


def recipe_of(experiment: Experiment) -> dict[str, Any]:
    """How the features of an experiment are made, as plain values: what a model must carry to be used elsewhere."""
    series = experiment.series.model_dump(mode="json", exclude={"source", "tiles", "area"})
    for one in series["sensors"]:
        del one["source"]
    files = sorted({one.file for one in experiment.features.external if one.file})
    sources = {file: SourceFile.read(experiment.path.parent / file).sha256 for file in files}
    return {"series": series, "features": experiment.features.model_dump(mode="json"), "sources": sources}
