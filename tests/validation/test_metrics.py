from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import RunFolderError
from toolkit.validation.metrics import Assessment, read_matrix, write_metrics

COUNTS = [[18, 3, 0], [0, 20, 1], [0, 0, 0]]


@pytest.fixture
def found() -> Assessment:
    return Assessment(ConfusionMatrix(np.array(COUNTS), (3, 17, 200)), unmapped=5, polygons=4, without_pixel=(7, 9))


def test_the_matrix_has_predicted_codes_in_its_header(tmp_path, found, three):
    write_metrics(tmp_path, found, three)
    with (tmp_path / "confusion_matrix.csv").open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["reference\\predicted", "3", "17", "200"]
    assert rows == [["3", "18", "3", "0"], ["17", "0", "20", "1"], ["200", "0", "0", "0"]]


def test_the_metrics_file_has_its_keys(tmp_path, found, three):
    write_metrics(tmp_path, found, three)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["oa"] == pytest.approx(38 / 42) and metrics["pixels"] == 42 and metrics["unmapped"] == 5
    assert metrics["f_score"] == pytest.approx((36 / 39 + 40 / 44) / 2)
    assert metrics["kappa"] == found.matrix.kappa
    water = metrics["per_class"][1]
    assert (water["code"], water["label"], water["pixels"]) == (17, "Water & <mud>", 21)
    assert water["precision"] == pytest.approx(20 / 23) and water["recall"] == pytest.approx(20 / 21)
    assert [one["code"] for one in metrics["per_class"]] == [3, 17]
    assert "left_out" not in metrics


def test_an_assessment_is_read_again(tmp_path, found, three):
    other = Assessment(ConfusionMatrix(np.eye(3, dtype=np.int64), (3, 17, 200)), 1, 2, ())
    write_metrics(tmp_path, found, three, left_out=other)
    for role, one in (("test", found), ("left_out", other)):
        again = Assessment.load(tmp_path, role)
        assert np.array_equal(again.matrix.counts, one.matrix.counts) and again.matrix.codes == one.matrix.codes
        assert (again.unmapped, again.polygons, again.without_pixel) == (one.unmapped, one.polygons, one.without_pixel)
    assert json.loads((tmp_path / "metrics.json").read_text())["left_out"]["oa"] == 1


def test_nothing_is_left_aside(tmp_path, found, three):
    write_metrics(tmp_path / "validation", found, three)
    names = sorted(path.name for path in (tmp_path / "validation").iterdir())
    assert names == ["confusion_matrix.csv", "metrics.json"]


@pytest.mark.parametrize("text", ["", "reference,3,17\n3,1,2\n", "reference,3\n17,1\n", "reference,a\na,1\n"])
def test_what_is_no_matrix_is_refused(tmp_path, text):
    (tmp_path / "confusion_matrix.csv").write_text(text)
    with pytest.raises(RunFolderError, match=r"confusion_matrix\.csv is no confusion matrix .*; validate again"):
        read_matrix(tmp_path / "confusion_matrix.csv")


def test_absent_files_are_refused(tmp_path, found, three):
    with pytest.raises(RunFolderError, match="validate again"):
        Assessment.load(tmp_path)
    write_metrics(tmp_path, found, three)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"metrics\.json holds no metrics of the test polygons"):
        Assessment.load(tmp_path)


def test_it_tells_about_itself(found):
    assert "OA 0.905" in repr(found) and "4 polygons, 5 unmapped pixels" in repr(found)
    assert "<td>0.905</td>" in found._repr_html_() and "<td>42</td>" in found._repr_html_()


def test_the_matrix_left_out_of_an_assessment_before_goes(tmp_path, found, three):
    write_metrics(tmp_path, found, three, left_out=found)
    write_metrics(tmp_path, found, three)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusion_matrix.csv", "metrics.json"]
    with pytest.raises(RunFolderError):
        Assessment.load(tmp_path, "left_out")
