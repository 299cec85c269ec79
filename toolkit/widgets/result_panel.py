"""`ResultPanel`: how good the map is: OA, Kappa, F-score, and the confusion matrix of the last validation."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as W

from toolkit.experiment.folder import RunFolder
from toolkit.experiment.stages import stages
from toolkit.experiment.verbs import left_out_assessment, postprocessed_assessment
from toolkit.figures.confusion import confusion_figure
from toolkit.figures.style import png
from toolkit.ground.errors import LandcoverError
from toolkit.validation.metrics import Assessment
from toolkit.widgets.background import Background
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_frame import PanelFrame

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

NOT_YET = "Not validated yet: run the whole chain, or <code>validate(experiment)</code>."

WIDEST = 900
"""Pixels across of the confusion matrix at most."""


@dataclass(frozen=True)
class _Found:
    assessments: dict[str, Assessment]
    """What was tested, in words -> how it did."""
    matrix: bytes
    """The confusion matrix, PNG."""
    report: Path
    outdated: str
    """How it was made otherwise than the experiment is now; empty where it was not."""


class ResultPanel(Panel):
    """The accuracy of an experiment's map; `refresh()` looks at the run folder again, in a thread."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problem = ErrorBox()
        self.summary, self.matrix = W.HTML(NOT_YET), W.Image(layout=W.Layout(display="none", max_width=f"{WIDEST}px"))
        self._reading = Background(self._read, self._show, self.problem.tell)
        super().__init__([PanelFrame(), self.problem, self.summary, self.matrix])
        self.add_class("lc-result").add_class("lc-keys")
        self._end_with(self._reading.close, experiment.observe(lambda *_: self.refresh()))
        self.refresh()

    def refresh(self) -> None:
        """Show what the last validation found; returns at once."""
        self._reading.ask()

    def settle(self, seconds: float = 10) -> bool:
        """Wait until it is shown; whether that came within `seconds`."""
        return self._reading.settle(seconds)

    def _read(self) -> _Found | None:
        folder = RunFolder(self.experiment.folder)
        if not folder.metrics.exists():
            return None
        tested = {"Test polygons, same area": Assessment.load(folder.validation)}
        left_out = left_out_assessment(folder)
        if left_out is not None:
            tested["Left-out tile"] = left_out
        postprocessed = postprocessed_assessment(folder)
        if postprocessed is not None:
            tested["Post-processed map, test polygons"] = postprocessed
        matrix = confusion_figure(next(iter(tested.values())).matrix, self.experiment.nomenclature)
        return _Found(tested, png(matrix), folder.report, self._outdated())

    def _outdated(self) -> str:
        """Which result was made otherwise, and how; what cannot be told for want of the images is not."""
        with suppress(LandcoverError):
            return next(
                (f"{one.name}: {one.message}" for one in stages(self.experiment) if one.state == "outdated"), ""
            )
        return ""

    def _show(self, found: _Found | None) -> None:
        self.problem.clear()
        self.summary.value = summary_html(found.assessments, found.report, found.outdated) if found else NOT_YET
        self.matrix.layout.display = "" if found else "none"
        if found:
            self.matrix.value = found.matrix


def summary_html(assessments: dict[str, Assessment], report: Path, outdated: str = "") -> str:
    """OA, Kappa and F-score of each assessment, where the report lies, and whether it is of what was before."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{one.matrix.oa:.3f}</td><td>{one.matrix.kappa:.3f}</td>"
        f"<td>{one.matrix.f_score:.3f}</td><td>{one.matrix.total:,}</td></tr>"
        for name, one in assessments.items()
    )
    head = "<tr><th></th><th>OA</th><th>Kappa</th><th>F-score</th><th>pixels</th></tr>"
    before = f"<p>These are of results made before the last change ({escape(outdated)}).</p>" if outdated else ""
    return (
        f"{before}<table class='lc-result-table'>{head}{rows}</table>"
        f"<p class='lc-quiet'>All of it, class by class: {escape(str(report))}</p>"
    )
