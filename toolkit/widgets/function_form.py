"""The form of one feature function: its parameters as rows, by their declaration, as those of any section."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from html import escape
from typing import Any, Optional

import ipywidgets as W
from pydantic import create_model
from pydantic.fields import FieldInfo

from toolkit.features.external import ExternalFunction
from toolkit.features.parameters import ExternalParams
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import Params, build, plain
from toolkit.series.timeseries import SeriesParams
from toolkit.widgets.fields import Field, Look, Reports
from toolkit.widgets.forms import words_beside
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.inputs import words
from toolkit.widgets.sections import Desk, Group

RASTERS = "entry.rasters"

Edit = Callable[[Mapping[str, Any]], None]
"""Called with what changes of an entry of `features.external`."""


class FunctionForm:
    """An entry of `features.external`: what the function is, its parameters, and buttons to read and remove it.

    Args:
        edit: see `Edit`.
        remove, read: called by the buttons.
        problem: guards the callbacks.
    """

    def __init__(self, edit: Edit, remove: Callable[[], None], read: Callable[[], None], problem: ErrorBox) -> None:
        self._edit_entry = edit
        self.problem = ErrorBox()
        self.head = W.HTML(layout=W.Layout(flex="1 1 0", min_width="0", width="auto", margin="0"))
        self.read = W.Button(description="Read the file", layout=W.Layout(width="auto"))
        self.read.tooltip = "Run the file to know the function's parameters"
        self.remove = W.Button(description="×", tooltip="Take this function away", layout=W.Layout(width="28px"))
        self.read.on_click(problem.guard(lambda _: read()))
        self.remove.on_click(problem.guard(lambda _: remove()))
        reports = Reports(self._edit, lambda path, said: self.fields[path].refuse(said), self._give_up, problem.guard)
        self._rows = Group(Desk(reports, Look(), lambda _: None, lambda: None), "", None)
        own_look = Look()  # rows that share a look are hidden together
        self._rasters = Field(RASTERS, ExternalParams.model_fields["rasters"], reports, own_look)
        self._entry: ExternalParams | None = None
        self._function: ExternalFunction | None = None
        top = W.HBox([self.head, self.read, self.remove])
        self.box = W.VBox([top, self._rows.row, self._rasters.row, self.problem])
        self.box.add_class("lc-function")

    @property
    def fields(self) -> dict[str, Field]:
        """Each row by the name of its parameter."""
        return {one.path: one for one in (*self._rows.walk(), self._rasters)}

    def refresh(self, entry: ExternalParams, function: ExternalFunction | None, why_not: str) -> None:
        """Show an entry.

        Args:
            function: None where it is not known.
            why_not: why it is not known although its file was run; empty where that was never asked for.
        """
        self._entry, self._function = entry, function
        self.read.layout.display = "none" if function else ""
        self._rasters.row.layout.display = "" if entry.file else "none"
        self._rasters.refresh(dict(entry.rasters))
        self.head.value = _head_html(entry, function)
        said = why_not
        if function is not None:
            try:
                params, said = shown_params(function.params, entry.params)
                self._rows.refresh(params)
            except ParameterError as error:
                said = str(error)
        self._rows.row.layout.display = "" if function is not None else "none"
        self.problem.show(said) if said else self.problem.clear()

    def _edit(self, path: str, value: Any) -> None:
        """Take a parameter, checked by the function's own declaration."""
        assert self._entry is not None
        if path == RASTERS:
            changes: dict[str, Any] = {"rasters": value}
        else:
            assert self._function is not None
            model = self._function.params
            given = {name: one for name, one in self._entry.params.items() if name in model.model_fields}
            refused = refusal(model, {**given, path: value}, path)
            if refused:
                self.fields[path].refuse(refused)
                return
            changes = {"params": plain({**given, path: value})}
        try:
            self._edit_entry(changes)
        except ParameterError as error:
            self.fields[path].refuse(str(error))

    def _give_up(self, path: str) -> None:
        self.fields[path].give_up()


def refusal(model: type[Params], values: Mapping[str, Any], name: str) -> str:
    """Why the value of one parameter is not accepted, in words to stand beside it; empty where it is.

    What is wrong with others is no reason.
    """
    try:
        build(model, values, "")
    except ParameterError as error:
        wrong = {place.partition(".")[0] for place in error.places}
        lines = str(error).removeprefix(": ").split("; ")
        own = [line for line in lines if line.startswith(f"{name} = ")]
        if name in wrong or "" in wrong:
            return words_beside("; ".join(own or lines), "", name, values[name])
    return ""


def shown_params(model: type[Params], values: Mapping[str, Any]) -> tuple[Params, str]:
    """The parameters as rows can show them, and what is wrong with them in words.

    A parameter that is missing, or whose value is not accepted, is shown as not set.

    Raises:
        ParameterError: the values are refused for another reason.
    """
    try:
        return build(model, values, ""), ""
    except ParameterError as error:
        wrong = {place.partition(".")[0] for place in error.places}
        said = str(error).removeprefix(": ")
    shown = _with_empty(model, frozenset(wrong & model.model_fields.keys()))
    return build(shown, {name: value for name, value in values.items() if name not in wrong}, ""), said


@lru_cache(maxsize=100)
def _with_empty(model: type[Params], names: frozenset[str]) -> type[Params]:
    """The parameters, of which these may be not set."""
    fields: dict[str, Any] = {}
    for name in names:
        info = model.model_fields[name]
        empty = FieldInfo(default=None, description=info.description, json_schema_extra=info.json_schema_extra)
        fields[name] = (Optional[info.annotation], empty)  # noqa: UP045 - of a type that is known when it runs
    return create_model(model.__name__, __base__=model, **fields)


def first_values(function: ExternalFunction, series: SeriesParams) -> dict[str, Any]:
    """All parameters of a function that ships, to start from; a day that must be given is the middle of the period."""
    middle = series.start + (series.end - series.start) / 2
    fields = function.params.model_fields.items()
    return plain({name: middle if info.is_required() else info.default for name, info in fields})


def _head_html(entry: ExternalParams, function: ExternalFunction | None) -> str:
    """Name, file and meaning; of a function that is not known the values that were given."""
    place = f" of {escape(entry.file)}" if entry.file else ""
    if function is not None:
        said = function.meaning
    else:
        given = ", ".join(f"{name} = {_brief(value)}" for name, value in entry.params.items())
        said = f"{given or 'no parameters given'} · its file was not run"
    return f"<b>{escape(entry.name)}</b>{place} &ensp;<span class='lc-quiet'>{escape(said)}</span>"


def _brief(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else words(value)
