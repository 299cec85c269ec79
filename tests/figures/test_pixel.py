from __future__ import annotations

import numpy as np
import pytest

from toolkit import figures
from toolkit.figures.pixel import series_figure
from toolkit.series.curve import COLOURS, Curve


def curve(name="Sunflower", clouds=0.4, count=60, seed=0, colour=None):
    rng = np.random.default_rng(seed)
    days = np.datetime64("2017-12-05") + np.sort(rng.integers(0, 400, count)).astype("timedelta64[D]")
    grid = np.arange(np.datetime64("2018-01-01"), np.datetime64("2018-12-27"), 10)
    values, valid = rng.random(count), rng.random(count) >= clouds
    values[~valid] *= 20
    return Curve(name, days, values, valid, grid, rng.random(len(grid)), colour)


def test_it_is_a_public_figure():
    assert figures.series_figure is series_figure


@pytest.mark.parametrize("panels", [1, 2, 4])
@pytest.mark.parametrize("pixels", [1, 8])
def test_any_number_of_panels_and_pixels_fits(panels, pixels, written):
    curves = [curve(f"{i + 1} Broad-leaved forest", seed=i) for i in range(pixels)]
    texts = written(series_figure(dict.fromkeys(("NDVI", "NDWI", "B4 red, reflectance", "B8")[:panels], curves)))
    assert {"NDVI", "clear", "masked", *(one.name for one in curves)} <= set(texts)


def test_lines_and_clear_points_are_those_of_the_curve():
    one = curve(colour="#123456")
    (axes,) = series_figure({"NDVI": [one]}).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), one.line_values)
    masked, clear = (points.get_offsets() for points in axes.collections)
    np.testing.assert_allclose(clear[:, 1], one.values[one.valid])
    assert len(masked) == (~one.valid).sum()
    assert axes.lines[0].get_color() == "#123456"


def test_masked_points_beyond_the_scale_stand_at_its_edge():
    one = curve()
    (axes,) = series_figure({"NDVI": [one]}).axes
    low, high = axes.get_ylim()
    masked = np.asarray(axes.collections[0].get_offsets())[:, 1]
    assert high < 2 and masked.max() == pytest.approx(high) and masked.min() >= low
    assert one.values.max() > 2


def test_what_was_not_measured_is_not_drawn():
    one = curve(clouds=0)
    values, valid = one.values.copy(), one.valid.copy()
    values[:5], valid[:5] = np.nan, False
    (axes,) = series_figure({"NDVI": [Curve("a", one.days, values, valid, one.line_days, one.line_values)]}).axes
    assert [len(points.get_offsets()) for points in axes.collections] == [0, 55]


def test_a_pixel_has_one_colour_in_all_panels():
    pixels = [curve("a", seed=1), curve("b", seed=2)]
    figure = series_figure({"NDVI": pixels, "B4": pixels})
    for axes in figure.axes:
        assert [line.get_color() for line in axes.lines] == list(COLOURS[:2])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "clear", "masked"]


def test_without_a_series_it_says_so(written):
    assert written(series_figure({})) == ["no series"]
