import logging
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import TEN_METRES, TWENTY_METRES, sen2cor_metadata, write_tif
from toolkit.ground.bands import BAND_NAMES
from toolkit.ground.errors import ProductError
from toolkit.products.raster import read_window
from toolkit.products.sen2cor import find_sen2cor

Write = Callable[..., Path]


def test_finds_at_any_depth_in_order_of_time(tmp_path: Path, sen2cor: Write) -> None:
    sen2cor(tmp_path / "a" / "b", "2018-05-11", unit="C")
    sen2cor(tmp_path, "2018-01-03")
    found = find_sen2cor(tmp_path)
    assert [str(one.date) for one in found] == ["2018-01-03", "2018-05-11"]
    first = found[0]
    assert first.name == "S2A_MSIL2A_20180103T105441_N0509_R051_T31TCJ_20240601T120000"
    assert (first.tile, first.platform, first.acquired) == ("31TCJ", "SENTINEL2A", np.datetime64("2018-01-03T10:54:41"))
    assert found[1].platform == "SENTINEL2C"
    assert tuple(first.bands) == BAND_NAMES
    assert (set(first.masks), first.cloud_mask) == ({"SCL"}, "SCL")
    assert first.properties["version"] == "05.09"
    assert first.metadata in first.inputs(["B2"])


def test_values_of_all_baselines_are_one_series(tmp_path: Path, sen2cor: Write) -> None:
    """Since 04.00 there is an offset of -1000: whoever overlooks it sees every reflectance rise by 0.1 there."""
    value = np.full((20, 20), 1234)
    value[0, 0] = -10000
    sen2cor(tmp_path, "2021-12-01", value=value, baseline="0301", offset=None)
    sen2cor(tmp_path, "2022-02-01", value=value, baseline="0400")
    sen2cor(tmp_path, "2022-03-01", value=value, baseline="0510", offset=-700)
    for product in find_sen2cor(tmp_path):
        for place, name in enumerate(TEN_METRES + TWENTY_METRES):
            band = product.bands[name]
            stored = read_window(band.path, 0, 0, 2, 2, fill=band.nodata)
            expected = [-10000] + [1234 + 10 * place] * 3
            assert band.to_reflectance(stored).ravel().tolist() == expected, (product.name, name)


def test_an_offset_is_that_of_its_own_band(tmp_path: Path, sen2cor: Write) -> None:
    safe = sen2cor(tmp_path, "2022-02-01")
    text = sen2cor_metadata("0509", -1000).replace('band_id="8">-1000', 'band_id="8">-500')
    (safe / "MTD_MSIL2A.xml").write_text(text)
    (product,) = find_sen2cor(tmp_path)
    assert {name: band.offset for name, band in product.bands.items() if band.offset != -0.1} == {"B8A": -0.05}


def test_negative_reflectances_and_values_beyond_int16(tmp_path: Path, sen2cor: Write) -> None:
    sen2cor(tmp_path, "2022-02-01")
    band = find_sen2cor(tmp_path)[0].bands["B2"]
    stored = np.array([0, 1, 999, 1000, 11000, 65535], dtype=np.uint16)
    assert band.to_reflectance(stored).tolist() == [-10000, -999, -1, 0, 10000, 32767]


@pytest.mark.parametrize(("baseline", "offset"), [("0301", 0), ("0214", 0), ("0400", -0.1), ("0511", -0.1)])
def test_without_metadata_the_baseline_decides_and_it_is_said(
    tmp_path: Path, sen2cor: Write, caplog: pytest.LogCaptureFixture, baseline: str, offset: float
) -> None:
    sen2cor(tmp_path, "2022-02-01", baseline=baseline, metadata=False)
    (product,) = find_sen2cor(tmp_path)
    assert {band.offset for band in product.bands.values()} == {offset}
    assert f"{round(10000 * offset)} is taken, by their baseline" in caplog.text


