"""Samples on disk of tiles that have different dates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit.samples import store as module
from toolkit.samples.extraction import PIXEL
from toolkit.samples.store import SampleStore

NAMES = ("slope", "B8_*", "day_*", "valid_*")


def filled(folder: Path, dates: dict[str, int], samples: int = 7) -> tuple[SampleStore, dict[str, np.ndarray]]:
    """A store of raw dates, and what was put into it."""
    store, rng, put = SampleStore(folder), np.random.default_rng(0), {}
    for tile, count in dates.items():
        pixels = np.zeros(samples, dtype=PIXEL)
        pixels["code"], pixels["polygon"] = 1 + np.arange(samples) % 3, np.arange(samples)
        put[tile] = rng.random((samples, 1 + 3 * count)).astype(np.float32)
        with store.writing(tile, pixels, 1 + 3 * count) as target:
            for rows in (np.arange(1, samples), np.array([0])):
                target.write(rows, put[tile][rows])
        store.write_clear(tile, np.arange(samples, dtype=np.uint16), "key")
    store.finish(NAMES, "key")
    return store, put


def test_tiles_are_padded_by_dates_that_are_not_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, put = filled(tmp_path, {"31TCJ": 2, "31TDJ": 5, "31TDK": 0})
    monkeypatch.setattr(module, "CHUNK", 2)
    samples = store.load(min_clear_dates=3)
    assert samples.features.shape == (12, 16) and samples.features.dtype == np.float32
    assert np.array_equal(samples.features[:4, :7], put["31TCJ"][3:])
    assert not samples.features[:4, 7:].any(), "what is added is not valid"
    assert np.array_equal(samples.features[4:8], put["31TDJ"][3:])
    assert np.array_equal(samples.features[8:, :1], put["31TDK"][3:])


def test_the_widest_of_the_tiles_that_are_asked_for_counts(tmp_path: Path) -> None:
    store, put = filled(tmp_path, {"31TCJ": 2, "31TDJ": 5})
    chosen = np.array([0, 1, 0, 0, 1, 0, 0], dtype=bool)
    samples = store.load(1, {"31TCJ": chosen})
    assert np.array_equal(samples.features, put["31TCJ"][chosen])
    assert samples.codes.tolist() == [2, 2] and samples.polygons.tolist() == [1, 4]
