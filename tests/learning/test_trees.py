"""Random forest and gradient boosting as plain arrays, against scikit-learn, and through the same training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from toolkit.ground.errors import ParameterError, SampleError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.callbacks import Callback, read_history
from toolkit.learning.checkpoint import Model
from toolkit.learning.cost import network_cost
from toolkit.learning.inputs import DAY, VALID, InputLayout
from toolkit.learning.models import GradientBoostingParams, RandomForestParams, TreeParams, build_network
from toolkit.learning.models.trees import Growth, _at_most
from toolkit.learning.parameters import LearningParams

FOREST, BOOSTING = RandomForestParams(trees=45, min_leaf=2), GradientBoostingParams(rounds=25, min_leaf=5)
INPUTS = InputLayout.unnamed(12)


def grown(params: TreeParams, features: np.ndarray, labels: np.ndarray, weights: Any = None) -> Any:
    network = build_network(params, InputLayout.unnamed(features.shape[1]), 9)
    assert network.grow(Growth(features, labels, weights, 7, 1), lambda *_: True)  # type: ignore[operator]
    return network


def theirs(params: TreeParams) -> Any:
    """The same by scikit-learn alone, in one go."""
    if isinstance(params, RandomForestParams):
        return RandomForestClassifier(params.trees, max_depth=25, min_samples_leaf=2, random_state=7)
    return HistGradientBoostingClassifier(
        max_iter=params.rounds,  # type: ignore[attr-defined]
        min_samples_leaf=5,
        early_stopping=False,
        random_state=7,
    )


def data(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples whose features stand on few values, so that many lie exactly on a threshold."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(700, 12)).astype(np.float32).round(1)
    score = features[:, 0] + features[:, 1] * features[:, 2] + rng.normal(0, 0.3, 700)
    labels = np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))
    return features, labels


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("params", [FOREST, BOOSTING], ids=lambda one: one.name)
def test_probabilities_are_those_of_scikit_learn(params: TreeParams, weighted: bool, classes: int) -> None:
    features, labels = data(classes)
    weights = np.linspace(0.5, 2, len(labels)) if weighted else None
    network = grown(params, features, 2 * labels, weights)  # classes between them have no sample
    model = theirs(params).fit(features, 2 * labels, weights)
    seen = np.concatenate([features, np.random.default_rng(1).normal(size=(500, 12)).astype(np.float32)])
    ours = torch.softmax(network(torch.from_numpy(seen)).double(), 1).numpy()
    np.testing.assert_allclose(ours[:, model.classes_], model.predict_proba(seen), atol=1e-6)
    assert (ours[:, [one for one in range(9) if one not in model.classes_]] == 0).all()


@settings(max_examples=300, deadline=None)
@given(
    threshold=st.floats(-1e6, 1e6, allow_subnormal=False),
    value=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
    near=st.integers(-2, 2),
)
def test_a_threshold_in_less_digits_splits_alike(threshold: float, value: float, near: int) -> None:
    (rounded,) = _at_most(np.array([threshold]))
    close = np.float32(threshold)
    for _ in range(abs(near)):
        close = np.nextafter(close, np.float32(np.sign(near) * np.inf))
    for one in (np.float32(value), close):
        assert (one <= rounded) == (np.float64(one) <= threshold)


@pytest.mark.parametrize("params", [FOREST, BOOSTING], ids=lambda one: one.name)
def test_they_train_like_a_network(
    params: TreeParams, train: Callable[..., Any], nomenclature: Nomenclature, samples: Any, tmp_path: Path
) -> None:
    told: list[tuple[str, Any]] = []

    class Ear(Callback):
        def on_train_begin(self, run: Any) -> None:
            told.append(("begin", (run.params.epochs, run.n_train, run.n_valid)))

        def on_batch_end(self, run: Any, batch: int, batches: int) -> None:
            told.append(("part", (batch, batches)))

        def on_epoch_end(self, run: Any, row: Any) -> None:
            told.append(("epoch", row["epoch"]))

        def on_train_end(self, run: Any) -> None:
            told.append(("end", run.best["epoch"]))

    result = train(network=params, epochs=200, callbacks=[Ear()])
    assert not result.stopped and len(result.history) == 1 and result.best["f_score"] > 0.7
    assert result.best["train_loss"] < result.best["valid_loss"] < 5
    assert [row["epoch"] for row in read_history(result.folder / "history.csv")] == [1]
    assert told[0][0] == "begin" and told[0][1][0] == 1 and sum(told[0][1][1:]) == len(samples)
    parts = [value for kind, value in told if kind == "part"]
    assert parts == sorted(parts) and parts[-1][0] == parts[-1][1] and len(parts) > 1
    assert told[-2:] == [("epoch", 1), ("end", 1)]

    model = Model.load(result.model_folder)
    assert model.params == params
    codes, confidence = model.predict(samples.features.T)
    assert (codes == samples.codes).mean() > 0.85 and confidence.min() >= 20 and confidence.max() <= 100
    probabilities = model.predict_probabilities(samples.features.T)
    np.testing.assert_allclose(probabilities.sum(0), 1, rtol=1e-5)
    assert (probabilities[nomenclature.codes.tolist().index(30)] == 0).all(), "a class without samples"
    files = {path.suffix for path in result.model_folder.iterdir()}
    assert files == {".safetensors", ".json"}


@pytest.mark.parametrize("params", [FOREST, BOOSTING], ids=lambda one: one.name)
def test_they_are_there_already_the_second_time(params: TreeParams, train: Callable[..., Any]) -> None:
    first = train(network=params)
    weights = (first.model_folder / "weights.safetensors").read_bytes()
    parts: list[int] = []

    class Ear(Callback):
        def on_batch_end(self, run: Any, batch: int, batches: int) -> None:
            parts.append(batch)

    again = train(network=params, epochs=9, callbacks=[Ear()])
    assert again.history == first.history and not parts
    assert (again.model_folder / "weights.safetensors").read_bytes() == weights
    assert (train("other", network=params).model_folder / "weights.safetensors").read_bytes() == weights


@pytest.mark.parametrize("params", [FOREST, BOOSTING], ids=lambda one: one.name)
def test_they_stop_between_two_parts(params: TreeParams, train: Callable[..., Any]) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1

    result = train(network=params, stop=stop)
    assert result.stopped and result.best is None and not result.model_folder.exists()
    assert len(asked) == 2


def test_weighted_classes_weigh(train: Callable[..., Any], toy: Callable[..., Any]) -> None:
    plain, weighted = (
        train(str(on), samples=toy((2, 5, 9)), network=FOREST, weighted_classes=on) for on in (False, True)
    )
    assert plain.best["valid_loss"] != weighted.best["valid_loss"]


def test_a_value_that_is_none_is_refused_as_for_networks(train: Callable[..., Any], samples: Any) -> None:
    samples.features[3, 4] = np.nan
    with pytest.raises(SampleError, match="feature B2_4 is not a number"):
        train(network=FOREST, samples=samples)


@pytest.mark.parametrize("params", [FOREST, BOOSTING], ids=lambda one: one.name)
def test_raw_dates_are_refused(params: TreeParams) -> None:
    raw = InputLayout.of(["B2_*", DAY, VALID], np.array([], "datetime64[D]"))
    with pytest.raises(ParameterError, match=rf"{params.name} .*gap_filled"):
        build_network(params, raw, 3)


@pytest.mark.parametrize("params", [FOREST, BOOSTING], ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("name", "place", "value"),
    [("column", 0, 12), ("low", 0, 0), ("high", 0, 10**6), ("low", -1, 10**6), ("roots", 0, -1), ("classes", 0, 9)],
)
def test_a_file_that_leads_out_of_the_trees_is_refused(params: TreeParams, name: str, place: int, value: int) -> None:
    features, labels = data(4)
    network = grown(params, features, labels)
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    build_network(params, INPUTS, 9).load_state_dict(state)
    state[name][place] = value
    with pytest.raises(ValueError, match="its trees lead nowhere"):
        build_network(params, INPUTS, 9).load_state_dict(state)


def test_trees_have_no_epoch_to_time() -> None:
    found = network_cost(LearningParams(network=FOREST), INPUTS, 9, 1000)
    assert found.seconds_an_epoch is None
    assert (found.shape.parameters, found.shape.widths) == (0, (12, 9))
