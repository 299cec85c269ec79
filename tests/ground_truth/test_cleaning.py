from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import CRS
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from toolkit.ground.errors import GroundTruthError
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.ground_truth.cleaning import MEANINGS, assign_tiles, clean_polygons
from toolkit.ground_truth.cleaning_report import CleaningReport
from toolkit.ground_truth.polygons import GroundTruth
from toolkit.ground_truth.vector_files import read_vector

UTM = "EPSG:32631"
BOW = Polygon([(100, 100), (140, 140), (140, 100), (100, 140)])


def square(x, y=100, side=40):
    return box(x, y, x + side, y + side)


def frame_of(shapes, codes=None, crs=UTM, **fields):
    return gpd.GeoDataFrame({"code": codes or [5] * len(shapes), **fields}, geometry=list(shapes), crs=crs)


def clean(shapes, footprints, oso, codes=None, **options):
    return clean_polygons(frame_of(shapes, codes), "code", oso, UTM, footprints, **options)


def test_sound_polygons_pass_unchanged(footprints, oso):
    shapes = [square(100), square(200)]
    truth, report = clean(shapes, footprints, oso)
    assert truth.ids.tolist() == [0, 1]
    assert truth.frame["source"].tolist() == [0, 1] and truth.frame["tile"].tolist() == ["31TCJ", "31TCJ"]
    assert all(kept.equals(shape) for kept, shape in zip(truth.frame.geometry, shapes, strict=True))
    assert [step.count for step in report.steps] == [0] * len(MEANINGS)


def test_the_frame_given_is_not_touched(footprints, oso):
    frame = frame_of([BOW, None, MultiPolygon([square(200), square(300)]), square(400), square(400)])
    before = frame.copy(deep=True)
    clean_polygons(frame, "code", oso, UTM, footprints)
    assert frame.drop(columns="geometry").equals(before.drop(columns="geometry"))
    assert frame.geometry.to_wkb().equals(before.geometry.to_wkb())


def test_every_fault_is_told_apart(footprints, oso):
    shapes = [
        square(100),  # 0 sound
        None,  # 1 empty
        Polygon(),  # 2 empty
        Point(150, 150),  # 3 not a polygon
        LineString([(0, 0), (50, 50)]),  # 4 not a polygon
        square(200),  # 5 without class
        BOW,  # 6 crosses itself: two triangles
        Polygon([(0, 0), (50, 0), (100, 0)]),  # 7 no area once repaired
        shapely.force_3d(square(300)),  # 8 with heights
        MultiPolygon([square(400), square(500)]),  # 9 two parts
        square(100),  # 10 copy of 0
        square(600),  # 11 conflict with 12
        Polygon(list(square(600).exterior.coords)[::-1]),  # 12 the same outline drawn the other way round
        square(700, side=2),  # 13 too small
        square(5000),  # 14 outside
        square(100, 300),  # 15 unknown class
    ]
    codes = [5.0] * len(shapes)
    codes[5], codes[12], codes[15] = np.nan, 6.0, 99.0
    truth, report = clean(shapes, footprints, oso, codes, drop_unknown=True, min_area_m2=100)
    found = {step.name: step.ids for step in report.steps if step.count}
    assert found == {
        "empty": (1, 2),
        "not_polygon": (3, 4),
        "without_class": (5,),
        "repaired": (6, 7),
        "no_area": (7,),
        "flattened": (8,),
        "split": (6, 9),
        "duplicate": (10,),
        "conflict": (11, 12),
        "unknown_class": (15,),
        "too_small": (13,),
        "outside": (14,),
    }
    assert dict(zip(truth.ids.tolist(), truth.frame["source"], strict=True)) == {0: 0, 8: 8, 16: 6, 17: 6, 18: 9, 19: 9}
    assert (report.before, report.after) == (16, 6)
    assert report.classes == {5: 6} and report.tiles == {"31TCJ": 6}


def test_what_is_left_is_valid_flat_and_single(footprints, oso):
    collection = GeometryCollection([square(200), LineString([(0, 0), (9, 9)]), square(260)])
    truth, report = clean([BOW, shapely.force_3d(square(300)), collection], footprints, oso)
    shapes = truth.frame.geometry
    assert (shapes.geom_type == "Polygon").all() and shapes.is_valid.all() and not shapes.has_z.any()
    assert report.step("repaired").ids == (0, 2)
    assert shapes.area.sum() == pytest.approx(2 * 400 + 3 * 1600)


