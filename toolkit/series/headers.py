"""The headers of a series' files, read before its pixels: what is wrong shows before hours of work."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from odc.geo.geobox import GeoBox

from toolkit.products.handles import close_rasters
from toolkit.products.product import BandFile, Product
from toolkit.products.raster import check_band, check_integer, check_whole, grid_of

MASK_FILE = BandFile(Path())
"""What a mask is read as: the first band of its file, in whole numbers."""


def read_headers(products: Sequence[Product], bands: Sequence[str]) -> dict[Path, GeoBox]:
    """The grid of every file that is read of these products.

    Raises:
        ProductError: a file is absent, cut short, has too few bands, or numbers that do not serve.
    """
    files = {path: MASK_FILE for one in products for path in one.files(bands)}
    for one in products:
        for band in bands:
            file = one.bands[band]
            before = files[file.path]
            files[file.path] = file if before is MASK_FILE or file.number > before.number else before
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(files, pool.map(_read_header, files, files.values()), strict=True))


def _read_header(path: Path, band: BandFile) -> GeoBox:
    """Grid of a file.

    Args:
        band: the last one that is read of it.
    """
    try:
        check_whole(path)
        if band.any_number:
            check_band(path, band.number, band.nodata)
        else:
            check_integer(path)
        return grid_of(path)
    finally:
        close_rasters()
