"""Raw dates as features: bands and indices of each date as it was acquired, its day, and whether it is valid.

For networks that read irregular series, or learn to interpolate them. `ground/raw_rows.py` has the layout.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.features.computing import compute_indices
from toolkit.features.indices import Index, label_of
from toolkit.ground.errors import ParameterError
from toolkit.ground.raw_rows import DAY, EACH_DATE, VALID


def raw_names(bands: Sequence[str], indices: Sequence[str | Index]) -> tuple[str, ...]:
    """Names of the columns of a date: `B2_*`, …, `NDVI_*`, …, `day_*`, `valid_*`."""
    channels = [*bands, *map(label_of, indices)]
    return (*(f"{channel}{EACH_DATE}" for channel in channels), DAY, VALID)


def keep_day_and_valid(kept: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Positions of the features that a selection keeps, and of day and validity, which every raw row has.

    Raises:
        ParameterError: the selection keeps nothing that has dates.
    """
    if not any(names[place].endswith(EACH_DATE) and names[place] not in (DAY, VALID) for place in kept):
        raise ParameterError(
            "features.select keeps no band and no index of features.representation = raw; add a pattern such as B8_*"
        )
    return np.union1d(kept, [len(names) - 2, len(names) - 1])


def write_raw(
    values: np.ndarray,
    validity: np.ndarray,
    days: np.ndarray,
    bands: Sequence[str],
    indices: Sequence[str | Index],
    out: np.ndarray,
) -> None:
    """Write the features of each date; bands and indices are 0 where the date is not valid.

    Args:
        values: (date, band, …) int16, reflectance x 10000; the trailing axes are any.
        validity: (date, …) bool.
        days: (date,) days since the first of January of the first year of the period.
        indices: as an experiment names or defines them.
        out: (date x column of a date, …) float32 to write into, C-contiguous: of each date its bands, its indices,
            its day, its validity.
    """
    count, channels = int(np.prod(values.shape[2:])), len(bands) + len(indices)
    dated = out.reshape(len(values), channels + 2, count)
    flat, valid = values.reshape(*values.shape[:2], count), validity.reshape(len(validity), count)
    for d in range(len(values)):  # date by date, so that its bands are still in the processor's cache for its indices
        one = dated[d]
        np.multiply(flat[d], valid[d], out=one[: len(bands)])
        found = compute_indices(one[None, : len(bands)], bands, indices)[:, 0]
        np.multiply(found, valid[d], out=one[len(bands) : channels])  # an index of zeros need not be 0
        one[channels], one[channels + 1] = days[d], valid[d]
