from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from toolkit.ground.nomenclature import Nomenclature


@pytest.fixture
def oso() -> Nomenclature:
    return Nomenclature.load("oso_23")


@pytest.fixture
def written(monkeypatch) -> Callable[[Figure], list[str]]:
    """The texts of a figure, as drawn; none may be cut by its edge or stand over another."""

    def texts(figure: Figure) -> list[str]:
        found: list[Text] = []
        draw = Text.draw
        with monkeypatch.context() as patch:
            patch.setattr(Text, "draw", lambda one, renderer: (found.append(one), draw(one, renderer)))
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
        found = [one for one in found if one.get_visible() and one.get_text().strip()]
        boxes = [one.get_window_extent(canvas.get_renderer()) for one in found]
        for index, (one, box) in enumerate(zip(found, boxes, strict=True)):
            assert _inside(box, figure.bbox), f"{one.get_text()!r} is cut: {box.extents} of {figure.bbox.extents}"
            for other in range(index):
                slanted = one.get_rotation() % 90 or found[other].get_rotation() % 90
                said = f"{one.get_text()!r} stands over {found[other].get_text()!r}"
                assert slanted or not _overlap(box, boxes[other]), said
        return [one.get_text() for one in found]

    return texts


def _inside(box, figure) -> bool:
    return box.x0 >= -0.5 and box.y0 >= -0.5 and box.x1 <= figure.x1 + 0.5 and box.y1 <= figure.y1 + 0.5


def _overlap(one, other) -> bool:
    across = min(one.x1, other.x1) - max(one.x0, other.x0)
    up = min(one.y1, other.y1) - max(one.y0, other.y0)
    return across > 1 and up > 2


@pytest.fixture
def write_map(tmp_path) -> Callable[..., Path]:
    """Writes a class raster; 10 m pixels of UTM zone 31 unless told otherwise."""

    def write(classes: np.ndarray, name: str = "classes.tif", **options) -> Path:
        height, width = classes.shape
        profile = {
            "height": height,
            "width": width,
            "count": 1,
            "dtype": classes.dtype,
            "crs": 32631,
            "nodata": 0,
            "transform": Affine(10, 0, 500000, 0, -10, 4800000),
        }
        with rasterio.open(tmp_path / name, "w", **{**profile, **options}) as file:
            file.write(classes, 1)
        return tmp_path / name

    return write
