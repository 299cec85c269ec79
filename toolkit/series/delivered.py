"""Which of the delivered products of a tile serve a series: those of its period, with all bands and masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from toolkit.ground.errors import ProductError
from toolkit.products.product import Product

if TYPE_CHECKING:
    from toolkit.series.timeseries import SeriesParams


def in_period(tile: str, products: Sequence[Product], params: SeriesParams) -> list[Product]:
    """The products that serve the series: within the period and its margin, with all bands.

    Raises:
        ProductError: there is none, or a band was not delivered and `missing_band` is `"error"`.
    """
    serves = params.serve(np.array([one.date for one in products], dtype="datetime64[D]"))
    inside = [one for one, usable in zip(products, serves, strict=True) if usable]
    if not inside:
        found = f"{len(products)} of other days" if products else "none at all"
        margin = np.timedelta64(params.margin_days, "D")
        first, last = np.datetime64(params.periods[0][0]) - margin, np.datetime64(params.periods[-1][1]) + margin
        raise ProductError(
            f"no product of tile {tile} in source {params.source!r} from {first} to {last} ({found}); "
            "mend series.tiles, series.start, series.end and series.seasons, or the catalog's `uri`"
        )
    complete = [one for one in inside if set(params.bands) <= set(one.bands)]
    if len(complete) < len(inside) and params.missing_band == "error":
        raise ProductError(_missing_bands(tile, inside, params.bands))
    complete = _with_masks(tile, complete, params)
    if not complete:
        raise ProductError(
            f"no date of tile {tile} has all of series.bands = {', '.join(params.bands)}; take bands away"
        )
    return complete


def _with_masks(tile: str, products: Sequence[Product], params: SeriesParams) -> list[Product]:
    """The products that have every kind of mask that others of the tile have."""
    kinds = {kind for one in products for kind in one.masks}
    clouds = sorted({one.cloud_mask for one in products} - {""})
    if clouds and not kinds.intersection(clouds) and params.missing_mask != "accept":
        raise ProductError(
            f"tile {tile}: no cloud mask ({', '.join(clouds)}) was delivered with any product, such as "
            f"{products[0].name}; fetch the masks, or take every date as clear with series.missing_mask: accept"
        )
    without = [(one, sorted(kinds - set(one.masks))) for one in products if kinds - set(one.masks)]
    if not without or params.missing_mask == "accept":
        return list(products)
    if params.missing_mask == "error":
        one, absent = without[0]
        more = f" and {len(without) - 1} more products" if len(without) > 1 else ""
        raise ProductError(
            f"tile {tile}: {_not_delivered('mask', absent)} in {one.name}{more}; fetch what lacks again, "
            "leave such dates out with series.missing_mask: skip, or take them as clear with accept"
        )
    return [one for one in products if not kinds - set(one.masks)]


def _missing_bands(tile: str, products: Iterable[Product], bands: Sequence[str]) -> str:
    gaps = [(one.name, [band for band in bands if band not in one.bands]) for one in products]
    gaps = [(name, absent) for name, absent in gaps if absent]
    name, absent = gaps[0]
    more = f" and {len(gaps) - 1} more products" if len(gaps) > 1 else ""
    return (
        f"tile {tile}: {_not_delivered('band', absent)} in {name}{more}; take out of series.bands what lacks, "
        "or leave such dates out with series.missing_band: skip"
    )


def _not_delivered(noun: str, names: Sequence[str]) -> str:
    what, verb = (noun, "was") if len(names) == 1 else (f"{noun}s", "were")
    return f"{what} {', '.join(names)} {verb} not delivered"
