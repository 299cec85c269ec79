"""Layers as values: what is refused, and JSON in and out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.ground.errors import ProductError
from toolkit.webmap.layers import Composite, Indexed, Ramp, RasterLayer, fingerprint

byte = st.integers(0, 255)
number = st.floats(-1e6, 1e6)
ordered = st.tuples(number, number).map(sorted)
indexed = st.dictionaries(st.integers(0, 255), st.tuples(byte, byte, byte, byte), max_size=40).map(Indexed)
ramp = st.builds(
    lambda ends, colours: Ramp(*ends, tuple(colours)),
    ordered,
    st.lists(st.tuples(byte, byte, byte), min_size=2, max_size=5),
)
composite = st.tuples(ordered, ordered, ordered).map(lambda ends: Composite(*zip(*ends, strict=True)))
paths = st.text(st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def layers(draw: st.DrawFn) -> RasterLayer:
    style = draw(st.one_of(indexed, ramp, composite))
    count = 3 if isinstance(style, Composite) else 1
    files = tuple(Path("/data") / draw(paths) for _ in range(count))
    averaged = draw(st.booleans()) and not isinstance(style, Indexed)
    return RasterLayer(files, style, draw(st.none() | number), averaged)


@given(layers())
def test_json_gives_the_same_layer(layer: RasterLayer) -> None:
    text = layer.to_json()
    assert RasterLayer.from_json(text) == layer
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize(
    "style",
    [
        lambda: Indexed({256: (1, 2, 3, 255)}),
        lambda: Indexed({1: (1, 2, 3)}),  # type: ignore[dict-item]
        lambda: Indexed({1: (1, 2, 300, 255)}),
        lambda: Indexed(dict.fromkeys(range(256), (1, 2, 3, 255))),
        lambda: Ramp(0, 1, ((0, 0, 0),)),
        lambda: Ramp(2, 1, ((0, 0, 0), (1, 1, 1))),
        lambda: Ramp(0, float("nan"), ((0, 0, 0), (1, 1, 1))),
        lambda: Composite((0, 0), (1, 1)),  # type: ignore[arg-type]
        lambda: Composite((0, 0, 2), (1, 1, 1)),
    ],
)
def test_a_style_that_cannot_be_is_refused(style) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"colour|ramp|low"):
        style()


def test_number_of_files_follows_the_style_and_classes_are_never_averaged(tmp_path: Path) -> None:
    grey = Ramp(0, 1, ((0, 0, 0), (255, 255, 255)))
    with pytest.raises(ValueError, match="1 file"):
        RasterLayer((tmp_path / "a", tmp_path / "b"), grey)
    with pytest.raises(ValueError, match="3 file"):
        RasterLayer((tmp_path / "a",), Composite((0, 0, 0), (1, 1, 1)))
    with pytest.raises(ValueError, match="averaged"):
        RasterLayer((tmp_path / "a",), Indexed({}), averaged=True)


def test_files_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert RasterLayer((Path("a.tif"),), Indexed({})).files == (tmp_path / "a.tif",)


@pytest.mark.parametrize(
    "change",
    [
        {"files": ["relative.tif"]},
        {"files": "/data/a.tif"},
        {"files": [3]},
        {"style": {"kind": "shell", "command": "ls"}},
        {"style": {"kind": "indexed", "colours": {"1": [0, 0, 0, 255]}, "more": 1}},
        {"nodata": "0"},
        {"averaged": 1},
        {"more": True},
    ],
)
def test_json_that_is_no_layer_is_refused(change: dict[str, object]) -> None:
    content = json.loads(RasterLayer((Path("/data/a.tif"),), Indexed({1: (0, 0, 0, 255)})).to_json())
    with pytest.raises(ValueError, match=r".+"):
        RasterLayer.from_json(json.dumps(content | change))


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "{"])
def test_text_that_is_no_layer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        RasterLayer.from_json(text)


def test_fingerprint_changes_with_file_and_style(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    file.write_bytes(b"1")
    red, blue = (RasterLayer((file,), Indexed({1: colour})) for colour in ((255, 0, 0, 255), (0, 0, 255, 255)))
    before = fingerprint([red])
    assert before == fingerprint([red]) != fingerprint([blue])
    other = tmp_path / "b.tif"
    other.write_bytes(b"2")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    other.replace(file)
    assert fingerprint([red]) != before


def test_fingerprint_of_an_absent_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProductError, match=r"gone\.tif cannot be read .* take its layer away"):
        fingerprint([RasterLayer((tmp_path / "gone.tif",), Indexed({}))])
