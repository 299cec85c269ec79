"""`ExternalFeatures`: the feature functions of an experiment, each with its parameters as a form.

A function that ships is known at once. A person's own file is run to know its parameters, and only after they asked
for it: by the button, or by naming file and function here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from toolkit.features.external import ExternalFunction
from toolkit.features.loading import SHIPPED, own_function, own_functions, shipped_function
from toolkit.features.parameters import ExternalParams
from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import LandcoverError, ParameterError
from toolkit.ground.params import plain
from toolkit.widgets.background import Background
from toolkit.widgets.function_form import FunctionForm, first_values
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.panel import Panel, close_inner
from toolkit.widgets.panel_frame import PanelFrame
from toolkit.widgets.picking import PickText, Suggestion

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

PATH = "features.external"

OWN = "your own…"


class ExternalFeatures(Panel):
    """Feature functions to add, set and remove: `ExternalFeatures(experiment)`.

    Args:
        told: called when more is known of a function, in a thread.
    """

    def __init__(self, experiment: Experiment, told: Callable[[], None] = lambda: None) -> None:
        self.experiment = experiment
        self.problem = ErrorBox()
        self.entries: list[FunctionForm] = []
        self._told = told
        self._failed: dict[SourceFile, LandcoverError] = {}
        self._shown: Any = None
        self._lock = threading.RLock()
        self._background = Background(self._read, lambda _: self._changed(), self.problem.tell)
        self._list = W.VBox()
        self._make_adding()
        head = W.HTML("<b>Functions</b> &ensp;<span class='lc-quiet'>features that a Python function computes</span>")
        super().__init__([PanelFrame(), head, self._list, self._adding, self._naming, self.problem])
        self._dom_classes = ("lc-form", "lc-keys", "lc-external")
        self._end_with(experiment.observe(self.problem.guard(lambda _: self.refresh())), self._background.close)
        self.refresh()

    def refresh(self) -> None:
        """Show the functions of the experiment."""
        with self._lock:
            chosen = self.experiment.features.external
            kinds = [(one.name, one.file) for one in chosen]
            if kinds != self._shown:
                self._shown, before = kinds, self.entries
                self.entries = [self._entry(place) for place in range(len(chosen))]
                self._list.children = [entry.box for entry in self.entries]
                for entry in before:
                    close_inner(entry.box)
                    entry.box.close()
            for entry, one in zip(self.entries, chosen, strict=True):
                entry.refresh(one, *self._known(one))

    def add(self, name: str, file: str = "") -> None:
        """Add a function to the experiment: one that ships, or one of a person's file, which is then run.

        Raises:
            ParameterError: none that ships has this name, or the file cannot be read.
        """
        entry: dict[str, Any] = {"name": name.strip()}
        if file:
            if not entry["name"]:
                raise ParameterError(f"which function of {file}? Write its name beside the file")
            entry["file"] = file
            self._ask(SourceFile.read(self.experiment.path.parent / file))
        else:
            entry["params"] = first_values(shipped_function(name), self.experiment.series)
        self._set([*plain(self.experiment.features.external), entry])

    def remove(self, place: int) -> None:
        """Take a function away, by its position."""
        entries = plain(self.experiment.features.external)
        self._set([*entries[:place], *entries[place + 1 :]])

    def read_file(self, place: int) -> None:
        """Run the file of a function to know its parameters; returns at once."""
        file = self.experiment.features.external[place].file
        self._ask(SourceFile.read(self.experiment.path.parent / file))

    def is_known(self, one: ExternalParams) -> bool:
        """Whether the function ships with the toolkit, or its file as it is now was run."""
        return self._known(one)[0] is not None

    def settle(self, seconds: float = 10) -> bool:
        """Wait until all files that were asked for are read; whether that came within `seconds`."""
        return self._background.settle(seconds)

    def _make_adding(self) -> None:
        wide = W.Layout(width="auto", flex="1 1 0", min_width="0")
        options = [(f"{name}: {shipped_function(name).meaning}", name) for name in SHIPPED]
        self.choice = W.Dropdown(options=[*options, (OWN, "")], layout=wide, tooltip="A function to add")
        self.add_button = W.Button(description="Add", icon="plus", layout=W.Layout(width="auto"))
        self.add_button.tooltip = "Add this function to the features"
        self.file, self.name = PickText("my_features.py", layout=wide), W.Text(placeholder="function", layout=wide)
        self.file.explain("Python file, relative to the experiment file; adding runs it")
        self.name.tooltip = "Name of the function in it"
        self._adding = W.HBox([self.choice, self.add_button])
        self._naming = W.HBox([self.file, self.name])
        self._naming.layout.display = "none"
        for row in (self._adding, self._naming):
            row.add_class("lc-adding")
        self.choice.observe(self.problem.guard(lambda _: self._name_own()), "value")
        self.add_button.on_click(self.problem.guard(lambda _: self._add()))

    def _name_own(self) -> None:
        own = not self.choice.value
        self._naming.layout.display = "" if own else "none"
        if own:
            files = sorted(one.name for one in self.experiment.path.parent.glob("*.py"))
            self.file.suggest([Suggestion(one) for one in files])

    def _add(self) -> None:
        if self.choice.value:
            self.add(self.choice.value)
            return
        if not self.file.value.strip():
            raise ParameterError("which file? Name the Python file that the function is in")
        self.add(self.name.value, self.file.value.strip())
        self.name.value = ""

    def _set(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self.experiment.set({PATH: entries})

    def _entry(self, place: int) -> FunctionForm:
        def edit(changes: Mapping[str, Any]) -> None:
            entries = plain(self.experiment.features.external)
            entries[place] = {**entries[place], **changes}
            self._set(entries)

        return FunctionForm(edit, lambda: self.remove(place), lambda: self.read_file(place), self.problem)

    def _known(self, one: ExternalParams) -> tuple[ExternalFunction | None, str]:
        """The function, as far as it is known without running anything more; else in words what is in the way."""
        if one.file is None:
            return shipped_function(one.name), ""
        try:
            source = SourceFile.read(self.experiment.path.parent / one.file)
            if source in self._failed:
                raise self._failed[source]
            return (own_function(source, one.name), "") if source.is_imported else (None, "")
        except LandcoverError as error:
            return None, str(error)

    def _ask(self, source: SourceFile) -> None:
        self._failed.pop(source, None)
        self._background.ask(source)

    def _read(self, source: SourceFile) -> None:
        """In a thread: run the file."""
        try:
            own_functions(source)
        except LandcoverError as error:
            self._failed[source] = error

    def _changed(self) -> None:
        self.refresh()
        self._told()
