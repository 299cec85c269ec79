"""A raster of the probabilities of all classes, a band each, and its smoothing block by block.

The code of a band's class stands at the beginning of its description (`12 Rice`); without descriptions there is a band
for each class of the nomenclature, in the order of the codes. A band's scale (GDAL's) says what a value means: 0.01 for
percent, 1/255 for a byte; without one it is percent. 0 in all bands is "never seen".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from toolkit.features.block import inner
from toolkit.ground.errors import ProductError
from toolkit.ground.grid import Block, describe
from toolkit.ground.nomenclature import Nomenclature
from toolkit.mapping.passes import read_classes, work_result
from toolkit.mapping.smoothing import smooth
from toolkit.products.handles import open_raster
from toolkit.products.raster import grid_of

PERCENT = 100


@dataclass(frozen=True)
class Probabilities:
    """A probabilities raster."""

    path: Path
    codes: tuple[int, ...]
    """Class code of each band."""
    full: int = PERCENT
    """The value that means 1."""

    @classmethod
    def open(cls, path: Path, grid: GeoBox, nomenclature: Nomenclature) -> Probabilities:
        """Look at a raster's bands.

        Args:
            grid: that it must have.

        Raises:
            ProductError: it cannot be read, is of another grid or type, or its bands are not known.
        """
        dataset, own = open_raster(path), grid_of(path)
        if own != grid:
            raise ProductError(f"{path} has {describe(own)}, the map {describe(grid)}; make both from the same tiles")
        if set(dataset.dtypes) != {"uint8"}:
            raise ProductError(f"{path} holds {dataset.dtypes[0]} values; probabilities are uint8 of 0 to 100 or 255")
        scale = dataset.scales[0]
        return cls(path, _codes(dataset, nomenclature, path), PERCENT if scale == 1 else round(1 / scale))

    def read(self, block: Block) -> np.ndarray:
        """Probabilities over a block, uint8 (class, y, x), 0 beyond the map.

        Raises:
            ProductError: the file cannot be read there, or holds a value above 1.
        """
        dataset = open_raster(self.path)
        window = Window(block.col, block.row, block.width, block.height)
        try:
            found = dataset.read(window=window, boundless=True, fill_value=0)
        except RasterioError as error:
            raise ProductError(f"{self.path} cannot be read ({error}); make it again") from None
        if int(found.max()) > self.full:
            raise ProductError(
                f"{self.path} holds the value {found.max()}, but {self.full} means a probability of 1; set its bands' "
                "scale, 0.01 for percent or 1/255 for bytes"
            )
        return found


@dataclass(frozen=True)
class SmoothBlock:
    """Work on a block: its classes by smoothed probabilities; where there are none, the map's."""

    source: Path
    probabilities: Probabilities
    window: int
    share: float
    smoothness: tuple[float, ...]
    """Of each class."""

    def __call__(self, block: Block) -> dict[str, np.ndarray]:
        """`classes` and `changed` of a block."""
        radius, source = self.window // 2, self.probabilities
        wide = source.read(block.padded(radius))
        found = smooth(
            wide, np.array(source.codes), window=self.window, share=self.share,
            smoothness=np.array(self.smoothness), full=source.full,
        )  # fmt: skip
        before = read_classes(self.source, block)
        after = np.where(inner(wide, radius).any(axis=0), inner(found, radius), before)
        return work_result(after, before)


def _codes(dataset: DatasetReader, nomenclature: Nomenclature, path: Path) -> tuple[int, ...]:
    matches = [re.match(r"\d+", text or "") for text in dataset.descriptions]
    codes = [int(one.group()) for one in matches if one]
    if not codes and dataset.count == len(nomenclature):
        return tuple(nomenclature.codes.tolist())
    wrong = next((code for code in codes if code not in nomenclature), None)
    if len(codes) < dataset.count or wrong is not None:
        said = f"class {wrong}, which is not in nomenclature {nomenclature.name}" if wrong else "bands without a code"
        raise ProductError(f"{path} has {dataset.count} bands, and {said}; describe each as `code label`")
    return tuple(codes)