def test_metadata_cut_short_are_as_none_and_silent_ones_are_told(
    tmp_path: Path, sen2cor: Write, caplog: pytest.LogCaptureFixture
) -> None:
    safe = sen2cor(tmp_path, "2022-02-01")
    whole = (safe / "MTD_MSIL2A.xml").read_text()
    (safe / "MTD_MSIL2A.xml").write_text(whole[:200])
    assert find_sen2cor(tmp_path)[0].bands["B2"].offset == -0.1
    assert "is not well-formed" in caplog.text
    caplog.clear()
    (safe / "MTD_MSIL2A.xml").write_text(sen2cor_metadata("0509", None))
    assert find_sen2cor(tmp_path)[0].bands["B2"].offset == -0.1
    assert "-1000 is taken, by their baseline" in caplog.text


def test_own_processing_has_the_offset_that_its_metadata_tell(tmp_path: Path, sen2cor: Write) -> None:
    sen2cor(tmp_path, "2022-02-01", baseline="9999", offset=None)
    sen2cor(tmp_path, "2022-02-06", baseline="9999", offset=-1000)
    assert [one.bands["B2"].offset for one in find_sen2cor(tmp_path)] == [0, -0.1]
    sen2cor(tmp_path, "2022-02-11", baseline="9999", metadata=False)
    with pytest.raises(ProductError, match=r"20220211.*the offset of its reflectances is not known; deliver the file"):
        find_sen2cor(tmp_path)


def test_metadata_with_a_number_that_is_none(tmp_path: Path, sen2cor: Write) -> None:
    safe = sen2cor(tmp_path, "2022-02-01")
    (safe / "MTD_MSIL2A.xml").write_text(sen2cor_metadata("0509", -1000, quantification="0"))
    with pytest.raises(ProductError, match=r"MTD_MSIL2A.xml: BOA_QUANTIFICATION_VALUE is '0', not a positive number"):
        find_sen2cor(tmp_path)
    (safe / "MTD_MSIL2A.xml").write_text(sen2cor_metadata("0509", -1000).replace(">-1000<", ">none<"))
    with pytest.raises(ProductError, match=r"BOA_ADD_OFFSET of B2 is 'none', not a number.*usual: -1000"):
        find_sen2cor(tmp_path)


def test_the_classes_that_are_not_usable_are_a_choice(tmp_path: Path, sen2cor: Write) -> None:
    sen2cor(tmp_path, "2022-02-01")
    classes = np.arange(12, dtype=np.uint8)
    mask = find_sen2cor(tmp_path)[0].masks["SCL"]
    assert np.flatnonzero(mask.is_clear(classes)).tolist() == [2, 4, 5, 6, 7, 11]
    mask = find_sen2cor(tmp_path, scl=(0, 11))[0].masks["SCL"]
    assert np.flatnonzero(~mask.is_clear(classes)).tolist() == [0, 11]


def test_newest_processing_of_an_acquisition_counts(tmp_path: Path, sen2cor: Write) -> None:
    """The baseline first: products are made anew with old ones too. A strip may begin a second later then."""
    sen2cor(tmp_path, "2018-01-03", baseline="0206", offset=None, made="20250101T000000")
    sen2cor(tmp_path, "2018-01-03", baseline="0500", made="20230101T000000", strip="105442")
    sen2cor(tmp_path, "2018-01-03", baseline="0500", made="20230301T000000")
    (product,) = find_sen2cor(tmp_path)
    assert "N0500" in product.name
    assert product.name.endswith("20230301T000000")


def test_two_strips_and_two_satellites_on_a_day_stay_apart(tmp_path: Path, sen2cor: Write) -> None:
    sen2cor(tmp_path, "2018-01-03", strip="105441", made="20240601T120000")
    sen2cor(tmp_path, "2018-01-03", strip="105512", made="20240601T120001")
    sen2cor(tmp_path, "2018-01-03", unit="B")
    assert len(find_sen2cor(tmp_path)) == 3


