"""Folds of samples for a tuning: each fold is held out once, and never shares a polygon with another."""

from __future__ import annotations

from typing import Literal

import numpy as np

from toolkit.ground.errors import SampleError

FoldsBy = Literal["polygon", "tile"]


def deal_polygons(polygons: np.ndarray, codes: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Deal polygons to folds, class by class, so that each fold has its share of every class.

    Args:
        polygons: polygon of each sample, (sample,).
        codes: class code of each sample, (sample,); all samples of a polygon have the same.

    Returns:
        Fold of each sample, int64 (sample,).

    Raises:
        SampleError: fewer polygons than folds.
    """
    _, first, polygon = np.unique(polygons, return_index=True, return_inverse=True)
    shuffled = rng.permutation(len(first))
    by_class = shuffled[np.argsort(codes[first][shuffled], kind="stable")]
    _enough(len(first), folds, "polygons")
    fold = np.empty(len(first), dtype=np.int64)
    fold[by_class] = np.arange(len(first)) % folds  # goes on from class to class: no fold gets all the small ones
    return fold[polygon]


def deal_tiles(polygons: np.ndarray, tiles: np.ndarray, folds: int) -> np.ndarray:
    """Deal whole tiles to folds of about the same number of samples.

    A polygon that lies in several tiles goes with the tile of its first sample.

    Args:
        polygons: polygon of each sample, (sample,).
        tiles: tile of each sample, (sample,).

    Returns:
        Fold of each sample, int64 (sample,).

    Raises:
        SampleError: fewer tiles than folds.
    """
    _, first, polygon = np.unique(polygons, return_index=True, return_inverse=True)
    _, tile, counts = np.unique(tiles[first][polygon], return_inverse=True, return_counts=True)
    _enough(len(counts), folds, "tiles")
    fold, loads = np.empty(len(counts), dtype=np.int64), np.zeros(folds, dtype=np.int64)
    for one in np.argsort(-counts, kind="stable"):
        fold[one] = int(loads.argmin())
        loads[fold[one]] += counts[one]
    return fold[tile]


def _enough(there: int, folds: int, what: str) -> None:
    if there < folds:
        raise SampleError(
            f"tuning.folds = {folds}, but the samples are of {there} {what} only; lower it"
            + (", or set tuning.folds_by: polygon" if what == "tiles" else ", or add ground truth")
        )
