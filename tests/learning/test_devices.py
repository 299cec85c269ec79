"""The device and the number of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from toolkit.ground.errors import ParameterError
from toolkit.learning.devices import choose_device, default_threads, fits, torch_threads


def presence(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(("cuda", "mps", "chosen"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, chosen: str) -> None:
    presence(monkeypatch, cuda, mps)
    assert choose_device("auto").type == chosen
    assert choose_device("cpu").type == "cpu"


def test_an_absent_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    presence(monkeypatch, False, False)
    with pytest.raises(ParameterError, match=r"device 'cuda' is not present on this machine \(cpu\); set .*auto"):
        choose_device("cuda")


def test_samples_go_to_the_device_if_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 4000))
    assert fits(799, torch.device("cuda"))
    assert not fits(801, torch.device("cuda"))
    assert fits(10**15, torch.device("cpu"))


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyError), torch_threads(3):
        assert torch.get_num_threads() == 3
        raise KeyError
    assert torch.get_num_threads() == before
    with torch_threads(None):
        assert torch.get_num_threads() == before


def test_workers_started_inside_take_the_number_over() -> None:
    with torch_threads(2), torch_threads(1), ThreadPoolExecutor(1) as pool:

        def count() -> int:
            torch.ones(100_000).add_(1)  # a worker takes the number over with its first parallel operation
            return torch.get_num_threads()

        assert pool.submit(count).result() == 1


def test_small_batches_train_with_one_thread() -> None:
    assert default_threads(512) == 1
    assert default_threads(4096) is None
