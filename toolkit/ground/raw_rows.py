"""How a row of raw dates is laid out: what has no date, then date after date, each with the same columns.

The names of such a row say each column of a date once: `texture`, `B8_*`, `NDVI_*`, `day_*`, `valid_*`. A row has as
many dates as it takes, those of a tile, and may be padded by dates that are not valid: all their columns are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EACH_DATE = "_*"
"""End of the name of what a raw row has on each of its dates."""
DAY, VALID = f"day{EACH_DATE}", f"valid{EACH_DATE}"
"""The last two columns of a date: days since the first of January of the first year of the period; 1 or 0."""


@dataclass(frozen=True)
class RawRow:
    """The layout of a row of raw dates."""

    static: int
    """Columns of what has no date; they come first."""
    each: int
    """Columns of a date: its channels, its day, whether it is valid."""

    @classmethod
    def of(cls, names: Sequence[str]) -> RawRow | None:
        """The layout that these names tell of; None where they are not those of a raw row."""
        each = sum(name.endswith(EACH_DATE) for name in names)
        return cls(len(names) - each, each) if each else None

    def width(self, dates: int) -> int:
        """Columns of a row of so many dates."""
        return self.static + dates * self.each

    def fits(self, width: int) -> bool:
        """Whether a row of one date or more may have so many columns."""
        return width > self.static and (width - self.static) % self.each == 0

    def dated(self, rows: np.ndarray) -> np.ndarray:
        """A view of rows (sample, column) without what is static: (sample, date, column of a date)."""
        dates = (rows.shape[1] - self.static) // self.each
        return rows[:, self.static :].reshape(len(rows), dates, self.each)

    def name_place(self, column: int) -> int:
        """The place among the names of a column of a row."""
        return column if column < self.static else self.static + (column - self.static) % self.each

    def take(self, features: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """The features (column, …) of some names only, a copy.

        Args:
            kept: ascending places of these names.
        """
        pixels, dates = features.shape[1:], (len(features) - self.static) // self.each
        static, each = kept[kept < self.static], kept[kept >= self.static] - self.static
        chosen = np.empty((len(static) + dates * len(each), *pixels), dtype=features.dtype)
        chosen[: len(static)] = features[static]
        target = chosen[len(static) :].reshape(dates, len(each), *pixels)
        for place, column in enumerate(each):  # column by column: nothing is copied twice
            target[:, place] = features[self.static + column :: self.each]
        return chosen
