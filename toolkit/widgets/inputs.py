"""The input made for one parameter, from its type and its bounds.

`make_input` asks the `MAKERS` in turn; the first that knows the type makes the input. A type that none knows gets a
text in YAML, so that every parameter can be edited.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import ipywidgets as W
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

SLIDER_STEPS = 200
"""A whole number of at most this many values gets a slider."""

NONE = "not set"
"""How an empty optional value is shown."""


@dataclass(frozen=True)
class Input:
    """A widget, and the ways between its `value` and the parameter's."""

    widget: Any
    show: Callable[[Any], Any]
    """Parameter to widget."""
    read: Callable[[Any], Any]
    """Widget to parameter; raises ValueError, in words, where the text makes no value."""


@dataclass(frozen=True)
class Asked:
    """What an input is asked to hold."""

    kind: Any
    """The type, without `Annotated` and without `| None`."""
    optional: bool
    lower: float | None
    """The smallest value, or the excluded bound below it; None if unbounded."""
    upper: float | None
    open_lower: bool
    open_upper: bool
    log: bool

    @classmethod
    def by(cls, info: FieldInfo) -> Asked:
        """What the declaration of a parameter asks for."""
        kind, optional = unwrap(info.annotation)
        names = ("ge", "gt", "le", "lt")
        bounds = {name: getattr(one, name) for one in info.metadata for name in names if hasattr(one, name)}
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        return cls(
            kind,
            optional,
            bounds.get("gt", bounds.get("ge")),
            bounds.get("lt", bounds.get("le")),
            "gt" in bounds,
            "lt" in bounds,
            bool(extra.get("log")),
        )


Maker = Callable[[Asked], Input | None]


def make_input(info: FieldInfo) -> Input:
    """The input for a parameter."""
    asked = Asked.by(info)
    return next(made for maker in MAKERS if (made := maker(asked)) is not None)


def unwrap(annotation: Any) -> tuple[Any, bool]:
    """A type without `Annotated` and without `| None`, and whether None was allowed."""
    if get_origin(annotation) is Annotated:
        return unwrap(get_args(annotation)[0])
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    members = [one for one in get_args(annotation) if one is not type(None)]
    if len(members) == len(get_args(annotation)):
        return annotation, False
    kind = members[0] if len(members) == 1 else Union[tuple(members)]  # noqa: UP007
    return unwrap(kind)[0], True


def words(value: Any) -> str:
    """A value as a person would write it in the form."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple | list):
        return ", ".join(words(one) for one in value) or NONE
    return str(value)


def _choice(asked: Asked) -> Input | None:
    values: tuple[Any, ...]
    if get_origin(asked.kind) is Literal:
        values = get_args(asked.kind)
    elif isinstance(asked.kind, type) and issubclass(asked.kind, Enum):
        values = tuple(asked.kind)
    elif asked.kind is bool and asked.optional:
        values = (True, False)
    else:
        return None
    options = [(words(one), one) for one in (*((None,) if asked.optional else ()), *values)]
    return Input(W.Dropdown(options=options), _same, _same)


def _checkbox(asked: Asked) -> Input | None:
    return Input(W.Checkbox(indent=False), _same, _same) if asked.kind is bool else None


def _day(asked: Asked) -> Input | None:
    return Input(W.DatePicker(), _same, _same) if asked.kind is date else None


def _whole_number(asked: Asked) -> Input | None:
    """A slider over few values, else a number; not `BoundedIntText`, which puts another value for the typed one."""
    if asked.kind is not int or asked.optional:
        return None
    if asked.lower is not None and asked.upper is not None:
        low, high = int(asked.lower) + asked.open_lower, int(asked.upper) - asked.open_upper
        if high - low <= SLIDER_STEPS:
            return Input(W.IntSlider(low, min=low, max=high, continuous_update=False), _same, _same)
    return Input(W.IntText(continuous_update=False), _same, _same)


def _real_number(asked: Asked) -> Input | None:
    """A slider between bounds, else a number; a rate is a text, which shows every digit that matters."""
    if asked.kind is not float or asked.optional or asked.log:
        return None
    if asked.lower is None or asked.upper is None:
        return Input(W.FloatText(continuous_update=False), _same, _same)
    low, high = asked.lower, asked.upper
    slider = W.FloatSlider(
        low, min=low, max=high, step=(high - low) / 100, readout_format=".4", continuous_update=False
    )
    return Input(slider, _same, _same)


def _tags(asked: Asked) -> Input | None:
    """A row of tags for texts; an optional one is a text, where empty can mean none."""
    element = _element(asked.kind)
    if asked.optional or not (element is str or get_origin(element) is Literal):
        return None
    tags = W.TagsInput(allow_duplicates=True, placeholder="add…")
    if get_origin(element) is Literal:
        tags.allowed_tags = list(get_args(element))
    return Input(tags, list, tuple)


def _series(asked: Asked) -> Input | None:
    """A text with commas for numbers, and for texts that are optional."""
    element = _element(asked.kind)
    if element not in PARSERS:
        return None
    parse = PARSERS[element]

    def read(text: str) -> tuple[Any, ...]:
        return tuple(parse(part.strip()) for part in text.split(",") if part.strip())

    return _text(lambda values: ", ".join(str(one) for one in values), read, asked.optional, "a, b, …")


def _one_text(asked: Asked) -> Input | None:
    return _text(str, PARSERS[asked.kind], asked.optional) if asked.kind in PARSERS else None


def _yaml(asked: Asked) -> Input:
    def show(value: Any) -> str:
        text = yaml.safe_dump(_plain(value), default_flow_style=True, sort_keys=False, width=10_000)
        return text.removesuffix("...\n").strip()

    def read(text: str) -> Any:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            raise ValueError(f"{text!r} is not valid YAML") from None

    return _text(show, read, asked.optional)


def _plain(value: Any) -> Any:
    """A value made of what YAML knows."""
    if isinstance(value, BaseModel):
        return _plain(dict(value))
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | bool | int | float | date) else str(value)


def _text(show: Callable[[Any], str], read: Callable[[str], Any], optional: bool, placeholder: str = "") -> Input:
    """A text that is taken on leaving it or with Enter; empty is None where that is allowed."""
    widget = W.Text(continuous_update=False, placeholder=NONE if optional else placeholder)
    if not optional:
        return Input(widget, show, lambda text: read(text.strip()))
    return Input(
        widget,
        lambda value: "" if value is None else show(value),
        lambda text: read(text.strip()) if text.strip() else None,
    )


def _element(kind: Any) -> Any:
    """The type of the elements of a tuple all of whose elements have one type, else None."""
    if get_origin(kind) not in (tuple, list):
        return None
    elements = {unwrap(one)[0] for one in get_args(kind) if one is not Ellipsis}
    return elements.pop() if len(elements) == 1 else None


def _same(value: Any) -> Any:
    return value


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number; write it like 0.001 or 1e-3") from None


def _path(text: str) -> Path:
    if not text:
        raise ValueError("give a path; it may not exist yet")
    return Path(text)


PARSERS: dict[Any, Callable[[str], Any]] = {int: _int, float: _float, str: str, Path: _path}

MAKERS: list[Maker] = [_choice, _checkbox, _day, _whole_number, _real_number, _tags, _series, _one_text, _yaml]
