"""Features that stay on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.ground.errors import SampleError
from toolkit.samples import stored
from toolkit.samples.stored import StoredFeatures, StoredPart


@pytest.fixture
def parts(tmp_path: Path) -> tuple[StoredFeatures, np.ndarray]:
    rng = np.random.default_rng(0)
    whole, pieces = [], []
    for number, count in enumerate((300, 1, 4000)):
        values = rng.normal(size=(count, 5)).astype(np.float32)
        np.save(tmp_path / f"{number}.npy", values)
        rows = np.flatnonzero(rng.random(count) < 0.7) if count > 1 else np.array([0])
        pieces.append(StoredPart(tmp_path / f"{number}.npy", rows))
        whole.append(values[rows])
    return StoredFeatures(pieces, 5), np.concatenate(whole)


def test_its_shape_is_that_of_what_counts(parts: tuple[StoredFeatures, np.ndarray]) -> None:
    found, expected = parts
    assert found.shape == expected.shape and len(found) == len(expected)
    assert (found.ndim, found.size) == (2, expected.size)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 900), ascending=st.booleans())
def test_rows_are_those_asked_for(
    parts: tuple[StoredFeatures, np.ndarray], seed: int, count: int, ascending: bool
) -> None:
    found, expected = parts
    rows = np.random.default_rng(seed).integers(0, len(expected), count)
    rows = np.unique(rows) if ascending else rows
    np.testing.assert_array_equal(found[rows], expected[rows])


def test_long_runs_are_read_in_pieces(parts: tuple[StoredFeatures, np.ndarray]) -> None:
    found, expected = parts
    rows = np.arange(len(expected))
    np.testing.assert_array_equal(found[rows], expected)
    assert all(one.stop - one.start <= stored.RUN for part in found.parts for one in stored._runs(part.rows))


def test_a_file_that_is_gone_cut_or_another_is_told(parts: tuple[StoredFeatures, np.ndarray], tmp_path: Path) -> None:
    found, expected = parts
    rows = np.arange(len(expected))
    with (tmp_path / "2.npy").open("r+b") as file:
        file.truncate(9000)
    with pytest.raises(SampleError, match=r"2\.npy is shorter"):
        found[rows]
    np.save(tmp_path / "2.npy", np.zeros((4000, 4), np.float32))
    with pytest.raises(SampleError, match="4 columns now, not 5"):
        found[rows]
    (tmp_path / "2.npy").unlink()
    with pytest.raises(SampleError, match=r"2\.npy: No such file"):
        found[rows]
