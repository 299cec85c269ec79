"""Vector map: a polygon for each region of a class map, with what is known of its pixels.

The map is read in strips over its whole width. A region that ends in a strip is drawn and written; what reaches the
next strip waits with its edges and sums until the region is whole, so that no polygon is cut and the result does not
depend on the strips. Memory holds a strip, and the outlines of the regions that run through its lower border.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import geopandas as gpd
import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from toolkit.ground.errors import ParameterError
from toolkit.ground.grid import Block, crs_name, resolution
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import Params, param
from toolkit.ground.streaming import Progress, no_progress
from toolkit.mapping.mosaic import merge_tiles
from toolkit.mapping.outlines import pixel_outlines, smooth_outlines
from toolkit.mapping.passes import read_classes
from toolkit.mapping.region_table import RegionTable
from toolkit.mapping.rings import trace
from toolkit.mapping.vector_writing import vector_writer
from toolkit.products.handles import close_rasters
from toolkit.products.raster import grid_of, read_window

STRIP_PIXELS = 4_000_000
"""Pixels of a strip."""

OUTLINES = {"pixels": pixel_outlines, "smooth": smooth_outlines}


class VectorParams(Params):
    """How the map becomes polygons."""

    outline: Literal["smooth", "pixels"] = param(
        "smooth",
        "`smooth` turns the steps of slanting borders into lines, less than a pixel off; `pixels` keeps them. "
        "Neighbours share their borders either way.",
    )
    min_area_m2: float = param(
        0.0,
        "Polygons smaller than this are left out, and where they were is a hole; postprocess.sieve leaves none.",
        unit="m²",
        ge=0,
    )
    format: Literal["gpkg", "parquet"] = param("gpkg", "GeoPackage, or GeoParquet (needs pyarrow).")


@dataclass(frozen=True)
class MapFiles:
    """What a vector map is made from; all rasters of one grid but those of the tiles."""

    classes: Path
    confidence: Path
    tiles: Sequence[Path] = ()
    """Folders of the tiles' maps, for their validity."""
    original: Path | None = None
    """The class map before post-processing, whose shares are told."""


def vectorise_map(
    files: MapFiles,
    path: Path,
    nomenclature: Nomenclature,
    params: VectorParams,
    *,
    strip_pixels: int = STRIP_PIXELS,
    progress: Progress = no_progress,
) -> int:
    """Write the polygons of a class map into a GeoPackage (`.gpkg`) or GeoParquet (`.parquet`), whole or not at all.

    Columns: `polygon` (its number: that of its first pixel in the map, row by row), `code`, `label`, `pixels`,
    `area_m2` and `area_ha` (of its pixels), `confidence` (mean, percent), `validity` (mean number of clear dates), and
    where there is an original map `share_<code>` (percent of the pixels that were of each class in it).

    Returns:
        How many polygons there are.

    Raises:
        ParameterError: the map is in degrees, or pyarrow is needed and not installed.
        ProductError: a raster cannot be read. RunFolderError: the disk is full.
    """
    close_rasters()  # a handle of before may lie on a map that has been made again since
    try:
        grid = grid_of(files.classes)
        if grid.crs is None or grid.crs.geographic:
            raise ParameterError(
                f"{files.classes} is in {crs_name(grid.crs)}; polygons with areas need a map in metres: set mapping.crs"
            )
        count = 0
        with vector_writer(path, str(grid.crs)) as write:
            for table in closed_regions(files, grid, nomenclature, strip_pixels, progress):
                big = table.pixels * resolution(grid) ** 2 >= params.min_area_m2
                frame = _frame(table.where(big), grid, nomenclature, params, files.original is not None)
                write(frame)
                count += len(frame)
        return count
    finally:
        close_rasters()


