from __future__ import annotations

from pathlib import Path

import pytest
from shapely.geometry import Polygon, box

from toolkit.ground.nomenclature import Nomenclature


@pytest.fixture
def oso() -> Nomenclature:
    return Nomenclature.load("oso_23")


@pytest.fixture
def footprints() -> dict[str, Polygon]:
    """Two tiles of 1000 m that share a strip of 200 m."""
    return {"31TCJ": box(0, 0, 1000, 1000), "31TDJ": box(800, 0, 1800, 1000)}


@pytest.fixture
def real_vectors(real_data: Path) -> Path:
    """Real vector files with real defects."""
    folder = real_data / "vectors_real_defects"
    if not folder.is_dir():
        pytest.skip(f"real data absent: no folder {folder}")
    return folder
