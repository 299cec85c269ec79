"""Indices of a series that is filled already, and any features of it as rows of a matrix.

What gap-filling by neighbours needs only once, `toolkit.series.fused`, other methods do after they have filled a part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from toolkit.features.indices import Index
from toolkit.features.programs import program_of
from toolkit.ground.bands import NODATA
from toolkit.series.arithmetic import DIFFERENCE_LEAST, DIFFERENCE_SCALE, RUN, Program, run_steps
from toolkit.series.fused import padded
from toolkit.series.matrix import PLAIN, rounded_bits


def compute_indices(
    series: np.ndarray, bands: Sequence[str], names: Sequence[str | Index], out: np.ndarray | None = None
) -> np.ndarray:
    """Indices of every date.

    Args:
        series: (date, band, pixel) float32, reflectance x 10000. Where any band of a date is -10000, the indices of
            that date are -10000.
        bands: name of each band.
        names: indices wanted, as an experiment names or defines them.
        out: (index, date, pixel) float32 to write into, C-contiguous.

    Returns:
        (index, date, pixel) float32.

    Raises:
        ParameterError: an index is not known, or its bands are not in the series.
    """
    program = program_of(names, bands)
    (dates, _, pixels), count = series.shape, len(names)
    if out is None:
        out = np.empty((count, dates, pixels), dtype=np.float32)
    rows = np.full((dates, len(bands) + count), -1)
    rows[:, len(bands) :] = np.arange(count * dates).reshape(count, dates).T
    write_rows(series, program, rows, PLAIN.scaling(count * dates), out.reshape(count * dates, pixels))
    return out


def write_rows(
    series: np.ndarray,
    program: Program,
    rows: np.ndarray,
    scaling: tuple[np.ndarray, np.ndarray],
    out: np.ndarray,
) -> None:
    """Write the bands of a filled series, and what a program computes from them, into a matrix.

    Args:
        series: (date, band, pixel) float32.
        program: its results are -10000 where a band of the date is.
        rows, scaling: as in `fuse`.
        out: as in `fuse`; its pixels need not follow each other in memory row by row.
    """
    pixels = series.shape[2]
    target = np.empty((len(out), max(pixels, RUN)), out.dtype)
    tile = np.zeros((program.registers, RUN), np.float32)
    norm = -1 if program.norm is None else program.norm
    narrow = True if out.dtype == np.uint16 else None
    _write_rows(
        padded(series), norm, program.differences, program.steps, program.numbers, rows, *scaling, narrow, tile, target
    )
    wanted = rows[rows >= 0]
    out[wanted] = target[wanted, :pixels]


@njit(nogil=True, cache=True, error_model="numpy")
def _write_rows(series, norm, differences, steps, numbers, rows, mean, inverse, narrow, tile, out):  # type: ignore[no-untyped-def]
    dates, bands, pixels = series.shape
    nodata = np.float32(NODATA)
    for d in range(dates):
        for place in range(0, pixels, RUN):
            start = min(place, pixels - RUN)
            end = start + RUN
            missing = 0
            for b in range(bands):
                source = series[d, b, start:end]
                for j in range(RUN):
                    tile[b, j] = source[j]
                    missing += abs(source[j] - nodata) < np.float32(0.1)
            for k in range(differences.shape[0]):
                target, a, b_ = tile[differences[k, 0]], tile[differences[k, 1]], tile[differences[k, 2]]
                for j in range(RUN):
                    total = a[j] + b_[j]
                    fine = abs(total) >= DIFFERENCE_LEAST
                    value = DIFFERENCE_SCALE * (a[j] - b_[j]) / (total if fine else np.float32(1))
                    target[j] = value if fine else np.float32(0)
            if norm >= 0:
                for j in range(RUN):
                    square = np.float32(0)
                    for b in range(bands):
                        square += tile[b, j] * tile[b, j]
                    tile[norm, j] = np.sqrt(square)
            if steps is not None:
                run_steps(steps, numbers, tile)
            if missing > 0:
                for j in range(RUN):
                    for b in range(bands):
                        if abs(tile[b, j] - nodata) < np.float32(0.1):
                            tile[bands : rows.shape[1], j] = nodata
            for i in range(rows.shape[1]):
                row = rows[d, i]
                if row < 0:
                    continue
                target = out[row, start:end]
                for j in range(RUN):
                    value = (tile[i, j] - mean[row]) * inverse[row]
                    if narrow is None:
                        target[j] = value
                    else:
                        target[j] = rounded_bits(value)
