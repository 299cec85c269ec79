from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import box

from toolkit.ground.errors import GroundTruthError, ParameterError, RunFolderError
from toolkit.ground.params import build
from toolkit.ground_truth.polygons import NO_CLASS, GroundTruth, GroundTruthParams, class_codes, free_names


def frame_of(codes, **fields):
    shapes = [box(10 * i, 0, 10 * i + 10, 10) for i in range(len(codes))]
    return gpd.GeoDataFrame({"code": codes, **fields}, geometry=shapes, crs="EPSG:32631")


def write(tmp_path, frame, name="parcels.gpkg"):
    frame.to_file(tmp_path / name)
    return tmp_path / name


@pytest.mark.parametrize(
    "values",
    [
        [5, 12],
        [5.0, 12.0],
        ["5", " 12 "],
        ["0005", "+12"],
        np.array([5, 12], np.uint8),
        pd.Series(["5", "12"], dtype="str"),
    ],
)
def test_class_codes_of_whole_numbers_in_any_dress(values):
    codes = class_codes(pd.Series(values), "field code of a.gpkg")
    assert codes.dtype == np.int64 and codes.tolist() == [5, 12]


@pytest.mark.parametrize(
    "values", [[5, None], [5, np.nan], ["5", ""], ["5", None], pd.Series([5, None], dtype="Int64")]
)
def test_an_empty_class_has_a_code_that_nobody_writes(values):
    assert class_codes(pd.Series(values), "here").tolist() == [5, NO_CLASS]
    assert NO_CLASS not in class_codes(pd.Series([0, -1, 255, 2**63 - 1]), "here")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["5", "wheat", "wheat"], "field crop of a.shp is 'wheat' in row 1"),
        ([1.0, 2.5], "is '2.5' in row 1"),
        ([True, False], "is 'True' in row 0"),
        (["1e3"], "is '1e3' in row 0"),
        (["99999999999999999999"], "is '99999999999999999999' in row 0"),
        ([np.inf], "is 'inf' in row 0"),
    ],
)
def test_a_class_that_is_no_whole_number_is_named(values, said):
    with pytest.raises(GroundTruthError, match=said) as error:
        class_codes(pd.Series(values), "field crop of a.shp")
    assert "ground_truth.class_field" in str(error.value)


def test_read_numbers_the_rows_and_keeps_further_fields(tmp_path):
    path = write(tmp_path, frame_of([5, 5, 23], fold=["a", "b", "c"]))
    truth = GroundTruth.read(path, "code")
    assert list(truth.frame.columns) == ["polygon", "code", "geometry", "fold"]
    assert truth.ids.tolist() == [0, 1, 2] and truth.codes.tolist() == [5, 5, 23]
    assert truth.frame["fold"].tolist() == ["a", "b", "c"]
    assert truth.counts == {5: 2, 23: 1} and len(truth) == 3


def test_read_without_the_class_field_says_which_was_meant(tmp_path):
    path = write(tmp_path, frame_of([5]))
    with pytest.raises(GroundTruthError, match=r"parcels\.gpkg has no field 'cod'.*did you mean 'code'"):
        GroundTruth.read(path, "cod")
    with pytest.raises(GroundTruthError, match="no field 'geometry'"):
        GroundTruth.read(path, "geometry")


def test_fields_that_clash_get_another_name(tmp_path):
    frame = frame_of([5, 6]).rename(columns={"code": "CLASS"}).assign(Code=["x", "y"], polygon=["p", "q"])
    truth = GroundTruth.read(write(tmp_path, frame, "parcels.geojson"), "CLASS")
    assert truth.codes.tolist() == [5, 6] and truth.ids.tolist() == [0, 1]
    assert truth.frame["Code_input"].tolist() == ["x", "y"]
    assert truth.frame["polygon_input"].tolist() == ["p", "q"]
    truth.save(tmp_path / "kept.gpkg")
    assert GroundTruth.read(tmp_path / "kept.gpkg").frame["Code_input"].tolist() == ["x", "y"]


