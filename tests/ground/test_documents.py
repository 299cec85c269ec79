from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.ground.documents import parse_yaml
from toolkit.ground.errors import ParameterError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("? [a, b]\n: c\n", "line 1: a key must be a word"),
        ("a: 1\n{b: 1}: 2\n", "line 2: a key must be a word"),
        ("a: 1\na: 2\n", "'a' stands twice"),
        ("a: !!bool maybe", "does not fit the tag"),
        ('a: !!int ""', "does not fit the tag"),
        ("a: !!timestamp soon", "does not fit the tag"),
        ("a: !!python/name:os.system x", "not valid YAML"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested deeper"),
        ("- a\n", "must hold keys and values"),
    ],
)
def test_what_a_person_mistypes_is_told_in_words(text: str, words: str) -> None:
    with pytest.raises(ParameterError, match=f"mine.yml .*{words}"):
        parse_yaml(text, Path("mine.yml"), ParameterError)
