"""The view of a map, gathered for a figure: its rasters drawn one over another, its outlines, its classes."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from toolkit.figures.style import StaticFigure
from toolkit.figures.view import view_figure
from toolkit.ground.nomenclature import Nomenclature
from toolkit.webmap.layers import Indexed, RasterLayer
from toolkit.webmap.rendering import render
from toolkit.webmap.sources import Rectangle
from toolkit.widgets.leaflet import Bounds
from toolkit.widgets.map_rasters import TO_METRES, frame_of


def figure_of(
    bounds: Bounds,
    rasters: Iterable[tuple[Sequence[RasterLayer], float]],
    outlines: Iterable[Mapping[str, Any]],
    nomenclature: Nomenclature,
    *,
    title: str = "",
    attribution: str = "",
) -> StaticFigure:
    """A figure of what a map shows, without its base map.

    Args:
        bounds: of the view.
        rasters: the lowest first, each with its opacity.
        outlines: collections of GeoJSON features with a `style` among their properties.

    Raises:
        ProductError: a raster cannot be read.
    """
    box, width, height = frame_of(bounds)
    picture = Image.new("RGBA", (width, height))
    shares: dict[int, float] = {}
    for layers, opacity in rasters:
        drawn = _drawn(layers, box, width, height)
        if drawn is not None:
            shares = shares or _shares(drawn, layers, nomenclature)
            drawn.putalpha(drawn.getchannel("A").point(lambda alpha, part=opacity: round(alpha * part)))
            picture.alpha_composite(drawn)
    latitude = (bounds[0][0] + bounds[1][0]) / 2
    return view_figure(
        np.asarray(picture),
        (box[2] - box[0]) * math.cos(math.radians(latitude)),
        shares,
        nomenclature,
        shapes=[shape for outline in outlines for shape in _shapes(outline, box)],
        title=title,
        attribution=attribution,
    )


def _drawn(layers: Sequence[RasterLayer], box: Rectangle, width: int, height: int) -> Image.Image | None:
    content = render(layers, box, width, height)
    return None if content is None else Image.open(io.BytesIO(content)).convert("RGBA")


def _shares(drawn: Image.Image, layers: Sequence[RasterLayer], nomenclature: Nomenclature) -> dict[int, float]:
    """Share of each class in view, by its colour; none where the layers show no classes."""
    if not all(isinstance(layer.style, Indexed) for layer in layers):
        return {}
    pixels = np.asarray(drawn)
    colours = pixels[pixels[..., 3] > 0][:, :3].astype(np.int64) @ (1 << 16, 1 << 8, 1)
    found = {
        one.code: float(np.mean(colours == int(one.colour[1:], 16))) if colours.size else 0.0
        for one in nomenclature.classes
    }
    return {code: share for code, share in found.items() if share}


def _shapes(
    outline: Mapping[str, Any], box: tuple[float, float, float, float]
) -> Iterable[tuple[np.ndarray, Mapping[str, Any]]]:
    """The outer rings of features, from the upper left corner of the view, 0 to 1."""
    left, bottom, right, top = box
    for feature in outline["features"]:
        parts = feature["geometry"]["coordinates"]
        for part in [parts] if feature["geometry"]["type"] == "Polygon" else parts:
            longitude, latitude = np.asarray(part[0], dtype=float)[:, :2].T
            x, y = TO_METRES.transform(longitude, latitude)
            points = np.stack([(x - left) / (right - left), (top - y) / (top - bottom)], axis=1)
            yield points, feature["properties"]["style"]