def test_free_names_are_distinct_without_regard_to_case():
    names = free_names(["ID", "id", "Tile", "fid", "id_input"], taken=["tile", "fid"])
    assert len({name.lower() for name in [*names.values(), "tile", "fid"]}) == 7
    assert names["ID"] == "ID"


def test_a_numbering_in_the_file_is_kept(tmp_path):
    path = write(tmp_path, frame_of([5, 6], polygon=[70, 30]))
    assert GroundTruth.read(path).ids.tolist() == [70, 30]


def test_save_then_read_gives_the_same(tmp_path):
    truth = GroundTruth.read(write(tmp_path, frame_of([5, 6, 7], fold=[1, 2, 3])))
    some = truth.where(np.array([True, False, True]))
    some.save(tmp_path / "clean.gpkg")
    again = GroundTruth.read(tmp_path / "clean.gpkg")
    assert again.ids.tolist() == [0, 2] and again.codes.tolist() == [5, 7]
    assert again.frame["fold"].tolist() == [1, 3]
    assert again.frame.geometry.geom_equals(some.frame.geometry).all() and again.crs == truth.crs


def test_save_is_repeatable_to_the_byte_and_leaves_nothing_aside(tmp_path):
    truth = GroundTruth.read(write(tmp_path, frame_of([5, 6])))
    (tmp_path / "out").mkdir()
    truth.save(tmp_path / "out" / "clean.gpkg")
    first = (tmp_path / "out" / "clean.gpkg").read_bytes()
    truth.save(tmp_path / "out" / "clean.gpkg")
    assert (tmp_path / "out" / "clean.gpkg").read_bytes() == first
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clean.gpkg"]


def test_a_failed_save_keeps_the_former_file(tmp_path, monkeypatch):
    truth = GroundTruth.read(write(tmp_path, frame_of([5, 6])))
    target = tmp_path / "clean.gpkg"
    target.write_text("former")

    def cut_short(self, path, **options):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gpd.GeoDataFrame, "to_file", cut_short)
    with pytest.raises(RunFolderError, match=r"the disk is full while writing .*clean\.gpkg; free some space"):
        truth.save(target)
    assert target.read_text() == "former"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.gpkg", "parcels.gpkg"]


def test_a_folder_in_the_way_of_a_save(tmp_path):
    truth = GroundTruth.read(write(tmp_path, frame_of([5, 6])))
    with pytest.raises(RunFolderError, match="cannot be written"):
        truth.save(tmp_path / "parcels.gpkg" / "clean.gpkg")


def test_two_polygons_of_one_number_are_refused():
    frame = frame_of([5, 6], polygon=[1, 1])
    with pytest.raises(GroundTruthError, match="polygon 1 stands twice"):
        GroundTruth(frame, "parcels.gpkg")
    with pytest.raises(GroundTruthError, match="has no column polygon"):
        GroundTruth(frame_of([5]))


def test_it_tells_about_itself(tmp_path):
    truth = GroundTruth.read(write(tmp_path, frame_of([5, 5, 23])))
    assert repr(truth) == "GroundTruth(parcels.gpkg: 3 polygons of 2 classes, EPSG:32631)"
    assert "<td>23</td><td>1</td>" in truth._repr_html_()
    empty = GroundTruth.read(write(tmp_path, frame_of([5, None]), "empty.gpkg"))
    assert "<td>empty</td><td>1</td>" in empty._repr_html_()


def test_parameters_are_declared_with_bounds():
    params = build(GroundTruthParams, {"source": "parcels.gpkg"}, "experiment.yml")
    assert (params.class_field, params.nomenclature, params.drop_unknown, params.min_area_m2) == (
        "code",
        "oso_23",
        False,
        0,
    )
    assert build(GroundTruthParams, {}, "experiment.yml").source == "", "a saved model needs no polygons"
    with pytest.raises(ParameterError, match="min_area_m2"):
        build(GroundTruthParams, {"source": "a", "min_area_m2": -1}, "experiment.yml")
