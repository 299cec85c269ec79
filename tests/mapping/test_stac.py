"""STAC items and VRTs: the fields that the specification requires, and the pixels."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

from tests.mapping.conftest import NAMES
from tests.mapping.test_layers import write_layers
from tests.mapping.test_mapping import read
from toolkit import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.mapping.layers import LAYERS
from toolkit.mapping.mosaic import mosaic_tiles
from toolkit.mapping.stac import write_item
from toolkit.mapping.vrt import write_vrt
from toolkit.products.handles import close_rasters
from toolkit.products.raster import grid_of

PERIOD = (date(2018, 1, 1), date(2018, 12, 31))


def check_item(path: Path) -> dict:
    """What STAC 1.1.0 requires of an item, and its extensions of their fields."""
    item = json.loads(path.read_text(encoding="utf-8"))
    assert item["type"] == "Feature" and item["stac_version"] == "1.1.0" and item["id"]
    assert isinstance(item["links"], list)
    ground = shapely.geometry.shape(item["geometry"])
    assert ground.is_valid and ground.exterior.is_ccw
    assert tuple(item["bbox"]) == pytest.approx(ground.bounds)
    properties = item["properties"]
    assert properties["datetime"] is None
    start, end = (datetime.fromisoformat(properties[f"{name}_datetime"]) for name in ("start", "end"))
    assert start < end and start.tzinfo is not None
    used = set(re.findall(r'"(proj|classification|raster):', path.read_text(encoding="utf-8")))
    short = {"proj": "projection"}
    assert {one.split("/")[3] for one in item["stac_extensions"]} >= {short.get(one, one) for one in used}
    for name, asset in item["assets"].items():
        file = path.parent / asset["href"]
        assert not Path(asset["href"]).is_absolute() and "data" in asset["roles"]
        with rasterio.open(file) as source:
            assert list(source.shape) == properties["proj:shape"]
            assert list(source.transform)[:6] == properties["proj:transform"]
            assert source.crs.to_string() == properties["proj:code"]
            assert source.dtypes[0] == asset["data_type"] and source.nodata == asset.get("nodata")
            is_cog = source.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG"
            assert asset["type"].endswith("cloud-optimized") == is_cog, name
            if len(source.indexes) > 1:
                assert len(asset["bands"]) == source.count
    for one in item["assets"]["classes"]["classification:classes"]:
        assert isinstance(one["value"], int) and re.fullmatch(r"[0-9A-Za-z_-]+", one["name"])
        assert one.get("nodata") or re.fullmatch(r"[0-9A-F]{6}", one["color_hint"])
    return item


def test_item_says_where_when_and_what(tmp_path: Path) -> None:
    close_rasters()
    tile = write_layers(tmp_path / "a", np.full((30, 40), 3, np.uint8), (300000, 4900000), "EPSG:32631")
    grid = grid_of(tile / "classes.tif")
    path = write_item(
        tile, "e-31TCJ", tuple(LAYERS), grid, NAMES, PERIOD, tags={"EXPERIMENT": "e"}, cloud_optimised=False
    )  # fmt: skip
    item = check_item(path)
    west, south, east, north = item["bbox"]
    assert (west, north) == pytest.approx((0.497, 44.22), abs=0.01) and east > west and north > south
    assert item["properties"]["landcover:experiment"] == "e"
    assert item["properties"]["start_datetime"] == "2018-01-01T00:00:00Z"
    classes = item["assets"]["classes"]["classification:classes"]
    assert [(one["value"], one["name"], one.get("color_hint")) for one in classes] == [
        (0, "no_data", None), (3, "dark_wet", "112233"), (9, "bright", "FFEE00")
    ]  # fmt: skip
    bands = item["assets"]["probabilities"]["bands"]
    assert [(one["name"], one["raster:scale"]) for one in bands] == [("3", 0.01), ("9", 0.01)]


def test_a_run_leaves_an_item_beside_each_map_and_a_vrt(finished_demo: Path) -> None:
    experiment = Experiment.load(finished_demo)
    folder = RunFolder(experiment.folder)
    names = [check_item(folder.tile(tile) / "item.json")["id"] for tile in experiment.series.tiles]
    assert names == [f"{experiment.name}-{tile}" for tile in experiment.series.tiles]
    assert check_item(folder.mapping / "item.json")["id"] == experiment.name
    zones = {grid_of(folder.tile(tile) / "classes.tif").crs for tile in experiment.series.tiles}
    close_rasters()
    assert (folder.mapping / "classes.vrt").exists() == (len(zones) == 1)


def test_vrt_is_the_tiles_and_may_be_moved_with_them(tmp_path: Path) -> None:
    close_rasters()
    codes = np.array([0, 3, 9], dtype=np.uint8)
    rng = np.random.default_rng(0)
    tiles = [
        write_layers(tmp_path / "m" / name, codes[rng.integers(0, 3, (30, 40))], corner, "EPSG:32631")
        for name, corner in (("a & b", (300000, 4900000)), ("c", (300400, 4900100)))
    ]
    wanted = read(mosaic_tiles(tiles, tmp_path / "mosaic", NAMES)["classes"])
    assert write_vrt([tile / "classes.tif" for tile in tiles], tmp_path / "m" / "classes.vrt", NAMES)
    shutil.move(tmp_path / "m", tmp_path / "elsewhere")
    with rasterio.open(tmp_path / "elsewhere" / "classes.vrt") as source:
        assert np.array_equal(source.read(1), wanted)
        assert source.colormap(1)[9] == (255, 238, 0, 255) and source.nodata == 0
    close_rasters()


def test_an_unseen_pixel_does_not_cover_the_tile_below(tmp_path: Path) -> None:
    close_rasters()
    below = write_layers(tmp_path / "a", np.full((5, 5), 3, np.uint8), (300000, 4900000), "EPSG:32631")
    above = np.full((5, 5), 9, np.uint8)
    above[2, 2] = 0
    over = write_layers(tmp_path / "b", above, (300000, 4900000), "EPSG:32631")
    path = write_vrt([below / "classes.tif", over / "classes.tif"], tmp_path / "classes.vrt", NAMES)
    assert path is not None
    found = read(path)
    assert found[2, 2] == 3 and (found == 9).sum() == 24


def test_no_vrt_over_two_zones(tmp_path: Path) -> None:
    close_rasters()
    files = [
        write_layers(tmp_path / name, np.full((5, 5), 3, np.uint8), (300000, 4900000), crs) / "classes.tif"
        for name, crs in (("a", "EPSG:32631"), ("b", "EPSG:32630"))
    ]
    (tmp_path / "classes.vrt").write_text("of an earlier map")
    assert write_vrt(files, tmp_path / "classes.vrt", NAMES) is None
    assert not (tmp_path / "classes.vrt").exists()
