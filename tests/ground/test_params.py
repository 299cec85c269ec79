from typing import Annotated, Literal

import pytest
from pydantic import Field

from toolkit.ground.errors import ParameterError, did_you_mean
from toolkit.ground.params import Params, build, default_of, kind_of, leaves, param


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


class Plain(Params):
    way: Literal["plain"] = param("plain", "Plain.")
    limit: int | None = param(None, "A limit.", ge=1)


class Fancy(Params):
    way: Literal["fancy"] = param("fancy", "Fancy.")
    limit: int | None = param(None, "A limit.", ge=1)
    width: int = param(3, "Width.", ge=1)


class Chooser(Params):
    section: Annotated[Plain | Fancy, Field(discriminator="way")] = param(Plain(), "One or the other.")


def test_a_section_of_several_models_is_listed_as_one() -> None:
    listed = dict(leaves(Chooser))
    assert list(listed) == ["section.way", "section.limit", "section.width"]
    assert kind_of(listed["section.way"].annotation) == "{plain,fancy}" and default_of(listed["section.way"]) == "plain"
    assert listed["section.way"].description == "One or the other."
    assert (listed["section.limit"].description, listed["section.width"].description) == ("A limit.", "fancy: Width.")
    assert Fancy.model_fields["width"].description == "Width."


@pytest.mark.parametrize(
    ("section", "words", "place"),
    [
        ({"way": "fancy", "width": 0}, "here: section.width = 0", "section.width"),
        ({"way": "fancy", "with": 1}, "section.with is not a parameter; did you mean 'width'", "section.with"),
        ({"way": "plain", "width": 1}, "section.width is not a parameter", "section.width"),
        ({"way": "fancyy"}, "section.way = 'fancyy': must be one of 'plain', 'fancy'; did you mean 'fancy'", "section"),
        ({"width": 1}, "section.way is missing", "section"),
    ],
)
def test_mistake_in_a_section_of_several_models(section: dict[str, object], words: str, place: str) -> None:
    with pytest.raises(ParameterError) as caught:
        build(Chooser, {"section": section}, "here")
    assert words in str(caught.value)
    assert caught.value.places == (place,)


def test_params_are_frozen() -> None:
    made = Inner()
    with pytest.raises(ValueError, match="frozen"):
        made.width = 5  # type: ignore[misc]


def test_did_you_mean_lists_when_nothing_is_near() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "; known: a, b"
    assert did_you_mean("zzz", []) == ""


def test_a_refused_value_is_cut() -> None:
    value: list[object] = ["word" * 100] * 10
    for _ in range(40):
        value = [value] * 10  # as aliases in YAML make it: too much to be written out
    with pytest.raises(ParameterError) as error:
        build(Outer, {"name": "n", "rate": value, "how": "x" * 10_000}, "experiment.yml")
    assert len(str(error.value)) < 800 and " …" in str(error.value)
