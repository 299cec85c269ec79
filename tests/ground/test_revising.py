"""A person's YAML: what changes is written in its place, everything else stays to the byte."""

from __future__ import annotations

import difflib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from toolkit.ground.revising import revise_yaml

TEXT = """\
# head
name:   mine          # aligned
series:
    tiles:
        - 31TCJ       # the first
        # about the second
        - 31TCK
    start:  2018-01-01
    end:    2018-12-27

# --- learning
learning: {
  epochs: 5,     # few
  batch_size:  0x200,
  learning_rate: 1e-3 }
layer:    # empty
sampling: { sampler : periodic }   # end
caps:
    11: 500   # few fields
    # the wheat
    12: 2000
mapping:
  memory_gb: 4.0 # giga
"""


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """Lines taken away, and lines put in."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[2:]
    return [one[1:] for one in lines if one[0] == "-"], [one[1:] for one in lines if one[0] == "+"]


@pytest.mark.parametrize(
    ("changes", "gone", "come"),
    [
        ({"name": "other"}, ["name:   mine          # aligned"], ["name:   other          # aligned"]),
        ({"name": "a, b: c"}, ["name:   mine          # aligned"], ["name:   'a, b: c'          # aligned"]),
        ({"learning.epochs": 7}, ["  epochs: 5,     # few"], ["  epochs: 7,     # few"]),
        ({"layer": "x"}, ["layer:    # empty"], ["layer: x    # empty"]),
        ({"series.step_days": 5}, [], ["    step_days: 5"]),
        ({"mapping.workers": None}, [], ["  workers: null"]),
        ({"split.train_ratio": 0.5, "split.by": "polygon"}, [], ["split: {train_ratio: 0.5, by: polygon}"]),
        (
            {"learning.network.dropout": 0.5},
            ["  learning_rate: 1e-3 }"],
            ["  learning_rate: 1e-3, network: {dropout: 0.5} }"],
        ),
        ({"series.tiles": ["31TCK", "31TDJ"]}, ["        - 31TCJ       # the first"], ["        - 31TDJ"]),
        ({"caps": {11: 500, 12: 3000}}, ["    # the wheat", "    12: 2000"], ["    12: 3000"]),
        ({"caps": {11: 500, 12: 2000, 13: 1}}, [], ["    13: 1"]),
        ({"caps": {12: 2000}}, ["    11: 500   # few fields"], []),
        ({"mapping.workers": 3, "split.by": "polygon"}, [], ["  workers: 3", "split: {by: polygon}"]),
    ],
)
def test_only_what_changes_is_written(changes: dict, gone: list[str], come: list[str]) -> None:
    assert changed_lines(TEXT, revise_yaml(TEXT, changes)) == (gone, come)


def put(content: dict, path: str, value: object) -> None:
    *parents, leaf = path.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
    content[leaf] = value


WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=12)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.dates() | WORDS
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "name": WORDS,
        "series.tiles": st.lists(WORDS, min_size=1, max_size=4),
        "series.start": st.dates(),
        "series.new": VALUES,
        "learning.epochs": VALUES,
        "learning.network.hidden": st.none() | st.lists(st.integers(), max_size=3),
        "learning.network.name": WORDS,
        "layer": VALUES,
        "caps": st.dictionaries(st.integers(1, 255), st.integers(1, 10**6), max_size=4),
        "sampling.sampler": WORDS,
        "mapping.memory_gb": VALUES,
        "mapping.workers": VALUES,
        "split.train_ratio": VALUES,
    },
)


@given(changes=CHANGES, newline=st.sampled_from(["\n", "\r\n"]), ends=st.booleans())
def test_the_text_means_what_was_asked(changes: dict, newline: str, ends: bool) -> None:
    text = (TEXT if ends else TEXT.rstrip("\n")).replace("\n", newline)
    wanted = yaml.safe_load(text)
    for path, value in changes.items():
        put(wanted, path, value)
    revised = revise_yaml(text, changes)
    assert yaml.safe_load(revised) == wanted
    assert revised.count("\n") == revised.count(newline)
    assert "# head" in revised and "# few" in revised and "# giga" in revised


def test_nothing_to_change_changes_nothing() -> None:
    assert revise_yaml(TEXT, {}) == TEXT


def test_no_mapping_is_refused() -> None:
    with pytest.raises(yaml.YAMLError):
        revise_yaml("- a\n- b\n", {"a": 1})
