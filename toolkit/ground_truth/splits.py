"""Split of polygons into train and test: whole polygons, class by class, seeded."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
from pydantic import field_validator

from toolkit.ground.errors import GroundTruthError, ParameterError, did_you_mean
from toolkit.ground.grid import tile_name
from toolkit.ground.params import Params, param
from toolkit.ground_truth.polygons import GroundTruth

log = logging.getLogger(__name__)

Role = Literal["train", "test", "left_out"]


class SplitParams(Params):
    """How polygons are divided between training and test."""

    train_ratio: float = param(0.75, "Share of each class's polygons used for training; the others test.", gt=0, lt=1)
    by: Literal["polygon"] = param("polygon", "What stays whole: a polygon is never divided between training and test.")
    leave_out_tile: str | None = param(None, "Tile of which no polygon is used for training, such as 31TCJ.")

    @field_validator("leave_out_tile")
    @classmethod
    def _tile_name(cls, tile: str | None) -> str | None:
        try:
            return tile_name(tile) if tile is not None else None
        except ParameterError as error:
            raise ValueError(str(error)) from None


def split_polygons(
    codes: np.ndarray, ratio: float, seed: int, *, ids: np.ndarray | None = None, groups: np.ndarray | None = None
) -> np.ndarray:
    """Draw the polygons for training, class by class.

    Of the n units of a class, `round(n * ratio)` train, but at least one trains and, from n = 2, one tests. The
    draw of a class depends on the seed and on its own units alone: not on the order of the rows, nor on other classes.

    Args:
        codes: class code of each polygon, of shape (polygon,), none negative.
        ratio: share that trains, between 0 and 1.
        seed: seed of the draw, not negative.
        ids: number of each polygon, for a draw that does not depend on their order; default: their order.
        groups: polygons of one group and class make one unit; default: every polygon is a unit.

    Returns:
        Whether each polygon trains, bool of shape (polygon,).
    """
    codes = np.asarray(codes)
    ids = np.arange(len(codes)) if ids is None else np.asarray(ids)
    groups = ids if groups is None else np.asarray(groups)
    train = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        units = np.unique(groups[codes == code])
        rng = np.random.default_rng([seed, int(code)])
        drawn = rng.permutation(units)[: train_count(len(units), ratio)]
        train |= (codes == code) & np.isin(groups, drawn)
    return train


def train_count(count: int, ratio: float) -> int:
    """How many of `count` units train: the rounded share, but neither none nor, from two units, all."""
    return min(max(round(count * ratio), 1), max(count - 1, 1))


def split_ground_truth(
    ground_truth: GroundTruth, params: SplitParams, seed: int, *, left_out: np.ndarray | None = None
) -> GroundTruth:
    """The ground truth with a column `role`, as `assign_roles` gives it; classes that cannot train or test are logged.

    Raises:
        GroundTruthError: no polygon lies in the tile to leave out, or all do.
    """
    result = assign_roles(ground_truth, params, seed, left_out=left_out)
    _warn(result)
    return result


def assign_roles(
    ground_truth: GroundTruth, params: SplitParams, seed: int, *, left_out: np.ndarray | None = None
) -> GroundTruth:
    """The ground truth with a column `role`: `"train"`, `"test"` or `"left_out"`.

    Polygons that were parts of one multipolygon (one `source`) go to the same side. A part of a multipolygon that
    reaches into what is left out never trains.

    Args:
        ground_truth: cleaned polygons, with columns `source` and `tile`.
        params: the ratio, and the tile to leave out.
        seed: seed of the draw.
        left_out: polygons to leave out instead of a tile's, bool of shape (polygon,).

    Raises:
        GroundTruthError: no polygon lies in the tile to leave out, or all do.
    """
    if left_out is None:
        left_out = _in_tile(ground_truth, params.leave_out_tile)
    frame = ground_truth.frame.copy()
    groups = frame["source"].to_numpy() if "source" in frame else ground_truth.ids
    barred = np.isin(groups, groups[left_out])
    if barred.all():
        raise GroundTruthError(f"{ground_truth.name}: every polygon is left out, so none can train; leave out fewer")
    role = np.where(left_out, "left_out", "test").astype(object)
    free = np.flatnonzero(~barred)
    train = split_polygons(
        ground_truth.codes[free], params.train_ratio, seed, ids=ground_truth.ids[free], groups=groups[free]
    )
    role[free[train]] = "train"
    frame["role"] = role
    return GroundTruth(frame, ground_truth.name)


def classes_without(ground_truth: GroundTruth, role: Role) -> list[int]:
    """Codes of the classes none of whose polygons has this role."""
    frame = ground_truth.frame
    return sorted(set(ground_truth.counts) - {int(code) for code in frame["code"][frame["role"] == role]})


def _in_tile(ground_truth: GroundTruth, tile: str | None) -> np.ndarray:
    if tile is None:
        return np.zeros(len(ground_truth), dtype=bool)
    chosen = ground_truth.frame["tile"].to_numpy() == tile
    if not chosen.any():
        hint = did_you_mean(tile, set(ground_truth.frame["tile"]))
        raise GroundTruthError(
            f"no polygon of {ground_truth.name} is in tile {tile}; correct split.leave_out_tile{hint}"
        )
    return chosen


def _warn(ground_truth: GroundTruth) -> None:
    untrained = classes_without(ground_truth, "train")
    untested = [code for code in classes_without(ground_truth, "test") if code not in untrained]
    if untrained:
        log.warning("no polygon trains for class %s: it will not be mapped", ", ".join(map(str, untrained)))
    if untested:
        log.warning("one polygon only of class %s: it trains and is not tested", ", ".join(map(str, untested)))
