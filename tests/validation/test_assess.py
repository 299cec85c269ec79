from __future__ import annotations

import numpy as np
import pytest
from shapely.affinity import translate
from shapely.geometry import box

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import GroundTruthError, ProductError, RunFolderError
from toolkit.validation.assess import assess_map

CODES = [3, 17, 200]


def test_pairs_are_counted_reference_in_rows(write_map, pixels):
    classes = np.full((8, 8), 3, np.uint8)
    classes[:, 4:] = 17
    classes[6:, :] = 200
    found = assess_map(write_map(classes), pixels((3, 0, 2, 2, 4), (17, 5, 5, 2, 3), (200, 7, 0, 1, 8)), CODES)
    assert found.matrix.counts.tolist() == [[4, 4, 0], [0, 3, 3], [0, 0, 8]]
    assert (found.matrix.codes, found.polygons, found.unmapped, found.without_pixel) == ((3, 17, 200), 3, 0, ())


def test_the_matrix_of_the_orfeo_toolbox_example(write_map, pixels):
    """18,3/0,20 gives OA 0.926829, Kappa 0.854093 and F 0.923077, 0.930233 (ComputeConfusionMatrix, measured)."""
    classes = np.repeat([3, 17, 17], [18, 3, 20]).astype(np.uint8)[None, :]
    matrix = assess_map(write_map(classes), pixels((3, 0, 0, 1, 21), (17, 0, 21, 1, 20)), [3, 17]).matrix
    assert matrix.counts.tolist() == [[18, 3], [0, 20]]
    assert [matrix.oa, matrix.kappa, *matrix.f_scores] == pytest.approx(
        [0.926829, 0.854093, 0.923077, 0.930233], abs=1e-6
    )


def test_a_pixel_belongs_where_its_centre_is(write_map, pixels):
    frame = pixels((3, 0, 0, 1, 1))
    left, top = 500000, 4800000
    frame.geometry = [box(left + 6, top - 34, left + 34, top - 6)]  # centres at 15 and 25 only
    assert assess_map(write_map(np.full((8, 8), 3, np.uint8)), frame, CODES).matrix.total == 4


@pytest.mark.parametrize("block", [1, 3, 7, 64])
def test_blocks_do_not_change_the_counts(write_map, pixels, block):
    rng = np.random.default_rng(0)
    classes = rng.choice([0, 3, 17, 200], (40, 50)).astype(np.uint8)
    frame = pixels(*((CODES[i % 3], *rng.integers(0, 35, 2), *rng.integers(1, 9, 2)) for i in range(30)))
    frame.geometry = frame.geometry.rotate(17)
    path = write_map(classes)
    whole, cut = assess_map(path, frame, CODES, block=1000), assess_map(path, frame, CODES, block=block)
    assert np.array_equal(whole.matrix.counts, cut.matrix.counts)
    assert (whole.unmapped, whole.polygons, whole.without_pixel) == (cut.unmapped, cut.polygons, cut.without_pixel)


def test_only_blocks_with_polygons_are_read(write_map, pixels):
    seen = []
    frame = pixels((3, 0, 0, 4, 4), (3, 91, 91, 5, 5))
    assess_map(
        write_map(np.full((100, 100), 3, np.uint8)), frame, CODES, block=10, progress=lambda *done: seen.append(done)
    )
    assert seen == [(1, 2), (2, 2)]


def test_polygons_in_another_crs_are_laid_on_the_map(write_map, pixels):
    frame = pixels((3, 2, 2, 4, 4), (17, 10, 10, 5, 5))
    frame.geometry = frame.geometry.buffer(-1)
    path = write_map(np.full((20, 20), 3, np.uint8))
    here, there = assess_map(path, frame, CODES), assess_map(path, frame.to_crs(2154), CODES)
    assert there.matrix.counts.tolist() == here.matrix.counts.tolist() == [[16, 0, 0], [25, 0, 0], [0, 0, 0]]


def test_no_data_is_unmapped_and_not_in_the_matrix(write_map, pixels):
    classes = np.full((4, 4), 3, np.uint8)
    classes[0, :3] = 0
    found = assess_map(write_map(classes), pixels((3, 0, 0, 2, 4)), CODES)
    assert (found.unmapped, found.matrix.total) == (3, 5)