def test_numbers_of_parts_follow_all_others_and_are_unique(footprints, oso):
    shapes = [MultiPolygon([square(100), square(200)]), square(300), MultiPolygon([square(400), square(500)])]
    truth, _ = clean(shapes, footprints, oso)
    assert truth.ids.tolist() == [3, 4, 1, 5, 6]
    assert truth.frame["source"].tolist() == [0, 0, 1, 2, 2]


def test_a_multipolygon_of_one_part_keeps_its_number(footprints, oso):
    truth, report = clean([MultiPolygon([square(100)])], footprints, oso)
    assert truth.ids.tolist() == [0] and truth.frame.geometry[0].geom_type == "Polygon"
    assert report.step("split").count == 0


def test_class_zero_is_a_class_like_any_other(footprints, oso):
    shapes = [square(100), square(200), square(300)]
    with pytest.raises(GroundTruthError, match=r"class 0 \(1 polygon\) of .* is not in nomenclature oso_23"):
        clean(shapes, footprints, oso, [5, 0, None])
    _, report = clean(shapes, footprints, oso, [5, 0, None], drop_unknown=True)
    assert report.step("without_class").ids == (2,) and report.step("unknown_class").ids == (1,)


def test_an_empty_class_stays_empty_when_a_ground_truth_is_cleaned(footprints, oso, tmp_path):
    frame_of([square(100), square(200)], [5, None]).to_file(tmp_path / "parcels.gpkg")
    GroundTruth.read(tmp_path / "parcels.gpkg").save(tmp_path / "kept.gpkg")
    kept = GroundTruth.read(tmp_path / "kept.gpkg")
    _, report = clean_polygons(kept.frame, "code", oso, UTM, footprints)
    assert report.step("without_class").ids == (1,) and report.classes == {5: 1}


def test_three_copies_leave_one(footprints, oso):
    turned = Polygon([*square(100).exterior.coords[1:], square(100).exterior.coords[1]])
    truth, report = clean([square(100), turned, square(100)], footprints, oso)
    assert truth.ids.tolist() == [0] and report.step("duplicate").ids == (1, 2)


def test_copies_with_a_conflict_all_go_even_those_that_agree(footprints, oso):
    truth, report = clean([square(100), square(100), square(100), square(300)], footprints, oso, [5, 5, 6, 7])
    assert truth.ids.tolist() == [3]
    assert report.step("conflict").ids == (0, 1, 2) and report.step("duplicate").count == 0


def test_reprojection_brings_polygons_to_the_tiles(oso):
    here = box(1.40, 43.60, 1.41, 43.61)
    tile = gpd.GeoSeries([box(1.3, 43.5, 1.5, 43.7)], crs=4326).to_crs(UTM)[0]
    frame = frame_of([here], crs="EPSG:4326")
    truth, report = clean_polygons(frame, "code", oso, UTM, {"31TCJ": tile})
    step = report.step("reprojected")
    assert truth.crs == UTM and (step.ids, step.count) == ((), 1) and report.crs == UTM
    # 0.01 degree is 1111 m northwards and, at 43.6 N, 807 m eastwards
    assert truth.frame.geometry[0].area == pytest.approx(1111 * 807, rel=0.01)


def test_polygons_beyond_the_working_crs_are_removed(oso):
    tile = gpd.GeoSeries([box(1.3, 43.5, 1.5, 43.7)], crs=4326).to_crs(UTM)[0]
    frame = frame_of([box(1.40, 43.60, 1.41, 43.61), box(91, -10, 94, 10)], crs="EPSG:4326")
    _, report = clean_polygons(frame, "code", oso, UTM, {"31TCJ": tile})
    assert report.step("beyond_crs").ids + report.step("outside").ids == (1,)


def test_unknown_classes_are_refused_with_their_counts(footprints, oso):
    shapes = [square(100 + 50 * i) for i in range(5)]
    with pytest.raises(GroundTruthError) as error:
        clean(shapes, footprints, oso, [5, 24, 24, 5, 5], name="parcels.gpkg")
    assert str(error.value) == (
        "class 24 (2 polygons) of parcels.gpkg is not in nomenclature oso_23: "
        "add it to the nomenclature, or set ground_truth.drop_unknown"
    )
    with pytest.raises(GroundTruthError, match=r"classes -3 \(1 polygon\), 211 \(2 polygons\) of .* are not in"):
        clean(shapes, footprints, oso, [5, 211, 211, 5, -3])


