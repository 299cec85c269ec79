"""The methods of gap-filling: one of them is chosen in an experiment, `series: {gap_filling: {method: whittaker}}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from toolkit.ground.params import models_of, param
from toolkit.series.akima import AkimaParams, fill_akima
from toolkit.series.composites import CompositeParams, fill_composite, ndvi_bands, seen_periods
from toolkit.series.fused import LINEAR as LINEAR_WAY
from toolkit.series.fused import NEAREST, PREVIOUS
from toolkit.series.gapfill import fill_gaps, fill_nearest, fill_previous
from toolkit.series.gaps import GapParams, empty_long_gaps
from toolkit.series.savitzky_golay import SavitzkyGolayParams, fill_savitzky_golay
from toolkit.series.whittaker import WhittakerParams, fill_whittaker


class LinearParams(GapParams):
    """Linear between the clear dates before and after."""

    method: Literal["linear"] = param("linear", "Linear between the clear dates before and after.")


LINEAR = LinearParams()
"""The method of an experiment that names none."""


class NearestParams(GapParams):
    """The clear date nearest in time."""

    method: Literal["nearest"] = param("nearest", "The clear date nearest in time.")


class PreviousParams(GapParams):
    """The last clear date."""

    method: Literal["previous"] = param("previous", "The last clear date.")


GapFilling = Annotated[
    LinearParams
    | NearestParams
    | PreviousParams
    | AkimaParams
    | WhittakerParams
    | SavitzkyGolayParams
    | CompositeParams,
    Field(discriminator="method"),
]
"""The parameters of one method, told apart by its name."""


WAYS = {"linear": LINEAR_WAY, "nearest": NEAREST, "previous": PREVIOUS}
"""Methods that look at neighbours only, which `fused.fuse` does while it computes more, and what it calls them."""
METHODS: tuple[str, ...] = tuple(model().method for model in models_of(GapFilling))  # type: ignore[attr-defined]
"""The names of all methods."""


def methods_beside(chosen: GapFilling) -> dict[str, GapFilling]:
    """Every method by its name, to compare: the chosen one as it is, others by default with the same longest gap."""
    models: tuple[Any, ...] = models_of(GapFilling)
    others = {name: model(max_gap_days=chosen.max_gap_days) for name, model in zip(METHODS, models, strict=True)}
    return {**others, chosen.method: chosen}


def check_method(params: GapFilling, bands: Sequence[str]) -> None:
    """Refuse a method whose bands are absent.

    Raises:
        ParameterError: with the bands it needs.
    """
    if isinstance(params, CompositeParams) and params.statistic == "max_ndvi":
        ndvi_bands(bands)


def fill_series(
    params: GapFilling,
    bands: Sequence[str],
    values: np.ndarray,
    validity: np.ndarray,
    dates: np.ndarray,
    output_dates: np.ndarray,
    out: np.ndarray | None = None,
    seasons: Sequence[int] = (),
) -> tuple[np.ndarray, np.ndarray | None]:
    """Fill the gaps of a series by the method that is chosen.

    Several seasons are filled each by itself, from all acquisitions: a composite ends with its season, and what
    smooths over equal steps does not reach over the time between.

    Args:
        bands: name of each band.
        values, validity, dates, output_dates, out: as `fill_gaps`.
        seasons: number of output dates of each season; empty for one.

    Returns:
        filled: (output date, band, …) float32; 0 where a pixel has no usable date, or the gap is too long to fill.
        kept: (…) bool, whether a pixel keeps any date; None where no gap is too long.

    Raises:
        ParameterError: the method needs a band that is not there.
        ValueError: as `fill_gaps`.
    """
    if len(seasons) < 2:
        return _fill_season(params, bands, values, validity, dates, output_dates, out)
    if out is None:
        out = np.empty((len(output_dates), *values.shape[1:]), dtype=np.float32)
    found, start = [], 0
    for count in seasons:
        part = slice(start, start + count)
        _, kept = _fill_season(params, bands, values, validity, dates, output_dates[part], out[part])
        found += [] if kept is None else [kept]
        start += count
    return out, np.logical_or.reduce(found) if found else None


def _fill_season(
    params: GapFilling,
    bands: Sequence[str],
    values: np.ndarray,
    validity: np.ndarray,
    dates: np.ndarray,
    output_dates: np.ndarray,
    out: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """`fill_series` of one season."""
    given = (values, validity, dates, output_dates, out)
    match params:
        case LinearParams():
            filled = fill_gaps(*given)
        case NearestParams():
            filled = fill_nearest(*given)
        case PreviousParams():
            filled = fill_previous(*given)
        case AkimaParams():
            filled = fill_akima(*given)
        case WhittakerParams():
            filled = fill_whittaker(*given, smoothing=params.smoothing)
        case SavitzkyGolayParams():
            filled = fill_savitzky_golay(*given, window=params.window, order=params.order)
        case CompositeParams():
            red, nir = ndvi_bands(bands) if params.statistic == "max_ndvi" else (0, 0)
            filled = fill_composite(*given, statistic=params.statistic, red=red, nir=nir)
    if params.max_gap_days is None:
        return filled, None
    if isinstance(params, CompositeParams):  # a composite stands for its whole period
        validity, dates = seen_periods(validity, dates, output_dates), output_dates
    return filled, empty_long_gaps(filled, validity, dates, output_dates, params.max_gap_days)
