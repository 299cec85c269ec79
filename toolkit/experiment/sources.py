"""What the sources of images of an experiment offer: the bands of each, against which its parameters are held.

The catalog is looked at whenever parameters are taken, so that a band that no source has is refused there and not hours
later. Where it cannot be read, nothing is refused: whatever needs the images tells of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from toolkit.experiment.parameters import ExperimentParams
from toolkit.features.indices import check_formula
from toolkit.ground.bands import BAND_NAMES, Band, bands_named
from toolkit.ground.errors import CatalogError, ParameterError
from toolkit.products.catalog import Catalog


def source_bands(params: ExperimentParams, folder: Path) -> dict[str, tuple[Band, ...]]:
    """The bands of each source of images that the experiment names.

    Args:
        folder: of the experiment file.

    Raises:
        CatalogError: the catalog, or a source in it, is absent or not usable, and bands are named that are not those of
            Sentinel-2; without them, its bands are known.
    """
    series = params.series
    wanted = {series.source: series.bands} | {one.source: one.bands or series.bands for one in series.sensors}
    found = {}
    for source, bands in wanted.items():
        try:
            found[source] = known_catalog(folder / params.catalog).bands(source)
        except CatalogError:
            if not set(bands) <= set(BAND_NAMES):
                raise
    return found


def check_bands(params: ExperimentParams, folder: Path, place: str) -> None:
    """Every band that is named is one of its source, in the series, its sensors and the formulas of indices.

    Args:
        folder: of the experiment file.
        place: where the parameters come from, for the message.

    Raises:
        ParameterError: one is not; with what was meant.
    """
    series = params.series
    try:
        offered = source_bands(params, folder)
    except CatalogError:
        return
    named = [(series.source, series.bands, "series.bands", "series.bands")]
    named += [(one.source, one.bands or series.bands, "series.sensors", f"{one.place}.bands") for one in series.sensors]
    written = [(series.source, params.features.indices, "features.indices", "features.indices")]
    written += [(one.source, one.indices, "series.sensors", f"{one.place}.indices") for one in series.sensors]
    for source, bands, path, words in named:
        if source in offered:
            with _refused(path, place):
                bands_named(bands, offered[source], source, words)
    for source, indices, path, words in written:
        for one in indices if source in offered else ():
            with _refused(path, f"{place}: {words}"):
                check_formula(one, [band.name for band in offered[source]])


@contextmanager
def _refused(path: str, place: str) -> Iterator[None]:
    """A refusal says where, for a reader and for a form."""
    try:
        yield
    except ParameterError as error:
        refusal = ParameterError(f"{place}: {error}")
        refusal.places = (path,)
        raise refusal from None


def known_catalog(path: Path) -> Catalog:
    """The catalog of a file, read again only when that was changed.

    Raises:
        CatalogError: it is absent or not valid.
    """
    try:
        stat = path.stat()
        stamp = stat.st_mtime_ns, stat.st_size, stat.st_ino
    except OSError:
        stamp = 0, 0, 0
    return _catalog(path, stamp)


@lru_cache(maxsize=20)
def _catalog(path: Path, _: tuple[int, int, int]) -> Catalog:
    return Catalog.load(path)
