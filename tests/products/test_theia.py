from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.ground.bands import BAND_NAMES
from toolkit.ground.errors import ProductError
from toolkit.products.product import BandFile
from toolkit.products.theia import find_theia

Write = Callable[..., Path]


def test_finds_at_any_depth_in_order_of_time(tmp_path: Path, theia: Write) -> None:
    theia(tmp_path / "a" / "b", "2018-05-11", letter="D", version="1-7", platform="SENTINEL2B")
    theia(tmp_path, "2018-01-03", letter="H")
    (tmp_path / "SENTINEL2A_20180103.zip").touch()
    found = find_theia(tmp_path)
    assert [str(one.date) for one in found] == ["2018-01-03", "2018-05-11"]
    first = found[0]
    assert (first.tile, first.platform, first.acquired) == ("31TCJ", "SENTINEL2A", np.datetime64("2018-01-03T10:58:24"))
    assert tuple(first.bands) == BAND_NAMES
    assert set(first.masks) == {"CLM", "SAT_R1", "EDG"}


def test_absent_band_and_mask_are_known_as_absent(tmp_path: Path, theia: Write) -> None:
    folder = theia(tmp_path, "2018-01-03", bands=("B2", "B8A"))
    next((folder / "MASKS").glob("*_SAT_R1.tif")).unlink()
    (product,) = find_theia(tmp_path)
    assert set(product.bands) == {"B2", "B8A"}
    assert set(product.masks) == {"CLM", "EDG"}


def test_newest_version_of_an_acquisition_counts(tmp_path: Path, theia: Write) -> None:
    theia(tmp_path, "2018-01-03", version="1-9", letter="D")
    theia(tmp_path, "2018-01-03", version="1-10")
    (product,) = find_theia(tmp_path)
    assert product.name.endswith("V1-10")


def test_two_acquisitions_on_a_day_stay_two(tmp_path: Path, theia: Write) -> None:
    theia(tmp_path, "2018-01-03", time="104813-000")
    theia(tmp_path, "2018-01-03", time="105824-462")
    assert len(find_theia(tmp_path)) == 2


def test_metadata_say_scale_and_nodata(tmp_path: Path, theia: Write) -> None:
    folder = theia(tmp_path, "2018-01-03")
    (folder / f"{folder.name}_MTD_ALL.xml").write_text(
        "<Muscate_Metadata_Document><Radiometric_Informations>"
        "<REFLECTANCE_QUANTIFICATION_VALUE>5000</REFLECTANCE_QUANTIFICATION_VALUE>"
        "<Special_Values_List><SPECIAL_VALUE name='nodata'>-1</SPECIAL_VALUE></Special_Values_List>"
        "</Radiometric_Informations></Muscate_Metadata_Document>"
    )
    band = find_theia(tmp_path)[0].bands["B2"]
    assert (band.scale, band.nodata) == (1 / 5000, -1)
    assert band.to_reflectance(np.array([1000, -1, 30000], dtype=np.int16)).tolist() == [2000, -10000, 32767]


def test_metadata_cut_short_leave_the_usual_values(tmp_path: Path, theia: Write) -> None:
    folder = theia(tmp_path, "2018-01-03")
    (folder / f"{folder.name}_MTD_ALL.xml").write_text("<Muscate_Metadata_Document><Radiom")
    assert find_theia(tmp_path)[0].bands["B2"] == BandFile(folder / f"{folder.name}_FRE_B2.tif")


@pytest.mark.parametrize("value", ["ten thousand", "0", "-10000", "nan", "inf"])
def test_a_scale_that_is_no_number_is_named(tmp_path: Path, theia: Write, value: str) -> None:
    folder = theia(tmp_path, "2018-01-03")
    metadata = folder / f"{folder.name}_MTD_ALL.xml"
    metadata.write_text(f"<M><REFLECTANCE_QUANTIFICATION_VALUE>{value}</REFLECTANCE_QUANTIFICATION_VALUE></M>")
    with pytest.raises(ProductError, match=f"VALUE is '{value}', not a positive number; correct it") as caught:
        find_theia(tmp_path)
    assert str(metadata) in str(caught.value)


def test_a_nodata_value_that_is_no_number_is_named(tmp_path: Path, theia: Write) -> None:
    folder = theia(tmp_path, "2018-01-03")
    (folder / f"{folder.name}_MTD_ALL.xml").write_text("<M><SPECIAL_VALUE name='nodata'>none</SPECIAL_VALUE></M>")
    with pytest.raises(ProductError, match="nodata is 'none', not a number"):
        find_theia(tmp_path)


def test_metadata_of_an_unknown_encoding_leave_the_usual_values(tmp_path: Path, theia: Write) -> None:
    folder = theia(tmp_path, "2018-01-03")
    (folder / f"{folder.name}_MTD_ALL.xml").write_text("<?xml version='1.0' encoding='klingon'?><M/>")
    assert find_theia(tmp_path)[0].bands["B2"] == BandFile(folder / f"{folder.name}_FRE_B2.tif")


@pytest.mark.parametrize(("date", "time"), [("2018-13-99", "105824-462"), ("2018-01-03", "256199-000")])
def test_a_folder_of_an_impossible_date_is_passed_over(
    tmp_path: Path, theia: Write, date: str, time: str, caplog: pytest.LogCaptureFixture
) -> None:
    theia(tmp_path, "2018-01-05")
    bad = theia(tmp_path, date, time=time)
    assert [str(one.date) for one in find_theia(tmp_path)] == ["2018-01-05"]
    assert f"{bad} is passed over" in caplog.text


def test_metadata_are_an_input_where_they_are_there(tmp_path: Path, theia: Write) -> None:
    folder = theia(tmp_path, "2018-01-03")
    (product,) = find_theia(tmp_path)
    assert product.metadata is None
    assert product.inputs(["B2"]) == product.files(["B2"])
    metadata = folder / f"{folder.name}_MTD_ALL.xml"
    metadata.write_text("<M/>")
    (product,) = find_theia(tmp_path)
    assert product.inputs(["B2"]) == [*product.files(["B2"]), metadata]
    assert metadata not in product.files(["B2"])


def test_real_products(real_data: Path) -> None:
    found = find_theia(real_data / "theia_maja_T31UFQ_fordead")
    assert len(found) == 187
    assert {one.tile for one in found} == {"31UFQ"}
    assert (str(found[0].date), str(found[-1].date)) == ("2015-12-03", "2020-06-24")
    assert all(set(one.bands) == {"B2", "B3", "B4", "B8A", "B11", "B12"} for one in found)
    assert all(set(one.masks) == {"CLM"} for one in found)


def test_real_metadata_that_are_not_well_formed(real_data: Path) -> None:
    found = find_theia(real_data / "theia_maja_T38K_iota2")
    assert {one.tile for one in found} == {"38KPD", "38KPE"}
    assert all(not one.bands for one in found)
