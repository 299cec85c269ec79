from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from matplotlib.colors import to_rgb
from shapely.geometry import box

from toolkit.figures.maps import EMPTY, bar_length, class_map, map_before_after, map_beside_truth, read_classes, shares
from toolkit.ground.errors import ProductError


@pytest.fixture
def classes() -> np.ndarray:
    rng = np.random.default_rng(0)
    values = np.kron(rng.integers(1, 24, (20, 30)), np.ones((10, 10))).astype(np.uint8)
    values[:30, :40] = 0
    return values


@pytest.mark.parametrize(("height", "width"), [(200, 300), (300, 200), (600, 40), (40, 600), (80, 80), (1, 1)])
def test_any_shape_fits(height, width, oso, write_map, written):
    rng = np.random.default_rng(0)
    path = write_map(rng.integers(0, 24, (height, width)).astype(np.uint8))
    assert written(class_map(path, oso, title="A", attribution="Simulated demo data"))
    assert written(map_beside_truth(path, path, oso, attribution="Simulated"))


def test_the_legend_tells_classes_present_and_their_share(oso, write_map, written):
    values = np.zeros((10, 10), np.uint8)
    values[:4] = 1
    values[4:5] = 23
    texts = written(class_map(write_map(values), oso))
    assert {"Continuous urban", "Water", "80.0 %", "20.0 %"} <= set(texts)
    assert not {"Corn", "Roads"} & set(texts)


def test_a_rare_class_is_not_told_as_nothing(oso, write_map, written):
    values = np.ones((100, 100), np.uint8)
    values[0, 0] = 23
    assert "< 0.1 %" in written(class_map(write_map(values), oso))


def test_pixels_have_the_colours_of_the_nomenclature(oso, write_map):
    image = np.asarray(class_map(write_map(np.array([[1, 23], [0, 16]], np.uint8)), oso).axes[0].images[0].get_array())
    wanted = [["#ff00ff", "#0000ff"], [EMPTY, "#009c00"]]
    assert image == pytest.approx(np.array([[to_rgb(colour) for colour in row] for row in wanted]))


def test_a_large_map_is_thinned_to_classes_that_are_in_it(classes, write_map):
    found = read_classes(write_map(classes), max_pixels=600)
    assert found.values.size <= 600 and set(np.unique(found.values)) <= set(np.unique(classes))
    assert found.values.shape == (20, 30) and found.pixel == pytest.approx(100)
    assert np.array_equal(found.values, classes[5::10, 5::10])


def test_a_small_map_is_drawn_whole(classes, write_map):
    assert np.array_equal(read_classes(write_map(classes), max_pixels=10**6).values, classes)


def test_the_nodata_value_of_the_file_is_no_class(write_map, oso, written):
    path = write_map(np.array([[255, 1]], np.uint8), nodata=255)
    assert read_classes(path, 100).values.tolist() == [[0, 1]]
    assert "100.0 %" in written(class_map(path, oso))


def test_what_cannot_be_read_is_refused(tmp_path, oso):
    with pytest.raises(ProductError, match=r"class map .*classes\.tif cannot be read"):
        class_map(tmp_path / "classes.tif", oso)


@pytest.mark.parametrize(
    ("width", "length"), [(3000, 500), (10_000, 2000), (4, 1), (109_800, 20_000), (800, 200), (799, 100), (2, 0.5)]
)
def test_the_scale_bar_has_a_round_length_of_a_quarter_at_most(width, length):
    assert bar_length(width) == pytest.approx(length)


@pytest.mark.parametrize(("pixel", "said"), [(10, "500 m"), (100, "5 km"), (20, "1 km")])
def test_the_scale_bar_tells_its_length(pixel, said, oso, write_map, written):
    path = write_map(np.ones((200, 300), np.uint8), transform=Affine(pixel, 0, 0, 0, -pixel, 0))
    assert said in written(class_map(path, oso))


def test_the_scale_bar_is_as_long_as_it_says(oso, write_map):
    figure = class_map(write_map(np.ones((200, 300), np.uint8)), oso)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    bar = next(patch for patch in axes.patches if patch.get_height() == 2)
    assert bar.get_window_extent().width / axes.bbox.width == pytest.approx(500 / 3000)


def test_degrees_are_turned_into_metres(write_map):
    path = write_map(np.ones((10, 10), np.uint8), crs=4326, transform=Affine(0.001, 0, 1, 0, -0.001, 60.005))
    assert read_classes(path, 1000).pixel == pytest.approx(0.001 * 111_320 / 2, rel=1e-3)


def test_map_beside_a_raster_tells_where_they_differ(classes, oso, write_map, written):
    other = classes.copy()
    other[100:110, 100:110] = 23 if classes[100, 100] != 23 else 1
    mapped = (classes != 0).sum()
    texts = written(map_beside_truth(write_map(classes), write_map(other, "truth.tif"), oso))
    assert {"Map", "Reference", f"They differ in {10_000 / mapped:.1f} %"} <= set(texts)


def test_a_map_before_and_after_tells_how_much_changed(classes, oso, write_map, written):
    other = classes.copy()
    other[100:120, 100:110] = 23 if classes[100, 100] != 23 else 1
    changed = 100 * (other != classes).sum() / (classes != 0).sum()
    before, after = write_map(classes), write_map(other, "after.tif")
    texts = written(map_before_after(before, after, oso, attribution="Simulated"))
    assert {"Before", "After", f"Changed in {changed:.1f} %", "Simulated"} <= set(texts)
    drawn = [axes.images[0].get_array() for axes in map_before_after(before, after, oso).axes[:2]]
    assert np.array_equal((drawn[0] != drawn[1]).any(axis=-1), other != classes)
    with pytest.raises(ProductError, match=r"gone\.tif cannot be read"):
        map_before_after(before, before.with_name("gone.tif"), oso)


def test_map_beside_a_raster_of_another_grid(classes, oso, write_map, written):
    fine = np.kron(classes, np.ones((2, 2))).astype(np.uint8)
    truth = write_map(fine, "truth.tif", transform=Affine(5, 0, 500000, 0, -5, 4800000))
    assert "They differ in 0.0 %" in written(map_beside_truth(write_map(classes), truth, oso))


def test_map_beside_polygons_in_another_crs(oso, write_map, written):
    shapes = [box(500100, 4799500, 500400, 4799900), box(501000, 4799500, 501300, 4799900)]
    frame = gpd.GeoDataFrame({"code": [5, 6]}, geometry=shapes, crs=32631).to_crs(4326)
    figure = map_beside_truth(write_map(np.full((100, 200), 5, np.uint8)), frame, oso)
    texts = written(figure)
    assert "They differ in 50.0 %" in texts and {"Rapeseed", "Straw cereals"} <= set(texts)
    image = np.asarray(figure.axes[1].images[0].get_array())
    assert image[20, 20] == pytest.approx(to_rgb("#ffff00")) and image[0, 0] == pytest.approx(to_rgb(EMPTY))


def test_shares_leave_out_what_has_no_class():
    assert shares(np.array([0, 0, 5, 5, 5, 7])) == {5: 0.75, 7: 0.25}
    assert shares(np.zeros(4, int)) == {}


def test_a_map_without_any_class_is_drawn(oso, write_map, written):
    assert written(class_map(write_map(np.zeros((10, 10), np.uint8)), oso, title="Nothing"))
