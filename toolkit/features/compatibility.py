"""iota2's numbers, exactly: `features.compatibility: iota2`.

As in iota2's chain with the Orfeo ToolBox, gap-filled reflectances and indices are int16 (clamped, decimals cut
towards zero), years have 365 days, and a pixel that was never clear is 0 in every band. Everything is computed without
rounding: from whole numbers, in float64, a quotient or root that is a whole number comes out as it, and any other is
further from one than rounding reaches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.features.computing import compute_indices
from toolkit.features.indices import Index, band_of, index_of
from toolkit.ground.bands import NODATA
from toolkit.series.gapfill import fill_gaps
from toolkit.series.timeline import in_years_of_365_days


def fill_as_iota2(
    values: np.ndarray, validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray, out: np.ndarray
) -> None:
    """As `fill_gaps`, in whole numbers and in years of 365 days.

    The last of December of a leap year and the first of January are one day; of two dates of a day the later counts.
    """
    first = min([*dates[:1], output_dates[0]])
    days, output_days = (in_years_of_365_days(one, first) for one in (dates, output_dates))
    fill_gaps(values, validity, days, output_days, out, whole=True)


def indices_as_iota2(series: np.ndarray, bands: Sequence[str], names: Sequence[str | Index], out: np.ndarray) -> None:
    """As `compute_indices`, cut to whole numbers.

    Args:
        series: (date, band, pixel) float32, whole numbers.
        out: (index, date, pixel) float32 to write into.
    """
    others = [name for name in names if index_of(name).formula]
    if others:
        rest = compute_indices(series, bands, others)
        truncate_to_int16(rest)
    for d, reflectances in enumerate(series):
        exact = reflectances.astype(np.float64)
        missing = (reflectances == NODATA).any(axis=0)
        for name, target in zip(names, out, strict=True):
            if name in others:
                target[d] = rest[others.index(name), d]
            elif name == "brightness":
                target[d] = _cut(np.sqrt((exact * exact).sum(axis=0)), missing)
            else:
                plus, minus = (exact[band_of(role, bands)] for role in index_of(name).roles)
                total = plus + minus
                quotient = np.divide(1000 * (plus - minus), total, out=np.zeros_like(total), where=total != 0)
                target[d] = _cut(quotient, missing)


def _cut(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    return np.where(missing, NODATA, np.trunc(np.clip(values, -32768, 32767)))


def truncate_to_int16(values: np.ndarray) -> None:
    """Clamp float32 to int16 and cut decimals towards zero, in place, as the Orfeo ToolBox does to write int16."""
    np.trunc(np.clip(values, -32768, 32767, out=values), out=values)
