"""Features chosen by patterns of their names."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.features.conftest import ArraySeries
from toolkit.features.chosen import ChosenFeature
from toolkit.features.selection import select_features
from toolkit.features.stack import FeatureParams, FeatureStack
from toolkit.ground.errors import ParameterError

NAMES = [f"{name}_{day}" for name in ("B4", "B8", "B8A", "NDVI") for day in (20180101, 20180411)]


def chosen(*patterns: str) -> list[str]:
    return [NAMES[place] for place in select_features(NAMES, patterns)]


def test_order_is_that_of_the_stack() -> None:
    assert chosen("ndvi_*", "B8_*") == ["B8_20180101", "B8_20180411", "NDVI_20180101", "NDVI_20180411"]
    assert chosen("*_20180101") == [name for name in NAMES if name.endswith("0101")]
    assert chosen("b8?_*") == ["B8A_20180101", "B8A_20180411"]
    assert chosen("B[48]_*0411") == ["B4_20180411", "B8_20180411"]


@given(picked=st.sets(st.sampled_from(NAMES), min_size=1))
def test_names_themselves_are_patterns(picked: set[str]) -> None:
    assert chosen(*picked) == [name for name in NAMES if name in picked]


@pytest.mark.parametrize(
    ("pattern", "near"), [("B9_*", "B8_*"), ("ndwi_*", "NDVI_*"), ("B4_20180102", "B4_20180101"), ("B8", "B8_*")]
)
def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest(pattern: str, near: str) -> None:
    with pytest.raises(ParameterError, match="matches none of the 8 features") as caught:
        chosen("B4_*", pattern)
    assert near in str(caught.value)


@pytest.mark.parametrize("external", [(), (ChosenFeature("texture", {"day": date(2018, 7, 18), "radius": 2}),)])
def test_selected_features_are_rows_of_the_whole_stack(scene: ArraySeries, external: tuple[ChosenFeature, ...]) -> None:
    whole, clear = scene.of(*external).read(scene.whole)
    patterns = ("ndvi_2018*", "b4_20180720", *(["texture*"] if external else []))
    features = scene.of(*external, select=patterns)
    some, some_clear = features.read(scene.whole)
    names = features.stack.all_names
    assert len(features.stack) == len(some) == 5 + len(external)
    assert np.array_equal(some, whole[[names.index(name) for name in features.stack.names]])
    assert np.array_equal(clear, some_clear)
    row, col = np.array([3, 30, 12]), np.array([40, 2, 22])
    assert np.array_equal(features.read_pixels(row, col)[0], some[:, row, col])


def test_names_tell_what_they_mean(scene: ArraySeries) -> None:
    texture = ChosenFeature("texture", {"day": date(2018, 7, 18), "radius": 2})
    definitions = scene.of(texture, indices=("ndvi", "mine = B8 / B4")).stack.definitions
    assert definitions["mine"] == "B8 / B4 x 1000"
    assert definitions["NDVI"] == "(B8 - B4) / (B8 + B4) x 1000"
    assert definitions["texture_B8_20180718_2"] == "texture(day = 2018-07-18, band = B8, radius = 2)"
    assert "x 10000" in definitions["series"]
    some = scene.of(texture, indices=("ndvi", "mine = B8 / B4"), select=("ndvi_*", "B8_*")).stack.definitions
    assert set(some) == {"series", "NDVI"}
    cut = FeatureStack(("B4", "B8"), ("2018-01-01",), compatibility="iota2")
    assert "whole numbers" in cut.definitions["series"]


def test_patterns_are_parameters() -> None:
    assert FeatureParams(select=("B8_*",)).select == ("B8_*",)
    assert FeatureParams().select == ()
