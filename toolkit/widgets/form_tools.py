"""`ExperimentBar`: the name of an experiment, whether it is saved, and load, save, undo, redo, copy as Python."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import anywidget
import ipywidgets as W
import traitlets

from toolkit.ground.errors import LandcoverError
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_frame import PanelFrame
from toolkit.widgets.picking import PickText, Suggestion

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

HERE = resources.files("toolkit.widgets")


class PythonCell(anywidget.AnyWidget):
    """A button that copies a text to the clipboard and shows it, to be copied by hand where a browser refuses."""

    _esm = (HERE / "python_cell.js").read_text(encoding="utf-8")

    text = traitlets.Unicode("").tag(sync=True)


class ExperimentBar(Panel):
    """The head of an experiment: its name, unsaved changes, and buttons."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problem = ErrorBox()
        self.title, self.said = W.HTML(), W.HTML()
        self.undo = self._button("Undo", "undo", "Take back the last change", self._undo)
        self.redo = self._button("Redo", "repeat", "Make the change again that was taken back", self._redo)
        self.save = self._button("Save YAML", "save", "Write the experiment file; comments stay", self._save)
        self.overwrite = self._button("Overwrite", "", "Save in spite of that", lambda: self._save(overwrite=True))
        self.load = self._button("Load YAML…", "folder-open", "Take another experiment file", self._unfold)
        self.path = PickText("path of an experiment file", layout=W.Layout(flex="1"))
        self.load_path = self._button("Load", "", "Take this file; undo brings the present one back", self._load)
        self.copy = PythonCell()
        self._loading = W.HBox([self.path, self.load_path], layout=W.Layout(display="none"))
        self._refresh()
        buttons = W.HBox([self.undo, self.redo, self.save, self.load, self.copy])
        buttons.add_class("lc-buttons")
        head = W.HBox([self.title, buttons])
        head.add_class("lc-head")
        below = W.HBox([self.said, self.problem, self.overwrite])
        below.add_class("lc-below")
        super().__init__([PanelFrame(), head, self._loading, below])
        self._dom_classes = ("lc-bar", "lc-keys")
        self._end_with(experiment.observe(self.problem.guard(lambda _: self._changed())))

    def _button(self, name: str, icon: str, tooltip: str, work: Callable[[], None]) -> W.Button:
        button = W.Button(description=name, icon=icon, tooltip=tooltip, layout=W.Layout(width="auto"))
        button.on_click(self.problem.guard(lambda _: work()))
        return button

    def _refresh(self) -> None:
        one = self.experiment
        mark = "" if one.is_saved else "<span class='lc-unsaved' title='changes that no file holds'>● not saved</span>"
        self.title.value = f"<b title='{escape(str(one.path))}'>{escape(one.name)}</b> {mark}"
        self.undo.disabled, self.redo.disabled = not one.can_undo, not one.can_redo
        self.copy.text = one.to_python()
        self.overwrite.layout.display = "none"

    def _changed(self) -> None:
        self.said.value = ""
        self._refresh()

    def _say(self, words: str) -> None:
        self.said.value = f"<span class='lc-quiet' role='status'>{escape(words)}</span>"

    def _undo(self) -> None:
        self.experiment.undo()

    def _redo(self) -> None:
        self.experiment.redo()

    def _save(self, overwrite: bool = False) -> None:
        try:
            path = self.experiment.save(overwrite=overwrite)
        except LandcoverError:
            self.said.value = ""
            self.overwrite.layout.display = ""
            raise
        self._say(f"saved {path.name}")

    def _unfold(self) -> None:
        """Show or hide the line for a path."""
        opening = self._loading.layout.display == "none"
        if opening:
            present, catalog = self.experiment.path, self.experiment.path.parent / self.experiment.catalog
            files = sorted([*present.parent.glob("*.yml"), *present.parent.glob("*.yaml")])
            self.path.suggest([Suggestion(str(one)) for one in files if one != catalog])
            self.path.value = str(present)
        self._loading.layout.display = "" if opening else "none"

    def _load(self) -> None:
        path = Path(self.path.value.strip()).expanduser()
        self.experiment.open(path)
        self._loading.layout.display = "none"
        self._say(f"loaded {path.name}")
