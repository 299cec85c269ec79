"""Parameters that a person declares in the signature of a function or class of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, create_model

from toolkit.ground.errors import LandcoverError
from toolkit.ground.params import FrozenTable, Params


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


def annotations_of(function: Callable[..., Any], owner: str, error: type[LandcoverError]) -> dict[str, Any]:
    """The annotation of each argument.

    Args:
        owner: whose arguments they are, for the message.
    """
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as problem:
        raise error(f"{owner}: an annotation is not known where the file is read ({problem})") from None


def params_of(
    arguments: list[inspect.Parameter],
    hints: Mapping[str, Any],
    owner: str,
    error: type[LandcoverError],
    reserved: tuple[str, ...] = (),
) -> type[Params]:
    """A model of these arguments: annotation, default, and what `param` adds.

    Args:
        reserved: names that no argument may have.

    Raises:
        LandcoverError: of the kind `error`; an argument has no annotation, or stands for any number of them.
    """
    fields: dict[str, Any] = {}
    for one in arguments:
        kind = hints.get(one.name)
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) or kind is None or one.name in reserved:
            other = f", and another name than {' or '.join(f'`{name}`' for name in reserved)}" if reserved else ""
            raise error(f"{owner}: argument {one.name!r} needs an annotation, such as `radius: int = 1`{other}")
        fields[one.name] = (kind, ... if one.default is one.empty else one.default)
    name = "".join(part[:1].upper() + part[1:] for part in owner.split("_"))
    return create_model(f"{name}Params", __base__=Params, **fields)
