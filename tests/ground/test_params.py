from typing import Literal

import pytest

from toolkit.ground.errors import ParameterError, did_you_mean
from toolkit.ground.params import Params, build, param


class Inner(Params):
    width: int = param(3, "Width.", unit="pixels", ge=1)


class Outer(Params):
    name: str = param(..., "Name.")
    rate: float = param(0.1, "Rate.", gt=0, log=True)
    how: Literal["a", "b"] = param("a", "How.")
    inner: Inner = param(Inner(), "Inner.")


def test_defaults_and_declaration() -> None:
    made = build(Outer, {"name": "x"}, "here.yml")
    assert made.inner.width == 3
    field = Inner.model_fields["width"]
    assert field.description == "Width."
    assert field.json_schema_extra == {"unit": "pixels", "log": False}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"name": "x", "rat": 1}, ["here.yml", "rat is not a parameter", "did you mean 'rate'"]),
        ({"name": "x", "inner": {"with": 1}}, ["inner.with is not a parameter", "did you mean 'width'"]),
        ({"name": "x", "rate": -1}, ["rate = -1", "greater than 0"]),
        ({"name": "x", "inner": {"width": 0}}, ["inner.width = 0", "greater than or equal to 1"]),
        ({"name": "x", "how": "c"}, ["how = 'c'", "'a' or 'b'"]),
        ({}, ["name is missing"]),
    ],
)
def test_message_has_value_place_and_mend(data: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ParameterError) as caught:
        build(Outer, data, "here.yml")
    for word in words:
        assert word in str(caught.value)


def test_params_are_frozen() -> None:
    made = Inner()
    with pytest.raises(ValueError, match="frozen"):
        made.width = 5  # type: ignore[misc]


def test_did_you_mean_lists_when_nothing_is_near() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "; known: a, b"
    assert did_you_mean("zzz", []) == ""
