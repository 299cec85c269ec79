"""The view of a map as a figure: the picture as it was drawn, outlines, legend, scale bar, attribution."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.figures.view import view_figure


@pytest.mark.parametrize("shape", [(200, 300), (300, 200), (20, 600), (600, 20), (1, 1)])
def test_any_shape_fits(shape, oso, written):
    picture = np.zeros((*shape, 4), np.uint8)
    assert written(view_figure(picture, 1000.0, {17: 0.5, 23: 0.5}, oso, title="trial", attribution="Simulated"))


def test_tells_classes_scale_title_and_source(oso, written):
    texts = written(
        view_figure(np.zeros((50, 50, 4), np.uint8), 4000.0, {17: 0.75}, oso, title="trial", attribution="Simulated")
    )
    assert {"Coniferous forest", "75.0 %", "1 km", "trial", "Simulated"} <= set(texts)


def test_without_classes_there_is_no_legend(oso, written):
    figure = view_figure(np.zeros((50, 50, 4), np.uint8), 4000.0, {}, oso)
    assert written(figure)
    assert len(figure.axes) == 1


def test_the_picture_is_drawn_as_it_is(oso):
    picture = np.random.default_rng(0).integers(0, 256, (8, 12, 4)).astype(np.uint8)
    drawn = view_figure(picture, 100.0, {}, oso).axes[0].images[0]
    assert np.array_equal(drawn.get_array(), picture)
    assert drawn.get_extent() == [0, 1, 1, 0]


def test_outlines_are_drawn_in_their_style(oso):
    square = np.array([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.2]])
    shapes = [(square, {"color": "#ff0000", "fillColor": "#00ff00"}), (square, {"color": "#000000", "fillOpacity": 0})]
    axes = view_figure(np.zeros((9, 9, 4), np.uint8), 100.0, {}, oso, shapes=shapes).axes[0]
    filled, hollow = [one for one in axes.patches if len(one.get_path().vertices) == 4][:2]
    assert filled.get_edgecolor()[:3] == (1, 0, 0) and filled.get_facecolor()[:3] == (0, 1, 0)
    assert hollow.get_facecolor()[3] == 0
