"""What a text on the command line means for a parameter: lists are written `a,b`, tables `1=5,2=7`, none `none`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

import yaml

from toolkit.ground.documents import parse_value
from toolkit.ground.params import kind_of

TABLES = ("TABLE", "VALUES")
"""Kinds of values that are written `1=5,2=7`."""


def value_of(text: str, annotation: Any) -> Any:
    """What a text means for a parameter declared so; whether that may be its value is for the parameter to say."""
    kind = kind_of(annotation)
    if text.strip().lower() == "none" and type(None) in get_args(annotation):
        return None
    if text.strip().lower() == "none" and kind in ("LIST", *TABLES):
        return [] if kind == "LIST" else {}
    if kind == "TEXT":
        return text
    if annotation == tuple[str, ...]:
        return _texts(text)
    if kind in TABLES and not text.startswith("{"):
        text = f"{{{text.replace('=', ': ')}}}"
    try:
        value = parse_value(_in_brackets(text) if kind == "LIST" else text)
    except ValueError:
        value = _between_commas(text) if kind == "LIST" else text
    return [value] if kind == "LIST" and not isinstance(value, list) else value


def strange_word(word: str, command: str, known: Sequence[str]) -> str:
    """That a word is none of the options of a command, and which was meant; or that it is one too many."""
    usage = f"`landcover {command} --help` tells what it takes"
    if not word.startswith("-"):
        return f"{word!r} is one word too many for `landcover {command}`; {usage}"
    option = word.partition("=")[0]
    near = get_close_matches(option, known, n=1)
    return f"{option} is not an option of `landcover {command}`; {f'did you mean {near[0]}?' if near else usage}"


def _texts(text: str) -> list[str]:
    """A list of texts: 2018 and yes are texts too, and so is what means something else to YAML, such as `*_B[24]`."""
    try:
        values = yaml.load(_in_brackets(text), Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but texts
    except yaml.YAMLError:
        values = None
    if isinstance(values, list) and all(isinstance(one, str) for one in values):
        return values
    return _between_commas(text)


def _in_brackets(text: str) -> str:
    return text if text.startswith("[") else f"[{text}]"


def _between_commas(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
