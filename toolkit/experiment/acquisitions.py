"""What a source of images holds: its tiles, and the dates of each with their clear share.

The clear share comes from masks read thinned out, so that a year of a tile is looked at in seconds to a minute. It
obeys the rules of the series: the same masks, and nothing that was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from odc.geo.geobox import GeoBox

from toolkit.experiment.config import Experiment
from toolkit.ground.bands import BANDS
from toolkit.ground.errors import ProductError
from toolkit.ground.streaming import Progress, no_progress
from toolkit.products.handles import close_rasters
from toolkit.products.product import Product
from toolkit.products.raster import Area, grid_of, read_thinned
from toolkit.series.timeline import in_periods
from toolkit.series.timeseries import SeriesParams

COLUMNS = ("date", "platform", "product", "data_share", "clear_share", "used", "why")

THINNED = 256
"""Rows and columns that are looked at, at most: the share of a whole tile is then true to about one percent."""

SWATH = "EDG"
"""The kind of mask that tells what lies outside of the swath; all others tell what is not clear in it."""

Shares = tuple[float, float]
"""Data share and clear share."""

_shares: dict[tuple[object, ...], Shares] = {}
"""Shares by files, their times of change, and area: what was looked at once is known."""


def available_tiles(experiment: Experiment) -> dict[str, GeoBox]:
    """The tiles that the experiment's source holds images of, each with the pixel grid of its first image.

    One header a tile is read. A tile none of whose images can be read is left out.

    Raises:
        CatalogError: no such source, or its folder is absent.
    """
    catalog, source = experiment.data, experiment.series.source
    grids = {tile: _first_grid(catalog.products(source, tile)) for tile in catalog.tiles(source)}
    return {tile: grid for tile, grid in grids.items() if grid is not None}


def acquisitions(
    experiment: Experiment, tile: str, *, measure: bool = True, progress: Progress = no_progress
) -> pd.DataFrame:
    """Every image of a tile, whether the experiment uses it, and how much of it is clear.

    Args:
        measure: whether to look at the images; else the shares of those not looked at before are not known (NaN).

    Returns:
        One row an image in order of time: `date`, `platform`, `product` (its name), `data_share` (share of the tile,
        or of the area of interest, where something was measured), `clear_share` (of that, the share that is clear;
        NaN where nothing was measured), `used` (whether the series takes it) and `why` (in words, why not).

    Raises:
        CatalogError: no such source, or its folder is absent.
    """
    params = experiment.series
    products = experiment.data.products(params.source, tile)
    why = reasons_against(products, params)
    wanted = [one for one, reason in zip(products, why, strict=True) if not reason]
    shares = dict(zip((one.name for one in wanted), _look_at(wanted, params, measure, progress), strict=True))
    rows = []
    for one, reason in zip(products, why, strict=True):
        data, clear, unreadable = shares.get(one.name, (np.nan, np.nan, ""))
        reason = reason or unreadable
        rows.append((one.date, one.platform, one.name, data, clear, not reason, reason))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"date": "datetime64[s]", "used": bool})


def reasons_against(products: Sequence[Product], params: SeriesParams) -> list[str]:
    """Why the series does not take each product, in words; empty where it does.

    Where `missing_band` or `missing_mask` is `"error"`, a product with such a reason stops the series altogether.
    """
    word = "outside of the seasons" if params.seasons else "outside of the period"
    serves = params.serve(np.array([one.date for one in products], dtype="datetime64[D]"))
    outside = ["" if inside else word for inside in serves]
    absent = [[band for band in params.bands if band not in one.bands] for one in products]
    why = [out or _not_delivered("band", gap) for out, gap in zip(outside, absent, strict=True)]
    if params.missing_mask == "accept":
        return why
    taken = [one for one, reason in zip(products, why, strict=True) if not reason]
    kinds = {kind for one in taken for kind in {*one.masks, one.cloud_mask} - {""}}
    return [
        reason or _not_delivered("mask", sorted(kinds - set(one.masks)))
        for one, reason in zip(products, why, strict=True)
    ]


def longest_gap(dates: pd.DataFrame, params: SeriesParams, least: float = 0.5) -> int | None:
    """Days of the longest gap between two dates that are used and of which at least this share of the tile is clear.

    The time between two seasons is none.

    Args:
        dates: as `acquisitions` gives them.

    Returns:
        None where there are fewer than two such dates in a season.
    """
    clear = dates["used"] & (dates["data_share"] * dates["clear_share"] >= least)
    days = dates.loc[clear, "date"].to_numpy("datetime64[D]")
    gaps = [np.diff(days[in_periods(days, [one], params.margin_days)]) for one in params.periods]
    longest = [int(one.max() / np.timedelta64(1, "D")) for one in gaps if len(one)]
    return max(longest, default=None)


def _not_delivered(noun: str, names: Sequence[str]) -> str:
    return f"{noun}{'s' * (len(names) > 1)} {', '.join(names)} not delivered" if names else ""


def _first_grid(products: Sequence[Product]) -> GeoBox | None:
    for one in products:
        for band in one.bands.values():
            try:
                return grid_of(band.path)
            except ProductError:
                break
            finally:
                close_rasters()
    return None


def _look_at(
    products: Sequence[Product], params: SeriesParams, measure: bool, progress: Progress
) -> list[tuple[float, float, str]]:
    """Data share and clear share of each product, and in words why they cannot be known."""
    # The coarsest band says where something was measured as well as any, and is the quickest to read.
    band = max(params.bands, key=lambda name: BANDS[name].resolution if name in BANDS else 0)

    def one(product: Product) -> tuple[float, float, str]:
        try:
            key = _key(product, band, params.area)
            if key not in _shares and measure:
                _shares[key] = _measure(product, band, params.area)
            return (*_shares.get(key, (np.nan, np.nan)), "")
        except ProductError as error:
            return np.nan, np.nan, str(error)
        finally:
            close_rasters()

    found = []
    with ThreadPoolExecutor(4) as pool:
        for done, shares in enumerate(pool.map(one, products), start=1):
            found.append(shares)
            progress(done, len(products))
    return found


def _key(product: Product, band: str, area: Area) -> tuple[object, ...]:
    """The files looked at, as they are now, and what their values mean."""
    stamps = []
    for path in product.files([band]):
        try:
            stat = path.stat()
        except OSError:
            raise ProductError(f"{path} does not exist; deliver the file again") from None
        stamps.append((str(path), stat.st_size, stat.st_mtime_ns))
    return (*stamps, *product.masks.values(), area)


def _measure(product: Product, band: str, area: Area) -> Shares:
    """Share of the pixels that were measured, and the share of these that are clear."""
    file = product.bands[band]
    values = read_thinned(file.path, THINNED, area, number=file.number)
    if not values.size:
        return 0.0, np.nan
    measured, clear = file.is_measured(values), np.ones(values.shape, dtype=bool)
    for name, mask in product.masks.items():
        usable = mask.is_clear(read_thinned(mask.path, THINNED, area, like=values.shape, codes=True))
        if name == SWATH:
            measured &= usable
        else:
            clear &= usable
    count = int(measured.sum())
    return count / measured.size, float((clear & measured).sum() / count) if count else np.nan
