"""What is computed from the gap-filled series, as parameters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, field_validator, model_validator

from toolkit.features.indices import INDICES
from toolkit.features.loading import shipped_function
from toolkit.ground.errors import ParameterError, did_you_mean
from toolkit.ground.params import FrozenTable, Params, build, param


def _frozen_values(values: Mapping[str, Any]) -> FrozenTable:
    return FrozenTable({name: _plain_value(name, value) for name, value in values.items()})


def _plain_value(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_plain_value(name, one) for one in value)
    if value is None or isinstance(value, bool | int | float | str | date):
        return value
    raise ValueError(f"{name} = {value!r}: a number, a text, a day, yes or no, or a list of these is needed")


Values = Annotated[dict[str, Any], AfterValidator(_frozen_values)]
"""Parameters by name, checked by whoever knows their declaration."""


class ExternalParams(Params):
    """An external feature: a Python function by its name."""

    name: str = param(..., "Name of the function.", pattern=r"^[A-Za-z_]\w*$")
    file: str | None = param(
        None, "Python file that it is in, relative to the experiment file. Empty: one that ships with the toolkit."
    )
    params: Values = param({}, "Its parameters.")
    rasters: Annotated[dict[str, str], AfterValidator(FrozenTable)] = param(
        {}, "Rasters that it reads: its own name for each, and the source in the data catalog."
    )

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        """A text is the name of a function that ships with the toolkit."""
        return {"name": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _known(self) -> ExternalParams:
        """Those of a person's own function are checked when its file is imported, which loading never does."""
        if self.file is None:
            try:
                build(shipped_function(self.name).params, self.params, f"features.external, {self.name}")
            except ParameterError as error:
                raise ValueError(str(error)) from None
        return self


class FeatureParams(Params):
    """What is computed from the gap-filled series."""

    indices: tuple[str, ...] = param(("ndvi", "ndwi", "brightness"), "Spectral indices of every date.")
    external: tuple[ExternalParams, ...] = param(
        (),
        "Features by Python functions: `texture` and `phenology` ship with the toolkit; one of your own is written "
        "{name: mine, file: my_features.py, params: {radius: 3}}.",
    )
    compatibility: Literal["none", "iota2"] = param(
        "none", "`iota2` cuts reflectances and indices to whole numbers as iota2 does, for comparison with it."
    )

    @field_validator("indices")
    @classmethod
    def _known(cls, indices: tuple[str, ...]) -> tuple[str, ...]:
        for name in indices:
            if name not in INDICES:
                raise ValueError(f"index {name!r} is not known{did_you_mean(name, INDICES)}")
        return indices
