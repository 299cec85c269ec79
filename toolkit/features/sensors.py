"""The features of further sensors, beside those of the first: their parameters, names and order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from toolkit.features.parameters import FeatureParams
from toolkit.ground.bands import SENTINEL2, Band, bands_named
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import build
from toolkit.ground.sensor_names import named_of
from toolkit.series.sensors import SensorParams

if TYPE_CHECKING:
    from toolkit.features.stack import FeatureStack
    from toolkit.series.timeseries import SeriesParams

Others = tuple[tuple[str, "FeatureStack"], ...]
"""Name of each further sensor, and what is made of its series."""


def features_of(sensor: SensorParams) -> FeatureParams:
    """What is made of the series of a sensor.

    Raises:
        ParameterError: an index is not known.
    """
    return build(FeatureParams, {"indices": sensor.indices, "select": sensor.select}, sensor.place)


def check_with_sensors(features: FeatureParams, sensors: Sequence[SensorParams]) -> None:
    """Features of several sensors can be as they are asked for.

    Raises:
        ParameterError: an index of a sensor is not known, or iota2's exact numbers are wanted, which it has no part in.
    """
    for sensor in sensors:
        features_of(sensor)
    if sensors and features.compatibility == "iota2":
        raise ParameterError(
            "features.compatibility = iota2 gives the numbers of one sensor; empty series.sensors, or set it to none"
        )


def measured_by(series: SeriesParams, sources: Mapping[str, Sequence[Band]]) -> tuple[Band, ...]:
    """What the bands of a series are; empty where its source is one of Sentinel-2.

    Args:
        sources: source in the data catalog -> its bands; those of Sentinel-2 where it is not there.

    Raises:
        ParameterError: a band is not of the source.
    """
    offered = tuple(sources.get(series.source, SENTINEL2))
    found = bands_named(series.bands, offered, series.source, "series.bands")
    return () if offered == SENTINEL2 else found


def names_beside(others: Others) -> tuple[str, ...]:
    """Names of the features of further sensors.

    Raises:
        ParameterError: nothing of a sensor is called as its `select` wants.
    """
    names: list[str] = []
    for sensor, stack in others:
        try:
            names += named_of(sensor, stack.names)
        except ParameterError as error:
            raise ParameterError(f"series.sensors, {sensor}: {error}") from None
    return tuple(names)


def definitions_beside(others: Others) -> Mapping[str, str]:
    """What the features of further sensors are."""
    return {
        key: words
        for sensor, stack in others
        for key, words in zip(named_of(sensor, stack.definitions), stack.definitions.values(), strict=True)
    }
