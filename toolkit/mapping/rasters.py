"""Write maps: tiled, compressed GeoTIFFs with colour table and class names, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.io import DatasetWriter
from rasterio.shutil import copy
from rasterio.windows import Window

from toolkit.ground.errors import RunFolderError
from toolkit.ground.grid import Block
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.writing import aside, write_text
from toolkit.mapping.layers import CLASSES, LAYERS

NO_CLASS = 0
"""Value of a class map where a pixel was never seen."""


@contextmanager
def map_writer(
    path: Path,
    grid: GeoBox,
    dtype: str,
    *,
    nodata: float | None,
    nomenclature: Nomenclature | None = None,
    tags: Mapping[str, str] | None = None,
    bands: Sequence[str] = (),
    scale: float = 1.0,
) -> Iterator[DatasetWriter]:
    """A GeoTIFF to write blocks into; it is in its place when the block ends well.

    Args:
        bands: description of each band; empty for one band.
        scale: what a value is multiplied by to be what it means.

    Raises:
        RunFolderError: the disk is full.
    """
    profile = {
        "driver": "GTiff",
        "dtype": dtype,
        "count": len(bands) or 1,
        "height": grid.shape[0],
        "width": grid.shape[1],
        "crs": str(grid.crs),
        "transform": grid.affine,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }
    with _full_disk(path), aside(path) as part, rasterio.open(part, "w", **profile) as target:
        describe_band(target, nomenclature, tags or {})
        if scale != 1:
            target.scales = (scale,) * target.count
        if bands:
            target.descriptions = tuple(bands)
        yield target
    if nomenclature is not None:
        write_text(side_file(path), _category_names(nomenclature))


@contextmanager
def map_writers(
    paths: Mapping[str, Path],
    grid: GeoBox,
    nomenclature: Nomenclature,
    tags: Mapping[str, str],
) -> Iterator[dict[str, DatasetWriter]]:
    """One writer for each of the `LAYERS` asked for, name -> path."""
    with ExitStack() as stack:
        yield {
            layer: stack.enter_context(
                map_writer(
                    path,
                    grid,
                    LAYERS[layer].dtype,
                    nodata=LAYERS[layer].nodata,
                    nomenclature=nomenclature if layer == CLASSES else None,
                    tags=tags,
                    bands=LAYERS[layer].bands(nomenclature),
                    scale=LAYERS[layer].scale,
                )
            )
            for layer, path in paths.items()
        }


def forget_others(folder: Path, layers: Sequence[str]) -> None:
    """Delete the files of other layers, left by a map that was here before: they do not belong to this one."""
    for layer in LAYERS.keys() - set(layers):
        (folder / f"{layer}.tif").unlink(missing_ok=True)


def write_block(target: DatasetWriter, block: Block, values: np.ndarray) -> None:
    """Write a block's values, (y, x) or (band, y, x)."""
    target.write(
        values, 1 if values.ndim == 2 else None, window=Window(block.col, block.row, block.width, block.height)
    )


def describe_band(target: DatasetWriter, nomenclature: Nomenclature | None, tags: Mapping[str, str]) -> None:
    """Colour table, class names and provenance."""
    if nomenclature is not None:
        target.write_colormap(1, nomenclature.colour_table())
        names = {one.code: one.label for one in nomenclature.classes}
        target.update_tags(1, CLASS_NAMES=json.dumps(names, ensure_ascii=False))
    target.update_tags(**tags)


def to_cog(source: Path, path: Path, *, categorical: bool, nomenclature: Nomenclature | None = None) -> None:
    """Copy a GeoTIFF as a cloud-optimised one.

    Overviews of classes are the most frequent class, so that every zoom shows true classes; others are averages.
    """
    overviews = Resampling.mode if categorical else Resampling.average
    with _full_disk(path), aside(path) as part:
        copy(
            source,
            part,
            driver="COG",
            compress="DEFLATE",
            blocksize=512,
            overview_resampling=overviews.name.upper(),
            num_threads="ALL_CPUS",
            bigtiff="IF_SAFER",
        )
        side_file(part).unlink(missing_ok=True)
    if nomenclature is not None:
        write_text(side_file(path), _category_names(nomenclature))


@contextmanager
def _full_disk(path: Path) -> Iterator[None]:
    """GDAL reports a full disk as any other failure to write; say which it is."""
    try:
        yield
    except rasterio.errors.RasterioError as error:
        raise RunFolderError(f"{path} cannot be written ({error}); is the disk full?") from None


def side_file(path: Path) -> Path:
    """GDAL's auxiliary file beside a raster."""
    return path.with_name(path.name + ".aux.xml")


def _category_names(nomenclature: Nomenclature) -> str:
    """GDAL's auxiliary file with the name of every value, for QGIS and `gdalinfo`."""
    names = category_names(nomenclature)
    return f'<PAMDataset>\n  <PAMRasterBand band="1">\n{names}  </PAMRasterBand>\n</PAMDataset>\n'


def category_names(nomenclature: Nomenclature) -> str:
    """GDAL's list of the name of every value from 0 on, XML."""
    last = max(one.code for one in nomenclature.classes)
    names = ["no data", *("" if code not in nomenclature else nomenclature.label(code) for code in range(1, last + 1))]
    lines = "".join(f"      <Category>{escape(name)}</Category>\n" for name in names)
    return f"    <CategoryNames>\n{lines}    </CategoryNames>\n"
