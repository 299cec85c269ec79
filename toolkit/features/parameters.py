"""What is computed from the series, as parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, field_validator, model_validator

from toolkit.features.indices import index_of
from toolkit.features.loading import shipped_function
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import FrozenTable, Params, build, param
from toolkit.ground.signatures import Values


class ExternalParams(Params):
    """An external feature: a Python function by its name."""

    name: str = param(
        ..., "Name of the function.", pattern=r"^[A-Za-z_]\w*$", form="letters, digits and `_`, no digit first"
    )
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


Representation = Literal["gap_filled", "raw"]


class FeatureParams(Params):
    """What a network is given of the series."""

    representation: Representation = param(
        "gap_filled",
        "gap_filled: every pixel on the regular grid of days, for any network. raw: the dates as they were acquired, "
        "each with its day and whether it is clear; for networks that read series, or any behind "
        "learning.interpolator, and for tiles with few dates in common or a model for several years.",
    )
    indices: tuple[str, ...] = param(
        ("ndvi", "ndwi", "brightness"),
        "Spectral indices of every date, by name, or your own by a formula of reflectances from 0 to 1: "
        "`mine = (B8 - B4) / (B8 + B4 + 0.5)`.",
    )
    external: tuple[ExternalParams, ...] = param(
        (),
        "Features by Python functions: `texture` and `phenology` ship with the toolkit; one of your own is written "
        "{name: mine, file: my_features.py, params: {radius: 3}}.",
    )
    select: tuple[str, ...] = param(
        (),
        "Features to keep, by patterns of their names such as B8_* or ndvi_20180[4-9]*; their order stays. Empty: all.",
    )
    compatibility: Literal["none", "iota2"] = param(
        "none",
        "`iota2` gives iota2's exact numbers, for comparison with it: reflectances and indices cut to whole numbers, "
        "years of 365 days, pixels that were never clear classified from zeros.",
    )

    @model_validator(mode="after")
    def _goes_together(self) -> FeatureParams:
        if self.representation == "raw" and self.compatibility == "iota2":
            raise ValueError(
                "features.compatibility = iota2 is a way of filling gaps, which features.representation = raw leaves "
                "as they are; set one or the other"
            )
        return self

    @field_validator("indices")
    @classmethod
    def _known_indices(cls, indices: tuple[str, ...]) -> tuple[str, ...]:
        try:
            found = [index_of(one) for one in indices]
        except ParameterError as error:
            raise ValueError(str(error)) from None
        labels = [one.label.lower() for one in found]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice:
            raise ValueError(f"index {twice!r} stands twice; name it once")
        return tuple(
            one.name if text.strip().lower() == one.name else text for text, one in zip(indices, found, strict=True)
        )
