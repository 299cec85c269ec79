"""Confidence that means what it says: temperature scaling, and how far confidence and accuracy are apart.

Source: Guo et al. (2017), "On calibration of modern neural networks": the logits are divided by one number, the
temperature, with which the cross-entropy on the valid samples is least. The most probable class stays the same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from toolkit.ground.errors import RunFolderError
from toolkit.ground.writing import write_text

BINS = 15
"""Bins of the confidence, equally wide, as in the source."""
COLDEST, HOTTEST = 0.1, 10.0
"""Between these the temperature is sought: a valid set without a single error would have none above 0."""


@dataclass(frozen=True)
class Reliability:
    """Confidence beside accuracy, in bins of the confidence."""

    counts: list[int]
    """Samples of each bin."""
    confidence: list[float]
    """Mean confidence of each bin, 0 to 1; 0 where it is empty."""
    accuracy: list[float]
    """Share of the bin's samples that are right; 0 where it is empty."""

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean distance of confidence and accuracy, over the samples; 0 to 1."""
        gaps = zip(self.counts, self.confidence, self.accuracy, strict=True)
        return sum(n * abs(c - a) for n, c, a in gaps) / max(sum(self.counts), 1)


@dataclass(frozen=True)
class Calibration:
    """What temperature scaling did."""

    temperature: float
    before: Reliability
    after: Reliability

    @property
    def ece_before(self) -> float:
        return self.before.ece

    @property
    def ece_after(self) -> float:
        return self.after.ece

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Calibration | None:
        """The calibration in this file; None where there is no file.

        Raises:
            RunFolderError: the file is damaged.
        """
        if not path.is_file():
            return None
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            parts = (Reliability(**document[name]) for name in ("before", "after"))
            return cls(float(document["temperature"]), *parts)
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{path} is damaged ({error}); delete it: training writes it anew") from None


def calibrate(logits: torch.Tensor, labels: torch.Tensor) -> Calibration:
    """The temperature for these logits (sample, class) and labels int64 (sample,), and what it brings.

    It is 1 where the best one would bring confidence and accuracy further apart: a few errors that a model was very
    sure of weigh so much in the cross-entropy that all confidence would go for them.
    """
    temperature = best_temperature(logits, labels)
    before, after = reliability(logits, labels), reliability(logits / temperature, labels)
    return Calibration(temperature, before, after) if after.ece < before.ece else Calibration(1.0, before, before)


def best_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature with which the cross-entropy is least, between `COLDEST` and `HOTTEST`.

    The cross-entropy is convex in the inverse temperature; its slope is brought to zero by Newton's method, kept
    within an interval that is known to hold the zero.
    """
    logits = logits.double()
    right = logits.gather(1, labels[:, None])[:, 0]
    low, high = 1 / HOTTEST, 1 / COLDEST
    inverse = 1.0
    for _ in range(60):
        probabilities = torch.softmax(logits * inverse, 1)
        mean = (probabilities * logits).sum(1)
        slope = float((mean - right).mean())
        curvature = float(((probabilities * logits**2).sum(1) - mean**2).mean())
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = inverse - slope / curvature if curvature > 0 else low
        after = step if low < step < high else (low + high) / 2
        if abs(after - inverse) < 1e-9:
            break
        inverse = after
    return 1 / inverse


def reliability(logits: torch.Tensor, labels: torch.Tensor) -> Reliability:
    """Confidence beside accuracy of logits (sample, class)."""
    confidence, predicted = torch.softmax(logits.double(), 1).max(1)
    places = (confidence * BINS).long().clamp(max=BINS - 1)
    counts = torch.bincount(places, minlength=BINS)
    sums = torch.bincount(places, confidence, minlength=BINS)
    right = torch.bincount(places, (predicted == labels).double(), minlength=BINS)
    full = counts.clamp(min=1)
    return Reliability(counts.tolist(), (sums / full).tolist(), (right / full).tolist())