def test_absent_band_and_mask_are_known_as_absent(tmp_path: Path, sen2cor: Write) -> None:
    safe = sen2cor(tmp_path, "2018-01-03", bands=("B2", "B8A"))
    next(safe.rglob("*_SCL_20m.jp2")).unlink()
    (product,) = find_sen2cor(tmp_path)
    assert set(product.bands) == {"B2", "B8A"}
    assert (product.masks, product.cloud_mask) == ({}, "SCL")


def test_bands_of_10_m_at_20_m_serve_where_there_are_no_others(tmp_path: Path, sen2cor: Write) -> None:
    """A product holds most bands at several resolutions; Sen2Cor may be run for 20 m alone."""
    safe = sen2cor(tmp_path, "2018-01-03", bands=("B2", "B8A"))
    (fine,) = safe.rglob("*_B02_10m.jp2")
    coarse = shutil.copy(fine, next(safe.rglob("R20m")) / fine.name.replace("10m", "20m"))
    assert find_sen2cor(tmp_path)[0].bands["B2"].path == fine
    fine.unlink()
    assert find_sen2cor(tmp_path)[0].bands["B2"].path == coarse


def test_images_converted_to_geotiff_are_read_in_place_of_the_others(tmp_path: Path, sen2cor: Write) -> None:
    safe = sen2cor(tmp_path, "2018-01-03", bands=("B2", "B8A"))
    (image,) = safe.rglob("*_B02_10m.jp2")
    converted = write_tif(image.with_suffix(".tif"), np.full((20, 20), 2000, np.uint16), (300000, 4900020), 10)
    bands = find_sen2cor(tmp_path)[0].bands
    assert (bands["B2"].path, bands["B8A"].path.suffix) == (converted, ".jp2")


def test_products_of_several_tiles_with_the_old_names(tmp_path: Path) -> None:
    """As delivered until 2016: long names, the metadata's too, and the classification above the folders of bands."""
    safe = tmp_path / "S2A_USER_PRD_MSIL2A_PDMC_20160504T225644_R094_V20160504T105917_20160504T105917.SAFE"
    for tile in ("31TCJ", "31TDJ"):
        stem = f"S2A_USER_MSI_L2A_TL_SGS__20160504T163055_A004524_T{tile}"
        images = safe / "GRANULE" / f"{stem}_N02.02" / "IMG_DATA"
        write_tif(images / "R10m" / f"{stem}_B02_10m.tif", np.full((4, 4), 5, np.uint16), (300000, 4900020), 10)
        scl = f"{stem.replace('_MSI_', '_SCL_')}_20m.tif"
        write_tif(images / scl, np.full((2, 2), 5, np.uint8), (300000, 4900020), 20)
    (safe / "S2A_USER_MTD_SAFL2A_PDMC_20160504T225644_R094_V20160504T105917_20160504T105917.xml").write_text(
        "<Level-2A><L1C_L2A_Quantification_Values_List><L2A_BOA_QUANTIFICATION_VALUE>5000"
        "</L2A_BOA_QUANTIFICATION_VALUE></L1C_L2A_Quantification_Values_List></Level-2A>"
    )
    found = find_sen2cor(tmp_path)
    assert sorted(one.tile for one in found) == ["31TCJ", "31TDJ"]
    assert [one.tile for one in find_sen2cor(tmp_path, tile="31TDJ")] == ["31TDJ"]
    assert all(set(one.masks) == {"SCL"} for one in found)
    assert {(band.scale, band.offset) for one in found for band in one.bands.values()} == {(1 / 5000, 0)}


def test_files_of_2017_begin_with_their_level(tmp_path: Path, sen2cor: Write) -> None:
    safe = sen2cor(tmp_path, "2017-07-18", baseline="0205", offset=None)
    for image in list(safe.rglob("*.jp2")):
        image.rename(image.with_name(f"L2A_{image.name}"))
    (product,) = find_sen2cor(tmp_path)
    assert tuple(product.bands) == BAND_NAMES
    assert product.masks


