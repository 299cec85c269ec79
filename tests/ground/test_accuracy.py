import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, precision_score, recall_score

from toolkit.ground.accuracy import ConfusionMatrix, count_pairs


def test_values_of_the_orfeo_toolbox() -> None:
    """Matrix 18,3/0,20 of ComputeConfusionMatrix: OA 0.926829, Kappa 0.854093, F 0.923077 and 0.930233."""
    matrix = ConfusionMatrix(np.array([[18, 3], [0, 20]]), (1, 2))
    assert matrix.oa == pytest.approx(0.926829, abs=1e-6)
    assert matrix.kappa == pytest.approx(0.854093, abs=1e-6)
    assert matrix.f_scores == pytest.approx([0.923077, 0.930233], abs=1e-6)


def test_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    codes = [1, 5, 17, 23]
    reference, predicted = rng.choice(codes, 5000), rng.choice(codes, 5000, p=[0.4, 0.3, 0.2, 0.1])
    matrix = ConfusionMatrix.of(reference, predicted, codes)
    assert matrix.oa == pytest.approx(accuracy_score(reference, predicted))
    assert matrix.kappa == pytest.approx(cohen_kappa_score(reference, predicted))
    assert matrix.f_score == pytest.approx(f1_score(reference, predicted, average="macro"))
    assert matrix.precision == pytest.approx(precision_score(reference, predicted, average=None))
    assert matrix.recall == pytest.approx(recall_score(reference, predicted, average=None))


def test_rows_are_reference() -> None:
    matrix = ConfusionMatrix.of(np.array([1, 1, 2]), np.array([2, 2, 2]), [1, 2])
    assert matrix.counts.tolist() == [[0, 2], [0, 1]]


@pytest.mark.parametrize("unknown", [0, 3, 9, -1])
def test_an_unknown_code_is_not_counted_as_another(unknown: int) -> None:
    known, other = np.array([2, 5]), np.array([2, unknown])
    for reference, predicted in ((known, other), (other, known)):
        with pytest.raises(ValueError, match=f"class {unknown} is not among 2, 5"):
            ConfusionMatrix.of(reference, predicted, [2, 5])


def test_mean_f_score_is_over_classes_of_the_reference() -> None:
    matrix = ConfusionMatrix.of(np.array([1, 1, 2, 2]), np.array([1, 1, 2, 3]), [1, 2, 3])
    assert matrix.present.tolist() == [True, True, False]
    assert matrix.f_score == pytest.approx((1 + 2 / 3) / 2)


def test_empty_and_single_class_have_no_division_by_zero() -> None:
    assert ConfusionMatrix(np.zeros((2, 2), dtype=int), (1, 2)).metrics()["oa"] == 0
    perfect = ConfusionMatrix.of(np.ones(5, dtype=int), np.ones(5, dtype=int), [1, 2])
    assert (perfect.oa, perfect.kappa) == (1.0, 0.0)


def test_sum_and_metrics() -> None:
    one = ConfusionMatrix.of(np.array([1, 2]), np.array([1, 2]), [1, 2])
    both = one + one
    assert both.total == 4
    metrics = both.metrics({1: "Wheat"})
    assert metrics["per_class"][0] == {
        "code": 1,
        "label": "Wheat",
        "precision": 1,
        "recall": 1,
        "f_score": 1,
        "pixels": 2,
    }
    with pytest.raises(ValueError, match="other classes"):
        one + ConfusionMatrix(np.zeros((1, 1), dtype=int), (1,))


def test_count_pairs() -> None:
    assert count_pairs(np.array([0, 2, 2]), np.array([1, 2, 2]), 3).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 2]]
