"""A panel that is closed, or made again by its cell, leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets as W
import pytest
from ipywidgets.widgets.widget import _instances

from toolkit.experiment.config import Experiment
from toolkit.widgets import (
    ClassMap,
    MappingPanel,
    NetworkPanel,
    PixelInspector,
    RunPanel,
    SamplingPanel,
    TilesPanel,
    Workbench,
    form,
)
from toolkit.widgets import panel as module
from toolkit.widgets.drafts import drafts_of
from toolkit.widgets.features_panel import FeaturesPanel
from toolkit.widgets.leaflet import WebMap
from toolkit.widgets.panel import Panel

MAKERS: dict[str, Callable[[Experiment], Any]] = {
    "map": ClassMap,
    "inspector": PixelInspector,
    "tiles": TilesPanel,
    "features": FeaturesPanel,
    "samples": SamplingPanel,
    "network": NetworkPanel,
    "mapping": MappingPanel,
    "run": RunPanel,
    "form": lambda experiment: form(experiment, "learning"),
    "whole form": form,
    "workbench": Workbench,
}


class Shell:
    """What a kernel says of the cell that runs."""

    def __init__(self) -> None:
        self.cell, self.execution = "one", 1

    def get_parent(self) -> dict[str, Any]:
        return {"header": {"msg_id": str(self.execution)}, "metadata": {"cellId": self.cell} if self.cell else {}}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    found = Shell()
    monkeypatch.setattr(module, "get_ipython", lambda: found)
    yield found
    for _, panels in module._BY_CELL.values():
        for one in panels:
            one.close()
    module._BY_CELL.clear()


def watchers(experiment: Experiment) -> int:
    return len(experiment._observers) + len(drafts_of(experiment)._watchers)


def seen() -> set[str]:
    """Every widget that has a face or an action."""
    return {name for name, one in _instances.items() if not isinstance(one, W.Layout | W.widget_style.Style)}


@pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))
def test_a_closed_panel_leaves_no_observer_and_no_widget(
    make: Callable[[Experiment], Any], experiment: Experiment, tmp_path: Any
) -> None:
    experiment.path = tmp_path / "experiment.yml"
    before = seen()
    shown = make(experiment)
    assert watchers(experiment) or isinstance(shown, ClassMap)
    shown.close()
    assert watchers(experiment) == 0
    left = [_instances[name] for name in seen() - before]
    assert not [one for one in left if isinstance(one, W.DOMWidget) and not isinstance(one, WebMap)]
    assert not [one.layers for one in left if isinstance(one, WebMap) and one.layers + one.controls]


def test_a_cell_that_is_run_again_closes_what_it_made(shell: Shell, experiment: Experiment) -> None:
    first, beside = form(experiment, "learning"), form(experiment, "learning")
    observed = watchers(experiment)
    assert first.comm is not None and beside.comm is not None, "one execution may make several"
    shell.execution = 2
    second = form(experiment, "learning")
    assert first.comm is None and beside.comm is None and second.comm is not None
    assert watchers(experiment) == observed / 2
    shell.cell, shell.execution = "two", 3
    form(experiment, "learning")
    assert second.comm is not None, "another cell's stays"


def test_outside_of_a_cell_nothing_is_closed(shell: Shell, experiment: Experiment) -> None:
    shell.cell = ""
    panels = [form(experiment, "learning")]
    shell.execution = 2
    panels.append(form(experiment, "learning"))
    assert all(one.comm is not None for one in panels)
    for one in panels:
        one.close()


def test_it_ends_once() -> None:
    ended: list[int] = []
    one = Panel([W.HBox([W.Button()])])
    one._end_with(lambda: ended.append(1))
    button = one.children[0].children[0]
    one.close()
    one.close()
    assert ended == [1] and button.comm is None


def test_the_workbench_closes_the_run_panel_whose_tab_was_never_opened(experiment: Experiment) -> None:
    page = Workbench(experiment)
    assert "Run" not in page.panels
    page.close()
    assert page.run.comm is None


def test_the_workbench_has_the_map_look_again_when_a_job_ends(
    experiment: Experiment, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment.path = tmp_path / "experiment.yml"
    page = Workbench(experiment)
    shown = page.show_tab("Map")
    asked: list[int] = []
    monkeypatch.setattr(shown._refreshing, "ask", lambda: asked.append(1))
    page.run.job_state = "running"
    assert asked == []
    page.run.job_state = "done"
    assert asked == [1]
    page.close()
