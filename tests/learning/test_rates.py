"""The search of a learning rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toolkit.ground.errors import ParameterError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.losses import LossParams
from toolkit.learning.parameters import LearningParams
from toolkit.learning.rates import RateSearch, find_rate, suggested

DATES = np.array(["2018-01-01"], dtype="datetime64[D]")


@pytest.fixture
def search(samples: TrainingSamples, nomenclature: Nomenclature) -> Any:
    def run(**options: Any) -> RateSearch:
        params = options.pop("params", LearningParams(batch_size=64, threads=1))
        names = [f"B2_{number}" for number in range(20)]
        return find_rate(
            samples, params, seed=3, nomenclature=nomenclature, feature_names=names, dates=DATES, **options
        )

    return run


def test_the_suggested_rate_learns_and_the_ends_do_not(search: Any, train: Any) -> None:
    found = search()
    assert found.rates[0] == pytest.approx(1e-7) and 1e-5 < found.suggestion < 0.3
    assert found.losses[0] == pytest.approx(np.log(5), abs=0.5)
    assert min(found.losses) < 0.6 * found.losses[0]
    result = train(epochs=15, learning_rate=found.suggestion)
    assert result.best["f_score"] > 0.9


def test_it_is_the_same_again_whatever_the_loss(search: Any) -> None:
    params = LearningParams(batch_size=64, threads=1, loss=LossParams(mixup=0.3, kind="focal"))
    assert search(params=params, updates=60) == search(params=params, updates=60)


def test_it_ends_where_the_loss_runs_away(search: Any) -> None:
    params = LearningParams(batch_size=64, threads=1, optimizer="sgd")
    found = search(params=params, highest=1e6)
    assert len(found.rates) == len(found.losses) < 200
    assert found.suggestion < found.rates[-1]


def test_the_steepest_place_is_suggested() -> None:
    rates = np.geomspace(1e-6, 1, 61).tolist()
    losses = [2 - 1 / (1 + np.exp(-(np.log10(rate) + 3) * 4)) for rate in rates]
    assert suggested(rates, losses) == pytest.approx(1e-3, rel=0.3)
    with pytest.raises(ParameterError, match="begin lower"):
        suggested(rates, losses[::-1])


@pytest.mark.parametrize("wrong", [{"lowest": 0}, {"lowest": 2.0}, {"updates": 3}])
def test_bounds_that_make_no_sense_are_refused(search: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="lowest must be above 0"):
        search(**wrong)


def test_it_says_what_it_found(search: Any) -> None:
    found = search(updates=40)
    assert f"{found.suggestion:.1e}" in repr(found) and f"{found.suggestion:.1e}" in found._repr_html_()
    assert found._repr_html_().count("<tr>") == found._repr_html_().count("</tr>")
