"""How the features of a further sensor are called: `landsat/B4_20180111`; those of the first bear no sensor's name."""

from __future__ import annotations

from collections.abc import Iterable

OF = "/"
"""Between the name of a sensor and that of its feature; no band, index or feature function has it in its name."""


def named_of(sensor: str, names: Iterable[str]) -> tuple[str, ...]:
    """The features of a sensor as they are called among those of all."""
    return tuple(f"{sensor}{OF}{name}" for name in names)


def sensor_of(name: str) -> tuple[str, str]:
    """The sensor of a feature, empty for the first one, and what the feature is called there."""
    sensor, found, rest = name.partition(OF)
    return (sensor, rest) if found else ("", name)