def test_the_nodata_value_of_the_file_is_unmapped_too(write_map, pixels):
    classes = np.full((4, 4), 255, np.uint8)
    classes[0, 0] = 3
    found = assess_map(write_map(classes, nodata=255), pixels((3, 0, 0, 2, 2)), CODES)
    assert (found.unmapped, found.matrix.total) == (3, 1)


def test_predicted_classes_without_reference_stay_as_columns(write_map, pixels):
    found = assess_map(write_map(np.full((4, 4), 200, np.uint8)), pixels((3, 0, 0, 2, 2)), CODES)
    assert found.matrix.counts.tolist() == [[0, 0, 4], [0, 0, 0], [0, 0, 0]]


def test_where_polygons_overlap_the_later_one_counts(write_map, pixels):
    found = assess_map(write_map(np.full((4, 4), 3, np.uint8)), pixels((3, 0, 0, 2, 2), (17, 0, 0, 1, 2)), CODES)
    assert found.matrix.counts[:, 0].tolist() == [2, 2, 0]


def test_codes_need_no_order(write_map, pixels):
    found = assess_map(write_map(np.full((2, 2), 17, np.uint8)), pixels((200, 0, 0, 2, 2)), [200, 3, 17])
    assert found.matrix.counts.tolist() == [[0, 0, 4], [0, 0, 0], [0, 0, 0]]


def test_polygons_without_a_pixel_are_told(write_map, pixels):
    frame = pixels((3, 0, 0, 2, 2), (3, 3, 3, 1, 1), (3, 50, 50, 2, 2))
    frame.geometry = [frame.geometry[0], translate(frame.geometry[1].buffer(-4.9), 3, 3), frame.geometry[2]]
    found = assess_map(write_map(np.full((4, 4), 3, np.uint8)), frame, CODES)
    assert found.without_pixel == (41, 42) and found.polygons == 1


def test_no_polygon_in_the_map_is_refused(write_map, pixels):
    with pytest.raises(GroundTruthError, match=r"no reference polygon holds a pixel of the map .*classes\.tif"):
        assess_map(write_map(np.full((4, 4), 3, np.uint8)), pixels((3, 50, 50, 2, 2)), CODES)


def test_an_unknown_class_in_the_map_is_refused(write_map, pixels):
    with pytest.raises(ProductError, match=r"classes\.tif holds the value 99, which is no class"):
        assess_map(write_map(np.full((4, 4), 99, np.uint8)), pixels((3, 0, 0, 2, 2)), CODES)


def test_an_unknown_class_in_the_reference_is_refused(write_map, pixels):
    with pytest.raises(GroundTruthError, match="class 99 of the reference polygons"):
        assess_map(write_map(np.full((4, 4), 3, np.uint8)), pixels((99, 0, 0, 2, 2)), CODES)


def test_an_absent_map_is_refused(tmp_path, pixels):
    with pytest.raises(RunFolderError, match=r"classes\.tif does not exist; make it first"):
        assess_map(tmp_path / "classes.tif", pixels((3, 0, 0, 2, 2)), CODES)


def test_a_map_cut_short_is_refused(write_map, pixels):
    rng = np.random.default_rng(0)
    path = write_map(rng.choice(CODES, (400, 400)).astype(np.uint8), tiled=True, compress="deflate")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ProductError, match=r"classes\.tif (is cut short or damaged|cannot be read)"):
        assess_map(path, pixels((3, 0, 0, 400, 400)), CODES)


def test_a_map_without_crs_is_refused(write_map, pixels):
    with pytest.raises(ProductError, match="has no CRS"):
        assess_map(write_map(np.full((4, 4), 3, np.uint8), crs=None), pixels((3, 0, 0, 2, 2)), CODES)


def test_assessments_are_pooled_pixel_by_pixel(write_map, pixels):
    path = write_map(np.full((4, 4), 3, np.uint8))
    pooled = assess_map(path, pixels((3, 0, 0, 2, 2)), CODES) + assess_map(path, pixels((17, 2, 2, 1, 2)), CODES)
    assert pooled.matrix.counts.tolist() == [[4, 0, 0], [2, 0, 0], [0, 0, 0]] and pooled.polygons == 2
    assert isinstance(pooled.matrix, ConfusionMatrix)
