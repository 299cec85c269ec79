"""Where the demo lies: four crops of true Sentinel-2 tiles around the place where the four meet.

Neighbouring tiles overlap by about 9.8 km. The crops meet around the middle of the area that all four tiles hold,
and overlap one another by about a tenth of their size, on the tiles' own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

from odc.geo.geobox import GeoBox

from toolkit.ground import grid

EPSG = 32631
TILES = ("31TCJ", "31TCK", "31TDJ", "31TDK")
TRUE_CORNERS = {
    "31TCJ": (300000, 4900020),
    "31TCK": (300000, 5000040),
    "31TDJ": (399960, 4900020),
    "31TDK": (399960, 5000040),
}
"""Upper left corner of each whole tile, metres in EPSG:32631 (Sentinel-2 tiling grid, ESA)."""

MEETING = (404880, 4895140)
"""The point around which the crops lie, metres in EPSG:32631."""

PIXEL = 10
MARGIN = 4
"""Pixels of landscape kept around the union of the crops, for what reaches in from outside."""

_SIDE = {"31TCJ": (-1, -1), "31TCK": (-1, 1), "31TDJ": (1, -1), "31TDK": (1, 1)}
"""East and north of the meeting point (+1) or west and south (-1)."""


@dataclass(frozen=True)
class Layout:
    """The grids of the demo for crops of `size` x `size` pixels of 10 m."""

    size: int

    @property
    def reach(self) -> int:
        """Pixels by which a crop reaches beyond the meeting point, even so that 20 m pixels meet too."""
        return max(2, 2 * round(self.size / 38))

    def tile(self, name: str) -> GeoBox:
        """10 m grid of one crop."""
        (x, y), (east, north) = MEETING, _SIDE[name]
        left = x - PIXEL * (self.reach if east > 0 else self.size - self.reach)
        top = y + PIXEL * (self.size - self.reach if north > 0 else self.reach)
        span = PIXEL * self.size
        return grid.from_bounds((left, top - span, left + span, top), PIXEL, f"EPSG:{EPSG}")

    @property
    def union(self) -> GeoBox:
        """10 m grid over the four crops."""
        return grid.union([self.tile(name) for name in TILES])

    @property
    def land(self) -> GeoBox:
        """10 m grid of the landscape: the union and a margin."""
        height, width = self.union.shape
        return grid.Block(-MARGIN, -MARGIN, height + 2 * MARGIN, width + 2 * MARGIN).of(self.union)

    def window(self, name: str) -> tuple[int, int]:
        """First row and column of a crop in the grid of the landscape."""
        row, col = grid.offset(self.tile(name), self.land)
        return round(row), round(col)
