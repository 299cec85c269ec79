from pathlib import Path

import pytest

from toolkit.ground.errors import ParameterError
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature


def test_oso_23_ships_with_the_package() -> None:
    oso = Nomenclature.load("oso_23")
    assert len(oso) == 23
    assert oso.codes.tolist() == list(range(1, 24))
    assert (oso.label(17), oso.colour(17)) == ("Coniferous forest", "#003200")


def test_colours_are_those_of_oso(real_data: Path) -> None:
    lines = (real_data / "nomenclatures_colours" / "oso23_color.txt").read_text().split("\n")
    wanted = {int(code): tuple(map(int, rgb)) for code, *rgb in (line.split() for line in lines if line.strip())}
    table = Nomenclature.load("oso_23").colour_table()
    assert all(table[code][:3] == wanted[code] for code in range(1, 24))


def test_index_is_contiguous_whatever_the_codes(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("code,label,colour\n200,Water,#0000ff\n7,Wheat,#FFFF00\n")
    mine = Nomenclature.load(path)
    assert mine.codes.tolist() == [7, 200]
    assert mine.index([200, 7, 8]).tolist() == [1, 0, -1]
    assert mine.colour_table()[7] == (255, 255, 0, 255)
    assert mine.colour_table()[0][3] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("code,label,colour\n1,Wheat,yellow\n", "line 2"),
        ("code,label,colour\n1,Wheat,aabb cc\n", "line 2"),
        ("code,label,colour\n1,Wheat,ffff00\n", "line 2"),
        ("code,label,colour\n1,Wheat,#ffff00\n1,Corn,#ff0000\n", "stands twice"),
        ("code,label,colour\n0,Wheat,#ffff00\n", "1 to 255"),
        ("class,label\n1,Wheat\n", "line 1: the header must be `code,label,colour`, not `class,label`"),
        ("code,name,color\n1,Wheat,#ffff00\n", "line 1: the header must be `code,label,colour`"),
        ("", "line 1: the header must be `code,label,colour`"),
    ],
)
def test_bad_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ParameterError, match=words):
        Nomenclature.load(path)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes("code,label,colour\n1,Blé,#ffff00\n".encode("latin-1"))
    with pytest.raises(ParameterError, match=r"bad\.csv is not UTF-8 text.*save it as UTF-8"):
        Nomenclature.load(path)


def test_the_mark_of_a_spreadsheet_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("code,label,colour\n1,Blé,#ffff00\n", encoding="utf-8-sig")
    assert Nomenclature.load(path).label(1) == "Blé"


def test_labels_are_shown_as_text() -> None:
    html = Nomenclature("<b>", (LandCoverClass(1, "<i>Wheat & rye", "#ffff00"),))._repr_html_()
    assert "&lt;i&gt;Wheat &amp; rye" in html and "<caption>&lt;b&gt;</caption>" in html


def test_unknown_name_suggests() -> None:
    with pytest.raises(ParameterError, match="did you mean 'oso_23'"):
        Nomenclature.load("oso23")
    with pytest.raises(ParameterError, match="does not exist"):
        Nomenclature.load("nowhere.csv")
