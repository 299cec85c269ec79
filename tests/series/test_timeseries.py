import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.conftest import write_tif
from toolkit.ground.errors import ProductError
from toolkit.ground.grid import Block, project_bounds
from toolkit.products.handles import close_rasters
from toolkit.products.sen2cor import find_sen2cor
from toolkit.products.theia import find_theia
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.team import Team
from toolkit.series.timeseries import SeriesParams, TileSeries

Write = Callable[..., Path]
WHOLE = Block(0, 0, 20, 20)


@pytest.fixture(autouse=True)
def closed() -> None:
    yield
    close_rasters()


def params(**changes: object) -> SeriesParams:
    values = {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-12-27", **changes}
    return SeriesParams.model_validate(values)


def open_tile(root: Path, **changes: object) -> TileSeries:
    return TileSeries.open("31TCJ", find_theia(root), params(**changes))


def test_reads_all_bands_in_order(tmp_path: Path, theia: Write) -> None:
    for date in ("2018-03-01", "2018-01-10"):
        theia(tmp_path, date)
    series = open_tile(tmp_path)
    values, validity = series.read(WHOLE)
    assert (values.shape, validity.shape) == ((2, 10, 20, 20), (2, 20, 20))
    assert [str(day) for day in series.dates] == ["2018-01-10", "2018-03-01"]
    # The writer gives bands in the order 10 m then 20 m; B5 is the fifth, B8 the fourth.
    assert values[0, :, 3, 3].tolist() == [1000, 1010, 1020, 1040, 1050, 1060, 1030, 1070, 1080, 1090]
    assert validity.all()


def test_cloud_edge_and_saturation_are_not_valid(tmp_path: Path, theia: Write) -> None:
    cloud = np.zeros((20, 20), dtype=np.uint8)
    cloud[2, 3] = 128
    folder = theia(tmp_path, "2018-01-10", cloud=cloud)
    saturated = np.zeros((10, 10), dtype=np.uint8)
    saturated[5, 5] = 4
    write_tif(folder / "MASKS" / f"{folder.name}_SAT_R2.tif", saturated, (300000, 4900020), 20)
    _, validity = open_tile(tmp_path).read(WHOLE)
    wrong = np.argwhere(~validity[0]).tolist()
    assert wrong == [[2, 3], [10, 10], [10, 11], [11, 10], [11, 11]]


def test_nodata_is_not_valid_though_the_mask_says_clear(tmp_path: Path, theia: Write) -> None:
    value = np.full((20, 20), 1000)
    value[:6] = -10000
    theia(tmp_path, "2018-01-10", value=value)
    values, validity = open_tile(tmp_path).read(WHOLE)
    assert not validity[0, :6].any()
    assert validity[0, 6:].all()
    assert (values[0, :, 6:] > 0).all(), "20 m neighbours without data must not darken a pixel"


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_any_block_equals_the_whole(tmp_path: Path, theia: Write, method: str) -> None:
    value = np.random.default_rng(0).integers(0, 9000, (20, 20))
    value[4:7, 9:12] = -10000
    theia(tmp_path, "2018-01-10", value=value)
    series = open_tile(tmp_path, resampling=method)
    values, validity = series.read(WHOLE)
    for block in (Block(0, 0, 7, 5), Block(3, 5, 9, 11), Block(19, 19, 1, 1), Block(1, 13, 18, 3)):
        part, valid = series.read(block)
        assert np.array_equal(part, values[:, :, *block.slices])
        assert np.array_equal(valid, validity[:, *block.slices])


def test_union_of_products_of_different_extent(tmp_path: Path, theia: Write) -> None:
    theia(tmp_path, "2018-01-10", corner=(300000, 4900020))
    theia(tmp_path, "2018-01-20", corner=(300100, 4899920))
    series = open_tile(tmp_path)
    assert series.grid.shape == (30, 30)
    values, validity = series.read(Block(0, 0, 30, 30))
    assert validity[0, :20, :20].all() and not validity[0, 20:].any()
    assert validity[1, 10:, 10:].all() and not validity[1, :10].any()
    assert (values[1, :, :10] == -10000).all()


def test_area_of_interest_is_a_window_of_the_tile(tmp_path: Path, theia: Write) -> None:
    value = np.arange(400).reshape(20, 20)
    theia(tmp_path, "2018-01-10", value=value)
    whole = open_tile(tmp_path)
    box = project_bounds((300052, 4899898, 300118, 4899972), "EPSG:32631", "EPSG:4326")
    part = open_tile(tmp_path, area=tuple(box))
    assert 0 < part.grid.shape[0] < 20
    row = round((whole.grid.affine.f - part.grid.affine.f) / 10)
    col = round((part.grid.affine.c - whole.grid.affine.c) / 10)
    block = Block(row, col, *part.grid.shape)
    assert np.array_equal(part.read(Block(0, 0, *part.grid.shape))[0], whole.read(block)[0])
    with pytest.raises(ProductError, match="outside of tile 31TCJ"):
        open_tile(tmp_path, area=(10, 50, 11, 51))


def test_coarse_bands_alone_make_a_coarse_grid(tmp_path: Path, theia: Write) -> None:
    cloud = np.zeros((20, 20), dtype=np.uint8)
    cloud[5, 7] = 1
    theia(tmp_path, "2018-01-10", cloud=cloud)
    series = open_tile(tmp_path, bands=["B5", "B11"])
    assert series.grid.shape == (10, 10)
    _, validity = series.read(Block(0, 0, 10, 10))
    assert np.argwhere(~validity[0]).tolist() == [[2, 3]]


def test_margin_of_the_period(tmp_path: Path, theia: Write) -> None:
    for date in ("2017-11-20", "2017-12-05", "2018-06-01", "2019-01-20", "2019-02-20"):
        theia(tmp_path, date)
    assert len(open_tile(tmp_path).dates) == 3
    assert len(open_tile(tmp_path, margin_days=0).dates) == 1


def test_no_product_says_what_there_is(tmp_path: Path, theia: Write) -> None:
    theia(tmp_path, "2015-01-10")
    with pytest.raises(ProductError, match=r"no product of tile 31TCJ .*1 of other days.*series\.start"):
        open_tile(tmp_path)


def test_missing_band_is_refused_or_left_out(tmp_path: Path, theia: Write) -> None:
    theia(tmp_path, "2018-01-10")
    folder = theia(tmp_path, "2018-02-10")
    (folder / f"{folder.name}_FRE_B8A.tif").unlink()
    with pytest.raises(ProductError, match=r"B8A was not delivered in SENTINEL2A_20180210.*missing_band: skip"):
        open_tile(tmp_path)
    assert len(open_tile(tmp_path, missing_band="skip").dates) == 1
    assert len(open_tile(tmp_path, bands=["B2", "B4"]).dates) == 2


def test_mask_of_the_wrong_size_is_refused(tmp_path: Path, theia: Write) -> None:
    folder = theia(tmp_path, "2018-01-10")
    name = f"{folder.name}_CLM_R1.tif"
    write_tif(folder / "MASKS" / name, np.zeros((14, 20), dtype=np.uint8), (300000, 4900020), 10)
    with pytest.raises(ProductError, match=rf"{name} .*14 x 20 pixels.*fetch the product again"):
        open_tile(tmp_path)


def test_missing_mask_is_refused_left_out_or_taken_as_clear(tmp_path: Path, theia: Write) -> None:
    theia(tmp_path, "2018-01-10")
    folder = theia(tmp_path, "2018-02-10")
    next((folder / "MASKS").glob("*_CLM_R1.tif")).unlink()
    with pytest.raises(ProductError, match=r"mask CLM was not delivered in SENTINEL2A_20180210.*missing_mask: skip"):
        open_tile(tmp_path)
    assert len(open_tile(tmp_path, missing_mask="skip").dates) == 1
    assert len(open_tile(tmp_path, missing_mask="accept").dates) == 2


def test_missing_mask_of_one_resolution_is_told_where_it_holds_bands_of_its_own(tmp_path: Path, theia: Write) -> None:
    for date in ("2018-01-10", "2018-02-10"):
        folder = theia(tmp_path, date)
        for kind in ("CLM", "SAT", "EDG"):
            fine = folder / "MASKS" / f"{folder.name}_{kind}_R1.tif"
            shutil.copy(fine, fine.with_name(fine.name.replace("_R1", "_R2")))
    for kind in ("CLM", "SAT"):
        (folder / "MASKS" / f"{folder.name}_{kind}_R2.tif").unlink()
    with pytest.raises(ProductError, match=r"mask SAT_R2 was not delivered in SENTINEL2A_20180210"):
        open_tile(tmp_path)
    (folder / "MASKS" / f"{folder.name}_EDG_R1.tif").unlink()
    (folder / "MASKS" / f"{folder.name}_EDG_R2.tif").unlink()
    with pytest.raises(ProductError, match=r"masks EDG, SAT_R2 were not delivered in SENTINEL2A_20180210"):
        open_tile(tmp_path)


def test_series_without_any_cloud_mask_is_refused(tmp_path: Path, theia: Write) -> None:
    folder = theia(tmp_path, "2018-01-10")
    next((folder / "MASKS").glob("*_CLM_R1.tif")).unlink()
    with pytest.raises(ProductError, match=r"no cloud mask \(CLM\).*missing_mask: accept"):
        open_tile(tmp_path)
    assert open_tile(tmp_path, missing_mask="accept").read(WHOLE)[1].all()


def test_band_of_decimal_numbers_is_refused(tmp_path: Path, theia: Write) -> None:
    folder = theia(tmp_path, "2018-01-10")
    path = folder / f"{folder.name}_FRE_B4.tif"
    write_tif(path, np.full((20, 20), 0.1, dtype=np.float32), (300000, 4900020), 10)
    with pytest.raises(ProductError, match=r"B4\.tif holds float32 values.*10000"):
        open_tile(tmp_path)


def test_truncated_band_is_refused_before_reading(tmp_path: Path, theia: Write) -> None:
    noise = np.random.default_rng(0).integers(0, 9000, (200, 200))
    folder = theia(tmp_path, "2018-01-10", size=200, value=noise)
    path = folder / f"{folder.name}_FRE_B3.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ProductError, match=rf"{path.name} cannot be read"):
        open_tile(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"end": "2017-01-01"}, "before series.start"),
        ({"tiles": ["31TCI"]}, "not a Sentinel-2 tile"),
        ({"tiles": ["31TCJ", "T31TCJ"]}, "stands twice"),
        ({"bands": ["B2", "B-9"]}, "'B-9' is no name of a band"),
        ({"area": (2, 1, 1, 2)}, "west, south, east, north"),
        ({"area": (404000, 4894500, 404500, 4895500)}, "longitude"),
        ({"step_days": 0}, "greater than or equal to 1"),
    ],
)
def test_bad_parameters_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        params(**changes)