def test_what_is_passed_over_is_said(tmp_path: Path, sen2cor: Write, caplog: pytest.LogCaptureFixture) -> None:
    sen2cor(tmp_path / "S2A_MSIL2A_20180103T105441_N0509_R051_T31TCJ_20240601T120000", "2018-01-03")  # a folder in it
    (tmp_path / "S2A_MSIL2A_20180103T105441_N0509_R051_T31TCJ_20240601T120000.zip").touch()  # unpacked already
    caplog.set_level(logging.WARNING)
    assert len(find_sen2cor(tmp_path)) == 1
    assert not caplog.records
    (tmp_path / "S2A_MSIL2A_20180113T105441_N0509_R051_T31TCJ_20240601T120000.SAFE.zip").touch()
    (tmp_path / "S2A_MSIL1C_20180113T105441_N0509_R051_T31TCJ_20240601T120000.SAFE").mkdir()
    (tmp_path / "S2A_MSIL2A_20180123T105441_N0509_R051_T31TCJ_20240601T120000.SAFE").mkdir()
    sen2cor(tmp_path, "2018-01-33")
    assert len(find_sen2cor(tmp_path)) == 1
    for word in ("20180113T105441_N0509_R051_T31TCJ_20240601T120000.SAFE.zip, are passed over: packed; unpack them",
                 "of level 1C", "without a GRANULE folder", "its name holds no possible date"):  # fmt: skip
        assert word in caplog.text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("S2A_MSIL2A_20180113T105441_N0509_R051_T31TCJ_20240601T120000.zip", "packed; unpack them"),
        ("S2A_MSIL1C_20180113T105441_N0509_R051_T31TCJ_20240601T120000.SAFE", "of level 1C.*fetch level 2A"),
        ("S2A_MSIL2A_20180113T105441_N0509_R051_T31TCJ_20240601T120000.SAFE", "without a GRANULE folder"),
    ],
)
def test_a_folder_that_holds_nothing_else_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).touch() if name.endswith("zip") else (tmp_path / name).mkdir()
    with pytest.raises(ProductError, match=f"holds no Sen2Cor product but 1, such as {name}, {words}"):
        find_sen2cor(tmp_path)


def test_an_archive_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "S2A_MSIL2A_20180113T105441_N0509_R051_T31TCJ_20240601T120000.SAFE.zip"
    path.touch()
    with pytest.raises(ProductError, match=r"SAFE.zip is packed; unpack it, and name the folder"):
        find_sen2cor(path)


def test_real_metadata(tmp_path: Path, real_data: Path) -> None:
    """Real files of baselines 02.11 to 05.09, beside files that have the names of images."""
    source = real_data / "sen2cor_metadata"
    files = [source / "MTD_MSIL2A_20190501.xml", *sorted((source / "tests" / "data-files").glob("*/MTD_MSIL2?.xml"))]
    assert len(files) >= 9
    for place, path in enumerate(files):
        name = ElementTree.parse(path).findtext(".//PRODUCT_URI")
        assert name is not None
        granule = ElementTree.parse(path).find(".//Granule")
        images = [str(one.text) for one in granule if one.tag in ("IMAGE_FILE", "IMAGE_ID")]
        folder = tmp_path / str(place) / name
        for image in images:
            (folder / f"{image}.jp2").parent.mkdir(parents=True, exist_ok=True)
            (folder / f"{image}.jp2").touch()
        shutil.copy(path, folder / path.name)
        (product,) = find_sen2cor(tmp_path / str(place))
        offset = -0.1 if name.split("_")[3] >= "N0400" else 0
        assert tuple(product.bands) == BAND_NAMES
        assert {(band.scale, band.offset, band.nodata) for band in product.bands.values()} == {(1e-4, offset, 0)}
        assert product.masks["SCL"].path.name.endswith("_SCL_20m.jp2")
        assert product.properties["version"].replace(".", "") == name.split("_")[3][1:]
        assert product.tile == name.split("_")[5][1:]
        assert float(product.properties["cloud_percent"]) >= 0
