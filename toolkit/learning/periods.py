"""A model for another period than that of its training: of the same length, the days in the same places.

Names of features carry the days of the regular grid (`B4_20180111`), so they are matched by the place of the day in
the grid: the eleventh of January of one year stands for that of another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from toolkit.ground.errors import ModelError
from toolkit.learning.checkpoint import Model

LEAP = 1
"""Days by which the distance between two seasons may differ, for one of them may have a 29th of February between."""


def for_period(model: Model, days: np.ndarray, seasons: Sequence[int] = ()) -> Model:
    """The model with the days of another grid in the places of its own.

    Args:
        days: regular grid, datetime64[D] (date,).
        seasons: number of days of each season; empty for one whole period.

    Returns:
        The model itself where the days are its own; else one whose features are named by the new days, and to which
        networks that look at days give the new ones, counted from the first of January of the first year.

    Raises:
        ModelError: another number of days, or others between them.
    """
    if np.array_equal(days, model.dates):
        return model
    if len(days) != len(model.dates):
        raise ModelError(
            f"the series has {len(days)} days ({days[0]} to {days[-1]}), the model was trained on {len(model.dates)} "
            f"({model.dates[0]} to {model.dates[-1]}); choose series.start, series.end and series.step_days of the "
            "same length and step"
        )
    mine, theirs = np.diff(model.dates).astype(int), np.diff(days).astype(int)
    allowed = np.zeros(len(mine), dtype=int)
    allowed[np.cumsum(seasons)[:-1].astype(int) - 1] = LEAP
    wrong = np.flatnonzero(np.abs(mine - theirs) > allowed)
    if len(wrong):
        at = int(wrong[0])
        raise ModelError(
            f"the series has {theirs[at]} days from {days[at]} to {days[at + 1]}, the model was trained with "
            f"{mine[at]} ({model.dates[at]} to {model.dates[at + 1]}); use the same series.step_days and seasons"
        )
    renamed = {_compact(old): _compact(new) for old, new in zip(model.dates, days, strict=True)}
    return replace(
        model,
        feature_names=tuple(_rename(name, renamed) for name in model.feature_names),
        definitions={_rename(name, renamed): words for name, words in model.definitions.items()},
        dates=days,
    )


def _compact(day: np.datetime64) -> str:
    return str(day).replace("-", "")


def _rename(name: str, days: Mapping[str, str]) -> str:
    return re.sub(r"(?<!\d)\d{8}(?!\d)", lambda found: days.get(found[0], found[0]), name)
