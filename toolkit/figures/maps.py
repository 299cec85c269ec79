"""Class maps with legend, scale bar and attribution; a map beside what is true, or beside what became of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
from affine import Affine
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.vrt import WarpedVRT

from toolkit.figures.style import (
    FAINT,
    INK,
    LARGE,
    NORMAL,
    PAPER,
    SMALL,
    SOFT,
    VERMILION,
    StaticFigure,
    heading,
    new_figure,
    place,
    points_from,
    text_width,
)
from toolkit.ground.errors import ProductError
from toolkit.ground.nomenclature import Nomenclature

EMPTY = "#f1f2f4"
"""Colour where there is no class."""

EDGE = 0.12
"""Inches left free around the figure and between its parts."""

TITLE, FOOT = 0.34, 0.26
"""Inches above a map for its title, and below for the attribution."""

NARROWEST = 0.9
"""Inches kept for a map and its scale bar, however narrow the map is."""

DIFFER = "They differ in {:.1f} %"
CHANGED = "Changed in {:.1f} %"

ROW = 15.0
"""Height of a row of the legend, points."""

CHIP = (11.0, 9.0)
"""Width and height of a colour chip, points."""

METRES_PER_DEGREE = 111_320.0
"""Of latitude, and of longitude at the equator (WGS 84)."""


@dataclass(frozen=True)
class Classes:
    """A class raster, thinned to be drawn."""

    values: np.ndarray
    """Class codes of shape (y, x); 0 is "no class"."""
    affine: Affine
    crs: CRS | None

    @property
    def pixel(self) -> float:
        """Width of a pixel as drawn, metres; in units of the CRS where that is neither in metres nor in degrees."""
        width = abs(self.affine.a)
        if self.crs is None or not self.crs.is_geographic:
            return width
        latitude = self.affine.f + self.affine.e * self.values.shape[0] / 2
        return width * METRES_PER_DEGREE * math.cos(math.radians(latitude))

    @property
    def ground(self) -> float:
        """Width of the map on the ground, metres."""
        return self.values.shape[1] * self.pixel


def class_map(
    path: Path,
    nomenclature: Nomenclature,
    max_pixels: int = 1_000_000,
    *,
    title: str | None = None,
    attribution: str = "",
) -> StaticFigure:
    """A class map with a legend of the classes in it and their share, a scale bar and the attribution.

    Raises:
        ProductError: the raster is absent or cannot be read.
    """
    classes = read_classes(path, max_pixels)
    found = shares(classes.values)
    width, height = _panel_size(classes.values.shape, 6.4)
    left = EDGE + max(width, NARROWEST) + EDGE
    beside = legend_width(found, nomenclature) + 0.65
    top = EDGE + (TITLE if title else 0)
    down = top + max(height, ROW * len(found) / 72) + (FOOT if attribution else 0) + EDGE
    across = max(left + beside, *(EDGE + text_width(*text) for text in ((title or "", LARGE), (attribution, SMALL))))
    figure = new_figure(across + EDGE, down, fitted=False)
    axes = place(figure, EDGE, top, width, height)
    if title:
        heading(axes, title)
    _draw(axes, classes, nomenclature)
    scale_bar(axes, classes.ground)
    attribute(figure, attribution)
    draw_legend(place(figure, left, top, beside, height), found, nomenclature, [beside])
    return figure


def map_beside_truth(
    path: Path,
    truth: Path | gpd.GeoDataFrame,
    nomenclature: Nomenclature,
    max_pixels: int = 500_000,
    *,
    attribution: str = "",
) -> StaticFigure:
    """A class map, what is true there, and where the two differ.

    Args:
        path: the class map.
        truth: a class raster (laid on the grid of the map) or polygons with a column `code`.
        nomenclature: labels and colours.
        max_pixels: pixels drawn of each panel at most.
        attribution: whose data these are.

    Raises:
        ProductError: a raster is absent or cannot be read.
    """
    classes = read_classes(path, max_pixels)
    true = _on_grid_of(truth, classes)
    return _beside(classes, true, ("Map", "Reference", DIFFER), nomenclature, attribution)


def map_before_after(
    before: Path, after: Path, nomenclature: Nomenclature, max_pixels: int = 500_000, *, attribution: str = ""
) -> StaticFigure:
    """A class map before and after something was done to it, and where that changed it.

    Args:
        before: the class map as it was.
        after: as it is now; laid on the grid of the first.
        nomenclature: labels and colours.
        max_pixels: pixels drawn of each panel at most.
        attribution: whose data these are.

    Raises:
        ProductError: a raster is absent or cannot be read.
    """
    first = read_classes(before, max_pixels)
    second = _on_grid_of(after, first)
    return _beside(first, second, ("Before", "After", CHANGED), nomenclature, attribution)


def _beside(
    classes: Classes, other: Classes, titles: tuple[str, str, str], nomenclature: Nomenclature, attribution: str
) -> StaticFigure:
    """Two class maps and where they differ, over one legend; the last title takes the share of that, percent."""
    found = sorted({*shares(classes.values), *shares(other.values)})
    width, height = _panel_size(classes.values.shape, 3.8)
    pitch = max(width, text_width(titles[2].format(100.0), LARGE)) + EDGE
    across = max(3 * pitch - EDGE, text_width(attribution, SMALL))
    columns = max(1, int(across / (legend_width(found, nomenclature) + 0.25)))
    below = ROW * math.ceil(len(found) / columns) / 72
    legend_top = EDGE + TITLE + height + 2 * EDGE
    down = legend_top + below + (FOOT if attribution else 0) + EDGE
    figure = new_figure(across + 2 * EDGE, down, fitted=False)
    first, second, third = (place(figure, EDGE + k * pitch, EDGE + TITLE, width, height) for k in range(3))
    _draw(first, classes, nomenclature)
    _draw(second, other, nomenclature)
    difference = _draw_difference(third, classes, other)
    for axes, title in zip((first, second, third), titles, strict=True):
        heading(axes, title.format(100 * difference))
    scale_bar(first, classes.ground)
    attribute(figure, attribution)
    legend = place(figure, EDGE, legend_top, across, max(below, 0.01))
    draw_legend(legend, dict.fromkeys(found), nomenclature, [across / columns] * columns)
    return figure


def read_classes(path: Path, max_pixels: int) -> Classes:
    """A class raster thinned to at most `max_pixels` by taking the nearest pixel; its nodata value becomes 0.

    Raises:
        ProductError: the raster is absent or cannot be read.
    """
    try:
        with rasterio.open(path) as dataset:
            thin = max(1.0, math.sqrt(dataset.width * dataset.height / max_pixels))
            shape = max(1, int(dataset.height / thin)), max(1, int(dataset.width / thin))
            values = dataset.read(1, out_shape=shape, resampling=Resampling.nearest)
            affine = dataset.transform * Affine.scale(dataset.width / shape[1], dataset.height / shape[0])
            if dataset.nodata is not None:
                values[values == dataset.nodata] = 0
            return Classes(values, affine, CRS(dataset.crs) if dataset.crs else None)
    except RasterioError as error:
        raise ProductError(f"the class map {path} cannot be read ({error}); make it again") from error


def shares(values: np.ndarray) -> dict[int, float]:
    """Share of each class among the pixels that have one, in the order of the codes."""
    codes, counts = np.unique(values[values != 0], return_counts=True)
    return dict(zip(codes.tolist(), (counts / max(counts.sum(), 1)).tolist(), strict=True))


def bar_length(width: float) -> float:
    """The longest of 1, 2, 5, 10, 20, 50, … metres that is at most a quarter of `width` metres."""
    wanted = width / 4
    power = 10 ** math.floor(math.log10(wanted))
    return max(step * power for step in (1, 2, 5) if step * power <= wanted)


def scale_bar(axes: Axes, ground: float) -> None:
    """Draw a scale bar on a plate in the lower left corner of a map that is `ground` metres wide."""
    length = bar_length(ground)
    said = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    figure = axes.get_figure(root=True)
    assert figure is not None
    long = 72 * figure.get_size_inches()[0] * axes.get_position().width * length / ground
    plate = max(long, 72 * text_width(said, SMALL)) + 14
    at = points_from(axes, 0, 0)
    axes.add_patch(
        Rectangle((6, 6), plate, 23, transform=at, facecolor=PAPER, alpha=0.88, lw=0, zorder=4, clip_on=False)
    )
    middle = 6 + plate / 2
    axes.add_patch(
        Rectangle((middle - long / 2, 11), long, 2, transform=at, facecolor=INK, lw=0, zorder=5, clip_on=False)
    )
    axes.text(middle, 16.5, said, transform=at, ha="center", va="bottom", fontsize=SMALL, color=INK, zorder=5)


def _panel_size(shape: tuple[int, ...], longest: float) -> tuple[float, float]:
    """Width and height, inches, of a panel for a map of this shape."""
    height, width = shape
    scale = longest / max(height, width)
    return max(width * scale, 0.02), max(height * scale, 0.02)


def _draw(axes: Axes, classes: Classes, nomenclature: Nomenclature) -> None:
    palette = np.full((256, 3), to_rgb(EMPTY))
    for code in np.unique(classes.values).tolist():
        if code:
            palette[code] = to_rgb(nomenclature.colour(code))
    axes.imshow(palette[classes.values], interpolation="none", aspect="auto")
    frame(axes)


def _draw_difference(axes: Axes, classes: Classes, true: Classes) -> float:
    """Draw where both have a class and it differs; give its share of where both have one."""
    both = (classes.values != 0) & (true.values != 0)
    differs = both & (classes.values != true.values)
    picture = np.full((*both.shape, 3), to_rgb(EMPTY))
    picture[both] = to_rgb("#cfd4da")
    picture[differs] = to_rgb(VERMILION)
    axes.imshow(picture, interpolation="none", aspect="auto")
    frame(axes)
    return float(differs.sum() / max(both.sum(), 1))


def frame(axes: Axes) -> None:
    """A thin frame without ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(color=FAINT, linewidth=0.6)


