"""A place is understood as people write it, or refused in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.ground.errors import ParameterError
from toolkit.widgets.places import parse_place, place_words


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("43.6012, 1.4321", (43.6012, 1.4321)),
        (" 43.6012;1.4321 ", (43.6012, 1.4321)),
        ("1.4321 E 43.6012 N", (43.6012, 1.4321)),
        ("43.6012N1.4321E", (43.6012, 1.4321)),
        ("43°36'4\" N, 1°25'56\" E", (43.601111, 1.432222)),
        ("-33.5 151.2", (-33.5, 151.2)),
        ("S33.5 W70.25", (-33.5, -70.25)),
    ],
)
def test_usual_forms(text: str, place: tuple[float, float]) -> None:
    assert parse_place(text) == pytest.approx(place, abs=1e-6)


@pytest.mark.parametrize("text", ["", "Toulouse", "43.6", "43.6 N 1.4 N", "91, 3", "43.6 1.4 7", "43.6, 1.4, x"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ParameterError, match=r"43\.6012, 1\.4321"):
        parse_place(text)


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_its_own_words_are_understood(latitude: float, longitude: float) -> None:
    assert parse_place(place_words(latitude, longitude)) == pytest.approx((latitude, longitude), abs=1e-4)
