"""Forms made from the parameters of an experiment: `form(experiment, "learning")`.

The experiment is the truth. A form edits it and follows it, so that several forms on one experiment always agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.ground.errors import ParameterError
from toolkit.widgets.drafts import drafts_of
from toolkit.widgets.fields import Field, Look, Reports
from toolkit.widgets.form_tools import ExperimentBar
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_frame import PanelFrame
from toolkit.widgets.picking import Suggestion
from toolkit.widgets.sections import Desk, Group, WholeGroup, make_choice, make_row
from toolkit.widgets.suggestions import HINTED, Hints

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment


def form(experiment: Experiment, section: str = "", *, bar: bool = True) -> Form:
    """A form that edits a section of an experiment, or all of it.

    Args:
        section: dotted path of a section (`"learning"`, `"learning.network"`) or of a parameter (`"learning.epochs"`);
            empty for the whole experiment.
        bar: whether the form of the whole experiment has buttons to load, save, undo and copy it.

    Raises:
        ParameterError: no such section.
    """
    return Form(experiment, section, bar=bar)


class Form(Panel):
    """Inputs for the parameters of a section. An invalid value is refused beside its input, and changes nothing."""

    def __init__(self, experiment: Experiment, section: str = "", *, bar: bool = True) -> None:
        self.experiment = experiment
        self.problem = ErrorBox()
        self._section = section
        self._drafts = drafts_of(experiment)
        self._replaced = experiment.replaced
        self.hints = Hints(experiment, self._hint, self.problem.tell)
        reports = Reports(self.edit, self.refuse, self._give_up, self.problem.guard)
        self._root = self._make_root(Desk(reports, Look(), self._forget, self.refresh))
        self.bar = ExperimentBar(experiment) if bar and not section else None
        self.refresh()
        below = [self.bar] if self.bar else []
        super().__init__([PanelFrame(), self._root.row, *below, self.problem])
        self._dom_classes = ("lc-form", "lc-keys")
        follow = self.problem.guard(lambda *_: self.refresh())
        self._end_with(experiment.observe(follow), self._drafts.observe(follow), self.hints.close)

    @property
    def fields(self) -> dict[str, Field]:
        """Each row of the form by the dotted path of its parameter."""
        if isinstance(self._root, Group) and self._root.open():
            self.refresh()
        return self._made()

    def refresh(self) -> None:
        """Show the experiment as it is, and what waits for another value."""
        anew, self._replaced = self._replaced != self.experiment.replaced, self.experiment.replaced
        if anew:
            self._drafts.drop(self._drafts.values)
        value = self.experiment.get(self._section) if self._section else self.experiment.params
        self._root.refresh(value, anew)
        rows = self._made()
        waiting, reasons = self._drafts.values, self._drafts.reasons
        for path, row in rows.items():
            if path in waiting:
                row.wait(waiting[path], reasons[path])
            elif row.is_waiting:
                row.give_up()
        self.hints.refresh(HINTED & rows.keys())

    def edit(self, path: str, value: Any) -> None:
        """Change a parameter, and with it those that wait and may be valid together with it."""
        waiting = {**self._drafts.values, path: value}
        for changes in (waiting, {path: value}) if len(waiting) > 1 else (waiting,):
            try:
                self.experiment.set(changes)
            except ParameterError as error:
                problem = error
            else:
                self._accept(changes)
                return
        words = words_beside(str(problem), str(self.experiment.path), path, value)
        if any(place == path or place.startswith(f"{path}.") for place in problem.places):
            self._drafts.drop([path])
            self.refuse(path, words)
        else:
            self._drafts.wait(path, value, words)

    def refuse(self, path: str, message: str) -> None:
        """Say beside an input why its value is not taken."""
        self._made()[path].refuse(message)

    def _made(self) -> dict[str, Field]:
        """The rows that are made; those of a section that was never opened are not."""
        root = self._root
        return {one.path: one for one in ([root] if isinstance(root, Field) else root.walk())}

    def _accept(self, changes: Mapping[str, Any]) -> None:
        rows = self._made()
        self._drafts.drop(changes)
        for path in changes:
            if path in rows:
                rows[path].accept()

    def _give_up(self, path: str) -> None:
        self._drafts.drop([path])
        self._made()[path].give_up()

    def _forget(self, section: str) -> None:
        """Forget what waits in a section whose rows are made anew."""
        self._drafts.drop([path for path in self._drafts.values if path.startswith(f"{section}.")])

    def _hint(self, path: str, suggestions: Sequence[Suggestion], note: str) -> None:
        if (row := self._made().get(path)) is not None:
            row.hint(suggestions, note)

    def _make_root(self, desk: Desk) -> Field | Group:
        if not self._section:
            return WholeGroup(desk)
        self.experiment.get(self._section)
        parent, _, name = self._section.rpartition(".")
        model = self._model_of(parent)
        if parent:  # the parameter that chooses the model of its section knows them all
            outer, _, last = parent.rpartition(".")
            choice = make_choice(desk, parent, self._model_of(outer).model_fields[last])
            if choice and choice.key == name:
                return choice.field
        return make_row(desk, self._section, model.model_fields[name])

    def _model_of(self, path: str) -> type[Any]:
        return type(self.experiment.get(path) if path else self.experiment.params)


def words_beside(message: str, place: str, path: str, value: Any) -> str:
    """A message without what the row itself says: the file, the parameter and its value."""
    short = message.removeprefix(f"{place}: ").removeprefix(f"{path} = {value!r}: ")
    return short.replace("input should be", "must be").replace("Input should be", "must be")
