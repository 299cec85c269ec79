"""A scene and a demo folder small enough for tests, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.demo import Scene, make_scene, write_demo


@pytest.fixture(scope="session")
def small() -> dict[str, int]:
    """Parameters of the scene and of the demo."""
    return {"seed": 3, "size": 60, "dates": 8}


@pytest.fixture(scope="session")
def scene(small: dict[str, int]) -> Scene:
    return make_scene(**small)


@pytest.fixture(scope="session")
def demo_folder(small: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written demo; do not write into it."""
    return write_demo(tmp_path_factory.mktemp("demo") / "small", **small)
