"""The data catalog: what data there are, where, how to read them, and under which licence.

The grammar is hydroMT's (Eilander et al. 2023, Journal of Open Source Software 8(83), 4897): `meta`, then one entry
a source with `data_type`, `uri` (with placeholders such as `{tile}`), `driver` and `metadata`.

    meta: {version: 1, name: my data, root: /data}
    s2_2018:
      data_type: RasterDataset
      uri: theia/{tile}
      driver: {name: theia}                       # or sen2cor: see drivers.py
      metadata: {license: Etalab-2.0, reference: "https://doi.org/…"}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from toolkit.ground.bands import SENTINEL2, Band
from toolkit.ground.documents import read_yaml
from toolkit.ground.errors import CatalogError, ParameterError, ProductError, did_you_mean
from toolkit.ground.grid import tile_name
from toolkit.ground.params import Params, build, param
from toolkit.products.dated import DatedRasters
from toolkit.products.drivers import IMAGE_DRIVERS, ImageDriver
from toolkit.products.product import Product


class Meta(Params):
    """The head of a catalog."""

    version: int | str = param(1, "Version of the catalog's content.")
    name: str = param("data catalog", "Name of the catalog.")
    root: Path = param(Path(), "Folder that relative `uri`s start from; relative to the catalog's own folder.")


class VectorDriver(Params):
    """Any vector file that GDAL reads."""

    name: Literal["pyogrio"] = param(..., "Driver.")


class SourceMetadata(Params):
    """Where data come from. Licence and reference are required; more may be said."""

    model_config = ConfigDict(extra="allow")

    license: str = param(..., "Licence of the data.")
    reference: str = param(..., "Paper, DOI or page that describes the data.")
    category: str | None = param(None, "Kind of data, in words.")
    crs: int | str | None = param(None, "Coordinate reference system, as a note.")


class RasterSource(Params):
    """A source of images."""

    data_type: Literal["RasterDataset"] = param(..., "Kind of source.")
    uri: str = param(..., "Folder; may hold `{tile}`.")
    driver: ImageDriver = param(..., "How it is read.")
    metadata: SourceMetadata = param(..., "Origin and licence.")


class RasterioDriver(Params):
    """Any raster file that GDAL reads."""

    name: Literal["rasterio"] = param(..., "Driver.")


class LayerSource(Params):
    """A raster for external features, such as an elevation model."""

    data_type: Literal["RasterDataset"] = param(..., "Kind of source.")
    uri: str = param(..., "File; may hold `{tile}`.")
    driver: RasterioDriver = param(..., "How it is read.")
    metadata: SourceMetadata = param(..., "Origin and licence.")


class VectorSource(Params):
    """A source of polygons."""

    data_type: Literal["GeoDataFrame"] = param(..., "Kind of source.")
    uri: str = param(..., "File.")
    driver: VectorDriver = Field(default_factory=lambda: VectorDriver(name="pyogrio"), description="How it is read.")
    metadata: SourceMetadata = param(..., "Origin and licence.")


SOURCE_TYPES: dict[str, type[Params]] = {"RasterDataset": RasterSource, "GeoDataFrame": VectorSource}

WANTED = {
    RasterSource: f"a RasterDataset of images (driver {' or '.join(IMAGE_DRIVERS)})",
    LayerSource: "a RasterDataset of one file (driver rasterio)",
    VectorSource: "a GeoDataFrame",
}
"""Kinds of sources in words."""

TILE = "{tile}"
"""The one placeholder of a `uri`: the tile's name."""


