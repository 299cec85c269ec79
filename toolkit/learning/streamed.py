"""Batches of samples that memory does not hold, read from disk in an order that is random enough.

Two levels of shuffling: the train rows are cut into blocks of neighbours, which are read in a random order into a
buffer, and the buffer is given out in a random order. A block is one read of the disk, where a row would be a read of
a few kilobytes for each sample. What is in memory is the buffer, however many samples there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from toolkit.learning.batches import Rows, Standardiser, batch_bounds, check_finite, read_rows
from toolkit.learning.ranks import ALONE, Ranks

BLOCK = 512
"""Neighbours read at once."""
BUFFER = 1 << 16
"""Samples among which a batch is drawn, at least."""
BUFFER_BYTES = 160 << 20
"""Memory of the buffer, which holds fewer samples where each is long."""


class StreamedBatches:
    """Like `Batches`, of samples on disk."""

    def __init__(
        self,
        source: Rows,
        rows: np.ndarray,
        labels: np.ndarray,
        size: int,
        device: torch.device,
        *,
        standardiser: Standardiser,
        names: Sequence[str],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """
        Args:
            source: features (sample, feature) float32, not standardised.
            rows: samples that count, ascending.
            labels: class index of each of `rows`, int64.
            size: samples of a batch.
            dtype: of the batches.
        """
        self.source, self.rows = source, rows
        self.labels = torch.from_numpy(labels.astype(np.int16))  # of perhaps very many samples
        self.device, self.dtype, self.names, self.standardiser = device, dtype, names, standardiser
        self.bounds = batch_bounds(len(rows), size)
        self.width = source.shape[1]
        self._chunk = torch.empty((BLOCK, self.width), dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.bounds)

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.rows)

    def shuffled(self, seed: int, ranks: Ranks = ALONE) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Every sample once, in the order of this seed: `(features, labels)` of each batch.

        The features are this process's share, the labels those of the whole batch.
        """
        generator = torch.Generator().manual_seed(seed)
        blocks = torch.randperm(-(-self.count // BLOCK), generator=generator).numpy()
        longest = max(stop - start for start, stop in self.bounds)
        together = max(1, self._capacity // longest)
        buffer = torch.empty((min(together * longest, self.count), self.width), dtype=self.dtype)
        batch = torch.empty((longest, self.width), dtype=self.dtype)
        for first in range(0, len(self), together):
            bounds = self.bounds[first : first + together]
            begin, end = bounds[0][0], bounds[-1][1]
            places = torch.from_numpy(_places(blocks, self.count, begin, end))
            self._fill(buffer[: end - begin], places.numpy())
            order = torch.randperm(end - begin, generator=generator)
            for start, stop in bounds:
                drawn = order[start - begin : stop - begin]
                mine = ranks.share(drawn)
                torch.index_select(buffer, 0, mine, out=batch[: len(mine)])
                yield batch[: len(mine)].to(self.device), self.labels[places[drawn]].long().to(self.device)

    def in_order(self, ranks: Ranks = ALONE) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """This process's share of every sample, as they lie: `(features, labels)`, batch by batch."""
        batch = torch.empty((max(stop - start for start, stop in self.bounds), self.width), dtype=self.dtype)
        for start, stop in self.bounds:
            places = ranks.share(torch.arange(start, stop))
            self._fill(batch[: len(places)], places.numpy())
            yield batch[: len(places)].to(self.device), self.labels[places].long().to(self.device)

    @property
    def _capacity(self) -> int:
        """Samples of the buffer."""
        return min(BUFFER, BUFFER_BYTES // (self.width * self.dtype.itemsize))

    def _fill(self, out: torch.Tensor, places: np.ndarray) -> None:
        """Read samples, standardised, chunk by chunk while they are in the processor's cache."""
        for start in range(0, len(places), BLOCK):
            few = places[start : start + BLOCK]
            chunk = self._chunk[: len(few)]
            read_rows(self.source, self.rows[few], chunk.numpy())
            self.standardiser.apply(chunk)
            check_finite(chunk, self.names, self.standardiser.row)
            out[start : start + len(few)] = chunk


def _places(blocks: np.ndarray, count: int, begin: int, end: int) -> np.ndarray:
    """The samples from `begin` to `end` in the order of these blocks, int64."""
    lengths = np.minimum(BLOCK, count - blocks * BLOCK)
    ends = np.cumsum(lengths)
    first, last = np.searchsorted(ends, begin, "right"), np.searchsorted(ends, end, "left")
    chosen = slice(first, last + 1)
    pieces = [
        np.arange(one * BLOCK, one * BLOCK + length)
        for one, length in zip(blocks[chosen], lengths[chosen], strict=True)
    ]
    skipped = begin - int(ends[first] - lengths[first])
    return np.concatenate(pieces)[skipped : skipped + end - begin]
