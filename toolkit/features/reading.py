"""The features of a tile, read block by block: one way for sampling, mapping and looking at a pixel.

Of several sensors each has its own series and features, which are put side by side. A pixel that any of them never saw
is as one that was never seen: a network would be given zeros for it that it has never learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.features.block import BlockPlace, inner
from toolkit.features.stack import FeatureStack
from toolkit.ground.bands import NODATA
from toolkit.ground.grid import Block
from toolkit.series.buffers import SeriesBuffer
from toolkit.series.images import Strip as RowStrip
from toolkit.series.matrix import PLAIN, MatrixForm
from toolkit.series.team import Team
from toolkit.series.timeseries import TileSeries

Strip = tuple[slice, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Rows of a block; their features, clear dates, which pixels get a class, and validity: see `read_for_map`."""

Read = tuple[np.ndarray, np.ndarray]
"""Values (date, band, …) and validity (date, …) of the pixels of a sensor."""

STRIP_BYTES = 16 * 2**20
"""Features of a strip: little enough for the allocator to keep the memory for the next strip, and for a large cache."""


def strip_pixels(stack: FeatureStack, dates: int) -> int:
    """Pixels whose features are computed at a time, of a tile with so many dates."""
    return max(1, STRIP_BYTES // (4 * max(1, stack.held(dates))))


@dataclass(frozen=True)
class TileFeatures:
    """The features of a tile."""

    series: TileSeries
    stack: FeatureStack

    def read(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Features of a block: (feature, y, x) float32, and clear dates (y, x) uint16.

        Raises:
            ProductError: a file cannot be read. FeatureError: an external feature fails.
        """
        features, clear, _, _ = self.read_for_map(block)
        return features, clear

    def read_for_map(
        self, block: Block, form: MatrixForm = PLAIN
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As `read`, which pixels get a class: (y, x) bool, those that were ever clear, as iota2 ever measured; and
        the validity, (date, y, x) bool.

        Args:
            form: of the features, such as `Model.form` for a network that takes them standardised.

        Raises:
            ProductError: a file cannot be read. FeatureError: an external feature fails.
        """
        values, validity = self.series.read(block.padded(self.stack.padding))
        return self._computed(values, validity, self._beside(block), self.place(block), form)

    def of(self, block: Block, values: np.ndarray, validity: np.ndarray, beside: Sequence[Read] = ()) -> Read:
        """As `read`, of what was read already.

        Args:
            values, validity: of the first sensor, with the padding around the block.
            beside: of the further sensors, without.

        Raises:
            FeatureError: an external feature fails.
        """
        features, clear, _, _ = self._computed(values, validity, beside, self.place(block), PLAIN)
        return features, clear

    def strips_for_map(self, block: Block, team: Team, take: Callable[[Strip], None], form: MatrixForm = PLAIN) -> None:
        """As `read_for_map`, a few rows at a time: all features together would take more memory than the series.

        A strip's features stay in the processor's cache until the network has read them. External features look beyond
        a strip: with them, the block is one.

        Args:
            team: whose threads share the strips.
            take: is given each, in no order, in the thread that computed it; its arrays are filled anew afterwards.

        Raises:
            ProductError: a file cannot be read. FeatureError: an external feature fails.
        """
        if self.stack.external:
            values, validity = self.series.read(block.padded(self.stack.padding), team.buffer)
            beside = self._beside(block, team.buffer)
            take((slice(0, block.height), *self._computed(values, validity, beside, self.place(block), form)))
            return
        rows = max(1, strip_pixels(self.stack, len(self.series.acquisitions)) // block.width)
        rows -= rows % 2 if rows > 1 else 0  # whole rows of 20 m pixels

        def compute(strips: tuple[RowStrip, ...], buffer: SeriesBuffer) -> None:
            values, validity = strips[0].load(buffer)
            beside = [one.load(buffer.beside(place)) for place, one in enumerate(strips[1:])]
            take((strips[0].rows, *self._computed(values, validity, beside, None, form, buffer)))

        others = [one.images(block, team.beside(place)).strips(rows) for place, one in enumerate(self._others)]
        for strips in self.series.strips(block, team, rows):
            team.each(compute, zip(strips, *others, strict=True))

    def _computed(
        self,
        values: np.ndarray,
        validity: np.ndarray,
        beside: Sequence[Read],
        place: BlockPlace | None,
        form: MatrixForm,
        buffer: SeriesBuffer | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        own = PLAIN if beside else form
        features, clear = self.stack.alone.compute(values, validity, self.series.dates, place, own, buffer)
        if beside:
            features, clear = self._joined(features, clear, beside)
            features = form.of(features)
        seen = clear > 0
        if self.stack.classifies_unseen:
            seen |= inner((values != NODATA).any(axis=(0, 1)), self.stack.padding)
        return features, clear, seen, inner(validity, self.stack.padding)

    def read_pixels(
        self, row: np.ndarray, col: np.ndarray, buffer: SeriesBuffer | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features of pixels near each other: (feature, pixel) float32, and clear dates (pixel,) uint16.

        The window around them is read; gaps are filled for these pixels only, unless external features need all.

        Raises:
            ProductError: a file cannot be read. FeatureError: an external feature fails.
        """
        window = Block(int(row.min()), int(col.min()), int(np.ptp(row)) + 1, int(np.ptp(col)) + 1)
        row, col = row - window.row, col - window.col
        if self.stack.external:
            features, clear = self.read(window)
            return features[:, row, col], clear[row, col]
        buffer = buffer or SeriesBuffer()
        values, validity = self.series.images(window, Team(buffer)).pixels(row, col)
        own = self.stack.alone.compute(values, validity, self.series.dates)
        beside = [one.images(window, Team(buffer).beside(i)).pixels(row, col) for i, one in enumerate(self._others)]
        return self._joined(*own, beside) if beside else own

    def _beside(self, block: Block, buffer: SeriesBuffer | None = None) -> list[Read]:
        """What the further sensors saw of a block."""
        return [one.read(block, buffer.beside(place) if buffer else None) for place, one in enumerate(self._others)]

    @property
    def _others(self) -> list[TileSeries]:
        """The series of the further sensors that features are made of."""
        return [self.series.others[place] for place in range(len(self.stack.others))]

    def _joined(self, features: np.ndarray, clear: np.ndarray, beside: Sequence[Read]) -> Read:
        """Features of the first sensor with those of the others, and its clear dates: 0 where another has none."""
        parts = []
        for (_, stack), series, (values, validity) in zip(self.stack.others, self.series.others, beside, strict=True):
            found, seen = stack.compute(values, validity, series.dates)
            parts.append(found)
            clear = clear * (seen > 0)
        return np.concatenate(self.stack.in_order((features,), tuple(parts))), clear

    def place(self, block: Block) -> BlockPlace:
        """Where a block lies."""
        return BlockPlace(self.series.tile, self.series.grid, block)
