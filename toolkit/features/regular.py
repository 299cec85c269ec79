"""The features of the regular grid, bands and indices of every date, as rows of a matrix.

Gap-filling by neighbours computes them in one pass (`toolkit.series.fused`); the other methods, and iota2's exact
numbers, part by part of the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from toolkit.features.compatibility import fill_as_iota2, indices_as_iota2
from toolkit.features.computing import write_rows
from toolkit.features.indices import Index, index_of
from toolkit.features.programs import program_of
from toolkit.series.arithmetic import Program
from toolkit.series.flat_series import flat_validity, numbered_days
from toolkit.series.fused import fuse
from toolkit.series.gaps import count_clear
from toolkit.series.matrix import MatrixForm, bfloat16_bits
from toolkit.series.methods import WAYS, GapFilling, fill_series

PART = 2048
"""Pixels at once where filling and computing are two passes: 37 dates of 13 features take 4 MB."""


@dataclass(frozen=True)
class RegularFeatures:
    """What is computed on the regular grid: all bands of the first date, of the second, …, then each index over all."""

    bands: tuple[str, ...]
    days: np.ndarray
    """Of the regular grid, datetime64[D] of shape (date,)."""
    indices: tuple[str | Index, ...]
    gap_filling: GapFilling
    seasons: tuple[int, ...] = ()
    """Number of days of each season; empty for one whole period."""
    as_iota2: bool = False

    def __len__(self) -> int:
        return self.rows().size

    def rows(self, kept: np.ndarray | None = None) -> np.ndarray:
        """The row of each feature, int64 (date, band or index); -1 for one that is not among `kept`, if any are."""
        dates, bands, indices = len(self.days), len(self.bands), len(self.indices)
        rows = np.empty((dates, bands + indices), np.int64)
        rows[:, :bands] = np.arange(dates * bands).reshape(dates, bands)
        rows[:, bands:] = dates * bands + np.arange(dates * indices).reshape(indices, dates).T
        if kept is None:
            return rows
        places = np.full(rows.size, -1)
        places[kept] = np.arange(len(kept))
        return places[rows]

    def write(
        self,
        values: np.ndarray,
        validity: np.ndarray,
        dates: np.ndarray,
        form: MatrixForm,
        out: np.ndarray,
        kept: np.ndarray | None = None,
    ) -> np.ndarray:
        """Compute them for pixels.

        Args:
            values: (date, band, pixel) int16, reflectance x 10000.
            validity: (date, pixel) bool; false where a band of the date has no value.
            dates: (date,) ascending datetime64[D].
            out: (feature, pixel) of the form's type, C-contiguous; the first rows are written.
            kept: positions of the features that are wanted, ascending; None for all.

        Returns:
            (pixel,) uint16, number of usable dates; 0 too where no day of the grid is left by `max_gap_days`.
        """
        rows = self.rows(kept)
        count = len(self) if kept is None else len(kept)
        scaling = form.scaling(count)
        if self.at_once:
            clear = self._fused(values, validity, dates, rows, scaling, out)
        else:
            clear = np.empty(values.shape[2], np.uint16)
            for start in range(0, values.shape[2], PART):
                part = slice(start, start + PART)
                clear[part] = self._in_two(values[..., part], validity[:, part], dates, rows, scaling, out[:, part])
        # iota2's indices of zeros are 0 by themselves.
        if any(index_of(name).formula for name in self.indices) and not clear.all():
            zero = -scaling[0] * scaling[1]
            mine = rows[:, len(self.bands) :]
            mine = mine[mine >= 0]
            out[np.ix_(mine, clear == 0)] = (bfloat16_bits(zero) if form.bfloat16 else zero)[mine, None]
        return clear

    @property
    def at_once(self) -> bool:
        """Whether one pass fills and computes. A neighbour is the same in any season, a gap is not."""
        parted = bool(self.seasons) and self.gap_filling.max_gap_days is not None
        return self.gap_filling.method in WAYS and not self.as_iota2 and not parted

    def _fused(
        self,
        values: np.ndarray,
        validity: np.ndarray,
        dates: np.ndarray,
        rows: np.ndarray,
        scaling: tuple[np.ndarray, np.ndarray],
        out: np.ndarray,
    ) -> np.ndarray:
        origin = min(dates[0], self.days[0]) if len(dates) else self.days[0]
        return fuse(
            np.ascontiguousarray(values),
            flat_validity(validity),
            numbered_days(dates, origin),
            numbered_days(self.days, origin),
            self.program,
            rows,
            scaling,
            out,
            way=WAYS[self.gap_filling.method],
            max_gap_days=self.gap_filling.max_gap_days,
        )

    def _in_two(
        self,
        values: np.ndarray,
        validity: np.ndarray,
        dates: np.ndarray,
        rows: np.ndarray,
        scaling: tuple[np.ndarray, np.ndarray],
        out: np.ndarray,
    ) -> np.ndarray:
        """As `write`, of a part of the pixels that fits the processor's cache: fill, then compute."""
        clear = count_clear(validity)
        shape = (len(self.days), len(self.bands), values.shape[2])
        if self.as_iota2:
            filled = np.empty(shape, np.float32)
            fill_as_iota2(values, validity, dates, self.days, filled)
            indices = np.empty((len(self.indices), shape[0], shape[2]), np.float32)
            indices_as_iota2(filled, self.bands, self.indices, indices)
            whole = np.concatenate([filled, indices.transpose(1, 0, 2)], axis=1)
            write_rows(whole, Program.nothing(whole.shape[1]), rows, scaling, out)
            return clear
        given = (values, validity, dates, self.days, None, self.seasons)
        filled, kept = fill_series(self.gap_filling, self.bands, *given)
        write_rows(filled, self.program, rows, scaling, out)
        if kept is not None:
            clear[~kept] = 0  # no date of it is left: as never seen
        return clear

    @cached_property
    def program(self) -> Program:
        """What the indices are."""
        return program_of(self.indices, self.bands)
