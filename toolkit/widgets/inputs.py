"""The input made for one parameter, from its type and its bounds.

`make_input` asks the `MAKERS` in turn; the first that knows the type makes the input. A type that none knows gets a
text in YAML, so that every parameter can be edited.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import ipywidgets as W
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from toolkit.ground.documents import parse_value
from toolkit.ground.params import plain
from toolkit.series.sensors import SensorParams
from toolkit.widgets import sensor_cards
from toolkit.widgets.log_number import LogNumber, round_numbers
from toolkit.widgets.picking import PickTags, PickText, Suggestion
from toolkit.widgets.rows_input import RowsInput
from toolkit.widgets.sensor_cards import SensorCards
from toolkit.widgets.table_input import TableInput, read_table, show_table

SLIDER_STEPS = 200
"""A whole number of at most this many values gets a slider."""

NONE = "not set"
"""How an empty optional value is shown."""

DECADES = 1000
"""A logarithmic slider without ends of its own reaches this many times below and above the default."""


@dataclass(frozen=True)
class Input:
    """A widget, and the ways between its `value` and the parameter's."""

    widget: Any
    show: Callable[[Any], Any]
    """Parameter to widget."""
    read: Callable[[Any], Any]
    """Widget to parameter; raises ValueError, in words, where the text makes no value."""

    def explain(self, words: str) -> None:
        """Say this where the pointer rests on it; a box cannot have a `tooltip`, JupyterLab then shows an error."""
        if isinstance(self.widget, PickText | PickTags | TableInput | RowsInput | LogNumber):
            self.widget.explain(words)
        else:
            self.widget.tooltip = words

    def suggest(self, suggestions: Sequence[Suggestion]) -> None:
        """Offer these values, where the widget can; any other may be given all the same."""
        if isinstance(self.widget, PickText | PickTags | TableInput | SensorCards):
            self.widget.suggest(suggestions)


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
    scale: tuple[float, float]
    """The ends of a logarithmic slider."""
    picks: bool
    """Whether there will be suggestions."""
    layout: Any
    """Shared by all inputs of a form."""

    @classmethod
    def by(cls, info: FieldInfo, picks: bool = False, layout: Any = None) -> Asked:
        """What the declaration of a parameter asks for."""
        kind, optional = unwrap(info.annotation)
        names = ("ge", "gt", "le", "lt")
        bounds = {name: getattr(one, name) for one in info.metadata for name in names if hasattr(one, name)}
        if kind not in (int, float):  # a day that is out of bounds is refused in words, by the experiment
            bounds = {}
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        lower, upper = bounds.get("gt", bounds.get("ge")), bounds.get("lt", bounds.get("le"))
        return cls(
            kind,
            optional,
            lower,
            upper,
            "gt" in bounds,
            "lt" in bounds,
            bool(extra.get("log")),
            _scale(extra.get("log"), info.default, lower, upper),
            picks,
            layout or W.Layout(width="auto"),
        )


Maker = Callable[[Asked], Input | None]


def make_input(info: FieldInfo, picks: bool = False, layout: Any = None) -> Input:
    """The input for a parameter.

    Args:
        picks: whether values will be suggested.
        layout: of the widget.
    """
    asked = Asked.by(info, picks, layout)
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
    if value is None or value in ({}, ""):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple | list):
        return ", ".join(words(one) for one in value) or NONE
    if isinstance(value, dict):
        return ", ".join(f"{key}: {words(one)}" for key, one in value.items())
    return str(value)


def _scale(log: Any, default: Any, lower: float | None, upper: float | None) -> tuple[float, float]:
    """The ends of a logarithmic slider: those declared, else some decades around the default within the bounds."""
    if isinstance(log, list | tuple):
        return float(log[0]), float(log[1])
    middle = float(default) if isinstance(default, int | float) and default > 0 else 1.0
    low, high = middle / DECADES, middle * DECADES
    return max(low, lower or 0), min(high, upper if upper is not None else high)


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
    return Input(W.Dropdown(options=options, layout=asked.layout), _same, _same)


def _checkbox(asked: Asked) -> Input | None:
    return Input(W.Checkbox(indent=False, layout=asked.layout), _same, _same) if asked.kind is bool else None


def _day(asked: Asked) -> Input | None:
    return Input(W.DatePicker(layout=asked.layout), _same, _same) if asked.kind is date else None


def _rate(asked: Asked) -> Input | None:
    """A text, which shows every digit that matters, and a logarithmic slider beside it."""
    if not asked.log or asked.kind not in (int, float):
        return None
    marks = [str(one) for one in round_numbers(*asked.scale, whole=asked.kind is int)]
    return _text(str, PARSERS[asked.kind], asked.optional, lambda hint: LogNumber(marks, hint, layout=asked.layout))


def _whole_number(asked: Asked) -> Input | None:
    """A slider over few values, else a number; not `BoundedIntText`, which puts another value for the typed one."""
    if asked.kind is not int or asked.optional:
        return None
    if asked.lower is not None and asked.upper is not None:
        low, high = int(asked.lower) + asked.open_lower, int(asked.upper) - asked.open_upper
        if high - low <= SLIDER_STEPS:
            slider = W.IntSlider(low, min=low, max=high, continuous_update=False, layout=asked.layout)
            return Input(slider, _same, _same)
    return Input(W.IntText(continuous_update=False, layout=asked.layout), _same, _same)


