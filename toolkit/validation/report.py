"""The report of an experiment: one HTML file that holds everything and needs nothing beside it.

Pictures come in ready made, as SVG text or PNG bytes: this room draws none.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.writing import write_text
from toolkit.ground_truth.cleaning_report import CleaningReport
from toolkit.validation.metrics import Assessment

TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Picture:
    """A picture of the report."""

    title: str
    content: str | bytes
    """SVG text or PNG bytes."""
    caption: str = ""
    wide: bool = True
    """Whether it takes the whole width of the page; two that do not stand side by side."""

    @property
    def uri(self) -> str:
        """The picture as a data URI: no script in it can run, and its names meet no others of the page."""
        kind = "svg+xml" if isinstance(self.content, str) else "png"
        content = self.content.encode() if isinstance(self.content, str) else self.content
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True)
class Report:
    """What a report tells."""

    name: str
    """Name of the experiment."""
    assessment: Assessment
    nomenclature: Nomenclature
    left_out: Assessment | None = None
    """The map against the polygons left out of the training area, where there are any."""
    postprocessed: Assessment | None = None
    """The post-processed map against the same test polygons, where there is one."""
    pictures: Sequence[Picture] = ()
    """In the order in which they stand."""
    parameters: str = ""
    """The experiment as YAML text."""
    cleaning: CleaningReport | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Versions, seed, inputs, date and the like, in the order in which they stand."""


def write_report(path: Path, report: Report) -> None:
    """Write the report as one HTML file, whole or not at all.

    Raises:
        RunFolderError: the file cannot be written, or the disk is full.
    """
    write_text(path, render_report(report))


def render_report(report: Report) -> str:
    """The report as HTML text."""
    environment = Environment(
        loader=PackageLoader("toolkit.validation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template(TEMPLATE)
    return template.render(
        report=report,
        matrix=report.assessment.matrix,
        classes=class_rows(report.assessment, report.nomenclature),
        absent=[one.label for one in _absent(report)],
    )


def class_rows(assessment: Assessment, nomenclature: Nomenclature) -> list[dict[str, Any]]:
    """One row for each class in the reference or in the map, in the order of the codes.

    Besides `code`, `label`, `colour`, `pixels`, `precision`, `recall` and `f_score`, the two classes that it is most
    often taken for: `taken_for`, a list of (label, share of its pixels), at least 1 %.
    """
    matrix = assessment.matrix
    met = matrix.present | (matrix.counts.sum(0) > 0)
    return [
        {
            "code": matrix.codes[index],
            "label": nomenclature.label(matrix.codes[index]),
            "colour": nomenclature.colour(matrix.codes[index]),
            "pixels": int(matrix.counts[index].sum()),
            "precision": float(matrix.precision[index]),
            "recall": float(matrix.recall[index]),
            "f_score": float(matrix.f_scores[index]),
            "taken_for": _taken_for(assessment, nomenclature, index),
        }
        for index in np.flatnonzero(met).tolist()
    ]


def _taken_for(assessment: Assessment, nomenclature: Nomenclature, index: int) -> list[tuple[str, float]]:
    row = assessment.matrix.counts[index].astype(float)
    shares = row / max(row.sum(), 1)
    shares[index] = 0
    order = np.argsort(-shares, kind="stable")[:2]
    return [
        (nomenclature.label(assessment.matrix.codes[one]), float(shares[one])) for one in order if shares[one] >= 0.01
    ]


def _absent(report: Report) -> list[Any]:
    """Classes of the nomenclature without a reference pixel."""
    matrix = report.assessment.matrix
    tested = set(np.array(matrix.codes)[matrix.present].tolist())
    return [one for one in report.nomenclature.classes if one.code not in tested]
