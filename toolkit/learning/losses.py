"""What a training minimises: cross-entropy or focal loss, with smoothed labels, on mixed samples.

Sources: label smoothing, Szegedy et al. (2016), "Rethinking the Inception architecture"; focal loss, Lin et al. (2017),
"Focal loss for dense object detection"; mixup, Zhang et al. (2018), "mixup: beyond empirical risk minimization".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

from toolkit.ground.params import Params, param


class LossParams(Params):
    """What is minimised."""

    kind: Literal["cross_entropy", "focal"] = param(
        "cross_entropy", "cross_entropy; or focal, which gives little weight to samples that are well classified."
    )
    focal_gamma: float = param(2.0, "Of the focal loss: the larger, the less an easy sample counts.", ge=0, le=10)
    label_smoothing: float = param(0.0, "Share of each label that is spread over all classes.", ge=0, lt=1)
    mixup: float = param(
        0.0,
        "Learn from mixtures of two samples, in shares drawn from Beta(mixup, mixup); 0.2 is usual, 0 mixes none.",
        ge=0,
        le=10,
    )


@dataclass(frozen=True)
class Mixture:
    """Samples mixed two by two: `share` of each and the rest of its partner."""

    features: torch.Tensor
    partners: torch.Tensor
    """Index of the partner of each sample, int64 (sample,)."""
    share: float


@dataclass(frozen=True)
class Loss:
    """The loss of logits (sample, class) for labels int64 (sample,)."""

    params: LossParams
    class_weights: torch.Tensor | None = None
    """Weight of each class, float32 (class,); None weighs all samples alike."""

    def sum(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The sum over the samples, each times the weight of its class; divided by `size` it is the mean."""
        smoothing = self.params.label_smoothing
        if self.params.kind == "cross_entropy":
            return functional.cross_entropy(
                logits, labels, self.class_weights, reduction="sum", label_smoothing=smoothing
            )
        losses = functional.cross_entropy(
            logits, labels, self.class_weights, reduction="none", label_smoothing=smoothing
        )
        probability = torch.log_softmax(logits, 1).gather(1, labels[:, None])[:, 0].exp()
        # 1 - p is 0 for a sample that is surely right: a power below 1 has no finite slope there.
        return (losses * (1 - probability).clamp_min(1e-6) ** self.params.focal_gamma).sum()

    def plain_sum(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The cross-entropy alone, as on the valid samples: trainings with different losses compare by it."""
        return functional.cross_entropy(logits, labels, self.class_weights, reduction="sum")

    def size(self, labels: torch.Tensor) -> torch.Tensor:
        """What a mean over these samples is divided by: their number, or the sum of their weights; no dimension."""
        if self.class_weights is None:
            return torch.tensor(float(len(labels)), device=labels.device)
        return self.class_weights[labels].sum()

    def mixed_sum(self, logits: torch.Tensor, labels: torch.Tensor, mixture: Mixture) -> torch.Tensor:
        """The sum over mixed samples: of both labels, by their shares."""
        return mixture.share * self.sum(logits, labels) + (1 - mixture.share) * self.sum(
            logits, labels[mixture.partners]
        )


def mix(features: torch.Tensor, alpha: float) -> Mixture:
    """Mix samples (sample, feature) two by two; draws from torch's global generators."""
    drawn = torch.distributions.Beta(alpha, alpha).sample()
    partners = torch.randperm(len(features), device=features.device)
    share = float(drawn)
    return Mixture(torch.lerp(features[partners], features, share), partners, share)
