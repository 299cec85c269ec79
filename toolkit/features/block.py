"""What an external feature is given: the series of a block with a padding around it, by the names of bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from odc.geo.geobox import GeoBox

from toolkit.ground.errors import ParameterError, did_you_mean
from toolkit.ground.grid import Block

RasterReader = Callable[[str, GeoBox, Block], np.ndarray]
"""Name of a raster, grid of the tile and a block of it to (y, x) float32, NaN where the raster has no value."""


@dataclass(frozen=True)
class BlockPlace:
    """Where a block of features lies."""

    tile: str
    grid: GeoBox
    """Of the whole tile."""
    block: Block
    """Without padding."""

    def __str__(self) -> str:
        one = self.block
        rows, cols = (f"{start} to {start + size - 1}" for start, size in ((one.row, one.height), (one.col, one.width)))
        return f"tile {self.tile}, block of rows {rows}, columns {cols}"


@dataclass(frozen=True, eq=False)
class FeatureBlock:
    """A block of a tile as a feature function sees it. Every (y, x) has the padding that the function asked for.

    Where a pixel was never seen, as beyond the images, the gap-filled series is 0 and `seen` is false.
    """

    place: BlockPlace
    padding: int
    """Pixels on each side that are there for the neighbourhood only."""
    dates: np.ndarray
    """Days of the regular grid, datetime64[D] of shape (date,)."""
    acquired: np.ndarray
    """Days of acquisition, datetime64[D] of shape (acquisition,); a day may stand twice."""
    validity: np.ndarray
    """Whether a pixel is clear and measured in every band, bool of shape (acquisition, y, x)."""
    gap_filled: Mapping[str, np.ndarray] = field(repr=False)
    measured: Mapping[str, np.ndarray] = field(repr=False)
    read_raster: RasterReader = field(repr=False)

    @property
    def tile(self) -> str:
        """Name of the tile."""
        return self.place.tile

    @property
    def grid(self) -> GeoBox:
        """The pixel grid of the block, padding included."""
        return self._padded.of(self.place.grid)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, padding included."""
        return self._padded.height, self._padded.width

    @property
    def seen(self) -> np.ndarray:
        """Whether a pixel has any clear date, bool of shape (y, x)."""
        return np.asarray(self.validity.any(axis=0))

    def filled(self, name: str) -> np.ndarray:
        """The gap-filled series of a band (`"B8"`, reflectance x 10000) or of an index of the experiment (`"NDVI"`).

        Returns:
            (date, y, x) float32, not to be written into.

        Raises:
            ParameterError: no such band or index.
        """
        return _named(self.gap_filled, name, "neither a band of series.bands nor one of features.indices")

    def raw(self, band: str) -> np.ndarray:
        """A band as it was measured, clear or not: see `validity` and `acquired`.

        Returns:
            (acquisition, y, x) int16, reflectance x 10000, -10000 where nothing was measured; not to be written into.

        Raises:
            ParameterError: no such band.
        """
        return _named(self.measured, band, "not in series.bands")

    def raster(self, name: str) -> np.ndarray:
        """A raster that the experiment names for this feature, by bilinear interpolation on the block's grid.

        Returns:
            (y, x) float32, NaN where the raster has no value.

        Raises:
            ParameterError: no such raster.
        """
        return self.read_raster(name, self.place.grid, self._padded)

    def nearest(self, day: object) -> int:
        """Position in `dates` of the day of the regular grid that is nearest to `day`, of two the earlier."""
        wanted = np.datetime64(str(day), "D")
        return int(np.argmin(np.abs(self.dates - wanted)))

    def with_padding(self, padding: int) -> FeatureBlock:
        """The same with less padding."""
        cut = self.padding - padding
        return replace(
            self,
            padding=padding,
            validity=inner(self.validity, cut),
            gap_filled={name: inner(one, cut) for name, one in self.gap_filled.items()},
            measured={name: inner(one, cut) for name, one in self.measured.items()},
        )

    @property
    def _padded(self) -> Block:
        return self.place.block.padded(self.padding)


def inner(array: np.ndarray, padding: int) -> np.ndarray:
    """A view of an array (…, y, x) without so many pixels on each side."""
    return array[..., padding : array.shape[-2] - padding, padding : array.shape[-1] - padding]


def _named(arrays: Mapping[str, np.ndarray], name: str, problem: str) -> np.ndarray:
    key = {known.lower(): known for known in arrays}.get(name.lower())
    if key is None:
        raise ParameterError(f"{name!r} is {problem}{did_you_mean(name, arrays)}")
    view = arrays[key].view()
    view.flags.writeable = False
    return view
