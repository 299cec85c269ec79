"""A virtual raster (GDAL's VRT) over the class maps of tiles: one file to open, without a copy of a pixel.

Where tiles overlap, the last one that has a class counts; the mosaic is the one that chooses between them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from odc.geo.geobox import GeoBox

from toolkit.ground.errors import ProductError
from toolkit.ground.grid import offset, union
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.writing import write_text
from toolkit.mapping.rasters import NO_CLASS, category_names
from toolkit.products.handles import close_rasters
from toolkit.products.raster import grid_of


def write_vrt(files: Sequence[Path], path: Path, nomenclature: Nomenclature) -> Path | None:
    """Write a VRT of class maps, which are named relative to it.

    Returns:
        Its path; None, and no file, where the maps have not the same coordinate system and pixels.

    Raises:
        ProductError: a map is absent or unreadable. RunFolderError: the VRT cannot be written.
    """
    try:
        grids = [grid_of(file) for file in files]
    finally:
        close_rasters()
    whole = _common(grids)
    if whole is None:
        path.unlink(missing_ok=True)
        return None
    sources = "".join(_source(file, path, grid, whole) for file, grid in zip(files, grids, strict=True))
    affine, (height, width) = whole.affine, whole.shape
    numbers = (affine.c, affine.a, affine.b, affine.f, affine.d, affine.e)
    table = nomenclature.colour_table()
    entries = (table.get(code, (0, 0, 0, 0)) for code in range(max(table) + 1))
    colours = "".join('<Entry c1="{}" c2="{}" c3="{}" c4="{}"/>'.format(*one) for one in entries)
    write_text(
        path,
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">\n'
        f"  <SRS>{escape(whole.crs.to_wkt() if whole.crs else '')}</SRS>\n"
        f"  <GeoTransform>{', '.join(map(repr, map(float, numbers)))}</GeoTransform>\n"
        f'  <VRTRasterBand dataType="Byte" band="1">\n    <NoDataValue>{NO_CLASS}</NoDataValue>\n'
        f"    <ColorInterp>Palette</ColorInterp>\n{category_names(nomenclature)}"
        f"    <ColorTable>{colours}</ColorTable>\n{sources}  </VRTRasterBand>\n</VRTDataset>\n",
    )
    return path


def _common(grids: Sequence[GeoBox]) -> GeoBox | None:
    if len({str(grid.crs) for grid in grids}) != 1:
        return None
    try:
        return union(grids)
    except ProductError:
        return None


def _source(file: Path, path: Path, grid: GeoBox, whole: GeoBox) -> str:
    (row, col), (height, width) = offset(grid, whole), grid.shape
    name, size = Path(os.path.relpath(file, path.parent)).as_posix(), f'xSize="{width}" ySize="{height}"'
    return (
        f'    <ComplexSource>\n      <SourceFilename relativeToVRT="1">{escape(name)}</SourceFilename>\n'
        f'      <SourceBand>1</SourceBand>\n      <SrcRect xOff="0" yOff="0" {size}/>\n'
        f'      <DstRect xOff="{round(col)}" yOff="{round(row)}" {size}/>\n      <NODATA>{NO_CLASS}</NODATA>\n'
        "    </ComplexSource>\n"
    )
