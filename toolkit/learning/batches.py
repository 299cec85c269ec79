"""From samples to batches: split into train and valid, standardisation, shuffled batches.

The train samples lie in one contiguous tensor, and a batch is one `index_select` into a buffer that is used again.
A `DataLoader` collates a batch row by row in Python, which takes three times as long as the network itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import torch

from toolkit.ground.errors import SampleError
from toolkit.ground.raw_rows import RawRow
from toolkit.learning.ranks import ALONE, Ranks
from toolkit.samples.stored import StoredFeatures

Rows = np.ndarray | StoredFeatures
"""Features (sample, feature) float32, in memory or on disk."""

CHUNK = 2048
"""Samples looked at or standardised at once: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class TrainingSamples:
    """The samples of a training, as extracted: not standardised."""

    features: Rows
    """float32 of shape (sample, feature); raw dates: padded to the same number of dates."""
    codes: np.ndarray
    """Class code of each sample, uint8 of shape (sample,)."""
    polygons: np.ndarray
    """Identifier of the polygon that each sample comes from, int64 of shape (sample,)."""

    def __post_init__(self) -> None:
        shapes = {len(self.features), len(self.codes), len(self.polygons)}
        if self.features.ndim != 2 or len(shapes) > 1:
            raise ValueError(
                f"features {self.features.shape}, codes {self.codes.shape} and polygons {self.polygons.shape} "
                "are not (sample, feature), (sample,) and (sample,)"
            )

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Standardiser:
    """Mean and standard deviation of each feature: the network sees `(x - mean) / std`.

    Of raw dates, those of a channel are over all of its valid values, and what is not valid stays 0.
    """

    mean: np.ndarray
    """float64 of shape (feature,): one of each name."""
    std: np.ndarray
    """float64 of shape (feature,); 1 where the feature is constant."""
    row: RawRow | None = None
    """How rows of raw dates are laid out; None where each name is a column."""

    @classmethod
    def fit(cls, features: Rows, rows: np.ndarray | None = None, row: RawRow | None = None) -> Standardiser:
        """Mean and standard deviation of each feature over these rows.

        Args:
            features: (sample, feature).
            rows: indices of the samples that count; default all.
            row: the layout of raw dates, where the features are such.
        """
        rows = np.arange(len(features)) if rows is None else rows
        if row is None:
            return cls(*_mean_and_std(_chunks(features, rows), features.shape[1]))
        flat = _mean_and_std((one[:, : row.static] for one in _chunks(features, rows)), row.static)
        dated = (row.dated(one) for one in _chunks(features, rows))
        channels = _mean_and_std((one[one[:, :, -1] > 0.5][:, :-2] for one in dated), row.each - 2)
        as_it_is = np.zeros(2), np.ones(2)  # the day, and whether it is valid
        mean, std = (np.concatenate(one) for one in zip(flat, channels, as_it_is, strict=True))
        return cls(mean, std, row)

    def apply(self, features: torch.Tensor) -> None:
        """Standardise features in place: float32 of shape (sample, feature), on the CPU."""
        mean = torch.from_numpy(self.mean.astype(np.float32))
        inverse = torch.from_numpy((1 / self.std).astype(np.float32))
        if self.row is None:
            features.sub_(mean).mul_(inverse)
            return
        static = self.row.static
        features[:, :static].sub_(mean[:static]).mul_(inverse[:static])
        dated = torch.from_numpy(self.row.dated(features.numpy()))
        dated.sub_(mean[static:]).mul_(inverse[static:])
        dated[:, :, :-2].mul_(dated[:, :, -1:])


