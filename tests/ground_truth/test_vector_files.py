from __future__ import annotations

import logging

import geopandas as gpd
import pandas as pd
import pytest
from odc.geo.crs import CRS as GridCRS
from pyproj import CRS
from rasterio.crs import CRS as RasterCRS
from shapely.geometry import box

from toolkit.ground.errors import GroundTruthError
from toolkit.ground.grid import crs_name
from toolkit.ground_truth.vector_files import parts_of, read_vector


def frame_of(crs="EPSG:32631", shape=None):
    return gpd.GeoDataFrame({"code": [1]}, geometry=[shape or box(0, 0, 10, 10)], crs=crs)


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb", ".sqlite"])
def test_reads_every_common_format(tmp_path, suffix):
    drivers = {".sqlite": "SQLite", ".fgb": "FlatGeobuf"}
    path = tmp_path / f"parcels{suffix}"
    frame_of("EPSG:4326").to_file(path, driver=drivers.get(suffix))
    assert read_vector(path)["code"].tolist() == [1]


def test_a_shapefile_is_several_files(tmp_path):
    frame_of().to_file(tmp_path / "parcels.shp")
    frame_of().to_file(tmp_path / "parcels.old.shp")
    (tmp_path / "parcels.shp.xml").touch()
    (tmp_path / "parcels.prj").rename(tmp_path / "parcels.PRJ")
    names = [path.name for path in parts_of(tmp_path / "parcels.shp")]
    assert names[0] == "parcels.shp"
    assert set(names[1:]) == {"parcels.PRJ", "parcels.cpg", "parcels.dbf", "parcels.shx"}


def test_any_other_vector_file_is_one_and_so_is_an_absent_one(tmp_path):
    frame_of().to_file(tmp_path / "parcels.shp")
    for path in (tmp_path / "parcels.gpkg", tmp_path / "no" / "parcels.shp"):
        assert parts_of(path) == [path]


def test_a_crs_has_one_name_whoever_holds_it():
    lambert = "+proj=lcc +lat_1=45 +lat_2=46 +lat_0=45.5 +lon_0=3 +ellps=GRS80 +units=m +no_defs"
    for text, name in (("EPSG:32631", "EPSG:32631"), (lambert, "unknown")):
        assert crs_name(CRS(text)) == crs_name(GridCRS(text)) == crs_name(RasterCRS.from_string(text)) == name
    assert crs_name(None) == "no CRS"


def test_absent_file_names_the_neighbour_that_was_meant(tmp_path):
    frame_of().to_file(tmp_path / "parcels.gpkg")
    with pytest.raises(GroundTruthError, match=r"parcel\.gpkg does not exist.*did you mean 'parcels\.gpkg'"):
        read_vector(tmp_path / "parcel.gpkg")


def test_absent_folder_is_the_same_error(tmp_path):
    with pytest.raises(GroundTruthError, match=r"does not exist; correct ground_truth\.source"):
        read_vector(tmp_path / "no" / "parcels.gpkg")


@pytest.mark.parametrize("content", [b"", b"not a vector file", b"SQLite format 3\x00cut short"])
def test_unreadable_file(tmp_path, content):
    path = tmp_path / "parcels.gpkg"
    path.write_bytes(content)
    with pytest.raises(GroundTruthError, match=r"parcels\.gpkg cannot be read as a vector file"):
        read_vector(path)


def test_shapefile_without_its_index(tmp_path):
    frame_of().to_file(tmp_path / "parcels.shp")
    (tmp_path / "parcels.shx").write_bytes(b"")
    with pytest.raises(GroundTruthError, match=r"a shapefile is \.shp, \.shx, \.dbf and \.prj"):
        read_vector(tmp_path / "parcels.shp")


def test_without_crs(tmp_path):
    frame_of().to_file(tmp_path / "parcels.shp")
    (tmp_path / "parcels.prj").unlink()
    with pytest.raises(GroundTruthError, match="has no CRS, so its polygons cannot be placed; assign"):
        read_vector(tmp_path / "parcels.shp")


def test_metres_declared_as_degrees(tmp_path):
    frame_of("EPSG:4326", box(574000, 6274000, 575000, 6275000)).to_file(tmp_path / "parcels.gpkg")
    with pytest.raises(GroundTruthError, match="declares EPSG:4326, in degrees, but its extent is x 574000 to 575000"):
        read_vector(tmp_path / "parcels.gpkg")


def test_a_name_that_tells_another_crs_is_warned_of(tmp_path, caplog):
    frame_of("EPSG:4326").to_file(tmp_path / "parcels_EPSG32632.gpkg")
    with caplog.at_level(logging.WARNING):
        assert read_vector(tmp_path / "parcels_EPSG32632.gpkg").crs == "EPSG:4326"
    assert "named after EPSG:32632 but declares EPSG:4326" in caplog.text


def test_a_name_that_tells_the_same_crs_is_fine(tmp_path, caplog):
    frame_of("EPSG:32631").to_file(tmp_path / "parcels_epsg-32631.gpkg")
    read_vector(tmp_path / "parcels_epsg-32631.gpkg")
    assert not caplog.records


def test_two_layers_need_a_choice(tmp_path):
    path = tmp_path / "parcels.gpkg"
    frame_of().to_file(path, layer="year_2018")
    frame_of().assign(code=2).to_file(path, layer="year_2019")
    with pytest.raises(GroundTruthError, match="holds the layers year_2018, year_2019; name one"):
        read_vector(path)
    assert read_vector(path, "year_2019")["code"].tolist() == [2]
    with pytest.raises(GroundTruthError, match=r"no layer 'year_2020'.*did you mean"):
        read_vector(path, "year_2020")


def test_a_table_is_refused(tmp_path):
    pd.DataFrame({"code": [1]}).to_csv(tmp_path / "parcels.csv", index=False)
    with pytest.raises(GroundTruthError, match="a table without geometry"):
        read_vector(tmp_path / "parcels.csv")


def test_an_empty_file_is_refused(tmp_path):
    frame_of().iloc[:0].to_file(tmp_path / "parcels.gpkg")
    with pytest.raises(GroundTruthError, match="holds no feature"):
        read_vector(tmp_path / "parcels.gpkg")


def test_a_file_of_null_geometries_only_is_read(tmp_path):
    gpd.GeoDataFrame({"code": [1]}, geometry=[None], crs="EPSG:4326").to_file(tmp_path / "null.geojson")
    assert read_vector(tmp_path / "null.geojson").geometry.isna().all()


def test_real_name_that_contradicts_the_crs(real_vectors, caplog):
    frame = read_vector(real_vectors / "BY_Polygons_Canola_2019_EPSG32632.shp")
    assert frame.crs == "EPSG:4326" and len(frame) == 18
    assert "named after EPSG:32632 but declares EPSG:4326" in caplog.text
