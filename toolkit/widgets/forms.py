"""Forms made from the parameters of an experiment: `form(experiment, "learning")`.

The experiment is the truth. A form edits it and follows it, so that several forms on one experiment always agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import ipywidgets as W
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from toolkit.ground.errors import ParameterError
from toolkit.widgets.fields import QUIET, Field, Reports, label
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.inputs import NONE, unwrap

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

STYLE = (resources.files("toolkit.widgets") / "style.css").read_text(encoding="utf-8")


def form(experiment: Experiment, section: str = "") -> Form:
    """A form that edits a section of an experiment, or all of it.

    Args:
        section: dotted path of a section (`"learning"`, `"learning.network"`) or of a parameter (`"learning.epochs"`);
            empty for the whole experiment.

    Raises:
        ParameterError: no such section.
    """
    return Form(experiment, section)


class Form(W.VBox):
    """Inputs for the parameters of a section. An invalid value is refused beside its input, and changes nothing."""

    def __init__(self, experiment: Experiment, section: str = "") -> None:
        self.experiment = experiment
        self.problem = ErrorBox()
        self.reports = Reports(self.edit, self.refuse, self.problem.guard)
        self._refused: dict[str, Any] = {}
        self._section = section
        self._unobserve: Callable[[], None] = _nothing
        self._root = self._make_root()
        self.refresh()
        super().__init__([W.HTML(f"<style>{STYLE}</style>"), self._root.row, self.problem])
        self.add_class("lc-form")
        self._unobserve = experiment.observe(self.problem.guard(lambda _: self.refresh()))

    @property
    def fields(self) -> dict[str, Field]:
        """Each row of the form by the dotted path of its parameter."""
        root = self._root
        return {one.path: one for one in ([root] if isinstance(root, Field) else root.walk())}

    def refresh(self) -> None:
        """Show the experiment as it is."""
        self._root.refresh(self.experiment.get(self._section) if self._section else self.experiment.params)

    def edit(self, path: str, value: Any) -> None:
        """Change a parameter, and with it those refused before which may be valid together with it."""
        attempts = [{**self._refused, path: value}, {path: value}]
        for changes in attempts if self._refused else attempts[1:]:
            try:
                self.experiment.set(changes)
            except ParameterError as error:
                problem = str(error)
            else:
                self._accept(changes)
                return
        self._refused[path] = value
        self.refuse(path, _beside(problem, str(self.experiment.path), path, value))

    def refuse(self, path: str, message: str) -> None:
        """Say beside an input why its value is not taken."""
        self.fields[path].refuse(message)

    def forget(self, section: str) -> None:
        """Forget the refused values of a section."""
        self._refused = {path: value for path, value in self._refused.items() if not path.startswith(f"{section}.")}

    def close(self) -> None:
        """Take the form away and stop following the experiment."""
        self._unobserve()
        self._unobserve = _nothing
        super().close()

    def _accept(self, changes: Mapping[str, Any]) -> None:
        rows = self.fields
        for path in changes:
            self._refused.pop(path, None)
            if path in rows:
                rows[path].accept()

    def _make_root(self) -> Field | Group:
        if not self._section:
            return Group(self, "", None)
        self.experiment.get(self._section)
        parent, _, name = self._section.rpartition(".")
        model = type(self.experiment.get(parent) if parent else self.experiment.params)
        return make_row(self, self._section, model.model_fields[name])


class Group:
    """The rows of a section; they are made anew when the section becomes another model, as of another network."""

    def __init__(self, form: Form, path: str, info: FieldInfo | None) -> None:
        self.path, self._form = path, form
        self._choice = _choice(form, path, info)
        self._model: type | None = None
        self._members: dict[str, Field | Group] = {}
        self._rows = W.VBox()
        self.row = W.VBox([_heading(path, info), *([self._choice.field.row] if self._choice else []), self._rows])
        self.row.add_class("lc-group")

    def walk(self) -> Iterator[Field]:
        """Every row, those of inner sections included."""
        if self._choice:
            yield self._choice.field
        for member in self._in_order():
            yield from [member] if isinstance(member, Field) else member.walk()

    def refresh(self, value: BaseModel | None) -> None:
        """Show these parameters."""
        if type(value) is not self._model:
            self._make_rows(value)
        if self._choice:
            self._choice.refresh(value)
        for name, member in self._members.items():
            member.refresh(getattr(value, name))

    def _make_rows(self, value: BaseModel | None) -> None:
        self._model = type(value)
        self._form.forget(self.path)
        fields = type(value).model_fields if value is not None else {}
        chosen = self._choice.key if self._choice else None
        self._members = {
            name: make_row(self._form, f"{self.path}.{name}".lstrip("."), info)
            for name, info in fields.items()
            if name != chosen
        }
        self._rows.children = [member.row for member in self._in_order()] if self.path else self._folded()

    def _in_order(self) -> list[Field | Group]:
        """Plain parameters first, then inner sections."""
        return sorted(self._members.values(), key=lambda member: isinstance(member, Group))

    def _folded(self) -> list[Any]:
        """The whole experiment: its sections fold."""
        sections = {name: one.row for name, one in self._members.items() if isinstance(one, Group)}
        fields = [one.row for one in self._members.values() if isinstance(one, Field)]
        return [*fields, W.Accordion(list(sections.values()), titles=[label(name) for name in sections])]


class ModelChoice:
    """The row that chooses between the models of a section; another choice starts from that model's defaults."""

    def __init__(self, form: Form, path: str, info: FieldInfo, key: str, names: dict[str, type | None]) -> None:
        self.key, self._names = key, {model: name for name, model in names.items()}
        default = info.get_default(call_default_factory=True)
        chosen = PydanticUndefined if default is PydanticUndefined else self._names[_model_of(default)]
        literal: Any = Literal[tuple(names)]  # type: ignore[valid-type]
        described = FieldInfo(annotation=literal, default=chosen, description=info.description)

        def edit(_: str, name: str) -> None:
            form.edit(path, None if names[name] is None else {key: name})

        self.field = Field(f"{path}.{key}", described, replace(form.reports, edit=edit))

    def refresh(self, value: BaseModel | None) -> None:
        """Show which model these parameters are of."""
        self.field.refresh(self._names[_model_of(value)])