def closed_regions(
    files: MapFiles, grid: GeoBox, nomenclature: Nomenclature, strip_pixels: int, progress: Progress = no_progress
) -> Iterator[RegionTable]:
    """The regions of a map, those that end in a strip together; each once, whole."""
    height, width = grid.shape
    rows = max(1, strip_pixels // width)
    grids = [grid_of(tile / "classes.tif") for tile in files.tiles]
    waiting: RegionTable | None = None
    above = np.full(width, -1, dtype=np.int64)
    for row in range(0, height, rows):
        strip = Block(row, 0, min(rows, height - row), width)
        window = read_classes(files.classes, strip.padded(1))
        layers, others = _layers(files, strip, grid, grids), _others(files, strip, nomenclature)
        table, numbers = RegionTable.of(window, row, layers, others, len(nomenclature) if files.original else 0)
        last = numbers[-1]
        if waiting is not None:
            one = (above >= 0) & (window[0, 1:-1] == window[1, 1:-1])
            pairs = np.unique(np.stack([above[one], numbers[0][one]], axis=1), axis=0)
            before = len(waiting)
            table, renumbered = waiting.joined(table, pairs)
            last[last >= 0] = renumbered[before + last[last >= 0]]
        is_open = np.zeros(len(table), dtype=bool)
        is_open[last[last >= 0]] = row + rows < height
        yield table.where(~is_open)
        waiting, places = table.where(is_open), np.cumsum(is_open) - 1
        above = np.full(width, -1)
        above[last >= 0] = places[last[last >= 0]]
        progress(min(row + rows, height), height)


def _layers(files: MapFiles, strip: Block, grid: GeoBox, grids: Sequence[GeoBox]) -> dict[str, np.ndarray]:
    """What is summed over the pixels of a polygon."""
    confidence = read_window(files.confidence, strip.row, strip.col, strip.height, strip.width, fill=0)
    if not files.tiles:
        return {"confidence": confidence}
    validity = merge_tiles(strip.of(grid), files.tiles, grids, ("validity",))["validity"]
    return {"confidence": confidence, "validity": validity}


def _others(files: MapFiles, strip: Block, nomenclature: Nomenclature) -> np.ndarray:
    """Index of each pixel's class before post-processing; one more than there are for no class."""
    if files.original is None:
        return np.zeros((strip.height, strip.width), dtype=np.int64)
    index = nomenclature.index(read_classes(files.original, strip))
    return np.where(index >= 0, index, len(nomenclature))


def _frame(
    table: RegionTable, grid: GeoBox, nomenclature: Nomenclature, params: VectorParams, with_shares: bool
) -> gpd.GeoDataFrame:
    """Polygons with their columns."""
    area = table.pixels * resolution(grid) ** 2
    columns: dict[str, object] = {
        "polygon": table.first + 1,
        "code": table.codes.astype(np.int16),
        "label": [nomenclature.label(code) for code in table.codes.tolist()],
        "pixels": table.pixels,
        "area_m2": area,
        "area_ha": area / 10_000,
        **{name: np.round(total / table.pixels, 2) for name, total in table.sums.items()},
    }
    if with_shares:
        shares = np.round(100 * table.shares / table.pixels[:, None], 2)
        columns |= {f"share_{code}": shares[:, k] for k, code in enumerate(nomenclature.codes.tolist())}
    return gpd.GeoDataFrame(columns, geometry=polygons_of(table, grid, params.outline), crs=str(grid.crs))


def polygons_of(table: RegionTable, grid: GeoBox, outline: str) -> np.ndarray:
    """The polygon of each region, in the map's system."""
    if not len(table):
        return np.empty(0, dtype=object)
    columns = grid.shape[1]
    order, starts, owners = trace(table.corners, table.kinds, table.owners, columns)
    points, begins = OUTLINES[outline](table.corners[order], table.kinds[order], starts, columns)
    places = np.stack(grid.affine * (points[:, 0] / 2, points[:, 1] / 2), axis=1)
    outer = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
    parts = (begins, np.concatenate([outer, [len(owners)]]))
    return np.asarray(shapely.from_ragged_array(shapely.GeometryType.POLYGON, places, parts))
