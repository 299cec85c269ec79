"""What is known of the regions of a strip of a map, and how those of two strips become one.

Everything is a whole number, so that a region has the same sums however many strips it runs through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.mapping.regions import join_regions, number_regions
from toolkit.mapping.rings import edges_of


@dataclass(frozen=True)
class RegionTable:
    """Regions by their numbers, from 0, and the edges of their outlines."""

    codes: np.ndarray
    """Class code, uint8 (region,)."""
    first: np.ndarray
    """Place of the first pixel in the map, row by row, int64 (region,)."""
    pixels: np.ndarray
    """int64 (region,)."""
    sums: Mapping[str, np.ndarray]
    """Layer -> sum over the pixels, int64 (region,)."""
    shares: np.ndarray
    """Pixels of each class of another map, int64 (region, class)."""
    corners: np.ndarray
    kinds: np.ndarray
    owners: np.ndarray
    """Edges, as `edges_of` gives them; an owner is the number of a region."""

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(
        cls, window: np.ndarray, row: int, layers: Mapping[str, np.ndarray], others: np.ndarray, classes: int
    ) -> tuple[RegionTable, np.ndarray]:
        """The regions of rows of a map.

        Args:
            window: classes with a pixel more on each side, uint8 (y + 2, x + 2).
            row: of the map, of the first one.
            layers: to be summed, (y, x) each.
            others: index of each pixel's class in another map, (y, x); `classes` where it has none.
            classes: how many there are; 0 for no shares.

        Returns:
            The table, and the number of each pixel's region, int64 (y, x); -1 where there is no class.
        """
        numbers, count = number_regions(window[1:-1, 1:-1], 4)
        flat = numbers.ravel()
        corners, kinds, owners = edges_of(window, numbers, row)
        first = np.zeros(count + 1, dtype=np.int64)
        first[flat[::-1]] = np.arange(flat.size)[::-1]  # of several, the last to be set stays: the first pixel
        sums = {name: _sum(flat, values.ravel(), count + 1)[1:] for name, values in layers.items()}
        shares = np.zeros((count, 0), dtype=np.int64)
        if classes:
            pairs = flat.astype(np.int64) * (classes + 1) + others.ravel()
            shares = np.bincount(pairs, minlength=(count + 1) * (classes + 1)).reshape(count + 1, -1)[1:, :classes]
        table = cls(
            window[1:-1, 1:-1].ravel()[first[1:]],
            first[1:] + row * numbers.shape[1],
            np.bincount(flat, minlength=count + 1)[1:],
            sums,
            shares,
            corners,
            kinds,
            owners - 1,
        )
        return table, numbers.astype(np.int64) - 1

    def joined(self, below: RegionTable, pairs: np.ndarray) -> tuple[RegionTable, np.ndarray]:
        """These regions and those of the strip below, where some are one.

        Args:
            pairs: number here and number below of what is one region, int64 (pair, 2).

        Returns:
            The table, and what number each region here, then each below, has in it.
        """
        numbers, count = join_regions(len(self) + len(below), np.add(pairs, (0, len(self))))
        codes = np.zeros(count, dtype=np.uint8)
        codes[numbers] = np.concatenate([self.codes, below.codes])
        first = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(first, numbers, np.concatenate([self.first, below.first]))
        shares = np.zeros((count, self.shares.shape[1]), dtype=np.int64)
        np.add.at(shares, numbers, np.concatenate([self.shares, below.shares]))
        table = RegionTable(
            codes,
            first,
            _sum(numbers, np.concatenate([self.pixels, below.pixels]), count),
            {name: _sum(numbers, np.concatenate([self.sums[name], below.sums[name]]), count) for name in self.sums},
            shares,
            np.concatenate([self.corners, below.corners]),
            np.concatenate([self.kinds, below.kinds]),
            numbers[np.concatenate([self.owners, below.owners + len(self)])].astype(np.int32),
        )
        return table, numbers

    def where(self, chosen: np.ndarray) -> RegionTable:
        """Only these regions, bool (region,), numbered anew in their order."""
        edges = chosen[self.owners]
        return RegionTable(
            self.codes[chosen],
            self.first[chosen],
            self.pixels[chosen],
            {name: values[chosen] for name, values in self.sums.items()},
            self.shares[chosen],
            self.corners[edges],
            self.kinds[edges],
            (np.cumsum(chosen) - 1)[self.owners[edges]].astype(np.int32),
        )


def _sum(numbers: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Sum of the values of each number, int64; exact, as sums of whole numbers below 2^53 are in float64."""
    return np.bincount(numbers, weights=values, minlength=count).astype(np.int64)
