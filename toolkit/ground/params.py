"""`Params`: the base of every section of an experiment.

A parameter is declared once, as a field beside the function that obeys it:

    class SamplingParams(Params):
        max_per_class: int = param(100_000, "Pixels drawn for each class at most.", unit="pixels", ge=1)

The YAML file, the widget form, the command-line option and the documentation are derived from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from toolkit.ground.errors import ParameterError, did_you_mean


class Params(BaseModel):
    """A frozen set of parameters. An unknown key is refused, and so is a number that is none (nan) or has no end."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, data: Any) -> Any:
        """`yes` is a truth value in YAML, and Python would take it as 1."""
        for name, value in data.items() if isinstance(data, Mapping) else ():
            field = cls.model_fields.get(str(name))
            kind = kind_of(field.annotation) if field is not None else ""
            inner = (*value, *value.values()) if isinstance(value, Mapping) and kind == "TABLE" else (value,)
            if kind in ("N", "X", "TABLE") and any(isinstance(one, bool) for one in inner):
                raise ValueError(f"{name} = {value}: a number is needed, not yes or no")
        return data


ParamsT = TypeVar("ParamsT", bound=Params)


class FrozenTable(dict[Any, Any]):
    """A table that cannot be changed, sorted by its keys: parameters are frozen all through."""

    def __init__(self, rows: Mapping[Any, Any]) -> None:
        super().__init__(sorted(rows.items()))

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenTable, (dict(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTable:
        return self

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("parameters are frozen; change them with `experiment.set`")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse  # type: ignore[assignment]


Table = Annotated[dict[int, int], AfterValidator(FrozenTable)]
"""A parameter that is a table of whole numbers: `caps: Table = param({}, "…")`."""


def param(
    default: Any, help: str, *, unit: str | None = None, log: bool | tuple[float, float] = False, **bounds: Any
) -> Any:
    """Declare one parameter.

    Args:
        default: the value when none is given; `...` makes the parameter required.
        help: one or two sentences for a person; shown by the form, `--help` and the docs.
        unit: unit of the value, such as `"pixels"` or `"days"`.
        log: true where a form had better offer a logarithmic scale; or the ends of that scale, which are no bounds.
        bounds: `ge`, `gt`, `le`, `lt`, `min_length`, `max_length`, `pattern`, as pydantic's `Field` takes them.
    """
    extra: dict[str, Any] = {"unit": unit, "log": list(log) if isinstance(log, tuple) else log}
    return Field(default, description=help, json_schema_extra=extra, **bounds)


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
        details = error.errors()
        lines = [_explain(detail, model) for detail in details]
        refusal = ParameterError(f"{place}: " + "; ".join(lines))
        refusal.places = tuple(".".join(map(str, _path(detail))) for detail in details)
        raise refusal from None


def leaves(model: Any, path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted path and declaration of every parameter, those of inner sections too."""
    for name, field in model.model_fields.items():
        inner, place = field.annotation, f"{path}.{name}".lstrip(".")
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, place)
        else:
            yield place, field


def differences(before: BaseModel, after: BaseModel, path: str = "") -> dict[str, Any]:
    """Dotted path -> value in `after` of what differs; a section that is another model differs as a whole."""
    changed: dict[str, Any] = {}
    for name in type(after).model_fields:
        old, new, place = getattr(before, name), getattr(after, name), f"{path}.{name}".lstrip(".")
        if isinstance(new, BaseModel) and type(old) is type(new):
            changed |= differences(old, new, place)
        elif old != new:
            changed[place] = new
    return changed


def plain(value: Any) -> Any:
    """A value made of what YAML knows: parameters and tables as dict, tuples as list, paths as text."""
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    return value if value is None or isinstance(value, str | bool | int | float | date) else str(value)


def kind_of(annotation: Any) -> str:
    """What to write for a value: `N`, `X`, `TEXT`, `LIST`, `TABLE`, `VALUES`, `{a,b}`."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    if origin in (Union, UnionType):
        return kind_of(next(part for part in parts if part is not type(None)))
    if origin is Annotated:
        return kind_of(parts[0])
    if origin in (tuple, list):
        return "LIST"
    if origin is dict:
        return "TABLE" if parts == (int, int) else "VALUES"
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
    if value is None or value in ({}, ()):
        return "none"
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"{text} {unit}" if unit else text


def _explain(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """One pydantic error as a sentence with the value, the place and the mend."""
    path = _path(detail)
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


def _path(detail: ErrorDetails) -> list[Any]:
    """Where an error is, without what pydantic adds for unions and keys."""
    return [part for part in detail["loc"] if not (isinstance(part, str) and "[" in part)]


def _model_at(model: type[BaseModel], path: list[Any]) -> type[BaseModel]:
    for part in path:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return model
        model = inner
    return model