def _real_number(asked: Asked) -> Input | None:
    """A slider between bounds, else a number."""
    if asked.kind is not float or asked.optional:
        return None
    if asked.lower is None or asked.upper is None or asked.upper - asked.lower > SLIDER_STEPS:
        return Input(W.FloatText(continuous_update=False, layout=asked.layout), _same, _same)
    low, high = asked.lower, asked.upper
    step, form = (high - low) / 100, ".4"
    slider = W.FloatSlider(
        low, min=low, max=high, step=step, readout_format=form, continuous_update=False, layout=asked.layout
    )
    return Input(slider, _same, _same)


def _table(asked: Asked) -> Input | None:
    """Rows of a whole number and another, to be added and removed."""
    if asked.optional or get_origin(asked.kind) is not dict or get_args(asked.kind) != (int, int):
        return None
    return Input(TableInput(layout=asked.layout), show_table, read_table)


def _sensors(asked: Asked) -> Input | None:
    """A card for each further sensor."""
    if _element(asked.kind) is not SensorParams:
        return None
    others = {name: info for name, info in SensorParams.model_fields.items() if name not in sensor_cards.TAGS}
    inputs = {name: make_input(info) for name, info in others.items()}
    for one in inputs.values():  # as in `_sections`
        one.widget.close()
    makers = {name: partial(_widget_of, info) for name, info in others.items()}
    ways = [{name: getattr(one, way) for name, one in inputs.items()} for way in ("show", "read")]
    return Input(
        SensorCards(makers, layout=asked.layout),
        lambda values: sensor_cards.shown(values, ways[0]),
        lambda rows: sensor_cards.read(rows, ways[1]),
    )


def _widget_of(info: FieldInfo) -> Any:
    return make_input(info).widget


def _sections(asked: Asked) -> Input | None:
    """A row of inputs for each of several sections whose parameters are plain: numbers, days, texts."""
    model = _element(asked.kind)
    if asked.optional or not (isinstance(model, type) and issubclass(model, BaseModel)):
        return None
    fields = model.model_fields
    if any(unwrap(info.annotation)[0] not in (int, float, str, date) for info in fields.values()):
        return None
    inputs = {name: make_input(info) for name, info in fields.items()}
    for one in inputs.values():  # of which only the ways between value and parameter are needed
        one.widget.close()

    def made(info: FieldInfo) -> Any:
        one = make_input(info)
        one.explain(info.description or "")
        return one.widget

    columns = {name.replace("_", " "): partial(made, info) for name, info in fields.items()}
    needed = [name.replace("_", " ") for name, info in fields.items() if info.is_required()]

    def show(values: Sequence[Any]) -> tuple[Any, ...]:
        sections = [one if isinstance(one, Mapping) else dict(one) for one in values]  # what waits is plain
        return tuple(tuple(inputs[name].show(one[name]) for name in fields) for one in sections)

    def read(rows: Sequence[Any]) -> tuple[dict[str, Any], ...]:
        return tuple({name: inputs[name].read(held) for name, held in zip(fields, row, strict=True)} for row in rows)

    return Input(RowsInput(columns, needed, layout=asked.layout), show, read)


def _tags(asked: Asked) -> Input | None:
    """A row of tags for texts; an optional one is a text, where empty can mean none."""
    element = _element(asked.kind)
    if asked.optional or not (element is str or get_origin(element) is Literal):
        return None
    tags = PickTags(layout=asked.layout)
    if get_origin(element) is Literal:
        tags.suggest([Suggestion(str(one)) for one in get_args(element)])
    return Input(tags, list, tuple)


def _series(asked: Asked) -> Input | None:
    """A text with commas for numbers, and for texts that are optional."""
    element = _element(asked.kind)
    if element not in PARSERS:
        return None
    parse = PARSERS[element]

    def read(text: str) -> tuple[Any, ...]:
        return tuple(parse(part.strip()) for part in text.split(",") if part.strip())

    return _text(lambda values: ", ".join(str(one) for one in values), read, asked.optional, _plain_text(asked))


def _one_text(asked: Asked) -> Input | None:
    return _text(str, PARSERS[asked.kind], asked.optional, _plain_text(asked)) if asked.kind in PARSERS else None


def _yaml(asked: Asked) -> Input:
    def show(value: Any) -> str:
        text = yaml.safe_dump(plain(value), default_flow_style=True, sort_keys=False, width=10_000)
        return text.removesuffix("...\n").strip()

    def read(text: str) -> Any:
        try:
            return parse_value(text)
        except ValueError:
            raise ValueError(f"{text!r} is not valid YAML") from None

    return _text(show, read, asked.optional, _plain_text(asked))


def _plain_text(asked: Asked) -> Callable[[str], Any]:
    """A text that is taken on leaving it or with Enter, with suggestions where there will be some."""
    if asked.picks:
        return lambda hint: PickText(hint, layout=asked.layout)
    return lambda hint: W.Text(continuous_update=False, placeholder=hint, layout=asked.layout)


def _text(show: Callable[[Any], str], read: Callable[[str], Any], optional: bool, make: Callable[[str], Any]) -> Input:
    """An input whose value is a text; empty is None where that is allowed."""
    if not optional:
        return Input(make(""), show, lambda text: read(text.strip()))
    return Input(
        make(NONE),
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

MAKERS: list[Maker] = [
    _choice,
    _checkbox,
    _day,
    _rate,
    _whole_number,
    _real_number,
    _table,
    _sensors,
    _sections,
    _tags,
    _series,
    _one_text,
    _yaml,
]
