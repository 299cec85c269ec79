"""The state of a training after a whole epoch, in one file, so that it can go on as if it had never stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from toolkit.ground.errors import RunFolderError
from toolkit.ground.writing import aside

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class TrainingState:
    """Everything that the next epoch depends on, and the best epoch so far."""

    key: str
    """Fingerprint of the samples and parameters, given by the caller."""
    epochs: int
    """The number of epochs that was asked for."""
    history: list[dict[str, Any]]
    """A row for each epoch."""
    best: dict[str, Any]
    """The row of the best epoch."""
    network: Tensors
    """Weights after the last epoch, by name."""
    best_network: Tensors
    """Weights after the best epoch, by name."""
    optimizer: dict[int, Tensors]
    """What the optimiser keeps of each parameter, by its position: moments and steps of Adam, momentum of SGD."""

    @property
    def epoch(self) -> int:
        return len(self.history)

    def write(self, path: Path) -> None:
        """Write the state in one file, by one rename.

        Raises:
            RunFolderError: it cannot be written.
        """
        tensors = {f"network.{name}": value for name, value in self.network.items()}
        if self.best["epoch"] != self.epoch:
            tensors |= {f"best.{name}": value for name, value in self.best_network.items()}
        for position, moments in self.optimizer.items():
            tensors |= {f"optimizer.{position}.{name}": value for name, value in moments.items()}
        # One key only: safetensors writes several in no fixed order.
        document = {name: getattr(self, name) for name in ("key", "epochs", "history", "best")}
        data = safetensors.torch.save(tensors, metadata={"state": json.dumps(document)})
        with aside(path) as part:
            part.write_bytes(data)

    @classmethod
    def read(cls, path: Path, key: str) -> TrainingState | None:
        """The state in this file; None where there is no file.

        Raises:
            RunFolderError: the state has another key, or the file is damaged.
        """
        if not path.exists():
            return None
        with _opened(path) as (document, file):
            if document["key"] != key:
                raise RunFolderError(
                    f"{path} belongs to a training with other samples or parameters; train with overwrite to begin "
                    "again, or choose another name for the experiment"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            network = _under("network.", tensors)
            return cls(
                key=key,
                epochs=document["epochs"],
                history=document["history"],
                best=document["best"],
                network=network,
                best_network=_under("best.", tensors) or network,
                optimizer=_by_position(_under("optimizer.", tensors)),
            )


def snapshot(tensors: Tensors) -> Tensors:
    """Copies on the CPU, which training does not change."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}


def read_progress(path: Path) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """The number of epochs asked for, the row of each epoch, and the row of the best one; no weights are read.

    Raises:
        RunFolderError: the file is damaged.
    """
    with _opened(path) as (document, _):
        return document["epochs"], document["history"], document["best"]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            yield json.loads(file.metadata()["state"]), file
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path} is damaged ({error}); train with overwrite, or delete it") from None


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _by_position(tensors: Tensors) -> dict[int, Tensors]:
    result: dict[int, Tensors] = {}
    for name, value in tensors.items():
        position, moment = name.split(".", 1)
        result.setdefault(int(position), {})[moment] = value
    return result