def attribute(figure: StaticFigure, attribution: str) -> None:
    """Write whose data these are at the foot of the figure."""
    across, down = figure.get_size_inches()
    figure.text(EDGE / across, EDGE / down, attribution, va="bottom", fontsize=SMALL, color=SOFT)


def legend_width(codes: Iterable[int], nomenclature: Nomenclature) -> float:
    """Inches that the widest chip and label take."""
    labels = [text_width(nomenclature.label(code)) for code in codes]
    return (CHIP[0] + 7) / 72 + max(labels, default=0.0)


def draw_legend(
    axes: Axes, rows: Mapping[int, float | None], nomenclature: Nomenclature, columns: Sequence[float]
) -> None:
    """Chips and labels of classes, with their share where it is known, column by column from the top of the axes.

    Args:
        columns: width of each column, inches.
    """
    axes.axis("off")
    at = points_from(axes, 0, 1)
    deep = math.ceil(len(rows) / len(columns))
    for order, (code, share) in enumerate(rows.items()):
        column, row = divmod(order, deep)
        left, low = 72 * sum(columns[:column]), -ROW * (row + 1) + ROW - CHIP[1]
        chip = Rectangle((left, low), *CHIP, facecolor=nomenclature.colour(code), edgecolor="#80808080", linewidth=0.6)
        chip.set(transform=at, clip_on=False)
        axes.add_patch(chip)
        style: dict[str, Any] = {"transform": at, "va": "center_baseline", "fontsize": NORMAL}
        axes.text(left + CHIP[0] + 7, low + 4.5, nomenclature.label(code), color=INK, **style)
        if share is not None:
            said = f"{100 * share:.1f} %" if share >= 0.0005 else "< 0.1 %"
            axes.text(left + 72 * columns[column], low + 4.5, said, ha="right", color=SOFT, **style)


def _on_grid_of(other: Path | gpd.GeoDataFrame, like: Classes) -> Classes:
    """Other classes, on the thinned grid of the map."""
    if isinstance(other, gpd.GeoDataFrame):
        frame = other.to_crs(like.crs) if like.crs else other
        pairs = zip(frame.geometry, frame["code"].astype(int), strict=True)
        values = rasterize(pairs, out_shape=like.values.shape, transform=like.affine, dtype=np.uint8)
        return Classes(values, like.affine, like.crs)
    height, width = like.values.shape
    grid = {"crs": like.crs, "transform": like.affine, "height": height, "width": width}
    try:
        with rasterio.open(other) as dataset, WarpedVRT(dataset, resampling=Resampling.nearest, **grid) as warped:
            values = warped.read(1)
            if warped.nodata is not None:
                values[values == warped.nodata] = 0
    except RasterioError as error:
        raise ProductError(f"the map {other} cannot be read ({error}); make it again") from error
    return Classes(values, like.affine, like.crs)
