"""`Params`: the base of every section of an experiment.

A parameter is declared once, as a field beside the function that obeys it:

    class SamplingParams(Params):
        max_per_class: int = param(100_000, "Pixels drawn for each class at most.", unit="pixels", ge=1)

The YAML file, the widget form, the command-line option and the documentation are derived from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from toolkit.ground.errors import ParameterError, did_you_mean


class Params(BaseModel):
    """A frozen set of parameters. An unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, data: Any) -> Any:
        """`yes` is a truth value in YAML, and Python would take it as 1."""
        for name, value in data.items() if isinstance(data, Mapping) else ():
            field = cls.model_fields.get(str(name))
            if isinstance(value, bool) and field is not None and kind_of(field.annotation) in ("N", "X"):
                raise ValueError(f"{name} = {value}: a number is needed, not yes or no")
        return data


ParamsT = TypeVar("ParamsT", bound=Params)


def param(default: Any, help: str, *, unit: str | None = None, log: bool = False, **bounds: Any) -> Any:
    """Declare one parameter.

    Args:
        default: the value when none is given; `...` makes the parameter required.
        help: one or two sentences for a person; shown by the form, `--help` and the docs.
        unit: unit of the value, such as `"pixels"` or `"days"`.
        log: true where a form had better offer a logarithmic scale.
        bounds: `ge`, `gt`, `le`, `lt`, `min_length`, `max_length`, `pattern`, as pydantic's `Field` takes them.
    """
    return Field(default, description=help, json_schema_extra={"unit": unit, "log": log}, **bounds)


def build(model: type[ParamsT], data: Mapping[str, Any], place: str) -> ParamsT:
    """Validate `data` as a `model`.

    Args:
        place: where the data come from, named in the message (`"experiment.yml"`).

    Raises:
        ParameterError: an unknown key or a value out of bounds; the message lists each with its mend.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        lines = [_explain(detail, model) for detail in error.errors()]
        raise ParameterError(f"{place}: " + "; ".join(lines)) from None


def leaves(model: Any, path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted path and declaration of every parameter, those of inner sections too."""
    for name, field in model.model_fields.items():
        inner, place = field.annotation, f"{path}.{name}".lstrip(".")
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, place)
        else:
            yield place, field


def kind_of(annotation: Any) -> str:
    """What to write for a value: `N`, `X`, `TEXT`, `LIST`, `{a,b}`."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    if origin in (Union, UnionType):
        return kind_of(next(part for part in parts if part is not type(None)))
    if origin in (tuple, list):
        return "LIST"
    return {bool: "BOOL", int: "N", float: "X", date: "DATE"}.get(annotation, "TEXT")


def bounds_of(field: FieldInfo) -> str:
    """The bounds of a number in words, such as `1 to 366` or `above 0`; empty where there are none."""
    words = {"ge": "from", "gt": "above", "le": "up to", "lt": "below"}
    found = {name: getattr(mark, name) for mark in field.metadata for name in words if hasattr(mark, name)}
    low, high = found.get("ge"), found.get("le")
    if low is not None and high is not None:
        return f"{low} to {high}"
    return ", ".join(f"{words[name]} {value}" for name, value in found.items())


def default_of(field: FieldInfo) -> str:
    """The default as text, with its unit; empty where a value is required."""
    if field.is_required():
        return ""
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    value = field.default
    text = ",".join(map(str, value)) if isinstance(value, tuple) else "none" if value is None else str(value)
    return f"{text} {unit}" if unit and value is not None else text


def _explain(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """One pydantic error as a sentence with the value, the place and the mend."""
    path = [part for part in detail["loc"] if not (isinstance(part, str) and "[" in part)]
    name = ".".join(str(part) for part in path)
    if detail["type"] == "extra_forbidden":
        owner = _model_at(model, path[:-1])
        return f"{name} is not a parameter{did_you_mean(str(path[-1]), owner.model_fields)}"
    if detail["type"] == "missing":
        return f"{name} is missing: give it a value"
    message = detail["msg"].removeprefix("Value error, ")
    if not name or (detail["type"] == "value_error" and isinstance(detail["input"], Mapping)):
        return message
    return f"{name} = {detail['input']!r}: {message[:1].lower()}{message[1:]}"


def _model_at(model: type[BaseModel], path: list[Any]) -> type[BaseModel]:
    for part in path:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return model
        model = inner
    return model
