"""The rows of a section of a form, those of inner sections within; made from the declarations of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Literal, get_args, get_origin

import ipywidgets as W
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from toolkit.widgets.fields import Field, Look, Reports, label
from toolkit.widgets.inputs import NONE, unwrap
from toolkit.widgets.suggestions import AT_ONCE, FROM_FILES


@dataclass(frozen=True)
class Desk:
    """What the rows of a form share."""

    reports: Reports
    look: Look
    forget: Callable[[str], None]
    """Called with a section whose rows are made anew."""
    opened: Callable[[], None]
    """Called when rows were made because their section was opened."""


class Group:
    """The rows of a section; they are made anew when the section becomes another model, as of another network."""

    def __init__(self, desk: Desk, path: str, info: FieldInfo | None) -> None:
        self.path, self._desk = path, desk
        self._choice = make_choice(desk, path, info)
        self._model: type | None = None
        self._value: BaseModel | None = None
        self._members: dict[str, Field | Group] = {}
        self._rows = W.VBox()
        head = [desk.look.words(self._heading(info))] if path else []
        self.row = W.VBox([*head, *([self._choice.field.row] if self._choice else []), self._rows])
        self.row.add_class("lc-group")

    def walk(self) -> Iterator[Field]:
        """Every row that is made, those of inner sections included."""
        if self._choice:
            yield self._choice.field
        for member in self._in_order():
            yield from [member] if isinstance(member, Field) else member.walk()

    def open(self) -> bool:
        """Make the rows of every section that is folded; whether there was one."""
        opened = [member.open() for member in self._members.values() if isinstance(member, Group)]
        return any(opened)

    def refresh(self, value: BaseModel | None, anew: bool = False) -> None:
        """Show these parameters; what is as before is not touched.

        Args:
            anew: give up what was typed and not taken.
        """
        if type(value) is not self._model:
            self._make_rows(value)
        elif value == self._value and not anew:
            return
        self._value = value
        if self._choice:
            self._choice.refresh(value, anew)
        for name, member in self._members.items():
            member.refresh(getattr(value, name), anew)

    def _make_rows(self, value: BaseModel | None) -> None:
        if self._model is not None:
            self._desk.forget(self.path)
        self._model = type(value)
        fields = type(value).model_fields if value is not None else {}
        chosen = self._choice.key if self._choice else None
        self._members = {
            name: self._make_row(f"{self.path}.{name}".lstrip("."), info)
            for name, info in fields.items()
            if name != chosen
        }
        self._rows.children = self._shown()

    def _heading(self, info: FieldInfo | None) -> str:
        name = escape(label(self.path.rpartition(".")[2]))
        return f"<b>{name}</b> &ensp;{_described(info)}"

    def _make_row(self, path: str, info: FieldInfo) -> Field | Group:
        return make_row(self._desk, path, info)

    def _shown(self) -> list[Any]:
        return [member.row for member in self._in_order()]

    def _in_order(self) -> list[Field | Group]:
        """Plain parameters first, then inner sections."""
        return sorted(self._members.values(), key=lambda member: isinstance(member, Group))


class WholeGroup(Group):
    """The rows of the whole experiment: its sections fold, and make their rows when they are first opened."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, "", None)

    def _make_row(self, path: str, info: FieldInfo) -> Field | Group:
        return make_row(self._desk, path, info, folded=True)

    def _shown(self) -> list[Any]:
        fields = [one.row for one in self._members.values() if isinstance(one, Field)]
        sections = {name: one for name, one in self._members.items() if isinstance(one, Group)}
        fold = W.Accordion([one.row for one in sections.values()], titles=[label(name) for name in sections])

        def unfold(change: Any) -> None:
            if change["new"] is not None and list(sections.values())[change["new"]].open():
                self._desk.opened()

        fold.observe(self._desk.reports.guard(unfold), "selected_index")
        return [*fields, fold]


class FoldedGroup(Group):
    """A section whose rows are made when it is opened."""

    def __init__(self, desk: Desk, path: str, info: FieldInfo) -> None:
        super().__init__(desk, path, info)
        self._is_open = False
        self._latest: BaseModel | None = None

    def open(self) -> bool:
        """Make the rows; whether they were not there."""
        if self._is_open:
            return False
        self._is_open = True
        super().refresh(self._latest)
        return True

    def _heading(self, info: FieldInfo | None) -> str:
        """The name stands on the fold."""
        return _described(info)

    def refresh(self, value: BaseModel | None, anew: bool = False) -> None:
        """Show these parameters, once the section is open."""
        self._latest = value
        if self._is_open:
            super().refresh(value, anew)


class ModelChoice:
    """The row that chooses between the models of a section; another choice starts from that model's defaults."""

    def __init__(self, desk: Desk, path: str, info: FieldInfo, key: str, names: dict[str, type | None]) -> None:
        self.key, self._names = key, {model: name for name, model in names.items()}
        default = info.get_default(call_default_factory=True)
        chosen = PydanticUndefined if default is PydanticUndefined else self._names[_model_of(default)]
        literal: Any = Literal[tuple(names)]  # type: ignore[valid-type]
        described = FieldInfo(annotation=literal, default=chosen, description=info.description)

        def edit(_: str, name: str) -> None:
            desk.reports.edit(path, None if names[name] is None else {key: name})

        self.field = Field(f"{path}.{key}", described, replace(desk.reports, edit=edit), desk.look)

    def refresh(self, value: BaseModel | None, anew: bool = False) -> None:
        """Show which model these parameters are of."""
        self.field.refresh(self._names[_model_of(value)], anew)


def make_row(desk: Desk, path: str, info: FieldInfo, *, folded: bool = False) -> Field | Group:
    """The row of a parameter, or the rows of a section."""
    models, optional = _models(info)
    if (len(models) == 1 and not optional) or _key(info, models):
        return FoldedGroup(desk, path, info) if folded else Group(desk, path, info)
    return Field(path, info, desk.reports, desk.look, picks=path in AT_ONCE or path in FROM_FILES)


def make_choice(desk: Desk, path: str, info: FieldInfo | None) -> ModelChoice | None:
    """The row that chooses the model, where a section allows several."""
    models, optional = _models(info) if info else ((), False)
    if len(models) + optional < 2 or info is None:
        return None
    key = _key(info, models)
    assert key
    names: dict[str, type | None] = {NONE: None} if optional else {}
    names |= {get_args(model.model_fields[key].annotation)[0]: model for model in models}
    return ModelChoice(desk, path, info, key, names)


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


def _described(info: FieldInfo | None) -> str:
    return f"<span class='lc-quiet'>{escape((info.description or '') if info else '')}</span>"


def _model_of(value: Any) -> type | None:
    return None if value is None else type(value)
