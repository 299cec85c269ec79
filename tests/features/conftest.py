"""A tile whose series stands in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from odc.geo.geobox import GeoBox

from toolkit.features.chosen import ChosenFeature
from toolkit.features.reading import TileFeatures
from toolkit.features.stack import FeatureStack
from toolkit.ground.bands import NODATA
from toolkit.ground.code_files import SourceFile
from toolkit.ground.grid import Block, from_bounds
from toolkit.series.images import BlockImages, CoarseBands
from toolkit.series.team import Team

DAYS = ("2018-01-01", "2018-04-11", "2018-07-20", "2018-10-28")


@dataclass(frozen=True)
class ArraySeries:
    """What `TileSeries` is, from arrays; beyond their edges nothing was measured."""

    values: np.ndarray
    validity: np.ndarray
    dates: np.ndarray
    grid: GeoBox
    tile: str = "31TCJ"

    def read(self, block: Block, buffer: object = None) -> tuple[np.ndarray, np.ndarray]:
        rows, cols = (
            np.arange(start, start + size) for start, size in ((block.row, block.height), (block.col, block.width))
        )
        inside = np.isin(rows, np.arange(self.grid.shape[0]))[:, None] & np.isin(cols, np.arange(self.grid.shape[1]))
        rows, cols = rows.clip(0, self.grid.shape[0] - 1), cols.clip(0, self.grid.shape[1] - 1)
        values = np.where(inside, self.values[:, :, rows[:, None], cols], np.int16(NODATA))
        return values, self.validity[:, rows[:, None], cols] & inside

    def images(self, block: Block, team: Team) -> BlockImages:
        values, validity = self.read(block)
        bands = tuple(range(values.shape[1]))
        return BlockImages(values, bands, CoarseBands({}, {}, "nearest"), validity, team.buffer)

    def of(self, *external: ChosenFeature, indices: tuple[str, ...] = ("ndvi",), **more: object) -> TileFeatures:
        """Its features with these external ones."""
        return TileFeatures(self, FeatureStack(("B4", "B8"), DAYS, indices, external=external, **more))

    @property
    def whole(self) -> Block:
        return Block(0, 0, *self.grid.shape)


@pytest.fixture(scope="session")
def scene() -> ArraySeries:
    """37 x 43 pixels on 5 dates, cloudy; some pixels were never seen."""
    rng = np.random.default_rng(3)
    values = rng.integers(50, 6000, (5, 2, 37, 43)).astype(np.int16)
    validity = rng.random((5, 37, 43)) < 0.6
    validity[:, 10:14, 20:26] = False
    dates = np.array(["2018-01-09", "2018-03-02", "2018-06-15", "2018-08-30", "2018-11-20"], dtype="datetime64[D]")
    return ArraySeries(values, validity, dates, from_bounds((300000, 4899630, 300430, 4900000), 10, "EPSG:32631"))


def own(text: str, name: str = "mine", path: Path | str = "my_features.py", **values: object) -> ChosenFeature:
    """A feature of a person's own file."""
    head = "import numpy as np\nfrom toolkit import external_feature\nfrom toolkit.ground.params import param\n"
    return ChosenFeature(name, values, SourceFile(str(path), head + text))
