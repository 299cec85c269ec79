"""`Workbench`: every panel of an experiment on one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from toolkit.widgets.features_panel import FeaturesPanel
from toolkit.widgets.form_tools import ExperimentBar
from toolkit.widgets.forms import form
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.mapping_panel import MappingPanel
from toolkit.widgets.maps import ClassMap
from toolkit.widgets.network_panel import NetworkPanel
from toolkit.widgets.panel import Panel
from toolkit.widgets.result_panel import ResultPanel
from toolkit.widgets.run_panel import RunPanel
from toolkit.widgets.sampling_panel import SamplingPanel
from toolkit.widgets.tiles_panel import TilesPanel
from toolkit.widgets.tuning_panel import TuningPanel

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

STYLE = (resources.files("toolkit.widgets") / "workbench.css").read_text(encoding="utf-8")

MARKS = {"done": "✓", "up to date": "✓", "running": "▶", "waiting": "·", "outdated": "≠", "stopped": "■", "failed": "✗"}
"""A mark for each state of a stage; its word is beside it for those that a person must act on."""

SAID = ("running", "stopped", "failed", "outdated")


class Workbench(Panel):
    """All panels of an experiment behind tabs, from its tiles to its accuracy, below how far it is.

    A tab is made when it is first opened. A job that was started in one of them is shown in all; when it ends, the map
    shows what it made.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problem = ErrorBox()
        self.bar, self.run = ExperimentBar(experiment), RunPanel(experiment)
        self._runs = [self.run]
        self.progress = W.HTML()
        self._makers: dict[str, Callable[[], W.Widget]] = {
            "Tiles": lambda: TilesPanel(experiment),
            "Features": lambda: FeaturesPanel(experiment),
            "Samples": lambda: SamplingPanel(experiment),
            "Network": lambda: NetworkPanel(experiment),
            "Tuning": lambda: self._beside_the_run(TuningPanel(experiment)),
            "Mapping": lambda: self._beside_the_run(MappingPanel(experiment)),
            "Run": lambda: self.run,
            "Map": lambda: ClassMap(experiment),
            "Accuracy": lambda: ResultPanel(experiment),
            "All parameters": lambda: form(experiment, bar=False),
        }
        self.panels: dict[str, W.Widget] = {}
        """The panels opened so far, by the name of their tab."""
        self.tabs = W.Tab([W.VBox() for _ in self._makers], titles=list(self._makers), selected_index=0)
        super().__init__([W.HTML(f"<style>{STYLE}</style>"), self.bar, self.progress, self.problem, self.tabs])
        self.add_class("lc-workbench")
        guard = self.problem.guard
        self.tabs.observe(guard(lambda _: self.show_tab(self._chosen)), "selected_index")
        self.run.observe(guard(lambda change: self._tell(change["new"]), clears=False), "chain")
        self.run.observe(guard(lambda change: self._ended(change["new"]), clears=False), "job_state")
        self._end_with(self.run.close)  # whether its tab was opened or not
        self._tell(self.run.chain)
        guard(self.show_tab)(self._chosen)

    def show_tab(self, name: str) -> W.Widget:
        """Open a tab, by its name; gives its panel."""
        place = list(self._makers).index(name)
        if name not in self.panels:
            self.panels[name] = self._makers[name]()
            self.tabs.children[place].children = [self.panels[name]]
        self.tabs.selected_index = place
        return self.panels[name]

    def _beside_the_run(self, made: TuningPanel | MappingPanel) -> TuningPanel | MappingPanel:
        """A panel with stages of its own, which shows the jobs of the others as they show its own."""
        guard = self.problem.guard
        for one, others in ((made.run, list(self._runs)), *((one, [made.run]) for one in self._runs)):
            one.observe(guard(lambda _, one=one, others=others: _follow(one, others), clears=False), "job_state")
        self._runs.append(made.run)
        return made

    @property
    def _chosen(self) -> str:
        return list(self._makers)[self.tabs.selected_index or 0]

    def _ended(self, state: str) -> None:
        """Show what a job has made."""
        if state in ("done", "stopped", "failed"):
            for name in {"Network", "Accuracy"} & set(self.panels):
                self.panels[name].refresh()
            if "Map" in self.panels:
                self.panels["Map"].look_again()

    def _tell(self, stages: Sequence[Mapping[str, Any]]) -> None:
        self.progress.value = f"<div class='lc-progress-line'>{' › '.join(map(stage_html, stages))}</div>"


def _follow(one: RunPanel, others: Sequence[RunPanel]) -> None:
    """Have panels show the job that another one started."""
    for other in others:
        if one.job is not None and (other.job is None or other.job.id != one.job.id):
            other.refresh()


def stage_html(stage: Mapping[str, Any]) -> str:
    """A stage in a few characters: its mark, its name, and what matters of its state."""
    state, part = str(stage["state"]), stage["part"]
    said = state if state in SAID else ""
    if part is not None:
        said = f"{100 * part:.0f} %"
    words = f"{MARKS[state]} {escape(str(stage['name']))} {said}".rstrip()
    return f"<span class='lc-stage lc-{state.replace(' ', '-')}' title='{state}'>{words}</span>"
