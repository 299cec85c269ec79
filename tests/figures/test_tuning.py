from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from toolkit.figures.tuning import tuning_figure
from toolkit.learning.parameters import LearningParams
from toolkit.learning.space import Axis, parse_space

RATE, HIDDEN, OPTIMIZER = "learning.learning_rate", "learning.network.hidden", "learning.optimizer"
SPACE = parse_space({RATE: [1e-4, 1e-1], HIDDEN: [[64], [128, 64], None], OPTIMIZER: ["adam", "sgd"]}, LearningParams())


def trials(scores):
    count = len(scores)
    return pd.DataFrame(
        {
            "trial": range(1, count + 1),
            "state": ["pruned" if np.isnan(score) else "complete" for score in scores],
            "score": np.array(scores, dtype=float),
            RATE: np.geomspace(1e-4, 1e-1, count),
            HIDDEN: pd.Series([([64], [128, 64], None)[place % 3] for place in range(count)], dtype=object),
            OPTIMIZER: ["adam" if place % 2 else "sgd" for place in range(count)],
        }
    )


@pytest.mark.parametrize(
    "scores", [[], [0.5], [0.5, 0.5], [np.nan, np.nan], [0.1, 0.9, np.nan, 0.4], [*np.linspace(0, 1, 60)]]
)
def test_any_trials_fit(scores, written):
    texts = written(tuning_figure(trials(scores), SPACE))
    assert {"learning_rate", "hidden", "optimizer", "F-score", "0.0001", "128 64", "sgd"} <= set(texts)


def test_the_best_is_named_and_a_loss_is_best_where_it_is_least(written):
    table = trials([0.3, 0.9, np.nan, 0.2])
    assert {"best: trial 2", "0.001"} <= set(written(tuning_figure(table, SPACE)))
    assert {"best: trial 4", "loss"} <= set(written(tuning_figure(table, SPACE, "loss")))


def test_a_line_for_each_trial_and_pruned_ones_end_before_the_score():
    figure = tuning_figure(trials([0.3, 0.9, np.nan]), SPACE)
    lines = [line.get_xdata() for line in figure.axes[0].lines if line.get_zorder() == 2]
    assert sorted(map(len, lines)) == [3, 4, 4]


def test_a_parameter_that_a_trial_has_not_is_passed_over():
    table = trials([0.3, 0.9])
    table[OPTIMIZER] = pd.Series([np.nan, "adam"], dtype=object)
    lines = [line for line in tuning_figure(table, SPACE).axes[0].lines if line.get_zorder() == 2]
    assert sorted(len(line.get_xdata()) for line in lines) == [3, 4]


def test_heights_on_an_axis():
    log = Axis(RATE, low=1e-4, high=1e-2, log=True)
    assert [log.height(value) for value in (1e-4, 1e-3, 1e-2)] == pytest.approx([0, 0.5, 1])
    assert log.height(float("nan")) is None
    assert list(log.ticks().values()) == ["0.0001", "0.01", "0.001"]
    chosen = Axis(OPTIMIZER, choices=("adam", "sgd", "adamw"))
    assert [chosen.height(one) for one in ("adam", "sgd", "adamw", "lion")] == [0, 0.5, 1, None]
    assert Axis("learning.epochs", low=0, high=10).ticks() == {0.0: "0", 1.0: "10", 0.5: "5"}
