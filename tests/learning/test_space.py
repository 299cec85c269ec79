"""The words of a space: what they mean, and every mistake in one clear sentence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from toolkit.ground.errors import ParameterError
from toolkit.ground.params import param
from toolkit.learning import space as module
from toolkit.learning.models import MlpParams, NetworkParams
from toolkit.learning.parameters import LearningParams
from toolkit.learning.space import Axis, apply_setting, label_of, parse_space, tunable

LEARNING = LearningParams()
RATE, DROPOUT, EPOCHS = "learning.learning_rate", "learning.network.dropout", "learning.epochs"
HIDDEN, OPTIMIZER, NORM = "learning.network.hidden", "learning.optimizer", "learning.network.batch_norm"


def axis(path: str, words: Any) -> Axis:
    (one,) = parse_space({path: words}, LEARNING)
    return one


def test_two_numbers_are_a_range_of_the_parameter_s_kind() -> None:
    assert axis(RATE, (1e-5, 1e-2)) == Axis(RATE, low=1e-5, high=1e-2, log=True)
    assert axis(RATE, ["1e-5", 1e-2]) == axis(RATE, [1e-5, 1e-2]), "YAML reads 1e-5 as text"
    assert axis("learning.loss.label_smoothing", [0, 0.5]) == Axis("learning.loss.label_smoothing", low=0, high=0.5)
    assert axis(EPOCHS, [20, 40]) == Axis(EPOCHS, low=20, high=40, whole=True)
    assert axis("learning.batch_size", [64, 4096]).log


def test_all_else_is_a_list_of_choices() -> None:
    assert axis(EPOCHS, {"choices": [20, 40]}).choices == (20, 40)
    assert axis(EPOCHS, [20, 40, 60]).choices == (20, 40, 60)
    assert axis(OPTIMIZER, ["adam", "sgd"]).choices == ("adam", "sgd")
    assert axis(NORM, [False, True]).choices == (False, True)
    assert axis(HIDDEN, [[64], [128, 64], None]).choices == ((64,), (128, 64), None)


@pytest.mark.parametrize(
    ("path", "words", "message"),
    [
        ("learning.learning_rte", [1e-5, 1e-2], "is not a parameter; did you mean 'learning.learning_rate'"),
        ("learning.network", [1, 2], "is a section; tune a parameter of it, such as learning.network"),
        ("series.step_days", [5, 10], "only parameters of learning can be, for all others need new samples"),
        ("learning.select_by", ["oa", "kappa"], "decides what the trials are compared by"),
        ("learning.threads", [1, 2], "changes the time of a training"),
        (DROPOUT, [0, 1.5], "learning.network.dropout = 1.5: input should be less than 1"),
        (EPOCHS, [1.5, 4], "learning.epochs = 1.5: input should be a valid integer"),
        (EPOCHS, [0, 4], "learning.epochs = 0: input should be greater than or equal to 1"),
        (EPOCHS, [True, 4], "a number is needed, not yes or no"),
        (RATE, [1e-5, float("nan")], "learning.learning_rate = nan: input should be a finite number"),
        (OPTIMIZER, ["adam", "lion"], "learning.optimizer = 'lion': input should be 'adam', 'adamw' or 'sgd'"),
        (HIDDEN, [64, 32], "learning.network.hidden = 64: input should be a valid tuple"),
        (DROPOUT, [0.5, 0.1], "a range goes from a smaller value to a larger"),
        (DROPOUT, [0.5], "give a list of two values at least"),
        (DROPOUT, 0.5, "give a list of two values at least"),
        (DROPOUT, "0.1 to 0.5", "give a list of two values at least"),
        (DROPOUT, {"choice": [0, 0.5]}, "give a list of two values at least"),
        (OPTIMIZER, ["adam", "adam"], "a value stands twice"),
    ],
)
def test_a_mistake_is_told_with_its_place(path: str, words: Any, message: str) -> None:
    with pytest.raises(ParameterError) as error:
        parse_space({path: words}, LEARNING)
    assert message in str(error.value)
    assert "tuning.space" in str(error.value) and path in str(error.value)


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"tuning\.space is empty: name the parameters"):
        parse_space({}, LEARNING)


NUMBERS = st.floats(1e-7, 0.9, allow_subnormal=False)


@given(st.lists(NUMBERS, min_size=2, max_size=2, unique=True), st.booleans())
def test_any_two_numbers_within_the_bounds_are_a_range(ends: list[float], is_log: bool) -> None:
    path = RATE if is_log else DROPOUT
    found = axis(path, sorted(ends))
    assert (found.low, found.high, found.log, found.choices) == (min(ends), max(ends), is_log, ())


@given(st.lists(st.one_of(st.none(), st.lists(st.integers(1, 512), max_size=4)), min_size=2, max_size=6))
def test_choices_keep_their_order_and_are_told_apart(choices: list[Any]) -> None:
    if len({label_of(one) for one in choices}) < len(choices):
        with pytest.raises(ParameterError, match="stands twice"):
            axis(HIDDEN, choices)
    else:
        assert axis(HIDDEN, choices).choices == tuple(None if one is None else tuple(one) for one in choices)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@given(st.sampled_from(sorted(tunable(LEARNING))), JUNK)
def test_whatever_is_written_is_a_space_or_a_parameter_error(path: str, words: Any) -> None:
    try:
        (found,) = parse_space({path: words}, LEARNING)
    except ParameterError as error:
        assert path in str(error)
    else:
        for value in found.choices or (found.low, found.high):
            assert apply_setting(LEARNING, {path: value}) is not None, "each value that is taken fits the parameters"


def test_a_setting_changes_what_it_names_and_nothing_else() -> None:
    changed = apply_setting(LEARNING, {RATE: 0.01, HIDDEN: [8, 4]})
    assert (changed.learning_rate, changed.network.hidden) == (0.01, (8, 4))
    back = apply_setting(changed, {RATE: LEARNING.learning_rate, HIDDEN: None})
    assert back == LEARNING


class SeriesParams(NetworkParams):
    """A second network, with a parameter that the first has not."""

    name: Literal["series"] = param("series", "Reads the series in time.")
    kernel: int = param(5, "Dates seen at once.", ge=1)
    dropout: float = param(0.1, "Share silenced.", ge=0, lt=1)


class TwoNetworks(LearningParams):
    network: Annotated[MlpParams | SeriesParams, Field(discriminator="name")] = MlpParams()  # type: ignore[assignment]


@pytest.fixture
def two_networks(monkeypatch: pytest.MonkeyPatch) -> TwoNetworks:
    monkeypatch.setattr(module, "LearningParams", TwoNetworks)
    return TwoNetworks()


def test_among_networks_each_trial_has_the_parameters_of_its_own(two_networks: TwoNetworks) -> None:
    kernel, name = "learning.network.kernel", "learning.network.name"
    found = parse_space({kernel: [3, 7], DROPOUT: [0, 0.5], HIDDEN: [[8], [16]], name: ["mlp", "series"]}, two_networks)
    assert found.axes[0].path == name
    first = {one.path: one.choices[0] if one.choices else one.low for one in found}
    assert found.draw(lambda one: first[one.path]) == {name: "mlp", DROPOUT: 0, HIDDEN: (8,)}
    first[name] = "series"
    setting = found.draw(lambda one: first[one.path])
    assert setting == {name: "series", DROPOUT: 0, kernel: 3}
    assert apply_setting(two_networks, setting).network == SeriesParams(kernel=3, dropout=0)


def test_each_network_begins_from_its_own_defaults(two_networks: TwoNetworks) -> None:
    base = two_networks.model_copy(update={"network": MlpParams(dropout=0.4, hidden=(8,))})
    assert apply_setting(base, {"learning.network.name": "series"}).network == SeriesParams()
    assert apply_setting(base, {"learning.network.name": "mlp"}).network == MlpParams()


def test_a_parameter_of_another_network_is_refused(two_networks: TwoNetworks) -> None:
    with pytest.raises(ParameterError, match=r"is a parameter of series, and learning\.network is mlp"):
        parse_space({"learning.network.kernel": [3, 7]}, two_networks)
