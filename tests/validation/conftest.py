from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import box

from toolkit.ground.nomenclature import LandCoverClass, Nomenclature


@pytest.fixture
def three() -> Nomenclature:
    """Three classes whose codes are not contiguous."""
    names = ("Forest", "Water & <mud>", "Corn")
    classes = [LandCoverClass(*one) for one in zip((3, 17, 200), names, ("#009c00", "#0000ff", "#ff5500"), strict=True)]
    return Nomenclature("three", tuple(classes))


@pytest.fixture
def write_map(tmp_path) -> Callable[..., Path]:
    """Writes a class map of 10 m pixels, upper left corner at (500000, 4800000) of UTM zone 31."""

    def write(classes: np.ndarray, name: str = "classes.tif", **options) -> Path:
        transform = Affine(10, 0, 500000, 0, -10, 4800000)
        height, width = classes.shape
        profile = {"height": height, "width": width, "count": 1, "dtype": classes.dtype, "nodata": 0}
        with rasterio.open(tmp_path / name, "w", **{"crs": 32631, **profile, **options}, transform=transform) as file:
            file.write(classes, 1)
        return tmp_path / name

    return write


@pytest.fixture
def pixels() -> Callable[..., gpd.GeoDataFrame]:
    """Polygons given as (code, first row, first column, rows, columns) of that map."""

    def polygons(*spans: tuple[int, int, int, int, int]) -> gpd.GeoDataFrame:
        shapes = [
            box(500000 + 10 * col, 4800000 - 10 * (row + height), 500000 + 10 * (col + width), 4800000 - 10 * row)
            for _, row, col, height, width in spans
        ]
        fields = {"polygon": np.arange(len(spans)) + 40, "code": [span[0] for span in spans]}
        return gpd.GeoDataFrame(fields, geometry=shapes, crs=32631)

    return polygons
