from __future__ import annotations

import numpy as np
import pytest

from toolkit.figures.curves import best_epoch, curves_figure


def rows(*scores, **fixed):
    base = {"train_loss": 0.5, "valid_loss": 0.6, "oa": 0.8, "kappa": 0.75, "seconds": 1.0, **fixed}
    return [{"epoch": epoch, **base, "f_score": score} for epoch, score in enumerate(scores, start=1)]


@pytest.mark.parametrize("epochs", [1, 2, 3, 12, 200])
def test_any_number_of_epochs_fits(epochs, written):
    rng = np.random.default_rng(epochs)
    texts = written(curves_figure(rows(*rng.random(epochs))))
    assert {"Loss (cross-entropy)", "On the valid samples", "epoch"} <= set(texts)


def test_curves_that_end_together_have_labels_apart(written):
    texts = written(curves_figure(rows(0.8, 0.8, oa=0.8, kappa=0.8, train_loss=0.6)))
    assert {"OA  0.800", "Kappa  0.800", "F-score  0.800", "train  0.600", "valid  0.600"} <= set(texts)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_curves_at_the_ends_of_the_axis_have_labels_inside(value, written):
    assert written(curves_figure(rows(value, value, oa=value, kappa=value)))


def test_trainings_beside_are_named_and_drawn_dashed(written):
    figure = curves_figure(rows(0.1, 0.5), compare={"wide network": rows(0.2, 0.3, 0.4), "slow rate": rows(0.1)})
    assert {"this run", "wide network", "slow rate", "OA  0.800"} <= set(written(figure))
    for axes, curves in zip(figure.axes, (2, 3), strict=True):
        dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert len(dashed) >= 2 * curves
        assert axes.get_xlim()[1] >= 3


def test_a_negative_kappa_is_inside():
    axes = curves_figure(rows(0.1, 0.2, kappa=-0.3)).axes[1]
    assert axes.get_ylim()[0] <= -0.3


def test_the_epoch_kept_is_told(written):
    assert "kept: epoch 3, F-score 0.700" in written(curves_figure(rows(0.1, 0.4, 0.7, 0.7, 0.2)))
    falling = [{**row, "valid_loss": loss} for row, loss in zip(rows(0.1, 0.2, 0.3), (3, 1, 2), strict=True)]
    assert "kept: epoch 2, F-score 0.200" in written(curves_figure(falling, select_by="valid_loss"))


def test_empty_cells_are_gaps(written):
    history = rows(0.1, None, 0.3)
    texts = written(curves_figure([{**row, "valid_loss": ""} for row in history]))
    assert "F-score  0.300" in texts and not any(text.startswith("valid") for text in texts)


def test_rows_read_from_a_file_are_text(written):
    texts = written(curves_figure([{name: str(value) for name, value in row.items()} for row in rows(0.1, 0.25)]))
    assert "F-score  0.250" in texts and "kept: epoch 2, F-score 0.250" in texts


def test_the_lines_are_those_of_the_history():
    history = rows(0.1, 0.5, 0.3)
    left, right = curves_figure(history).axes
    drawn = [list(line.get_ydata()) for line in right.lines]
    assert [0.1, 0.5, 0.3] in drawn and [0.8] * 3 in drawn and [0.75] * 3 in drawn
    assert [0.5] * 3 in [list(line.get_ydata()) for line in left.lines]


def test_best_epoch():
    assert best_epoch(rows(0.2, 0.9, 0.9), "f_score") == 2
    assert best_epoch(rows(0.2, 0.9), "train_loss") == 1
    assert best_epoch(rows(None, None), "f_score") is None


@pytest.mark.parametrize(("low", "end"), [(0.97, 0.9), (0.86, 0.8), (0.8, 0.8), (0.52, 0.5), (0.49, 0.4), (0.1, 0.0)])
def test_the_axis_of_metrics_begins_below_the_lowest_value(low, end):
    assert curves_figure(rows(0.98, low, oa=0.99, kappa=0.98)).axes[1].get_ylim() == pytest.approx((end, 1))
    beside = curves_figure(rows(0.98, oa=0.99, kappa=0.98), compare={"other": rows(low, oa=0.99, kappa=0.98)})
    assert beside.axes[1].get_ylim() == pytest.approx((end, 1))
