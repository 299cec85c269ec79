"""The accuracy of a map: what the last validation found, or that there was none."""

from __future__ import annotations

from pathlib import Path

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.validation.metrics import Assessment
from toolkit.widgets import ResultPanel


def test_numbers_and_matrix_of_the_last_validation(finished_demo: Path) -> None:
    experiment = Experiment.load(finished_demo)
    panel = ResultPanel(experiment)
    assert panel.settle() and not panel.problem.value
    folder = RunFolder(experiment.folder)
    matrix = Assessment.load(folder.validation).matrix
    for number in (matrix.oa, matrix.kappa, matrix.f_score):
        assert f"<td>{number:.3f}</td>" in panel.summary.value
    assert str(folder.report) in panel.summary.value
    assert panel.matrix.value[:4] == b"\x89PNG" and panel.matrix.layout.display == ""
    panel.close()


def test_numbers_of_what_was_before_are_called_so(finished_demo: Path) -> None:
    experiment = Experiment.load(finished_demo)
    panel = ResultPanel(experiment)
    assert panel.settle() and "before the last change" not in panel.summary.value
    experiment.set({"sampling.max_per_class": 20})
    assert panel.settle()
    assert (
        "made before the last change (sample: made with sampling.max_per_class = 150 (now 20))" in panel.summary.value
    )
    experiment.undo()
    assert panel.settle() and "before the last change" not in panel.summary.value
    panel.close()


def test_without_a_validation_it_says_so(tiny_demo: Path) -> None:
    panel = ResultPanel(Experiment.load(tiny_demo))
    assert panel.settle()
    assert "Not validated yet" in panel.summary.value and panel.matrix.layout.display == "none"
    panel.close()


def test_damaged_metrics_are_told_in_place(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    folder = RunFolder(experiment.folder)
    folder.validation.mkdir(parents=True)
    folder.metrics.write_text("{", encoding="utf-8")
    panel = ResultPanel(experiment)
    assert panel.settle()
    assert panel.problem.value and "Traceback" not in panel.problem.value
    panel.close()
