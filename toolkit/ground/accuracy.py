"""Confusion matrix and what is computed from it. Pure arithmetic.

Rows are reference, columns predicted, as in the Orfeo ToolBox's `ComputeConfusionMatrix`.
Sources: Congalton (1991), Remote Sensing of Environment 37 (overall accuracy, producer's and user's accuracy);
Cohen (1960), Educational and Psychological Measurement 20 (Kappa).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts of reference class (row) against predicted class (column)."""

    counts: np.ndarray
    """int64 of shape (class, class)."""
    codes: tuple[int, ...]
    """Class code of each row and column."""

    @classmethod
    def of(cls, reference: np.ndarray, predicted: np.ndarray, codes: Sequence[int]) -> ConfusionMatrix:
        """Count pairs of class codes; `reference` and `predicted` have one shape.

        Raises:
            ValueError: a code that is not in `codes`.
        """
        counts = count_pairs(_indices(reference, codes), _indices(predicted, codes), len(codes))
        return cls(counts, tuple(int(code) for code in codes))

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        if self.codes != other.codes:
            raise ValueError(f"matrices over other classes: {self.codes} and {other.codes}")
        return ConfusionMatrix(self.counts + other.counts, self.codes)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @property
    def oa(self) -> float:
        """Overall accuracy: the share of pixels on the diagonal."""
        return _ratio(np.trace(self.counts), self.total)

    @property
    def kappa(self) -> float:
        """Cohen's Kappa: agreement beyond what chance with the same margins would give."""
        chance = float(self.counts.sum(0) @ self.counts.sum(1)) / max(self.total, 1) ** 2
        return (self.oa - chance) / (1 - chance) if chance < 1 else 0.0

    @property
    def precision(self) -> np.ndarray:
        """User's accuracy of each class, float64; 0 where the class is never predicted."""
        return _ratios(np.diag(self.counts), self.counts.sum(0))

    @property
    def recall(self) -> np.ndarray:
        """Producer's accuracy of each class, float64; 0 where the class is not in the reference."""
        return _ratios(np.diag(self.counts), self.counts.sum(1))

    @property
    def f_scores(self) -> np.ndarray:
        """F-score of each class: 2 TP / (2 TP + FP + FN), float64."""
        return _ratios(2 * np.diag(self.counts), self.counts.sum(0) + self.counts.sum(1))

    @property
    def present(self) -> np.ndarray:
        """Whether each class is in the reference, bool."""
        return self.counts.sum(1) > 0

    @property
    def f_score(self) -> float:
        """Mean F-score over the classes present in the reference."""
        return float(self.f_scores[self.present].mean()) if self.present.any() else 0.0

    def metrics(self, labels: Mapping[int, str] | None = None) -> dict[str, Any]:
        """`oa`, `kappa`, `f_score`, `pixels` and `per_class`, ready for JSON."""
        rows = zip(self.codes, self.precision, self.recall, self.f_scores, self.counts.sum(1), strict=True)
        per_class = [
            {
                "code": code,
                "label": (labels or {}).get(code, str(code)),
                "precision": float(precision),
                "recall": float(recall),
                "f_score": float(f_score),
                "pixels": int(pixels),
            }
            for code, precision, recall, f_score, pixels in rows
            if pixels > 0
        ]
        return {
            "oa": self.oa,
            "kappa": self.kappa,
            "f_score": self.f_score,
            "pixels": self.total,
            "per_class": per_class,
        }

    def __repr__(self) -> str:
        return (
            f"ConfusionMatrix({int(self.present.sum())} classes, {self.total:,} pixels: "
            f"OA {self.oa:.3f}, Kappa {self.kappa:.3f}, F-score {self.f_score:.3f})"
        )


def count_pairs(reference: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Matrix of counts, int64 (class, class), from two arrays of class indices of one length."""
    flat = np.bincount(reference.ravel() * classes + predicted.ravel(), minlength=classes * classes)
    return flat.reshape(classes, classes)


def _indices(values: np.ndarray, codes: Sequence[int]) -> np.ndarray:
    """Position in `codes` of each value, int64, flat."""
    values = np.ravel(values)
    known = np.isin(values, codes)
    if not known.all():
        raise ValueError(f"class {values[~known][0]} is not among {', '.join(map(str, codes))}")
    table = np.zeros(max(codes) + 1, dtype=np.int64)
    table[list(codes)] = np.arange(len(codes))
    return table[values]


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else 0.0


def _ratios(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
