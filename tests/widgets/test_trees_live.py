"""Trees in what shows a training: one point, and no epochs to wait for."""

from __future__ import annotations

from pathlib import Path

from toolkit import Experiment, train
from toolkit.widgets import LiveCurves, NetworkPanel


def test_curves_of_trees_have_one_point_and_are_done(sampled_demo: Path) -> None:
    experiment = Experiment.load(sampled_demo)
    experiment.set({"learning.network": {"name": "random_forest", "trees": 6}, "learning.epochs": 200})
    first, again, shown = (LiveCurves(show=False) for _ in range(3))
    train(experiment, callbacks=[first])
    train(experiment, callbacks=[again])
    shown.show_run(experiment)
    for curves in (first, again, shown):
        assert len(curves.history) == 1
        assert (curves.status["phase"], curves.status["epochs"], curves.status["best"]) == ("done", 1, 1)
        curves.close()


def test_the_panel_says_that_trees_grow_once(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    experiment.set({"learning.network": {"name": "random_forest"}})
    panel = NetworkPanel(experiment)
    assert panel.settle()
    assert "none: trees grow once" in panel.facts.value and "1 epochs" in panel.facts.value
    assert panel.layers.value.count("lc-layer'") == 2
    panel.close()
