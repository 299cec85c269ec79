from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from toolkit.figures.confusion import confusion_figure
from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature


@pytest.fixture
def matrix(oso) -> ConfusionMatrix:
    """All classes but rice, which is predicted once, and snow, which is nowhere."""
    rng = np.random.default_rng(0)
    count = len(oso)
    counts = rng.integers(0, 60, (count, count)) * (rng.random((count, count)) < 0.3)
    counts[np.diag_indices(count)] = rng.integers(200, 90_000, count)
    counts[10], counts[21], counts[:, 21] = 0, 0, 0
    counts[0, 10] = 700
    return ConfusionMatrix(counts, tuple(oso.codes.tolist()))


def test_all_classes_fit(matrix, oso, written):
    texts = written(confusion_figure(matrix, oso))
    assert texts.count("Industrial and commercial") == texts.count("Rice") == 2
    assert "Glaciers and snow" not in texts
    assert {"predicted", "reference", "precision, %", "recall, %", "pixels"} <= set(texts)


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_few_classes_fit(count, oso, written):
    counts = np.eye(count, dtype=int) * 1_234_567
    texts = written(confusion_figure(ConfusionMatrix(counts, tuple(range(1, count + 1))), oso))
    assert texts.count("1,234,567") == count


def test_long_names_fit(written):
    classes = [LandCoverClass(code, f"Class {code} with a name that is rather long", "#112233") for code in (1, 2, 3)]
    assert written(
        confusion_figure(ConfusionMatrix(np.ones((3, 3), int), (1, 2, 3)), Nomenclature("long", tuple(classes)))
    )


def test_cells_are_percent_of_the_reference(oso, written):
    texts = written(confusion_figure(ConfusionMatrix(np.array([[90, 10], [1, 999]]), (1, 2)), oso))
    # of 100: 90 and 10; of 1,000: 0.1 (a dot) and 99.9. Recall 90 and 99.9; precision 90/91 and 999/1009
    assert sorted(texts) == sorted(
        ["90", "10", "·", "100", "90", "100", "99", "99", "100", "1,000", "predicted", "reference", "pixels"]
        + ["recall, %", "precision, %"]
        + ["Continuous urban", "Discontinuous urban"] * 2
    )


def test_a_class_without_reference_has_a_dash(matrix, oso, written):
    assert "–" in written(confusion_figure(matrix, oso))


def test_chips_have_the_colours_of_the_nomenclature(matrix, oso):
    axes = confusion_figure(matrix, oso).axes[0]
    chips = [to_hex(patch.get_facecolor()) for patch in axes.patches if isinstance(patch, Rectangle)]
    present = [one.colour for one in oso.classes if one.code != 22]
    assert sorted(chips) == sorted(present * 2)


def test_agreement_is_blue_and_confusion_is_not(oso):
    axes = confusion_figure(ConfusionMatrix(np.array([[60, 40], [0, 50]]), (1, 2)), oso).axes[0]
    image = np.asarray(axes.images[0].get_array())
    red, blue = image[..., 0], image[..., 2]
    assert blue[0, 0] > red[0, 0] and red[0, 1] > blue[0, 1]
    assert image[1, 0].tolist() == [1, 1, 1]
