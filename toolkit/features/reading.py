"""The features of a tile, read block by block: one way for sampling, mapping and looking at a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.features.block import BlockPlace, inner
from toolkit.features.stack import FeatureStack
from toolkit.ground.bands import NODATA
from toolkit.ground.grid import Block
from toolkit.series.matrix import PLAIN, MatrixForm
from toolkit.series.timeseries import TileSeries


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
        features, clear = self.stack.compute(values, validity, self.series.dates, self.place(block), form)
        seen = clear > 0
        if self.stack.classifies_unseen:
            seen |= inner((values != NODATA).any(axis=(0, 1)), self.stack.padding)
        return features, clear, seen, inner(validity, self.stack.padding)

    def read_pixels(self, row: np.ndarray, col: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
        values, validity = self.series.read(window)
        return self.stack.compute(values[:, :, row, col], validity[:, row, col], self.series.dates)

    def place(self, block: Block) -> BlockPlace:
        """Where a block lies."""
        return BlockPlace(self.series.tile, self.series.grid, block)
