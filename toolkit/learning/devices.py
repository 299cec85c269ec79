"""Where the arithmetic runs: the device, and the number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from toolkit.ground.errors import ParameterError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


def choose_device(name: DeviceName, rank: int = 0) -> torch.device:
    """The device of this name; `"auto"` is the first one present of cuda, mps and cpu.

    Args:
        rank: number of the process, from 0, where several train together: of several GPUs each has its own.

    Raises:
        ParameterError: the device is not present.
    """
    present: dict[DeviceName, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(one for one, there in present.items() if there)
    if not present[name]:
        found = ", ".join(one for one, there in present.items() if there)
        raise ParameterError(f"device {name!r} is not present on this machine ({found}); set the `device` to auto")
    if name == "cuda" and rank:
        return torch.device("cuda", rank % torch.cuda.device_count())
    return torch.device(name)


def fits(n_bytes: int, device: torch.device) -> bool:
    """Whether this many bytes may be held on the device beside the network, with a fifth of its memory to spare."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return n_bytes < 0.8 * free


def free_on(device: torch.device) -> int | None:
    """Bytes that could be taken on a GPU now, those that torch keeps for itself too; None where nobody tells."""
    if device.type != "cuda":
        return None
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


SMALL_BATCH = 2048
"""Samples below which a second thread brings little, and beside a busy neighbour makes every step wait."""


def default_threads(batch_size: int, processes: int = 1) -> int | None:
    """Threads to train with where none are given: one for small batches, else as torch chooses, shared by processes.

    The rule looks at nothing but the batch, so that the same experiment gives the same bits on the same machine.
    """
    if processes > 1:
        return max(1, torch.get_num_threads() // processes)
    return 1 if batch_size < SMALL_BATCH else None


def use_one_thread() -> None:
    """Run torch with one thread in this process from now on: it is one of several workers, which share the cores."""
    torch.set_num_threads(1)


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Run torch with this many threads, and as before afterwards. None changes nothing.

    Threads started inside take the count over, so that workers which each call a model share the cores:
    several workers of one thread are faster than one after the other with all threads.
    """
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            torch.set_num_threads(before)