def test_real_series_knows_that_half_of_its_dates_are_empty(real_data: Path) -> None:
    products = find_theia(real_data / "theia_maja_T31UFQ_fordead")
    bands = ("B2", "B3", "B4", "B8A", "B11", "B12")
    every = params(tiles=["31UFQ"], start="2015-12-01", end="2020-06-30", bands=bands)
    series = TileSeries.open("31UFQ", products, every)
    values, validity = series.read(Block(0, 0, 80, 80))
    empty = (values == -10000).all(axis=(1, 2, 3))
    assert (len(series.dates), empty.sum()) == (187, 90)
    assert not validity[empty].any()


@pytest.mark.parametrize("pixel", [19.9996, 20.0004])
def test_a_header_that_rounds_its_pixel_size_is_read_as_what_it_means(
    tmp_path: Path, theia: Write, pixel: float
) -> None:
    value = np.random.default_rng(0).integers(0, 9000, (20, 20))
    folder = theia(tmp_path, "2018-01-10", value=value)
    exact, _ = open_tile(tmp_path).read(WHOLE)
    close_rasters()
    path = folder / f"{folder.name}_FRE_B11.tif"
    with rasterio.open(path) as source:
        coarse = source.read(1)
    write_tif(path, coarse, (300000, 4900020), pixel)
    again, _ = open_tile(tmp_path).read(WHOLE)
    assert np.array_equal(again, exact)


