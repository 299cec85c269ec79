"""A model for another period than that of its training: of the same length, the days in the same places.

Names of features carry the days of the regular grid (`B4_20180111`), so they are matched by the place of the day in
the grid: the eleventh of January of one year stands for that of another. Each sensor has a grid of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from toolkit.ground.errors import ModelError
from toolkit.ground.sensor_names import sensor_of
from toolkit.learning.checkpoint import Model
from toolkit.learning.inputs import InputLayout

LEAP = 1
"""Days by which the distance between two seasons may differ, for one of them may have a 29th of February between."""


def for_period(
    model: Model, days: np.ndarray, seasons: Sequence[int] = (), names: Sequence[str] | None = None
) -> Model:
    """The model with the days of another grid in the places of its own.

    Args:
        days: regular grid of the first sensor, datetime64[D] (date,).
        seasons: number of days of each season; empty for one whole period.
        names: of the features, which tell the days of further sensors; None where there is no other sensor.

    Returns:
        The model itself where the days are its own; else one whose features are named by the new days, and to which
        networks that look at days give the new ones, counted from the first of January of the first year.

    Raises:
        ModelError: another sensor, another number of days, or others between them.
    """
    grids = {"": (model.dates, days)}
    if names is not None:
        mine, theirs = (_grids_of(one, grid) for one, grid in ((model.feature_names, model.dates), (names, days)))
        _check_sensors(list(mine), list(theirs))
        grids |= {sensor: (mine[sensor], theirs[sensor]) for sensor in mine}
    if all(np.array_equal(*one) for one in grids.values()):
        return model
    renamed = {sensor: _renamed(*one, seasons, sensor) for sensor, one in grids.items()}
    return replace(
        model,
        feature_names=tuple(_rename(name, renamed) for name in model.feature_names),
        definitions={_rename(name, renamed): words for name, words in model.definitions.items()},
        dates=days,
    )


def _grids_of(names: Sequence[str], days: np.ndarray) -> dict[str, np.ndarray]:
    """The days of each further sensor."""
    sensors = InputLayout.of(names, days).sensors
    return {name: np.array(one.inputs.dates, "M8[D]") for name, one in sensors.items() if name}


def _check_sensors(mine: list[str], theirs: list[str]) -> None:
    missing = [name for name in mine if name not in theirs]
    if missing:
        raise ModelError(
            f"the model was trained with sensor {', '.join(missing)} besides, of which there are no images here; name "
            "their source in series.sensors"
        )
    unexpected = [name for name in theirs if name not in mine]
    if unexpected:
        raise ModelError(
            f"the model was trained without sensor {', '.join(unexpected)}; take it out of series.sensors, or train "
            "again"
        )


def _renamed(then: np.ndarray, days: np.ndarray, seasons: Sequence[int], sensor: str) -> dict[str, str]:
    """The day of a sensor's grid that stands for each day of the training."""
    whose = f"sensor {sensor}" if sensor else "the series"
    if len(days) != len(then):
        raise ModelError(
            f"{whose} has {len(days)} days ({days[0]} to {days[-1]}), the model was trained on {len(then)} "
            f"({then[0]} to {then[-1]}); choose series.start, series.end and series.step_days of the same length and "
            "step"
        )
    mine, theirs = np.diff(then).astype(int), np.diff(days).astype(int)
    allowed = np.zeros(len(mine), dtype=int)
    if seasons and sensor:  # whose seasons have other lengths where its step is another
        allowed[mine > mine.min(initial=366)] = LEAP
    else:
        allowed[np.cumsum(seasons)[:-1].astype(int) - 1] = LEAP
    wrong = np.flatnonzero(np.abs(mine - theirs) > allowed)
    if len(wrong):
        at = int(wrong[0])
        raise ModelError(
            f"{whose} has {theirs[at]} days from {days[at]} to {days[at + 1]}, the model was trained with "
            f"{mine[at]} ({then[at]} to {then[at + 1]}); use the same series.step_days and seasons"
        )
    return {_compact(old): _compact(new) for old, new in zip(then, days, strict=True)}


def _compact(day: np.datetime64) -> str:
    return str(day).replace("-", "")


def _rename(name: str, days: Mapping[str, Mapping[str, str]]) -> str:
    own = days.get(sensor_of(name)[0], {})
    return re.sub(r"(?<!\d)\d{8}(?!\d)", lambda found: own.get(found[0], found[0]), name)
