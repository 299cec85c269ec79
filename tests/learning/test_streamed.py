"""Batches of samples that stay on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.ground.errors import SampleError
from toolkit.learning import streamed
from toolkit.learning.batches import Standardiser, TrainingSamples
from toolkit.learning.result import TrainingResult
from toolkit.learning.state import TrainingState
from toolkit.learning.streamed import StreamedBatches
from toolkit.samples.stored import StoredFeatures, StoredPart

CPU = torch.device("cpu")
Train = Callable[..., TrainingResult]


def numbered(count: int, size: int, **options: object) -> StreamedBatches:
    """Samples whose features are their own number, of which every third is left out."""
    features = np.repeat(np.arange(count, dtype=np.float32)[:, None], 3, axis=1)
    rows = np.flatnonzero(np.arange(count) % 3 > 0)
    plain = Standardiser(np.zeros(3), np.ones(3))
    names = ["a", "b", "c"]
    return StreamedBatches(features, rows, rows // 10, size, CPU, standardiser=plain, names=names, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "size"), [(30, 7), (5000, 64), (5000, 4096), (5000, 10_000), (1537, 512), (1540, 1)])
@pytest.mark.parametrize("buffer", [600, 1 << 16])
def test_every_sample_once_with_its_label(monkeypatch: pytest.MonkeyPatch, count: int, size: int, buffer: int) -> None:
    monkeypatch.setattr(streamed, "BUFFER", buffer)
    batches = numbered(count, size)
    seen = []
    for features, labels in batches.shuffled(3):
        assert torch.equal(features[:, 0].long() // 10, labels)
        seen += features[:, 0].tolist()
    assert sorted(seen) == batches.rows.tolist()
    assert batches.count == len(batches.rows)
    lengths = [len(labels) for _, labels in batches.shuffled(4)]
    assert lengths == [stop - start for start, stop in batches.bounds]


def test_the_order_is_that_of_the_seed() -> None:
    batches = numbered(4000, 100)
    one, same, other = (torch.cat([features.clone() for features, _ in batches.shuffled(seed)]) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_batch_is_drawn_from_many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "BLOCK", 32)
    first = next(iter(numbered(60_000, 256).shuffled(0)))[0][:, 0].numpy()
    # Of uniform draws the mean gap of neighbours in the file is 60000 / 256; of one block it is 1.5.
    assert np.median(np.diff(np.sort(first))) > 60
    assert first.min() < 2000 and first.max() > 58_000


def test_in_order_they_come_as_they_lie() -> None:
    batches = numbered(900, 128)
    found = torch.cat([features.clone() for features, _ in batches.in_order()])
    assert found[:, 0].tolist() == batches.rows.tolist()


def test_a_value_that_is_no_number_is_named() -> None:
    batches = numbered(90, 16)
    batches.source[31, 1] = np.nan
    with pytest.raises(SampleError, match="feature b is not a number"):
        list(batches.shuffled(0))


@pytest.fixture
def on_disk(samples: TrainingSamples, tmp_path: Path) -> TrainingSamples:
    np.save(tmp_path / "features.npy", samples.features)
    part = StoredPart(tmp_path / "features.npy", np.arange(len(samples)))
    return TrainingSamples(StoredFeatures([part], samples.features.shape[1]), samples.codes, samples.polygons)


def test_in_memory_or_read_at_once_is_one_training(train: Train, on_disk: TrainingSamples) -> None:
    one, other = train("one", samples=on_disk), train("other")
    assert [row["valid_loss"] for row in one.history] == [row["valid_loss"] for row in other.history]


def test_more_than_memory_holds_is_streamed(train: Train, samples: TrainingSamples, on_disk: TrainingSamples) -> None:
    cap = samples.features.nbytes / 2e9
    held = train("held", epochs=25, learning_rate=5e-3)
    result = train("streamed", epochs=25, learning_rate=5e-3, samples=on_disk, memory_gb=cap)
    assert result.best is not None and result.best["f_score"] > 0.9
    for one, expected in ((held, False), (result, True)):
        state = TrainingState.read(one.folder / "state.safetensors", "key")
        assert state is not None and state.choices["streamed"] is expected
    train("broken", epochs=2, samples=on_disk, memory_gb=cap, learning_rate=5e-3)
    again = train("broken", epochs=25, samples=on_disk, memory_gb=cap, learning_rate=5e-3)
    assert [row["valid_loss"] for row in again.history] == [row["valid_loss"] for row in result.history]
