"""The state of a training on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from toolkit.ground.errors import RunFolderError
from toolkit.learning.state import TrainingState, read_progress, snapshot

ROWS = [{"epoch": epoch, "f_score": 0.1 * epoch, "train_loss": 1 / 3, "seconds": 0.5} for epoch in (1, 2)]


@pytest.fixture
def state() -> TrainingState:
    weights = {"layers.0.weight": torch.randn(3, 2), "layers.0.bias": torch.randn(3)}
    moments = {0: {"step": torch.tensor(7.0), "exp_avg": torch.randn(3, 2)}, 1: {"step": torch.tensor(7.0)}}
    return TrainingState("key", 9, ROWS, ROWS[0], weights, {name: -value for name, value in weights.items()}, moments)


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_state_is_read_as_it_was_written(state: TrainingState, tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.safetensors"
    state.write(path)
    read = TrainingState.read(path, "key")
    assert read is not None
    assert (read.epoch, read.epochs, read.history, read.best) == (2, 9, ROWS, ROWS[0])
    assert equal(read.network, state.network)
    assert equal(read.best_network, state.best_network)
    assert read.optimizer.keys() == {0, 1}
    assert all(equal(read.optimizer[position], state.optimizer[position]) for position in (0, 1))
    assert read_progress(path) == (9, ROWS, ROWS[0], False, [])
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_weights_of_the_best_epoch_are_not_written_twice(state: TrainingState, tmp_path: Path) -> None:
    state.write(tmp_path / "two")
    last_is_best = replace(state, best=ROWS[1], best_network=state.network)
    last_is_best.write(tmp_path / "one")
    assert (tmp_path / "one").stat().st_size < (tmp_path / "two").stat().st_size
    read = TrainingState.read(tmp_path / "one", "key")
    assert read is not None
    assert equal(read.best_network, state.network)


def test_equal_states_are_equal_files(state: TrainingState, tmp_path: Path) -> None:
    for name in ("one", "two"):
        state.write(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert TrainingState.read(tmp_path / "absent", "key") is None


def test_another_key_is_refused(state: TrainingState, tmp_path: Path) -> None:
    state.write(tmp_path / "state")
    with pytest.raises(RunFolderError, match="other samples or parameters; train with overwrite"):
        TrainingState.read(tmp_path / "state", "another")


@pytest.mark.parametrize("length", [0, 7, 200, -1])
def test_a_damaged_state_is_refused(state: TrainingState, tmp_path: Path, length: int) -> None:
    path = tmp_path / "state"
    state.write(path)
    path.write_bytes(path.read_bytes()[:length])
    for read in (lambda: TrainingState.read(path, "key"), lambda: read_progress(path)):
        with pytest.raises(RunFolderError, match=r"is damaged .*; train with overwrite, or delete it"):
            read()


def test_a_snapshot_does_not_follow() -> None:
    weights = {"w": torch.zeros(2)}
    kept = snapshot(weights)
    weights["w"].add_(1)
    assert kept["w"].tolist() == [0, 0]
