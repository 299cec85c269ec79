from __future__ import annotations

import numpy as np
import pytest

from toolkit.figures.training import rate_figure, reliability_figure
from toolkit.learning.calibration import Calibration, Reliability
from toolkit.learning.rates import RateSearch


def found(counts, confidence, accuracy, temperature=1.7):
    one = Reliability(list(counts), list(confidence), list(accuracy))
    return Calibration(temperature, one, one)


def test_reliability_tells_the_error_and_the_temperature(written):
    texts = written(reliability_figure(found([0, 30, 70], [0, 0.5, 0.9], [0, 0.4, 0.7])))
    assert {"Without temperature", "Temperature 1.70", "confidence", "share that is right"} <= set(texts)
    assert any("calibration error 0.170" in text for text in texts)


def test_bars_stand_where_the_confidence_is(written):
    figure = reliability_figure(found([0, 30, 70], [0, 0.5, 0.9], [0, 0.4, 0.7]))
    bars = figure.axes[0].patches
    assert [bar.get_x() for bar in bars] == pytest.approx([1 / 3, 2 / 3])
    assert [bar.get_height() for bar in bars] == pytest.approx([0.4, 0.7])
    assert figure.axes[0].lines[1].get_xdata().tolist() == [0.5, 0.9]


@pytest.mark.parametrize("suggestion", [1e-6, 1e-3, 0.9])
def test_the_search_of_a_rate_is_drawn(written, suggestion):
    rates = np.geomspace(1e-7, 1, 50).tolist()
    losses = np.linspace(3, 1, 50).tolist()
    texts = written(rate_figure(RateSearch(rates, losses, suggestion)))
    assert f"{suggestion:.1e}" in texts and "learning rate" in texts
