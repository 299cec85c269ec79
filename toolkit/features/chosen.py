"""An external feature as an experiment names it: which function, with which parameters and rasters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from toolkit.features.block import FeatureBlock, inner
from toolkit.features.external import DATE, ExternalFunction
from toolkit.features.loading import own_function, shipped_function
from toolkit.ground.code_files import SourceFile, place_of
from toolkit.ground.errors import FeatureError, ParameterError, did_you_mean
from toolkit.ground.grid import Block
from toolkit.ground.params import Params, build, plain
from toolkit.products.onto_grid import read_onto_grid

TILE = "{tile}"


@dataclass(frozen=True)
class ChosenFeature:
    """A feature function with its parameters. It holds text and plain values only, so that it travels to any worker."""

    name: str
    values: Mapping[str, Any]
    """The parameters that were given."""
    source: SourceFile | None = None
    """None for a function that ships with the toolkit."""
    rasters: Mapping[str, str] = field(default_factory=dict)
    """Name for the function -> file, which may hold `{tile}`."""

    @property
    def function(self) -> ExternalFunction:
        """The function; a person's file is imported for it.

        Raises:
            FeatureError: the file cannot be imported, or has no such function.
        """
        return own_function(self.source, self.name) if self.source else shipped_function(self.name)

    @property
    def params(self) -> Params:
        """All its parameters.

        Raises:
            ParameterError: one is not accepted. FeatureError: as `function`.
        """
        return build(self.function.params, self.values, f"features.external, {self}")

    @property
    def padding(self) -> int:
        """Pixels around a block that it needs."""
        return self.function.padding_for(self.params)

    @property
    def definition(self) -> str:
        """What it computes, in words that differ where its values would."""
        values = ", ".join(f"{name} = {value}" for name, value in plain(self.params).items())
        return f"{self}({values})" + (f", sha256 {self.source.sha256}" if self.source else "")

    def names(self, days: Sequence[str]) -> list[str]:
        """Names of its features, in their order."""
        return [name for group in self.function.names(self.params, days) for name in group]

    def compute(self, block: FeatureBlock, out: np.ndarray) -> None:
        """Compute its features over a block.

        Args:
            block: with at least the padding that the function needs.
            out: (feature, y, x) float32 to write into, without padding. Where a pixel was never seen it becomes 0.

        Raises:
            FeatureError: the function fails, or gives arrays of another number or shape, or a value that is none.
        """
        function, params = self.function, self.params
        block = block.with_padding(function.padding_for(params))
        groups = function.names(params, [str(day).replace("-", "") for day in block.dates])
        try:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                result = function.apply(block, params)
        except Exception as error:
            raise FeatureError(f"features.external, {self}: {self._words_of(error)} ({block.place})") from error
        arrays = [result] if len(groups) == 1 and not isinstance(result, tuple | list) else result
        if not isinstance(arrays, tuple | list) or len(arrays) != len(groups):
            got = f"{len(arrays)} arrays" if isinstance(arrays, tuple | list) else type(arrays).__name__
            raise FeatureError(f"features.external, {self}: {len(groups)} arrays are needed, not {got} ({block.place})")
        seen, start = inner(block.seen, block.padding), 0
        for output, names, array in zip(function.outputs, groups, arrays, strict=True):
            target = out[start : start + len(names)]
            self._take(array, names, DATE in output, block, target)
            target[:, ~seen] = 0
            self._check_finite(target, names, block)
            start += len(names)

    def _take(self, array: Any, names: Sequence[str], dated: bool, block: FeatureBlock, out: np.ndarray) -> None:
        """Copy an output without its padding."""
        wanted = (len(names), *block.shape) if dated else block.shape
        found = np.asarray(array)
        if found.shape != wanted or found.dtype.kind not in "fiub":
            axes = "(date, y, x)" if dated else "(y, x)"
            raise FeatureError(
                f"features.external, {self}: {names[0]} is {found.dtype} of shape {found.shape}; numbers of shape "
                f"{axes} = {wanted} are needed, padding included ({block.place})"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            out[...] = inner(found, block.padding)

    def _check_finite(self, out: np.ndarray, names: Sequence[str], block: FeatureBlock) -> None:
        if np.isfinite(out).all():
            return
        which, row, col = (int(axis[0]) for axis in np.nonzero(~np.isfinite(out)))
        one = block.place.block
        raise FeatureError(
            f"features.external, {self}: {names[which]} is {out[which, row, col]} at row {one.row + row}, column "
            f"{one.col + col} of tile {block.tile}, and a network takes numbers only; give a value there, for instance "
            "by np.nan_to_num"
        )

    def _words_of(self, error: Exception) -> str:
        return place_of(error, self.source.path if self.source else self.function.function.__code__.co_filename)

    def read_raster(self, tile: str, name: str, grid: GeoBox, block: Block) -> np.ndarray:
        """A raster of the function over a block of a tile's grid, float32 (y, x), NaN where it has no value.

        Raises:
            ParameterError: no such raster was named. ProductError: it cannot be read.
        """
        if name not in self.rasters:
            raise ParameterError(f"raster {name!r} is not named in `rasters`{did_you_mean(name, self.rasters)}")
        return read_onto_grid(Path(self.rasters[name].replace(TILE, tile)), grid, block)

    def __str__(self) -> str:
        return f"{self.name} of {Path(self.source.path).name}" if self.source else self.name


def file_of(source: str, rasters: Mapping[str, str]) -> str:
    """The file of a raster, by its source in the data catalog.

    Raises:
        ParameterError: none is given.
    """
    if source not in rasters:
        raise ParameterError(
            f"features.external: no file is given for the raster {source!r}{did_you_mean(source, rasters)}"
        )
    return rasters[source]
