"""Fusion: several maps of one area become one, by the rules that iota2 and the Orfeo ToolBox know.

- *majority*: the class that most maps give; of as many, the one of the greatest sum of confidence.
- *dempster_shafer*: each map supports its class by a mass that its own accuracy gives it (Shafer 1976, "A
  Mathematical Theory of Evidence"; Xu, Krzyzak and Suen 1992, IEEE Transactions on Systems, Man, and Cybernetics 22,
  for masses from confusion matrices); the masses are combined by Dempster's rule.
- *mean_probability*: the class of the greatest mean of the maps' probabilities.

A map that has no class at a pixel has no say there. With `compatibility="otb"` the first two are those of the Orfeo
ToolBox's FusionOfClassifications, with which iota2 fuses, pixel by pixel: see `vote_as_otb` and `combine_as_otb`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import ParameterError
from toolkit.ground.grid import Block, blocks, describe
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.streaming import Progress, no_progress
from toolkit.mapping.layers import CLASSES, CONFIDENCE
from toolkit.mapping.rasters import NO_CLASS, map_writers, side_file, to_cog, write_block
from toolkit.products.handles import close_rasters, open_raster
from toolkit.products.raster import grid_of, read_window

FusionMethod = Literal["majority", "dempster_shafer", "mean_probability"]
Mass = Literal["precision", "recall", "oa", "kappa"]
"""By what a map's class is believed: that class's user's or producer's accuracy, or the whole map's OA or Kappa."""

Compatibility = Literal["none", "otb"]
"""Whose rules of fusion: ours, or to the pixel the Orfeo ToolBox's, which are iota2's."""

BLOCK = 1024
MAPS = (CLASSES, CONFIDENCE)
CODES = 256
"""A class code is one byte."""
SURE = 1 - 1e-9
"""The greatest mass: one of 1 would let no other map have a say, and two of them contradict each other."""


