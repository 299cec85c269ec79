"""Patterns of file names: what fits is read as it was written, and what is no pattern is refused in words."""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.products.patterns import NamePattern, check_pattern, tile_in


@pytest.mark.parametrize(
    ("pattern", "bands", "path", "tile", "band", "wild", "image"),
    [
        (
            "LC0?_L2SP_*_{date}_*_{band}.TIF", ["SR_B4", "SR_B10"],
            "31TCJ/any/LC08_L2SP_199030_20180111_20200902_02_T1_SR_B4.TIF",
            "", "SR_B4", ("8", "199030", "20200902_02_T1"), "LC08_L2SP_199030_20180111_20200902_02_T1",
        ),
        (
            "s1?_{tile}_{band}_*_{date}t*.tif", ["vv", "vh"], "s1a_31TCJ_vh_DES_037_20180111t055813.tif",
            "31TCJ", "vh", ("a", "DES_037", "055813"), "s1a_31TCJ_DES_037_20180111t055813",
        ),
        ("{date}/{band}.tif", ["VV"], "deep/er/2018-01-11/VV.tif", "", "VV", (), "2018-01-11"),
        ("{date}/*{date}_{band}.tif", ["VV"], "2018-01-11/x20180111_VV.tif", "", "VV", ("x",), "2018-01-11/x20180111"),
        ("{date}.tif", [], "20180111.tif", "", "", (), "20180111"),
        ("{tile}/{date}*.img", [], "31TCJ/20180111T105804.img", "31TCJ", "", ("T105804",), "31TCJ/20180111T105804"),
        ("*{band}+{date}.tif", ["B1", "B11"], "a.B11+20180111.tif", "", "B11", ("a.",), "a.+20180111"),
    ],
)  # fmt: skip
def test_a_name_is_read(
    pattern: str, bands: list[str], path: str, tile: str, band: str, wild: tuple[str, ...], image: str
) -> None:
    told = NamePattern(pattern, tuple(bands)).read(path)
    assert told is not None and told.date == np.datetime64("2018-01-11")
    assert (told.tile, told.band, told.wild, told.image) == (tile, band, wild, image)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*_{date}.tif", "x_20181301.tif"),
        ("*_{date}.tif", "x_20180231.tif"),
        ("*_{date}.tif", "x_2018-0101.tif"),
        ("*_{date}.tif", "x_20180101.tiff"),
        ("*_{date}.tif", "x_20180101xtif"),
        ("*_{date}.tif", "x_20180101.tif/y"),
        ("a_*_{date}.tif", "a_b/c_20180101.tif"),
        ("{date}/{date}.tif", "20180101/20180102.tif"),
        ("{tile}/{tile}_{date}.tif", "31TCJ/31TCK_20180101.tif"),
        ("{band}_{date}.tif", "VH_20180101.tif"),
        ("x_{date}.tif", "ax_20180101.tif"),
        ("{date}.tif", "120180101.tif"),
    ],
)
def test_another_name_does_not_fit(pattern: str, path: str) -> None:
    assert NamePattern(pattern, ("VV",)).read(path) is None


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "a pattern such as"),
        (" {date}", "without blanks"),
        ("{band}.tif", "{date} is missing"),
        ("{dat}_{band}.tif", "{dat} is no placeholder; did you mean 'date'"),
        ("{date_{band}.tif", "with both braces"),
        ("{date}}.tif", "with both braces"),
        ("{}_{date}.tif", "with both braces"),
        (r"a\{date}.tif", "write / between folders"),
        ("/data/{date}.tif", "below the `uri`"),
        ("../{date}.tif", "below the `uri`"),
        ("a//{date}.tif", "below the `uri`"),
        ("**/{date}.tif", "one * stands for any text"),
        ("*a" * 11 + "{date}", "at most 10"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        NamePattern(pattern)


def test_folders_tell_a_tile() -> None:
    assert (tile_in(["s1", "T31TCJ", "x"]), tile_in(["31TDK"]), tile_in(["31tcj", "3TCJ", "x31TCJ"])) == (
        "31TCJ",
        "31TDK",
        "",
    )


WORD = st.text(st.sampled_from("abcXYZ_-+().$^|[] 0"), max_size=6)
DAYS = st.dates(date(1984, 1, 1), date(2099, 12, 31))


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(
        st.one_of(WORD.map(lambda word: ("", word)), st.sampled_from([("tile", ""), ("band", "")])), max_size=4
    ),
    day=DAYS,
    dashes=st.booleans(),
    folder=WORD,
)
def test_whatever_a_pattern_writes_it_reads(parts: list[tuple[str, str]], day: date, dashes: bool, folder: str) -> None:
    """Signs that mean something in a regular expression stand for themselves."""
    told = {"tile": "31TCJ", "band": "VV", "date": day.isoformat() if dashes else day.isoformat().replace("-", "")}
    parts = [*parts, ("", "x"), ("date", ""), ("", ".tif")]
    pattern = "".join(f"{{{name}}}" if name else word for name, word in parts).strip()
    path = "".join(told[name] if name else word for name, word in parts).strip()
    found = NamePattern(pattern, ("VH", "VV")).read(f"{folder}/{path}" if folder else path)
    assert found is not None and found.date == np.datetime64(day)
    names = {name for name, _ in parts}
    assert found.tile == ("31TCJ" if "tile" in names else "") and found.band == ("VV" if "band" in names else "")


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from("{}datebn*?/._ ilx\\é"), max_size=20))
def test_any_text_is_a_pattern_or_refused_in_words(text: str) -> None:
    try:
        check_pattern(text)
    except ValueError as error:
        assert repr(text) in str(error)
    else:
        assert "{date}" in text and NamePattern(text, ("VV",)).read("nothing of the kind") is None
