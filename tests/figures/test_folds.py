from __future__ import annotations

import numpy as np
import pytest

from toolkit.figures.folds import folds_figure


def metrics_of(names, same=0.75, left_out=0.55, pooled=True):
    rng = np.random.default_rng(len(names))

    def score(value):
        return {"oa": 0.9, "kappa": 0.8, "f_score": float(np.clip(value + rng.normal(0, 0.05), 0, 1))}

    folds = [{"name": name, "same_area": score(same), "left_out": score(left_out)} for name in names]

    def over(how):
        return {
            side: {key: float(how([fold[side][key] for fold in folds])) for key in ("oa", "kappa", "f_score")}
            for side in ("same_area", "left_out")
        }

    std = over(lambda values: np.std(values, ddof=1) if len(values) > 1 else float("nan"))
    content = {"folds": folds, "mean": over(np.mean), "std": std}
    return {**content, "pooled_left_out": {"oa": 0.9, "kappa": 0.8, "f_score": 0.612}} if pooled else content


@pytest.mark.parametrize(
    "names", [["31TCJ"], ["31TCJ", "31TCK", "31TDJ", "31TDK"], range(10), [f"département {i}" for i in range(12)]]
)
@pytest.mark.parametrize("score", ["oa", "kappa", "f_score"])
def test_any_folds_fit(names, score, written):
    texts = written(folds_figure(metrics_of(list(names)), score))
    assert {str(name) for name in names} <= set(texts)
    assert {"same area", "left-out area", "mean ± std"} <= set(texts)


@pytest.mark.parametrize(("same", "left_out"), [(1.0, 1.0), (0.0, 0.0), (1.0, 0.0), (0.6, 0.6)])
def test_extreme_scores_fit(same, left_out, written):
    assert written(folds_figure(metrics_of(["a", "b", "c"], same, left_out)))


def test_bars_are_the_scores_of_each_side():
    metrics = metrics_of(["a", "b", "c"])
    heights = [bar.get_height() for bar in folds_figure(metrics).axes[0].patches]
    for side in ("same_area", "left_out"):
        assert all(fold[side]["f_score"] in heights for fold in metrics["folds"])
        assert metrics["mean"][side]["f_score"] in heights


def test_mean_deviation_and_pooled_are_told(written):
    metrics = metrics_of(["a", "b", "c"])
    texts = written(folds_figure(metrics))
    for side in ("same_area", "left_out"):
        assert f"{metrics['mean'][side]['f_score']:.2f}\n± {metrics['std'][side]['f_score']:.2f}" in texts
    assert "F-score of all left-out areas pooled: 0.612" in texts
    assert not any("pooled" in text for text in written(folds_figure(metrics_of(["a", "b"], pooled=False))))


def test_one_fold_has_no_deviation(written):
    texts = written(folds_figure(metrics_of(["a"])))
    assert not any("nan" in text for text in texts)
