"""`@external_feature`: a feature that a person writes as a Python function.

    @external_feature(padding=lambda params: params.radius, outputs=["mean_{band}_{date}"])
    def neighbourhood(block, band: str = "B8", radius: int = param(1, "Pixels.", ge=0, le=50)):
        series = block.filled(band)  # (date, y, x)
        ...
        return mean                  # (date, y, x)

The function is given a `FeatureBlock` and its parameters. They are declared by annotations with defaults, by `param`
where help and bounds are wanted, or as one `Params` class: `def neighbourhood(block, params: MyParams)`.

It returns an array over the whole block, padding included (which is cut off), for each of `outputs` in their order:
(y, x), or (date, y, x) for an output whose name holds `{date}`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from string import Formatter
from typing import Any

import numpy as np

from toolkit.ground.errors import FeatureError
from toolkit.ground.params import Params
from toolkit.ground.signatures import annotations_of, params_of

Padding = int | Callable[[Any], int]
"""Pixels around a block that a function needs, or how many by its parameters."""

LARGEST_PADDING = 1024
NAME = re.compile(r"[A-Za-z][\w.+-]*")
DATE = "{date}"
"""Stands in the name of an output that there is for each date of the regular grid."""


@dataclass(frozen=True)
class ExternalFunction:
    """A declared feature function. Calling it calls the function itself, to try it."""

    function: Callable[..., Any]
    outputs: tuple[str, ...]
    padding: Padding
    params: type[Params]
    """Its parameters."""
    takes_model: bool
    """Whether it takes them as one object, else as keywords."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What the function gives."""
        return self.function(*arguments, **named)

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.function.__name__

    @property
    def meaning(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def apply(self, block: Any, params: Params) -> Any:
        """Call the function with its parameters."""
        if self.takes_model:
            return self.function(block, params)
        return self.function(block, **{name: getattr(params, name) for name in type(params).model_fields})

    def padding_for(self, params: Params) -> int:
        """Pixels around a block that it needs with these parameters.

        Raises:
            FeatureError: it is no whole number from 0 to 1024.
        """
        padding = self.padding(params) if callable(self.padding) else self.padding
        if not isinstance(padding, int | np.integer) or not 0 <= padding <= LARGEST_PADDING:
            raise FeatureError(
                f"{self.name}: padding = {padding!r}; a whole number of pixels from 0 to {LARGEST_PADDING} is needed"
            )
        return int(padding)

    def names(self, params: Params, days: Sequence[str]) -> list[list[str]]:
        """For each output the names of its features: one, or one a date.

        Args:
            days: of the regular grid, such as `20180101`.

        Raises:
            FeatureError: a name is none.
        """
        values = {name: _spoken(getattr(params, name)) for name in type(params).model_fields}
        found = []
        for output in self.outputs:
            dated = DATE in output
            found.append([output.format(**values, date=day) for day in (days if dated else days[:1])])
            wrong = next((name for name in found[-1] if not NAME.fullmatch(name)), None)
            if wrong is not None:
                raise FeatureError(
                    f"{self.name}: {wrong!r} is no name of a feature; letters, digits, _ . + - are allowed"
                )
        return found


def external_feature(
    *, padding: Padding = 0, outputs: Sequence[str] | None = None
) -> Callable[[Callable[..., Any]], ExternalFunction]:
    """Declare a feature function.

    Args:
        padding: pixels around a block that the function needs to give the same at its border as inside; a number, or a
            function of the parameters.
        outputs: a name for each array that it returns, default its own name. `{band}` is replaced by the parameter
            `band`, and so on; `{date}` by each date of the regular grid, of which there is then one feature each.

    Raises:
        FeatureError: the declaration is not complete.
    """

    def declare(function: Callable[..., Any]) -> ExternalFunction:
        params, takes_model = _params_of(function)
        names = (function.__name__,) if outputs is None else tuple(outputs)
        known = {*params.model_fields, "date"}
        for output in names:
            for _, asked, _, _ in Formatter().parse(output):
                if asked is not None and asked not in known:
                    raise FeatureError(f"{function.__name__}: {{{asked}}} in {output!r} is none of its parameters")
        if not names or isinstance(outputs, str):
            raise FeatureError(
                f'{function.__name__}: outputs is a list with a name for each array, such as ["texture"]'
            )
        return ExternalFunction(function, names, padding, params, takes_model)

    return declare


def _params_of(function: Callable[..., Any]) -> tuple[type[Params], bool]:
    """The parameters of a function as a model, and whether it takes the model itself."""
    given = list(inspect.signature(function).parameters.values())
    if not given:
        raise FeatureError(
            f"{function.__name__} takes no argument; its first is the block: def {function.__name__}(block)"
        )
    arguments, hints = given[1:], annotations_of(function, function.__name__, FeatureError)
    if len(arguments) == 1:
        only = hints.get(arguments[0].name)
        if isinstance(only, type) and issubclass(only, Params):
            return only, True
    return params_of(arguments, hints, function.__name__, FeatureError, reserved=("date",)), False


def _spoken(value: Any) -> str:
    """A parameter's value in a name."""
    if isinstance(value, date):
        return value.strftime("%Y%m%d")
    return "-".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