def test_classes_follow_the_nomenclature_given(footprints):
    own = Nomenclature("own", (LandCoverClass(1, "Forest", "#009c00"), LandCoverClass(2, "Other", "#aaaa00")))
    truth, _ = clean([square(100), square(200)], footprints, own, [1, 2])
    assert truth.counts == {1: 1, 2: 1}


def test_outside_the_tiles_gives_both_extents(footprints, oso):
    with pytest.raises(GroundTruthError) as error:
        clean([square(5000), square(6000)], footprints, oso, name="parcels.gpkg")
    assert "parcels.gpkg lies outside the tiles 31TCJ, 31TDJ" in str(error.value)
    assert "EPSG:32631 x 5000 to 6040, y 100 to 140, the tiles x 0 to 1800, y 0 to 1000" in str(error.value)


def test_nothing_left_says_why(footprints, oso):
    with pytest.raises(
        GroundTruthError, match=r"no polygon is left of 2 features.*1 without geometry; 1 points or lines"
    ):
        clean([None, Point(1, 1)], footprints, oso)


def test_touching_a_tile_from_outside_is_outside(footprints, oso):
    _, report = clean([square(100), box(-50, 0, 0, 50)], footprints, oso)
    assert report.step("outside").ids == (1,)


def test_the_tile_with_the_largest_part_wins(footprints):
    shapes = np.array([box(700, 0, 1300, 50), box(500, 0, 1300, 50), box(750, 0, 1400, 50)])
    # inside 31TCJ 300, 500, 250 m of length; inside 31TDJ 500, 500, 600 m
    assert assign_tiles(shapes, footprints).tolist() == ["31TDJ", "31TCJ", "31TDJ"]


def test_within_several_tiles_the_nearest_centre_wins(footprints):
    shapes = np.array([box(820, 400, 860, 440), box(940, 400, 980, 440)])
    assert assign_tiles(shapes, footprints).tolist() == ["31TCJ", "31TDJ"]


def test_equal_tiles_go_by_name_whatever_their_order(footprints):
    shapes = np.array([box(880, 480, 920, 520)])
    turned = dict(reversed(footprints.items()))
    assert assign_tiles(shapes, footprints).tolist() == assign_tiles(shapes, turned).tolist() == ["31TCJ"]


def test_further_fields_stay_with_their_polygons(footprints, oso):
    frame = frame_of(
        [None, MultiPolygon([square(100), square(200)]), square(300)], fold=["a", "b", "c"], tile=[1, 2, 3]
    )
    truth, _ = clean_polygons(frame, "code", oso, UTM, footprints)
    assert truth.frame["fold"].tolist() == ["b", "b", "c"]
    assert truth.frame["tile_input"].tolist() == [2, 2, 3]


def test_cleaning_what_is_clean_changes_nothing(footprints, oso, tmp_path):
    first, _ = clean([BOW, MultiPolygon([square(200), square(300)]), square(900)], footprints, oso)
    first.save(tmp_path / "clean.gpkg")
    again = GroundTruth.read(tmp_path / "clean.gpkg")
    second, report = clean_polygons(again.frame, "code", oso, UTM, footprints)
    assert second.ids.tolist() == first.ids.tolist()
    assert second.frame["tile"].tolist() == first.frame["tile"].tolist()
    assert sum(step.count for step in report.steps) == 0


def test_the_report_is_kept_as_json_and_read_again(footprints, oso):
    _, report = clean([square(100), None, square(100)], footprints, oso, name="parcels.gpkg")
    content = json.loads(report.to_json())
    assert content["before"] == 3 and content["after"] == 1
    step = next(step for step in content["steps"] if step["name"] == "duplicate")
    assert step == {"name": "duplicate", "meaning": MEANINGS["duplicate"], "effect": "removed", "ids": [2], "count": 1}
    assert CleaningReport.from_json(report.to_json()) == report


