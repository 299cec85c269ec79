"""Gap-filling between neighbours: linear, nearest, previous. From irregular, cloudy dates to a regular grid of days.

Linear interpolation in time between the nearest usable dates before and after; the ends are held; a pixel that is
never usable is 0 everywhere and has no clear date. These are the semantics of the Orfeo ToolBox's temporal
gap-filling that iota2 uses (Inglada et al. 2017, Remote Sensing 9(1), 95), with true day counts. Nearest and previous
are the same walk with weights of 0 and 1.

The kernel is `toolkit.series.fused`, which can do more on the way.
"""

from __future__ import annotations

import numpy as np

from toolkit.series.arithmetic import Program
from toolkit.series.flat_series import FlatSeries
from toolkit.series.fused import LINEAR, NEAREST, PREVIOUS, fuse


def fill_gaps(
    values: np.ndarray,
    validity: np.ndarray,
    dates: np.ndarray,
    output_dates: np.ndarray,
    out: np.ndarray | None = None,
    *,
    whole: bool = False,
) -> np.ndarray:
    """Fill the gaps of a series onto other dates, linearly.

    Args:
        values: (date, band, …) int16; the trailing axes (y, x or pixel) are any.
        validity: (date, …) bool or uint8, 1 where all bands are usable.
        dates: (date,) acquisition days in ascending order, datetime64[D]; a day may stand twice.
        output_dates: (output date,) ascending, datetime64[D].
        out: (output date, band, …) float32, C-contiguous, to write into.
        whole: cut decimals towards zero, exactly: what is a whole number stays it, over gaps of any length.

    Returns:
        (output date, band, …) float32; 0 where a pixel has no usable date.

    Raises:
        ValueError: shapes that do not fit, or dates not in order.
    """
    return _fill(FlatSeries.of(values, validity, dates, output_dates, out), LINEAR, whole)


def fill_nearest(
    values: np.ndarray, validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """As `fill_gaps`, by the usable date that is nearest in time; of two as near, the earlier."""
    return _fill(FlatSeries.of(values, validity, dates, output_dates, out), NEAREST)


def fill_previous(
    values: np.ndarray, validity: np.ndarray, dates: np.ndarray, output_dates: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """As `fill_gaps`, by the last usable date on or before; before the first one, by the first."""
    return _fill(FlatSeries.of(values, validity, dates, output_dates, out), PREVIOUS)


def _fill(series: FlatSeries, way: np.float32 | None, whole: bool = False) -> np.ndarray:
    scan(series.values, series.validity, series.days, series.output_days, way, series.out, whole=whole)
    return series.result


def scan(
    values: np.ndarray,
    validity: np.ndarray,
    days: np.ndarray,
    output_days: np.ndarray,
    way: np.float32 | None,
    out: np.ndarray,
    *,
    whole: bool = False,
) -> None:
    """Fill a series; all arrays are as in `FlatSeries`, `way` and `whole` as in `fuse`."""
    outputs, bands, pixels = out.shape
    filled = out.reshape(outputs * bands, pixels)
    fuse(values, validity, days, output_days, Program.nothing(bands), None, None, filled, way=way, whole=whole)