def standardised(
    samples: TrainingSamples,
    rows: np.ndarray,
    standardiser: Standardiser,
    names: Sequence[str],
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """These samples, standardised, in one contiguous tensor of shape (sample, feature).

    Args:
        rows: indices of the samples, in the order wanted.
        names: name of each feature, for the message.

    Raises:
        SampleError: a feature of a sample is not a number.
    """
    result = torch.empty((len(rows), samples.features.shape[1]), dtype=dtype)
    scratch = torch.empty((min(CHUNK, len(rows)), samples.features.shape[1]), dtype=torch.float32)
    for start in range(0, len(rows), CHUNK):
        few = rows[start : start + CHUNK]
        chunk = scratch[: len(few)]
        read_rows(samples.features, few, chunk.numpy())
        standardiser.apply(chunk)
        check_finite(chunk, names, standardiser.row)
        result[start : start + CHUNK] = chunk
    return result


def read_rows(features: Rows, rows: np.ndarray, out: np.ndarray) -> None:
    """Copy these rows into `out`, float32 (row, feature)."""
    if isinstance(features, StoredFeatures):
        features.take(rows, out)
    else:
        # "clip" because the default way of `take` copies once more; all rows are there.
        np.take(features, rows, axis=0, out=out, mode="clip")


def split_samples(
    codes: np.ndarray,
    polygons: np.ndarray,
    valid_ratio: float,
    by: Literal["polygon", "sample"],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Split samples into train and valid, class by class.

    By polygon, whole polygons go to one side, so that pixels of one field never watch over pixels of the same
    field. By sample, as iota2 does, they do, and the valid metrics are too good. Of every class with at least two
    polygons (samples), both sides have one at least; a class with a single one stays in train.

    Args:
        codes: class code of each sample, (sample,).
        polygons: polygon of each sample, (sample,).
        valid_ratio: share of the polygons (samples) of a class that go to valid, between 0 and 1.

    Returns:
        Indices of the train and of the valid samples, int64, ascending.

    Raises:
        SampleError: nothing is left for valid.
    """
    if by == "sample":
        valid = _draw(codes, valid_ratio, rng)
    else:
        _, first, polygon = np.unique(polygons, return_index=True, return_inverse=True)
        valid = _draw(codes[first], valid_ratio, rng)[polygon]
    if not valid.any():
        raise SampleError(
            f"no valid samples: each class has a single {by}; add polygons to the ground truth"
            + ("" if by == "sample" else ", or set learning.valid_by: sample")
        )
    return np.flatnonzero(~valid), np.flatnonzero(valid)


class SampleBatches(Protocol):
    """Samples in batches, wherever they lie. Whatever a batch is made of is good until the next one is asked for."""

    device: torch.device
    bounds: list[tuple[int, int]]
    """First and last index of each batch."""

    def __len__(self) -> int:
        """Number of batches."""

    @property
    def count(self) -> int:
        """Number of samples."""

    def shuffled(self, seed: int, ranks: Ranks = ALONE) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Every sample once, in the order of this seed: `(features, labels)` of each batch.

        The features are this process's share, the labels those of the whole batch.
        """

    def in_order(self, ranks: Ranks = ALONE) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """This process's share of every sample, as they lie: `(features, labels)`, batch by batch."""


class Batches:
    """Batches of samples in memory; shuffled ones are gathered into one buffer."""

    def __init__(self, features: torch.Tensor, labels: torch.Tensor, size: int, device: torch.device) -> None:
        """
        Args:
            features: (sample, feature), contiguous; on `device`, or on the CPU where it does not fit.
            labels: int64 (sample,), where `features` are.
            size: samples of a batch; the last one has what is left.
            device: where the batches go.
        """
        self.features, self.labels, self.device = features, labels, device
        self.bounds = batch_bounds(len(features), size)

    def __len__(self) -> int:
        return len(self.bounds)

    @property
    def count(self) -> int:
        return len(self.features)

    def shuffled(self, seed: int, ranks: Ranks = ALONE) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.features), generator=generator).to(self.features.device)
        for start, stop in self.bounds:
            rows = order[start:stop]
            mine = ranks.share(rows)
            batch = self._buffer[: len(mine)]
            torch.index_select(self.features, 0, mine, out=batch)
            yield batch.to(self.device), self.labels[rows].to(self.device)

    def in_order(self, ranks: Ranks = ALONE) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start, stop in self.bounds:
            features, labels = ranks.share(self.features[start:stop]), ranks.share(self.labels[start:stop])
            yield features.to(self.device), labels.to(self.device)

    @cached_property
    def _buffer(self) -> torch.Tensor:
        longest = max(stop - start for start, stop in self.bounds)
        return torch.empty((longest, self.features.shape[1]), dtype=self.features.dtype, device=self.features.device)


def batch_bounds(count: int, size: int) -> list[tuple[int, int]]:
    """First and last index of each batch; a single sample left over joins the batch before.

    (Batch normalisation has no variance of a single sample.)
    """
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True))


def derived_seed(seed: int, *purpose: int) -> int:
    """A seed for one purpose: draws for two purposes, or two epochs, are independent of each other."""
    return int(np.random.SeedSequence((seed, *purpose)).generate_state(1, np.uint64)[0])


def _draw(codes: np.ndarray, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Whether each member is drawn, bool: a share of each class, one at least and never all, none of a single one."""
    drawn = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        members = rng.permutation(np.flatnonzero(codes == code))
        wanted = min(max(round(ratio * len(members)), 1), len(members) - 1)
        drawn[members[:wanted]] = True
    return drawn


def check_finite(features: torch.Tensor, names: Sequence[str], row: RawRow | None = None) -> None:
    """Refuse features (sample, feature) that are not numbers.

    Args:
        row: the layout of raw dates, where the features are such.

    Raises:
        SampleError: with the name of the feature.
    """
    if torch.isfinite(features.sum()):
        return
    column = int(torch.isfinite(features).all(0).to(torch.uint8).argmin())
    raise SampleError(
        f"feature {names[row.name_place(column) if row else column]} is not a number in some sample; extract the "
        "samples again, or leave out the external feature that gives it"
    )


def _mean_and_std(chunks: Iterable[np.ndarray], columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column, in float64 (Chan et al. 1979, chunk by chunk)."""
    count, mean, squares = 0, np.zeros(columns), np.zeros(columns)
    for chunk in chunks:
        if not len(chunk):
            continue
        values = chunk.astype(np.float64)
        here = values.mean(0)
        delta, total = here - mean, count + len(values)
        values -= here
        values *= values
        squares += values.sum(0) + delta**2 * count * len(values) / total
        mean += delta * len(values) / total
        count = total
    std = np.sqrt(squares / max(count, 1))
    # A constant column has a deviation of rounding size at most, and must not be blown up to noise.
    constant = std <= 1e-12 * np.maximum(1.0, np.abs(mean))
    return mean, np.where(constant, 1.0, std)


def _chunks(features: Rows, rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), CHUNK):
        yield features[rows[start : start + CHUNK]]