def vote(classes: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class of most maps; of as many, that of the greatest sum of confidence; of those, the smallest code.

    Args:
        classes: (map, …) uint8, 0 where a map has no class.
        confidence: (map, …) uint8, percent.

    Returns:
        Class (…) uint8, and the share of the maps with a class that give it, (…) uint8, percent.
    """
    # A vote outweighs all the confidence there can be.
    weight = np.where(classes != NO_CLASS, 1 + confidence.astype(np.float64) / (101 * len(classes)), 0)
    winner, score, _ = _greatest_sum(classes, weight)
    voters = (classes != NO_CLASS).sum(axis=0)
    share = np.divide(100 * np.floor(score), voters, out=np.zeros(score.shape), where=voters > 0)
    return winner, np.rint(share).astype(np.uint8)


def vote_as_otb(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The majority of the Orfeo ToolBox: "no class" has a vote as any class has, and as many votes decide nothing.

    Args:
        classes: (map, …) uint8, 0 where a map has no class.

    Returns:
        Class (…) uint8, 0 where nothing is decided, and the share of all maps that give it, (…) uint8, percent.
    """
    winner, votes, alone = _greatest_sum(classes, np.ones(classes.shape), np.unique(classes))
    decided = alone & (winner != NO_CLASS)
    share = np.where(decided, 100 * votes / len(classes), 0)
    return np.where(decided, winner, NO_CLASS).astype(np.uint8), np.rint(share).astype(np.uint8)


def combine_beliefs(classes: np.ndarray, masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class of the greatest belief by Dempster's rule.

    A map with class c and mass m says "c" by m and "any class" by 1 - m. With s(c) = 1 - product of (1 - m) over the
    maps that give c, the combined mass of c is s(c) x product of (1 - s(d)) over the other classes d, normalised.

    Args:
        classes: (map, …) uint8, 0 where a map has no class.
        masses: (map, 256) float64 in [0, 1]: what each map's word for each class code weighs.

    Returns:
        Class (…) uint8 (of equal beliefs, the smallest code; 0 where no map has a class or every mass is 0), and its
        belief (…) uint8, percent.
    """
    # The mass of c grows with s(c), and -log(1 - s(c)) is a sum over the maps: no product of many maps is needed.
    doubt = _said_by(-np.log1p(-np.clip(masses, 0, SURE)), classes)
    winner, total, _ = _greatest_sum(classes, doubt)
    # Masses over that of "any class": what is left once contradictions are taken away sums up to `kept`.
    kept = np.ones(winner.shape)
    for code in _codes_in(classes):
        kept += np.expm1(np.where(classes == code, doubt, 0).sum(axis=0))
    belief = np.expm1(np.maximum(total, 0)) / kept
    return np.where(total > 0, winner, NO_CLASS).astype(np.uint8), np.rint(100 * belief).astype(np.uint8)


def combine_as_otb(classes: np.ndarray, masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class of the greatest belief as the Orfeo ToolBox combines it, which is not by Dempster's rule.

    By that rule two maps that say c leave m1 m2 + m1 (1 - m2) + (1 - m1) m2 to it; there they leave m1 m2 alone. So the
    belief in c is the product of m over the maps that give c, and of 1 - m over the others: a vote in which each map
    weighs log(m / (1 - m)). Every map of a mass below a half that says c makes c less believed. (Found by holding all
    combinations of classes of 2 to 7 maps against it.)

    Args:
        classes, masses: as of `combine_beliefs`.

    Returns:
        Class (…) uint8, 0 where two have the greatest belief, no map has a class, or a map with mass 0 gives each; and
        its belief (…) uint8, percent.
    """
    with np.errstate(divide="ignore"):  # a mass of 0 weighs infinitely against its class
        odds = _said_by(np.log(masses) - np.log1p(-np.clip(masses, 0, SURE)), classes)
    winner, total, alone = _greatest_sum(classes, odds)
    # Beliefs over that of "any class", all divided by the largest of them, so that none is too large a number.
    largest = np.maximum(total, 0)
    kept = np.exp(-largest)
    for code in _codes_in(classes):
        given = classes == code
        kept += np.where(given.any(axis=0), np.exp(np.where(given, odds, 0).sum(axis=0) - largest), 0)
    belief = np.where(alone, np.exp(total - largest) / kept, 0)
    return np.where(alone, winner, NO_CLASS).astype(np.uint8), np.rint(100 * belief).astype(np.uint8)


def mean_probability(probabilities: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class of the greatest mean probability.

    Args:
        probabilities: (map, class, …) uint8, percent; all 0 where a map has no class.
        codes: (class,) uint8.

    Returns:
        Class (…) uint8, 0 where no map has one, and its mean probability (…) uint8, percent.
    """
    voters = (probabilities > 0).any(axis=1).sum(axis=0)
    total = probabilities.sum(axis=0, dtype=np.uint32)
    best = total.argmax(axis=0)
    greatest = np.take_along_axis(total, best[None], axis=0)[0]
    mean = np.divide(greatest, voters, out=np.zeros(greatest.shape), where=voters > 0)
    return np.where(voters > 0, codes[best], NO_CLASS).astype(np.uint8), np.rint(mean).astype(np.uint8)


def masses_of(matrix: ConfusionMatrix, by: Mass) -> np.ndarray:
    """What a map's word for each class code weighs, float64 (256,), from its confusion matrix."""
    table = np.zeros(CODES)
    table[list(matrix.codes)] = {
        "precision": matrix.precision,
        "recall": matrix.recall,
        "oa": np.full(len(matrix.codes), matrix.oa),
        "kappa": np.full(len(matrix.codes), max(matrix.kappa, 0.0)),
    }[by]
    return table


def fuse_maps(
    members: Sequence[Path],
    folder: Path,
    nomenclature: Nomenclature,
    *,
    method: FusionMethod = "majority",
    matrices: Sequence[ConfusionMatrix] = (),
    mass: Mass = "precision",
    compatibility: Compatibility = "none",
    tags: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Path]:
    """Fuse maps into `folder/{classes,confidence}.tif`, cloud-optimised GeoTIFFs, block by block.

    Args:
        members: folders with `classes.tif` and `confidence.tif`, and `probabilities.tif` (a band for each class of
            the nomenclature, percent) for `mean_probability`; all on one grid.
        matrices: of each member, for `dempster_shafer`. mass: what of it is believed.
        compatibility: `otb` fuses as the Orfeo ToolBox does; not for `mean_probability`, which it has not.

    Raises:
        ParameterError: fewer than two maps, other grids, a matrix or map of probabilities is missing, or the Orfeo
            ToolBox has no such method.
        ProductError: a map cannot be read. RunFolderError: the disk is full.
    """
    layers = ("probabilities",) if method == "mean_probability" else ("classes", "confidence")
    if compatibility == "otb" and method == "mean_probability":
        raise ParameterError(
            "the Orfeo ToolBox has no fusion by mean_probability; take majority or dempster_shafer, or no compatibility"
        )
    close_rasters()  # a handle of before may lie on a map that has been made again since
    grid = _common_grid(members, layers)
    if method == "dempster_shafer" and len(matrices) != len(members):
        raise ParameterError(
            f"dempster_shafer weighs each map by its confusion matrix: {len(members)} maps, {len(matrices)} matrices; "
            "validate each of them first, or fuse by majority"
        )
    masses = np.array([masses_of(one, mass) for one in matrices])
    paths = {layer: folder / f"{layer}.tif" for layer in MAPS}
    parts = {layer: folder / f".{layer}.strips.tif" for layer in MAPS}
    cover = list(blocks(grid.shape, BLOCK))
    try:
        with map_writers(parts, grid, nomenclature, tags or {}) as writers:
            for done, block in enumerate(cover, start=1):
                fused = _fused(members, block, method, compatibility, masses, nomenclature)
                for layer, values in zip(MAPS, fused, strict=True):
                    write_block(writers[layer], block, values)
                progress(done, len(cover))
        for layer, path in paths.items():
            categorical = layer == "classes"
            to_cog(parts[layer], path, categorical=categorical, nomenclature=nomenclature if categorical else None)
    finally:
        close_rasters()
        for part in parts.values():
            for path in (part, side_file(part)):
                path.unlink(missing_ok=True)
    return paths


def _fused(
    members: Sequence[Path],
    block: Block,
    method: FusionMethod,
    compatibility: Compatibility,
    masses: np.ndarray,
    nomenclature: Nomenclature,
) -> tuple[np.ndarray, np.ndarray]:
    if method == "mean_probability":
        window = Window(block.col, block.row, block.width, block.height)
        given = [open_raster(one / "probabilities.tif").read(window=window) for one in members]
        return mean_probability(np.stack(given), nomenclature.codes)
    place = (block.row, block.col, block.height, block.width)
    classes, confidence = (
        np.stack([read_window(one / f"{layer}.tif", *place, fill=0) for one in members])
        for layer in ("classes", "confidence")
    )
    if method == "majority":
        return vote(classes, confidence) if compatibility == "none" else vote_as_otb(classes)
    return (combine_beliefs if compatibility == "none" else combine_as_otb)(classes, masses)


def _codes_in(classes: np.ndarray) -> np.ndarray:
    return np.unique(classes[classes != NO_CLASS])


def _said_by(table: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Of a table (map, 256), the value of the class that each map gives, (map, …)."""
    return np.stack([row[one] for row, one in zip(table, classes, strict=True)])


def _greatest_sum(
    classes: np.ndarray, weight: np.ndarray, codes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The class of the greatest sum of weights over the maps that give it, the smallest code of equal ones.

    Args:
        codes: that are looked at; all but "no class" where none are given.

    Returns:
        That class (…), 0 where there is none; that sum (…), -inf where there is none; and whether no other has it.
    """
    winner, best = np.zeros(classes.shape[1:], dtype=np.uint8), np.full(classes.shape[1:], -np.inf)
    alone = np.zeros(classes.shape[1:], dtype=bool)
    for code in _codes_in(classes) if codes is None else codes:
        given = classes == code
        total = np.where(given.any(axis=0), np.where(given, weight, 0).sum(axis=0), -np.inf)
        better = total > best + 1e-12
        alone = better | (alone & (total < best - 1e-12))
        winner[better], best[better] = code, total[better]
    return winner, best, alone


def _common_grid(members: Sequence[Path], layers: Sequence[str]) -> GeoBox:
    if len(members) < 2:
        raise ParameterError(f"fusion needs two maps at least, not {len(members)}; name more run folders")
    grids = [grid_of(one / f"{layer}.tif") for one in members for layer in layers]
    other = next((place for place, grid in enumerate(grids) if grid != grids[0]), None)
    if other is not None:
        raise ParameterError(
            f"{members[other // len(layers)]} is on another grid ({describe(grids[other])}) than {members[0]} "
            f"({describe(grids[0])}); maps that are fused are of the same tiles, area and mapping.crs"
        )
    return grids[0]
