from __future__ import annotations

import pytest
from matplotlib.colors import to_hex

from toolkit.figures.classes import class_counts_figure


def rows(oso, count=23):
    return [{"code": one.code, "pixels": 1000 * i, "polygons": i} for i, one in enumerate(oso.classes[:count])]


@pytest.mark.parametrize("count", [1, 4, 23])
def test_any_number_of_classes_fits(oso, count, written):
    texts = written(class_counts_figure(rows(oso, count), oso))
    assert texts.count("none") == 1 and "Training pixels of each class" in texts
    assert all(one.label in texts for one in oso.classes[:count])


def test_bars_have_the_counts_and_colours(oso):
    bars = class_counts_figure(rows(oso), oso).axes[0].patches
    assert [bar.get_width() for bar in bars] == [1000 * i for i in range(23)]
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [one.colour for one in oso.classes]


def test_polygons_and_an_own_title(oso, written):
    figure = class_counts_figure(rows(oso, 3), oso, "polygons", title="Test polygons")
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0, 1, 2]
    assert "Test polygons" in written(figure)


def test_numbers_are_written_with_their_thousands(oso, written):
    assert {"22,000", "21,000"} <= set(written(class_counts_figure(rows(oso), oso)))


def test_no_class_has_any(oso, written):
    assert written(class_counts_figure([{"code": 1, "pixels": 0}], oso)).count("none") == 1