def test_finer_mask_whose_header_rounds_its_pixel_size(tmp_path: Path, theia: Write) -> None:
    cloud = np.zeros((20, 20), dtype=np.uint8)
    cloud[5, 7] = 1
    folder = theia(tmp_path, "2018-01-10", cloud=cloud)
    write_tif(folder / "MASKS" / f"{folder.name}_CLM_R1.tif", cloud, (300000, 4900020), 10.0002)
    series = open_tile(tmp_path, bands=["B5", "B11"])
    assert {placed.scale for _, placed in series.acquisitions[0].masks} == {0.5}


def test_bands_on_the_grid_are_read_by_the_rows_of_their_tiles(tmp_path: Path, theia: Write) -> None:
    theia(tmp_path, "2018-01-10", size=600)
    series, buffer = open_tile(tmp_path, bands=["B2", "B5"]), SeriesBuffer()
    (tile_rows, _), *_ = rasterio.open(series.acquisitions[0].bands[0][1].path).block_shapes
    assert series.rows_at_once is not None and 256 <= series.rows_at_once < 300 and not series.rows_at_once % tile_rows
    cuts = []
    for strips in series.strips(Block(100, 0, 400, 300), Team(buffer), 50):
        for strip in strips:
            strip.load(buffer)
            cuts.append(strip.rows.start)
    assert series.rows_at_once - 100 in cuts, "where a tile of the file ends, a strip does"
    whole = SeriesBuffer()
    series.images(Block(100, 0, 400, 300), Team(whole))
    assert buffer.nbytes < 0.8 * (whole.nbytes + buffer.array("values of a strip", (1, 2, 50, 300), np.int16).nbytes)


def test_all_rows_are_read_at_once_where_gdal_opens_the_files(tmp_path: Path, sen2cor: Write) -> None:
    sen2cor(tmp_path, "2018-01-10")
    assert TileSeries.open("31TCJ", find_sen2cor(tmp_path), params(bands=["B2", "B5"])).rows_at_once is None
