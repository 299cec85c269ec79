"""What is minimised."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from toolkit.learning.losses import Loss, LossParams, mix


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, 5, generator=generator)
    return logits.requires_grad_(), torch.randint(5, (40,), generator=generator)


def test_plain_is_torchs_mean(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    for weights in (None, torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])):
        loss = Loss(LossParams(), weights)
        expected = functional.cross_entropy(logits, labels, weights)
        torch.testing.assert_close(loss.sum(logits, labels) / loss.size(labels), expected)
        torch.testing.assert_close(loss.plain_sum(logits, labels) / loss.size(labels), expected)


def test_smoothed_labels_are_torchs(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    loss = Loss(LossParams(label_smoothing=0.1))
    expected = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(loss.sum(logits, labels) / 40, expected)


def test_focal_loss_is_the_papers(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    probability = torch.softmax(logits, 1)[torch.arange(40), labels]
    expected = (-((1 - probability) ** 2) * probability.log()).sum()
    torch.testing.assert_close(Loss(LossParams(kind="focal")).sum(logits, labels), expected)
    none = Loss(LossParams(kind="focal", focal_gamma=0)).sum(logits, labels)
    torch.testing.assert_close(none, Loss(LossParams()).sum(logits, labels))


def test_focal_loss_has_a_slope_where_all_is_right() -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    Loss(LossParams(kind="focal", focal_gamma=0.5)).sum(logits, torch.tensor([0])).backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_mixed_samples_lie_between_two() -> None:
    torch.manual_seed(3)
    features = torch.randn(30, 4)
    found = mix(features, 0.4)
    assert 0 <= found.share <= 1
    assert sorted(found.partners.tolist()) == list(range(30))
    expected = found.share * features + (1 - found.share) * features[found.partners]
    torch.testing.assert_close(found.features, expected)


def test_the_loss_of_a_mixture_is_that_of_mixed_labels(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = batch
    torch.manual_seed(1)
    found = mix(torch.zeros(40, 2), 0.4)
    soft = found.share * functional.one_hot(labels, 5) + (1 - found.share) * functional.one_hot(
        labels[found.partners], 5
    )
    expected = functional.cross_entropy(logits, soft, reduction="sum")
    torch.testing.assert_close(Loss(LossParams()).mixed_sum(logits, labels, found), expected)