def test_numbers_stand_on_one_line_and_not_at_all_where_every_polygon_is_meant(footprints, oso):
    shapes = [shapely.force_3d(square(100 + 50 * i)) for i in range(8)]
    _, report = clean([*shapes, None, None], footprints, oso, name="parcels [\n 1,\n 2\n].gpkg")
    flattened = report.step("flattened")
    assert (flattened.count, flattened.ids) == (8, ())
    lines = report.to_json().splitlines()
    assert '      "ids": "all",' in lines and '      "ids": [8, 9],' in lines
    assert CleaningReport.from_json(report.to_json()) == report


def test_the_report_tells_about_itself(footprints, oso):
    _, report = clean([square(100), None], footprints, oso, name="<parcels>.gpkg")
    assert repr(report).splitlines() == [
        "CleaningReport(<parcels>.gpkg: 2 features, 1 polygons kept)",
        "  empty: 1 removed (without geometry)",
    ]
    html = report._repr_html_()
    assert "&lt;parcels&gt;.gpkg: 2 features" in html and "without geometry</td><td>removed</td><td>1</td>" in html


# ---- real files


def around(frame, crs):
    return {"tile": box(*frame.to_crs(crs).total_bounds).buffer(10)}


def codes_of(frame, field):
    return Nomenclature(
        "found", tuple(LandCoverClass(i + 1, str(v), "#112233") for i, v in enumerate(frame[field].unique()))
    )


def test_real_swiss_parcels(real_vectors):
    frame = read_vector(real_vectors / "ZH_Polygons_2020_ESCH_EPSG32632.shp")
    found = codes_of(frame, "NUTZUNGSCO")
    frame["class"] = frame["NUTZUNGSCO"].map({one.label: one.code for one in found.classes})
    truth, report = clean_polygons(frame, "class", found, "EPSG:32632", around(frame, "EPSG:32632"), name="ZH")
    assert report.before == 281
    assert report.step("repaired").ids == (79, 215)
    assert report.step("split").count >= 24
    shapes = truth.frame.geometry
    assert (shapes.geom_type == "Polygon").all() and shapes.is_valid.all()
    assert shapes.area.sum() == pytest.approx(
        shapely.area(shapely.make_valid(frame.geometry.to_numpy())).sum(), rel=1e-4
    )
    assert truth.frame.groupby("source")["code"].nunique().max() == 1


def test_real_codes_with_leading_zeros_are_numbers(real_vectors):
    truth = GroundTruth.read(real_vectors / "ZH_Polygons_2020_ESCH_EPSG32632.shp", "NUTZUNGSCO")
    assert 513 in truth.counts
    with pytest.raises(GroundTruthError, match=r"field NUTZUNG of .* is 'Winterweizen.*' in row 0"):
        GroundTruth.read(real_vectors / "ZH_Polygons_2020_ESCH_EPSG32632.shp", "NUTZUNG")


def test_real_null_geometry(real_vectors):
    frame = read_vector(real_vectors / "null_geom.geojson").assign(code=1)
    with pytest.raises(GroundTruthError, match=r"no polygon is left of 2 features"):
        clean_polygons(frame, "code", Nomenclature.load("oso_23"), UTM, {"31TCJ": box(0, 0, 1, 1)})


def test_real_degrees_named_as_metres_land_in_their_tile(real_vectors, oso):
    frame = read_vector(real_vectors / "BY_Polygons_Canola_2019_EPSG32632.shp")
    tile = {"32UPU": box(600000, 5290200, 709800, 5400000)}
    truth, report = clean_polygons(frame, "crop_code", oso, "EPSG:32632", tile)
    assert len(truth) + report.step("duplicate").count == 18 and set(truth.frame["tile"]) == {"32UPU"}


def test_real_oso_polygons_of_another_nomenclature(real_vectors, oso):
    frame = read_vector(real_vectors / "D5H2_groundTruth_samples.shp")
    footprints = around(frame, UTM)
    with pytest.raises(GroundTruthError, match=r"classes 31 \(2 polygons\), .*222 \(2 polygons\).* are not in"):
        clean_polygons(frame, "CODE", oso, UTM, footprints, name="D5H2")
    truth, report = clean_polygons(frame, "CODE", oso, UTM, footprints, drop_unknown=True)
    assert truth.counts == {11: 2, 12: 2} and report.step("split").count == 1
    assert CRS(report.crs) == CRS(UTM)
