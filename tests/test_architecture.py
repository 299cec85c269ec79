"""The design as two tables, held against the imports of every file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import toolkit

PACKAGE = Path(toolkit.__file__).parent

FLOOR = {
    "ground": 0,
    "products": 1,
    "ground_truth": 1,
    "demo": 1,
    "webmap": 1,
    "series": 2,
    "features": 3,
    "samples": 4,
    "learning": 5,
    "mapping": 6,
    "validation": 7,
    "figures": 7.5,
    "experiment": 8,
    "widgets": 9,
    "app": 9,
    "cli": 10,
}
"""A room imports from rooms on lower floors only, and from itself."""

ALONE = {
    "app": {"ground"},
    "demo": {"ground"},
    "ground_truth": {"ground"},
    "products": {"ground"},
    "webmap": {"ground"},
}
"""Rooms that may import nothing but these."""

THROUGH_THE_DOOR = {"cli": {"ground", "experiment", "demo", "app"}, "widgets": set(FLOOR) - {"cli", "app"}}
"""The command line never imports widgets, nor reaches past the experiment."""

HOME = {
    "torch": {"learning"},
    "safetensors": {"learning"},
    "tensorboard": {"learning"},
    "optuna": {"learning"},
    "matplotlib": {"figures"},
    "numba": {"series", "features", "learning", "mapping"},
    "dask": {"ground"},
    "distributed": {"ground"},
    "ipywidgets": {"widgets"},
    "ipyleaflet": {"widgets"},
    "anywidget": {"widgets"},
    "IPython": {"widgets"},
    "pystac": {"products"},
    "imagecodecs": {"products"},
    "jupyter_server": {"webmap"},
    "tornado": {"webmap"},
    "jinja2": {"validation"},
    "sklearn": {"learning"},
    "threadpoolctl": {"learning"},
    "zarr": {"series"},
    "numcodecs": {"series"},
    "google_crc32c": {"series"},
    "pickle": set(),
}
"""Foreign libraries and the rooms that may import them."""


def files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name == "cli.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Dotted names of every module imported, type checking aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "toolkit":
                yield from (f"toolkit.{alias.name}" for alias in node.names if alias.name in FLOOR)
            else:
                yield node.module or ""


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_design(path: Path) -> None:
    room = room_of(path)
    assert room in FLOOR, f"{room} is not in the table of rooms"
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "toolkit" and rest:
            other = rest[0]
            if other == room:
                continue
            assert FLOOR[other] < FLOOR[room], f"{path.name} ({room}) imports {name}, which is not above it"
            assert other in ALONE.get(room, FLOOR), f"{room} may not import {other}"
            assert other in THROUGH_THE_DOOR.get(room, FLOOR), f"{room} may not import {other}"
        else:
            assert room in HOME.get(top, {room}), f"{path.name} imports {top}, whose home is {sorted(HOME[top])}"


def test_no_drawer() -> None:
    names = {path.stem for path in PACKAGE.rglob("*.py")} | {path.name for path in PACKAGE.iterdir()}
    assert not names & {"utils", "util", "common", "helpers", "misc", "tools"}


def test_files_are_short() -> None:
    long = {path.name: count for path in files() if (count := len(path.read_text().splitlines())) > 400}
    assert not long


def test_public_names_are_sorted_complete_and_load() -> None:
    assert toolkit.__all__ == sorted(toolkit.__all__)
    for name in toolkit.__all__:
        assert getattr(toolkit, name) is not None
    nouns = {"Catalog", "Experiment", "GroundTruth", "Job", "LandcoverError", "Nomenclature"}
    verbs = {
        "prepare",
        "clean",
        "sample",
        "train",
        "tune",
        "plan",
        "classify",
        "apply_model",
        "fuse",
        "mosaic",
        "postprocess",
        "validate",
        "vectorise",
        "cross_validate",
        "run",
    }
    doors = {"demo", "figures", "widgets"}
    assert set(toolkit.__all__) == nouns | verbs | doors | {"external_feature", "network", "networks"}


def test_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="clasify"):
        toolkit.clasify  # noqa: B018