def make_row(form: Form, path: str, info: FieldInfo) -> Field | Group:
    """The row of a parameter, or the rows of a section."""
    models, optional = _models(info)
    if (len(models) == 1 and not optional) or _key(info, models):
        return Group(form, path, info)
    return Field(path, info, form.reports)


def _choice(form: Form, path: str, info: FieldInfo | None) -> ModelChoice | None:
    """The row that chooses the model, where a section allows several."""
    models, optional = _models(info) if info else ((), False)
    if len(models) + optional < 2 or info is None:
        return None
    key = _key(info, models)
    assert key
    names: dict[str, type | None] = {NONE: None} if optional else {}
    names |= {get_args(model.model_fields[key].annotation)[0]: model for model in models}
    return ModelChoice(form, path, info, key, names)


def _models(info: FieldInfo) -> tuple[tuple[type[BaseModel], ...], bool]:
    """The models that a section allows, and whether it may be none; no models for a plain parameter."""
    kind, optional = unwrap(info.annotation)
    members = [unwrap(one)[0] for one in ((kind,) if isinstance(kind, type) else get_args(kind))]
    if members and all(isinstance(one, type) and issubclass(one, BaseModel) for one in members):
        return tuple(members), optional
    return (), optional


def _key(info: FieldInfo, models: tuple[type[BaseModel], ...]) -> str | None:
    """The field that tells the models apart: each has it as a Literal."""
    named = [info.discriminator] if isinstance(info.discriminator, str) else []
    shared = [*named, *(models[0].model_fields if models else ())]

    def tells(name: str) -> bool:
        kinds = [one.model_fields[name].annotation for one in models if name in one.model_fields]
        return len(kinds) == len(models) and all(get_origin(kind) is Literal for kind in kinds)

    return next((name for name in shared if tells(name)), None)


def _nothing() -> None:
    """An observation that is not there ends with this."""


def _model_of(value: Any) -> type | None:
    return None if value is None else type(value)


def _heading(path: str, info: FieldInfo | None) -> W.HTML:
    if not path:
        return W.HTML()
    text = (info.description or "") if info else ""
    name = escape(label(path.rpartition(".")[2]))
    return W.HTML(f"<b>{name}</b> &ensp;<span style='{QUIET}'>{escape(text)}</span>")


def _beside(message: str, place: str, path: str, value: Any) -> str:
    """A message without what the row itself says: the file, the parameter and its value."""
    short = message.removeprefix(f"{place}: ").removeprefix(f"{path} = {value!r}: ")
    return short.replace("input should be", "must be").replace("Input should be", "must be")
