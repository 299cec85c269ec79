"""From a saved model back to an experiment: its features are made as they were, of other tiles, in another year."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.parameters import ExperimentParams
from toolkit.experiment.steps import BY_OVERWRITE, Observer
from toolkit.experiment.verbs import classify, mosaic
from toolkit.ground.errors import LandcoverError, ModelError, ParameterError, did_you_mean
from toolkit.ground.locking import LOCK
from toolkit.ground.params import build
from toolkit.learning.card import ModelCard

LOG = logging.getLogger(__name__)


def apply_model(
    model: str | Path,
    catalog: str | Path,
    source: str,
    tiles: Sequence[str],
    *,
    folder: str | Path,
    start: date | str | None = None,
    end: date | str | None = None,
    area: tuple[float, float, float, float] | None = None,
    base: str | Path | None = None,
    network_file: str | Path | None = None,
    sensors: Mapping[str, str] | None = None,
    missing: Mapping[str, str] | None = None,
    cluster: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
    **mapping: Any,
) -> Path:
    """Classify any tiles with a saved model: no ground truth, no training.

    Writes `folder/experiment.yml`, made from the recipe of the model, and classifies and mosaics it; the verbs go on
    with it afterwards as with any other experiment.

    Args:
        model: folder of the model.
        catalog: data catalog, with the images `source`.
        start: first day; default that of the training. Another year is well, also a leap year; the length of the
            period and its step are the model's.
        end: last day; default as long after the start as in the training.
        area: west, south, east, north, degrees; default whole tiles.
        base: folder that files of external features are relative to; default that of the catalog.
        network_file: of a network of one's own.
        sensors: source in the catalog of each further sensor of the model, by its name.
        missing: what to do with dates on which a `band` or `mask` was not delivered, as `series.missing_band` and
            `series.missing_mask` have it: `{"band": "skip"}`.
        cluster: parameters of the section `cluster`.
        mapping: parameters of the section `mapping`, such as `probabilities=True`.

    Returns:
        Path of the class map.

    Raises:
        ModelError: the model is absent or damaged, was saved without its recipe, or bands, dates or features cannot be
            matched; the message says which.
        ParameterError: a value that is not accepted. LandcoverError: as `classify` and `mosaic`.
    """
    card, folder = ModelCard.read(Path(model)), Path(folder).resolve()
    if not card.recipe:
        raise ModelError(
            f"{model} was saved without the recipe of its features, by an earlier version; write an experiment with "
            "its series and features, and name the model there: mapping.model"
        )
    content = {
        "name": re.sub(r"^[^A-Za-z0-9]+|[^\w.-]+", "_", folder.name).lstrip("_.-") or "map",
        "catalog": _beside(catalog, folder),
        "series": {
            **_in_period(_with_sources(card.recipe["series"], sensors or {}, model), start, end),
            "source": source,
            "tiles": list(tiles),
            "area": area,
            **{f"missing_{what}": choice for what, choice in (missing or {}).items()},
        },
        "cluster": dict(cluster or {}),
        "features": _features(card.recipe["features"], Path(base or Path(catalog).parent), folder),
        "mapping": {**mapping, "model": _beside(model, folder)},
    }
    if network_file is not None:
        content["learning"] = {"network": {**card.network, "file": _beside(network_file, folder)}}
    path = folder / "experiment.yml"
    experiment = Experiment(build(ExperimentParams, content, f"the recipe of {model}"), path)
    is_new = not path.exists()
    if is_new or Experiment.load(path).params != experiment.params:
        if not (is_new or overwrite):
            raise ParameterError(
                f"{path} is there already, of another map; name another folder, or replace it: {BY_OVERWRITE}"
            )
        experiment.save(overwrite=overwrite)
    try:
        classify(experiment, overwrite=overwrite, observer=observer)
    except LandcoverError:
        if is_new:
            _withdraw(experiment)
        raise
    return mosaic(experiment, overwrite=overwrite, observer=observer)


def _withdraw(experiment: Experiment) -> None:
    """Leave nothing of an experiment of which no map was begun: mended, the same folder may be named again."""
    run = RunFolder(experiment.folder)
    if run.mapping.exists():
        return
    for file in (experiment.path, run.events, run.root / LOCK):
        file.unlink(missing_ok=True)
    for empty in (experiment.folder, experiment.folder.parent, experiment.path.parent):
        with suppress(OSError):
            empty.rmdir()


def _with_sources(series: Mapping[str, Any], given: Mapping[str, str], model: str | Path) -> dict[str, Any]:
    """The section `series` with the sources of further sensors.

    Raises:
        ModelError: one is not given, or is of no sensor of the model.
    """
    sensors = series.get("sensors", ())
    missing = next((one["name"] for one in sensors if one["name"] not in given), None)
    if missing:
        raise ModelError(
            f"{model} was trained with sensor {missing} besides; name the source of its images in the catalog: "
            f'sensors={{"{missing}": …}}, or --sensors {missing}=…'
        )
    names = [one["name"] for one in sensors]
    stray = next((name for name in given if name not in names), None)
    if stray:
        raise ModelError(f"{model} was trained without sensor {stray}{did_you_mean(stray, names)}")
    return {**series, "sensors": [{**one, "source": given[one["name"]]} for one in sensors]}


def _in_period(series: Mapping[str, Any], start: date | str | None, end: date | str | None) -> dict[str, Any]:
    """The section `series` with another period; seasons move by whole years."""
    first, last = _day(series["start"]), _day(series["end"])
    begin = _day(start) if start else first
    until = _day(end) if end else begin + (last - first)
    series = {**series, "sensors": [_moved(one, begin - first) for one in series["sensors"]]}
    if not series.get("seasons"):
        _say_shift(first, begin, int(series["step_days"]))
        return {**series, "start": begin, "end": until}
    years = begin.year - first.year
    if begin != _years_later(first, years) or (end and until != _years_later(last, years)):
        raise ParameterError(
            f"the model's series has seasons: it can be moved by whole years only, such as start = "
            f"{_years_later(first, years)}, not {begin}"
        )
    seasons = [
        {**one, "start": _years_later(_day(one["start"]), years), "end": _years_later(_day(one["end"]), years)}
        for one in series["seasons"]
    ]
    return {**series, "start": begin, "end": _years_later(last, years), "seasons": seasons}


def _say_shift(first: date, begin: date, step_days: int) -> None:
    """Warn where the dates of the features fall in another time of the year than in the training."""
    days = (begin - _years_later(first, begin.year - first.year)).days
    days = min((days, days + 365, days - 365), key=abs)
    if abs(days) > step_days:
        LOG.warning(
            "the period begins on %s and that of the training on %s: each date of the features is %d days %s in the "
            "year than what the model has learnt", begin, first, abs(days), "later" if days > 0 else "earlier",
        )  # fmt: skip


def _moved(sensor: Mapping[str, Any], by: timedelta) -> dict[str, Any]:
    """A sensor with its own period, if it has one, moved as far as that of the series."""
    own = {name: _day(sensor[name]) + by for name in ("start", "end") if sensor.get(name)}
    return {**sensor, **own}


def _day(given: Any) -> date:
    """A day, of a text, a date, or what datetime, pandas and NumPy have besides."""
    try:
        return date.fromisoformat(given if isinstance(given, str) else str(given)[:10])
    except ValueError:
        raise ParameterError(f"{given!r} is not a day; write it like 2019-01-01") from None


def _years_later(day: date, years: int) -> date:
    """The same day of another year; the 28th for the 29th of February."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


def _features(features: Mapping[str, Any], base: Path, folder: Path) -> dict[str, Any]:
    """The section `features`, with the files of external features as they are named from the new folder."""
    external = [
        {**one, "file": _beside(base / one["file"], folder)} if one.get("file") else dict(one)
        for one in features.get("external", ())
    ]
    return {**features, "external": external}


def _beside(path: str | Path, folder: Path) -> str:
    """A path relative to a folder."""
    return Path(os.path.relpath(Path(path).resolve(), folder)).as_posix()
