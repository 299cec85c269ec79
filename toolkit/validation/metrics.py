"""What an assessment found, as a value and as files: `confusion_matrix.csv` and `metrics.json`."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import RunFolderError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.writing import explained, write_text

METRICS_FILE = "metrics.json"
MATRIX_FILES = {
    "test": "confusion_matrix.csv",
    "left_out": "confusion_matrix_left_out.csv",
    "postprocessed": "confusion_matrix_postprocessed.csv",
    "postprocessed_left_out": "confusion_matrix_postprocessed_left_out.csv",
}
"""File of the matrix for each role of the reference polygons, and map."""

CORNER = "reference\\predicted"


@dataclass(frozen=True)
class Assessment:
    """A map compared with reference polygons."""

    matrix: ConfusionMatrix
    """Pixels of each reference class (row) and predicted class (column)."""
    unmapped: int = 0
    """Reference pixels where the map holds no class; they are not in the matrix."""
    polygons: int = 0
    """Polygons of which at least one pixel is in the map."""
    without_pixel: tuple[int, ...] = ()
    """Numbers of the polygons that hold no pixel centre of the map: too small, or outside it."""

    def __add__(self, other: Assessment) -> Assessment:
        """Both pooled, pixel by pixel; they have the same classes."""
        return Assessment(
            self.matrix + other.matrix,
            self.unmapped + other.unmapped,
            self.polygons + other.polygons,
            self.without_pixel + other.without_pixel,
        )

    @classmethod
    def load(cls, folder: Path, role: str = "test") -> Assessment:
        """The assessment that `write_metrics` left in `folder`, of one of the roles of `MATRIX_FILES`.

        Raises:
            RunFolderError: the files are absent or not whole.
        """
        matrix = read_matrix(folder / MATRIX_FILES[role])
        path = folder / METRICS_FILE
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            found = found if role == "test" else found[role]
            return cls(matrix, int(found["unmapped"]), int(found["polygons"]), tuple(found["without_pixel"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"{path} holds no metrics of the {role} polygons ({error!r}); validate again"
            ) from error

    def metrics(self, nomenclature: Nomenclature) -> dict[str, Any]:
        """`oa`, `kappa`, `f_score`, `pixels`, what stands beside the matrix, and `per_class`, ready for JSON."""
        found = self.matrix.metrics({one.code: one.label for one in nomenclature.classes})
        per_class = found.pop("per_class")
        about = {"unmapped": self.unmapped, "polygons": self.polygons, "without_pixel": list(self.without_pixel)}
        return {**found, **about, "per_class": per_class}

    def __repr__(self) -> str:
        return f"Assessment({self.matrix!r}, {self.polygons:,} polygons, {self.unmapped:,} unmapped pixels)"

    def _repr_html_(self) -> str:
        matrix = self.matrix
        values = {
            "OA": f"{matrix.oa:.3f}",
            "Kappa": f"{matrix.kappa:.3f}",
            "mean F-score": f"{matrix.f_score:.3f}",
            "pixels": f"{matrix.total:,}",
            "polygons": f"{self.polygons:,}",
            "unmapped pixels": f"{self.unmapped:,}",
        }
        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{said}</td></tr>" for name, said in values.items()
        )
        return f"<table>{rows}</table>"


def write_metrics(
    folder: Path, assessment: Assessment, nomenclature: Nomenclature, **others: Assessment | None
) -> None:
    """Write `confusion_matrix.csv` and `metrics.json` into `folder`, each whole or not at all.

    The matrix has the predicted codes in its header and the reference code first in each row.

    Args:
        assessment: of the test polygons; its metrics stand at the top.
        others: by their roles, those of `MATRIX_FILES`; their metrics stand under the role, their matrices in files of
            their own.

    Raises:
        RunFolderError: the folder cannot be written, or the disk is full.
    """
    metrics = assessment.metrics(nomenclature)
    for role, name in MATRIX_FILES.items():
        found = assessment if role == "test" else others.get(role)
        if found is None:
            with explained(folder):
                (folder / name).unlink(missing_ok=True)  # that of an assessment before
            continue
        write_text(folder / name, matrix_csv(found.matrix))
        if role != "test":
            metrics[role] = found.metrics(nomenclature)
    write_text(folder / METRICS_FILE, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")


def matrix_csv(matrix: ConfusionMatrix) -> str:
    """The matrix as CSV text."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([CORNER, *matrix.codes])
    table.writerows([code, *row] for code, row in zip(matrix.codes, matrix.counts.tolist(), strict=True))
    return text.getvalue()


def read_matrix(path: Path) -> ConfusionMatrix:
    """The matrix that `write_metrics` wrote.

    Raises:
        RunFolderError: the file is absent or is no such matrix.
    """
    try:
        head, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        codes = tuple(int(code) for code in head[1:])
        counts = np.array([[int(value) for value in row] for row in rows], dtype=np.int64).reshape(-1, len(codes) + 1)
        if counts[:, 0].tolist() != list(codes):
            raise ValueError("reference codes differ from predicted codes")
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} is no confusion matrix ({error}); validate again") from error
    return ConfusionMatrix(counts[:, 1:], codes)
