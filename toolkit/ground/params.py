"""`Params`: the base of every section of an experiment.

A parameter is declared once, as a field beside the function that obeys it:

    class SamplingParams(Params):
        max_per_class: int = param(100_000, "Pixels drawn for each class at most.", unit="pixels", ge=1)

The YAML file, the widget form, the command-line option and the documentation are derived from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from datetime import date
from enum import Enum
from reprlib import Repr
from types import UnionType
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from toolkit.ground.errors import ParameterError, did_you_mean

LONGEST_VALUE = 200
"""Characters of a refused value that a message tells."""

_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxset = 3, 20, 20, 20, 20
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 2 * LONGEST_VALUE


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
                raise ValueError(f"{name} = {_brief(value)}: a number is needed, not yes or no")
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
    default: Any,
    help: str,
    *,
    unit: str | None = None,
    log: bool | tuple[float, float] = False,
    form: str = "",
    **bounds: Any,
) -> Any:
    """Declare one parameter.

    Args:
        default: the value when none is given; `...` makes the parameter required.
        help: one or two sentences for a person; shown by the form, `--help` and the docs.
        unit: unit of the value, such as `"pixels"` or `"days"`.
        log: true where a form had better offer a logarithmic scale; or the ends of that scale, which are no bounds.
        form: in words how a text must be that has a `pattern`: "letters and digits".
        bounds: `ge`, `gt`, `le`, `lt`, `min_length`, `max_length`, `pattern`, as pydantic's `Field` takes them.
    """
    extra: dict[str, Any] = {"unit": unit, "log": list(log) if isinstance(log, tuple) else log}
    extra |= {"form": form} if form else {}
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
        refusal.places = tuple(".".join(map(str, _place(detail["loc"], model)[0])) for detail in details)
        raise refusal from None


def leaves(model: Any, path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Dotted path and declaration of every parameter, those of inner sections too.

    Where a section is one of several models, told apart by a field, that field lists them all, and what only some of
    them have says so.
    """
    for name, field in model.model_fields.items():
        place, models = f"{path}.{name}".lstrip("."), models_of(field.annotation)
        if len(models) > 1:
            yield from _choice_leaves(models, field, place)
        elif models:
            yield from leaves(models[0], place)
        else:
            yield place, field


def models_of(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models that a section may be; none for a plain parameter."""
    if get_origin(annotation) is Annotated:
        return models_of(get_args(annotation)[0])
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    models = tuple(one for one in members if isinstance(one, type) and issubclass(one, BaseModel))
    return models if len(models) == len(members) else ()


def keep_what_fits(values: dict[str, Any], section: FieldInfo, before: BaseModel | None = None) -> None:
    """Drop, from the values of a section of several models, what the model that they name does not have.

    Args:
        before: the section as it was; where it had its own default, the other model takes its own too.
    """
    if before is not None:
        for name, field in type(before).model_fields.items():
            if name != section.discriminator and name in values and values[name] == field.default:
                del values[name]
    named = values.get(str(section.discriminator))
    for model in models_of(section.annotation):
        if named in get_args(model.model_fields[str(section.discriminator)].annotation):
            for name in values.keys() - model.model_fields.keys():
                del values[name]


def _choice_leaves(models: tuple[type[BaseModel], ...], field: FieldInfo, path: str) -> Iterator[tuple[str, FieldInfo]]:
    key = str(field.discriminator)
    tags = {model: get_args(model.model_fields[key].annotation)[0] for model in models}
    default = PydanticUndefined if field.is_required() else getattr(field.default, key)
    every = Literal[tuple(tags.values())]  # type: ignore[valid-type]
    yield f"{path}.{key}", FieldInfo(annotation=every, default=default, description=field.description)  # type: ignore[arg-type]
    for name in dict.fromkeys(name for model in models for name in model.model_fields if name != key):
        owners = {tags[one]: one.model_fields[name] for one in models if name in one.model_fields}
        yield f"{path}.{name}", _shared(owners, len(models))


def _shared(owners: Mapping[str, FieldInfo], models: int) -> FieldInfo:
    """One declaration for a parameter of several models: who has it, and where they differ in default or help."""
    found = copy(next(iter(owners.values())))
    helps: dict[str | None, list[str]] = {}
    for tag, field in owners.items():
        helps.setdefault(field.description, []).append(tag)
    if len(owners) < models or len(helps) > 1:
        found.description = " ".join(f"{' or '.join(tags)}: {help}" for help, tags in helps.items())
    defaults: dict[str, list[str]] = {}
    for tag, field in owners.items():
        defaults.setdefault(default_of(field), []).append(tag)
    if len(defaults) > 1:
        found.default = ", ".join(f"{default} ({', '.join(tags)})" for default, tags in defaults.items())
        found.json_schema_extra = None  # the units stand in the defaults
    return found


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
    path, owner = _place(detail["loc"], model)
    name = ".".join(str(part) for part in path)
    if detail["type"] == "extra_forbidden":
        return f"{name} is not a parameter{did_you_mean(str(path[-1]), owner.model_fields)}"
    if detail["type"] == "missing":
        return f"{name} is missing: give it a value"
    if detail["type"].startswith("union_tag"):
        key, known = detail["ctx"]["discriminator"].strip("'"), detail["ctx"].get("expected_tags", "")
        tag = detail["ctx"].get("tag")
        if tag is None:
            return f"{name}.{key} is missing: give it a value"
        meant = did_you_mean(tag, known.replace("'", "").split(", "))
        return f"{name}.{key} = {_brief(tag)}: must be one of {known}{meant}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "string_pattern_mismatch":
        field = owner.model_fields.get(str(path[-1]))
        extra = field.json_schema_extra if field else None
        message = f"write {extra['form']}" if isinstance(extra, dict) and extra.get("form") else message
    if not name or (detail["type"] == "value_error" and isinstance(detail["input"], Mapping)):
        return message
    return f"{name} = {_brief(detail['input'])}: {message[:1].lower()}{message[1:]}"


def _brief(value: Any) -> str:
    """A value in a message; one without end, as YAML's aliases can make it, is cut before it is written out."""
    words = _SHORT.repr(value)
    return words if len(words) <= LONGEST_VALUE else f"{words[:LONGEST_VALUE]} …"


def _place(location: Sequence[Any], model: type[BaseModel]) -> tuple[list[Any], type[BaseModel]]:
    """Where an error is, without what pydantic adds for unions and keys; and the model that its last part is of."""
    path: list[Any] = []
    inner: tuple[type[BaseModel], ...] = (model,)
    owner = model
    for part in location:
        if len(inner) > 1:  # pydantic names the member of the union
            inner = (next((one for one in inner if part in _names_of(one)), inner[0]),)
        elif not (isinstance(part, str) and "[" in part):
            path.append(part)
            owner = inner[0] if inner else owner
            field = owner.model_fields.get(part) if inner and isinstance(part, str) else None
            inner = models_of(field.annotation) if field else ()
    return path, owner


def _names_of(model: type[BaseModel]) -> set[str]:
    """By what pydantic may name a member of a union: its class, or a literal by which it is told apart."""
    literals = (one.annotation for one in model.model_fields.values() if get_origin(one.annotation) is Literal)
    return {model.__name__, *(str(word) for literal in literals for word in get_args(literal))}
