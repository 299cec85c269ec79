"""One epoch: the updates, the metrics, the weights of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score
from torch.nn import functional

from toolkit.learning.batches import Batches, derived_seed
from toolkit.learning.fitting import Fitting, Purpose, class_weights, seeded, weights_asked_for
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import MlpParams, build_network
from toolkit.learning.parameters import LearningParams
from toolkit.learning.ranks import Pace

CPU = torch.device("cpu")


def fitting_of(features: torch.Tensor, labels: torch.Tensor, classes: int, batch: int = 32, **options: Any) -> Fitting:
    torch.manual_seed(0)
    inputs = InputLayout.unnamed(features.shape[1])
    network = build_network(options.pop("params", MlpParams()), inputs, classes)
    weights = options.pop("class_weights", None)
    codes = tuple(range(1, classes + 1))
    parts = Batches(features, labels, batch, CPU), Batches(features, labels, 4096, CPU)
    return Fitting(network, *parts, codes, LearningParams(**options), class_weights=weights, seed=5)  # type: ignore[arg-type]


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(200, 12, generator=generator), torch.randint(0, 4, (200,), generator=generator)


def at(rate: float) -> Pace:
    return lambda done, batches: rate


always = at(1e-3)


def test_learns_64_samples_by_heart() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(64, 40, generator=generator)
    labels = torch.randint(0, 6, (64,), generator=generator)
    fitting = fitting_of(features, labels, 6, batch=64)
    for epoch in range(1, 101):
        loss = fitting.train_epoch(epoch, at(1e-2))
    assert loss is not None and loss < 0.01
    assert fitting.evaluate()[1].oa == 1


def test_metrics_are_those_of_scikit_learn(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    features, labels = data
    fitting = fitting_of(features, labels, 6)  # two classes without samples
    fitting.train_epoch(1, always)
    loss, matrix = fitting.evaluate()
    logits = fitting.network(features)
    predicted, truth = logits.argmax(1).numpy(), labels.numpy()
    assert loss == pytest.approx(float(functional.cross_entropy(logits, labels).detach()), rel=1e-6)
    assert matrix.oa == pytest.approx(accuracy_score(truth, predicted))
    assert matrix.kappa == pytest.approx(cohen_kappa_score(truth, predicted))
    expected = f1_score(truth, predicted, labels=np.unique(truth), average="macro", zero_division=0)
    assert matrix.f_score == pytest.approx(expected)
    assert matrix.codes == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("optimizer", "plain_one", "options"),
    [
        ("adam", torch.optim.Adam, {}),
        ("adamw", torch.optim.AdamW, {"weight_decay": 0.01}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9}),
    ],
)
def test_an_epoch_equals_the_optimizer_by_hand(
    data: tuple[torch.Tensor, torch.Tensor],
    optimizer: str,
    plain_one: type[torch.optim.Optimizer],
    options: dict[str, float],
) -> None:
    features, labels = data
    fitting = fitting_of(features, labels, 4, batch=70, optimizer=optimizer)
    twin = fitting_of(features, labels, 4).network
    plain = plain_one(twin.parameters(), lr=1e-3, foreach=False, fused=False, **options)
    losses = []
    for x, y in fitting_of(features, labels, 4, batch=70).batches.shuffled(derived_seed(5, Purpose.ORDER, 1)):
        plain.zero_grad()
        loss = functional.cross_entropy(twin(x), y)
        loss.backward()
        plain.step()
        losses.append(float(loss.detach()) * len(y))
    assert fitting.train_epoch(1, always) == pytest.approx(sum(losses) / 200, rel=1e-6)
    for ours, theirs in zip(fitting.network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_mean_losses_hold_with_weighted_classes(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    features, labels = data
    weights = torch.tensor([1.0, 5.0, 0.5, 2.0])
    fitting = fitting_of(features, labels, 4, batch=70, class_weights=weights)
    expected = float(functional.cross_entropy(fitting.network(features), labels, weights).detach())
    assert fitting.train_epoch(1, at(1e-12)) == pytest.approx(expected, rel=1e-5)
    assert fitting.evaluate()[0] == pytest.approx(expected, rel=1e-5)


def test_class_weights_are_inverse_to_counts() -> None:
    labels = np.array([0] * 60 + [2] * 30 + [3] * 10)
    weights = class_weights(labels, 5).numpy()
    np.testing.assert_allclose(weights, [100 / 180, 0, 100 / 90, 100 / 30, 0], rtol=1e-6)
    assert weights[labels].mean() == pytest.approx(1)


def test_a_root_makes_class_weights_milder() -> None:
    labels = np.array([0] * 64 + [2] * 16 + [3] * 4)
    weights = class_weights(labels, 4, 0.5).numpy()
    np.testing.assert_allclose(weights / weights[0], [1, 0, 2, 4], rtol=1e-6)
    assert weights[labels].mean() == pytest.approx(1)
    np.testing.assert_array_equal(class_weights(labels, 4), class_weights(labels, 4, 1.0))


def test_classes_are_weighed_where_it_is_asked_for() -> None:
    labels = np.array([0] * 9 + [1])
    assert weights_asked_for(LearningParams(weight_power=0.5), labels, 2) is None
    weights = weights_asked_for(LearningParams(weighted_classes=True, weight_power=0.5), labels, 2)
    assert weights is not None
    assert float(weights[1] / weights[0]) == pytest.approx(3)


def test_an_epoch_that_is_ended_gives_nothing(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    asked = []
    fitting = fitting_of(*data, 4, batch=50)

    def two_batches(done: int, batches: int) -> float | None:
        asked.append((done, batches))
        return 1e-3 if done < 2 else None

    assert fitting.train_epoch(1, two_batches) is None
    assert asked == [(0, 4), (1, 4), (2, 4)]


def test_adam_is_what_is_taken_where_none_is_named(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert type(fitting_of(*data, 4).updater.optimizer) is torch.optim.Adam


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_going_back_to_a_snapshot_gives_the_same_epoch(data: tuple[torch.Tensor, torch.Tensor], optimizer: str) -> None:
    params = MlpParams(hidden=(8,), dropout=0.5, batch_norm=True)
    fitting = fitting_of(*data, 4, params=params, optimizer=optimizer)
    fitting.train_epoch(1, always)
    weights, moments = fitting.weights(), fitting.moments()
    first = fitting.train_epoch(2, always)
    after = fitting.weights()
    assert any(not torch.equal(weights[name], after[name]) for name in weights)
    fitting.restore(weights, moments, {})
    assert fitting.train_epoch(2, always) == first
    assert all(torch.equal(value, after[name]) for name, value in fitting.weights().items())


def test_dropout_differs_between_epochs_and_not_between_runs(data: tuple[torch.Tensor, torch.Tensor]) -> None:
    params = MlpParams(hidden=(32,), dropout=0.5)
    losses = []
    for epoch in (1, 2, 1):
        torch.manual_seed(len(losses))  # what the caller drew before plays no part
        still = fitting_of(*data, 4, params=params, batch=200)
        losses.append(still.train_epoch(epoch, at(1e-12)))
    assert losses[0] == losses[2]
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)


def test_seeding_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with seeded(99, CPU):
        torch.rand(5)
    assert torch.equal(torch.rand(3), expected)
