"""What networks there are: their size, what a pixel costs, and their parameters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from toolkit.experiment.config import Experiment
from toolkit.experiment.feature_list import described
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import models_of
from toolkit.learning.cost import network_shape, pixel_cost
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import NetworkChoice, NetworkParams, OwnParams
from toolkit.learning.models.own import meaning_of

CHANNELS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12", "NDVI", "NDWI", "brightness")
DATES = np.datetime64("2018-01-01") + 10 * np.arange(37)
CLASSES = 23
"""The input of the published maps: 37 dates of ten bands and three indices, and their classes."""


def networks(experiment: Experiment | None = None) -> pd.DataFrame:
    """The networks as a table: `name`, `parameters` (weights that are learnt), `microseconds` a pixel, `what`.

    The time is that of a map on one thread of this processor, by a short trial (of trees, grown from random samples).

    Args:
        experiment: whose features and classes they are for, and whose network is listed with its own parameters;
            default those of the published maps, 37 dates of 13 channels and 23 classes.

    Raises:
        LandcoverError: the experiment's features cannot be what it says, or its own network fails.
    """
    inputs, classes = _input_of(experiment)
    rows = []
    for params in _listed(experiment):
        try:
            size = network_shape(params, inputs, classes).parameters
            rows.append((_called(params), size, round(1e6 * pixel_cost(params, inputs, classes), 2), _meaning(params)))
        except ParameterError as error:  # it cannot read such features, and says why
            rows.append((_called(params), 0, np.nan, str(error)))
    return pd.DataFrame(rows, columns=["name", "parameters", "microseconds", "what"])


def network_list(experiment: Experiment | None = None) -> str:
    """The networks in words, with all their parameters.

    Raises:
        LandcoverError: as `networks`.
    """
    inputs, classes = _input_of(experiment)
    table = networks(experiment)
    given = ", ".join(_given(name, one.inputs) for name, one in inputs.sensors.items())
    head = f"Networks, for learning.network; with {given} and {classes} classes"
    parts = [f"{head}:", "", f"  {'':<20} {'parameters':>12} {'a pixel':>12}"]
    for row in table.itertuples():
        size = f"{row.parameters:,}" if row.parameters else ""
        cost = "" if np.isnan(row.microseconds) else f"{row.microseconds:.3g} µs"
        parts.append(f"  {row.name:<20} {size:>12} {cost:>12}".rstrip())
    parts.append("\n  a pixel: of a map, on one thread of this processor")
    for params, what in zip(_listed(experiment), table["what"], strict=True):
        parts += ["", f"{_called(params)}: {what}", *_parameters(params)]
    return "\n".join(parts)


def _given(sensor: str, inputs: InputLayout) -> str:
    """What a sensor gives, in words."""
    dates = f"{len(inputs.dates)} dates of " if inputs.dates else ""
    return f"{dates}{len(inputs.channels)} channels" + (f" of {sensor}" if sensor else "")


def _input_of(experiment: Experiment | None) -> tuple[InputLayout, int]:
    if experiment is not None:
        return InputLayout.of(experiment.stack.names, experiment.stack.days), len(experiment.nomenclature)
    return published_input(), CLASSES


def published_input() -> InputLayout:
    """The features of the published maps."""
    days = [str(day).replace("-", "") for day in DATES]
    return InputLayout.of([f"{channel}_{day}" for day in days for channel in CHANNELS], DATES)


def _listed(experiment: Experiment | None) -> Iterator[NetworkParams]:
    """Each network with its defaults; that of the experiment as it says."""
    chosen = experiment.learning_with_code.network if experiment is not None else None
    for model in models_of(NetworkChoice):
        if isinstance(chosen, model):
            yield chosen
        elif model is not OwnParams:
            yield model()  # type: ignore[misc]


def _called(params: NetworkParams) -> str:
    return str(params.network) if isinstance(params, OwnParams) else params.name


def _meaning(params: NetworkParams) -> str:
    if isinstance(params, OwnParams):
        return f"{meaning_of(params.declared)} ({params})".strip()
    return type(params).model_fields["name"].description or ""


def _parameters(params: NetworkParams) -> list[str]:
    model = params.declared_params if isinstance(params, OwnParams) else type(params)
    return [f"  {described(name, field)}" for name, field in model.model_fields.items() if name != "name"]
