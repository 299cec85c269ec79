"""Rules that change classes: a table of codes, everywhere or where a condition holds.

A condition is a set of polygons, which hold a pixel by its middle, or another raster, of which a value is read at the
pixel's middle: interpolated where it is compared with a limit, as a slope is; of the nearest pixel where it is a code
or a mask. Rules are applied in order, each to what the one before left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from pydantic import model_validator
from rasterio.features import rasterize

from toolkit.ground.errors import GroundTruthError, ParameterError
from toolkit.ground.grid import Block, describe, project_bounds
from toolkit.ground.params import Params, Table, param
from toolkit.ground_truth.vector_files import is_vector, read_vector
from toolkit.products.handles import open_raster
from toolkit.products.onto_grid import read_nearest, read_onto_grid
from toolkit.products.raster import grid_of


class RuleParams(Params):
    """A rule: which classes become which others, and where."""

    change: Table = param(..., "Class codes and what they become, such as {16: 17}. 0 is no class.", min_length=1)
    where: str | None = param(
        None,
        "Polygons or a raster: a source of the data catalog, or a file beside the experiment file. The rule holds in "
        "the polygons, or where the raster is not 0. Empty: everywhere.",
    )
    above: float | None = param(None, "The rule holds where the raster is above this value.")
    below: float | None = param(None, "The rule holds where the raster is below this value.")
    values: tuple[int, ...] = param((), "The rule holds where the raster has one of these values.")
    outside: bool = param(False, "The rule holds where it would not otherwise. A raster without value fulfils neither.")

    @model_validator(mode="after")
    def _complete(self) -> RuleParams:
        wrong = next((code for code in {*self.change, *self.change.values()} if not 0 <= code <= 255), None)
        if wrong is not None:
            raise ValueError(f"change names class {wrong}; codes go from 0, which is no class, to 255")
        if self.where is None and (self.is_limited or self.values or self.outside):
            raise ValueError("above, below, values and outside need `where`: name a raster, or polygons for outside")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(f"nothing is above {self.above:g} and below {self.below:g}; `outside` turns a rule round")
        if self.is_limited and self.values:
            raise ValueError("a rule has either values or above and below; write two rules")
        return self

    @property
    def is_limited(self) -> bool:
        """Whether it compares a raster with a limit."""
        return self.above is not None or self.below is not None


@dataclass(frozen=True)
class Polygons:
    """Holds in these polygons."""

    path: Path
    grid: GeoBox
    """Of the map."""

    @cached_property
    def tree(self) -> shapely.STRtree:
        """The polygons in the map's system, by place."""
        return shapely.STRtree(read_vector(self.path).geometry.to_crs(str(self.grid.crs)).to_numpy())

    def __call__(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Where it holds in a block, and where that is known: bool (y, x) each."""
        near = self.tree.geometries[np.sort(self.tree.query(shapely.box(*block.of(self.grid).boundingbox.bbox)))]
        shape = (block.height, block.width)
        held = np.zeros(shape, dtype=bool)
        if len(near):
            held = rasterize(near, out_shape=shape, transform=block.of(self.grid).affine, dtype=np.uint8) > 0
        return held, np.ones(shape, dtype=bool)


@dataclass(frozen=True)
class Raster:
    """Holds where a raster's value is as the rule says."""

    path: Path
    grid: GeoBox
    """Of the map."""
    rule: RuleParams

    def __call__(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Where it holds in a block, and where that is known: bool (y, x) each."""
        rule = self.rule
        if not rule.is_limited:
            values = read_nearest(self.path, self.grid, block)
            held = np.isin(values, rule.values) if rule.values else values != 0
        else:
            values = read_onto_grid(self.path, self.grid, block)
            lowest = -np.inf if rule.above is None else rule.above
            highest = np.inf if rule.below is None else rule.below
            held = (values > lowest) & (values < highest)
        return held, ~np.isnan(values)


Condition = Polygons | Raster | None
"""None holds everywhere."""


def conditions_of(rules: Sequence[RuleParams], files: Sequence[Path | None], grid: GeoBox) -> list[Condition]:
    """The condition of each rule.

    Args:
        files: that each rule looks at: polygons, or else a raster.
        grid: of the map.

    Raises:
        ParameterError: polygons are compared with values.
        ProductError: a raster cannot be read. GroundTruthError: polygons cannot.
    """
    found: list[Condition] = []
    for rule, file in zip(rules, files, strict=True):
        if file is None:
            found.append(None)
        elif not is_vector(file):
            _check_raster(file, grid)
            found.append(Raster(file, grid, rule))
        elif rule.is_limited or rule.values:
            raise ParameterError(f"postprocess.rules: {file} holds polygons; above, below and values need a raster")
        else:
            polygons = Polygons(file, grid)
            _check_polygons(polygons)
            found.append(polygons)
    return found


def _check_raster(path: Path, grid: GeoBox) -> None:
    """Refuse a raster that tells nothing of the map, or more than one thing."""
    count = open_raster(path).count
    if count > 1:
        raise ParameterError(
            f"postprocess.rules: {path} has {count} bands; a rule looks at one: give a file of it alone"
        )
    there = grid_of(path)
    west, south, east, north = project_bounds(there.boundingbox, there.crs, grid.crs)
    box = grid.boundingbox
    if west >= box.right or east <= box.left or south >= box.top or north <= box.bottom:
        raise ParameterError(
            f"postprocess.rules: {path} lies outside of the map ({describe(there)}); give one of its area"
        )


def _check_polygons(polygons: Polygons) -> None:
    tree = polygons.tree
    kinds = {one.geom_type for one in tree.geometries if one is not None} - {"Polygon", "MultiPolygon"}
    if kinds:
        raise GroundTruthError(f"postprocess.rules: {polygons.path} holds {', '.join(sorted(kinds))}; give polygons")
    if not len(tree.query(shapely.box(*polygons.grid.boundingbox.bbox))):
        raise ParameterError(f"postprocess.rules: no polygon of {polygons.path} meets the map; give those of its area")


def reclassify(
    classes: np.ndarray, rules: Sequence[RuleParams], conditions: Sequence[Condition], block: Block
) -> np.ndarray:
    """Apply rules to a block of a map.

    Args:
        classes: of the block, uint8 (y, x).
        conditions: of each rule.

    Returns:
        uint8 (y, x).

    Raises:
        ProductError: a raster cannot be read. GroundTruthError: polygons cannot.
    """
    for rule, condition in zip(rules, conditions, strict=True):
        table = np.arange(256, dtype=np.uint8)
        for before, after in rule.change.items():
            table[before] = after
        if condition is None:
            classes = table[classes]
        elif np.isin(classes, list(rule.change)).any():
            held, known = condition(block)
            classes = np.where((held != rule.outside) & known, table[classes], classes)
    return classes