@dataclass(frozen=True)
class Catalog:
    """The entries of a catalog file."""

    path: Path
    meta: Meta
    sources: Mapping[str, RasterSource | LayerSource | VectorSource]

    @classmethod
    def load(cls, path: str | Path) -> Catalog:
        """Read and validate a catalog.

        Raises:
            CatalogError: the file is absent, is not YAML in UTF-8, or an entry has an unknown key or value.
        """
        path = Path(path)
        content = read_yaml(path, CatalogError, "data catalog", "`catalog:` in the experiment file names it")
        try:
            meta = build(Meta, content.pop("meta", None) or {}, f"{path}, meta")
            return cls(path, meta, {name: _entry(name, entry, path) for name, entry in content.items()})
        except ParameterError as error:
            raise CatalogError(str(error)) from None

    def products(self, name: str, tile: str) -> list[Product]:
        """The products of a tile in a source of images, in order of acquisition.

        Raises:
            CatalogError: no such source, or its folder is absent.
        """
        source = self._source(name, RasterSource)
        tile = tile_name(tile)
        root = self._located(source.uri.replace(TILE, tile))
        if not root.exists() and TILE in source.uri and (there := self.tiles(name)):
            raise CatalogError(f"source {name!r} of {self.path} has no tile {tile}; it has {', '.join(there)}")
        root = self._locate(source.uri.replace(TILE, tile), name)
        return [one for one in self._found(source, root, tile, name) if one.tile == tile]

    def tiles(self, name: str) -> list[str]:
        """The tiles that a source of images has products of, sorted."""
        source = self._source(name, RasterSource)
        root = self._locate(source.uri.split(TILE, 1)[0], name)
        return sorted({product.tile for product in self._found(source, root, None, name)})

    def reading(self, name: str) -> dict[str, Any]:
        """What the driver of a source of images is told that is not usual, such as `scl`: values depend on it.

        Raises:
            CatalogError: no such source.
        """
        driver = self._source(name, RasterSource).driver
        return driver.model_dump(mode="json", exclude_defaults=True, exclude={"name"})

    def bands(self, name: str) -> tuple[Band, ...]:
        """The bands that a source of images may have, in their order; those of Sentinel-2 unless it says others.

        Raises:
            CatalogError: no such source.
        """
        driver = self._source(name, RasterSource).driver
        return driver.measured() if isinstance(driver, DatedRasters) else SENTINEL2

    def layer(self, name: str, tiles: Sequence[str]) -> str:
        """The file of a raster for features, which may hold `{tile}`.

        Args:
            tiles: for which it must be there.

        Raises:
            CatalogError: no such source, or a file is absent.
        """
        source = self._source(name, LayerSource)
        for tile in tiles:
            self._locate(source.uri.replace(TILE, tile), name)
        return str(self._located("") / source.uri)

    def vector(self, name: str) -> Path:
        """The file of a source of polygons.

        Raises:
            CatalogError: no such source, or its file is absent.
        """
        source = self._source(name, VectorSource)
        return self._locate(source.uri, name)

    def _found(self, source: RasterSource, root: Path, tile: str | None, name: str) -> list[Product]:
        try:
            return source.driver.find(root, tile)
        except ProductError as error:
            raise ProductError(f"source {name!r} of {self.path}: {error}") from None

    def _source(self, name: str, kind: type[Any]) -> Any:
        if name not in self.sources:
            raise CatalogError(f"source {name!r} is not in {self.path}{did_you_mean(name, self.sources)}")
        source = self.sources[name]
        if not isinstance(source, kind):
            raise CatalogError(
                f"source {name!r} of {self.path} is a {source.data_type} ({source.driver.name}); {WANTED[kind]} is "
                "needed here"
            )
        return source

    def _located(self, uri: str) -> Path:
        return (self.path.parent / self.meta.root / uri).resolve()

    def _locate(self, uri: str, name: str) -> Path:
        path = self._located(uri)
        if not path.exists():
            raise CatalogError(f"source {name!r} of {self.path}: {path} does not exist; mend its `uri` or `meta.root`")
        return path

    def _repr_html_(self) -> str:
        entries = [(str(name), one.data_type, one.uri, one.metadata.license) for name, one in self.sources.items()]
        rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in entry)}</tr>" for entry in entries)
        return f"<table><tr><th>source</th><th>type</th><th>uri</th><th>licence</th></tr>{rows}</table>"


def _entry(name: str, entry: Any, path: Path) -> Any:
    place = f"{path}, {name}"
    if not isinstance(entry, dict):
        raise CatalogError(f"{place} must hold `data_type`, `uri`, `driver` and `metadata`")
    kind = entry.get("data_type")
    if kind not in SOURCE_TYPES:
        raise CatalogError(f"{place}: data_type {kind!r} is not known{did_you_mean(str(kind), SOURCE_TYPES)}")
    _check_braces(str(entry.get("uri", "")), kind, place)
    driver = entry.get("driver")
    is_layer = kind == "RasterDataset" and isinstance(driver, dict) and driver.get("name") == "rasterio"
    return build(LayerSource if is_layer else SOURCE_TYPES[kind], entry, place)


def _check_braces(uri: str, kind: str, place: str) -> None:
    """Refuse whatever looks like a placeholder and is none."""
    allowed = TILE if kind == "RasterDataset" else ""
    stray = re.search(r"\{[^{}]*\}?|\}", uri.replace(allowed, ""))
    if stray:
        mend = f"the only placeholder is {TILE}" if allowed else f"a {kind} is one file; name it without placeholder"
        raise CatalogError(f"{place}: uri = {uri!r} holds {stray[0]}; {mend}")
