"""The state of a training after a whole epoch, in one file, so that it can go on as if it had never stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from toolkit.ground.errors import RunFolderError
from toolkit.ground.writing import aside

Tensors = dict[str, torch.Tensor]

DOCUMENT = ("key", "epochs", "history", "best", "rate_scale", "finished", "choices", "changes")
"""What is not a tensor; the last four are absent from files of earlier versions."""


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
    average: Tensors = field(default_factory=dict)
    """Running average of the weights, by name; empty where none is kept."""
    rate_scale: float = 1.0
    """What a person changed the learning rate by."""
    finished: bool = False
    """Whether the training ended by itself before its last epoch."""
    choices: dict[str, Any] = field(default_factory=dict)
    """What was found by a trial when the training began, and stays: see `settling.Choices`."""
    changes: list[dict[str, float]] = field(default_factory=list)
    """Each change of the learning rate by hand: `epoch` from which it holds, and `rate_scale`."""

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
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for position, moments in self.optimizer.items():
            tensors |= {f"optimizer.{position}.{name}": value for name, value in moments.items()}
        # One key only: safetensors writes several in no fixed order.
        document = {name: getattr(self, name) for name in DOCUMENT}
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
                **{name: document[name] for name in DOCUMENT if name in document},
                network=network,
                average=_under("average.", tensors),
                best_network=_under("best.", tensors) or _under("average.", tensors) or network,
                optimizer=_by_position(_under("optimizer.", tensors)),
            )


def snapshot(tensors: Tensors) -> Tensors:
    """Copies on the CPU, which training does not change."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}


class Progress(NamedTuple):
    """How far a training has come."""

    epochs: int
    """The number of epochs that was asked for."""
    history: list[dict[str, Any]]
    best: dict[str, Any]
    """The row of the best epoch."""
    finished: bool
    """Whether it has done all its epochs, or ended by itself before."""
    changes: list[dict[str, float]]
    """Each change of the learning rate by hand: `epoch` and `rate_scale`."""


def read_progress(path: Path) -> Progress:
    """How far the training of this state has come; no weights are read.

    Raises:
        RunFolderError: the file is damaged.
    """
    with _opened(path) as (document, _):
        epochs, history = document["epochs"], document["history"]
        is_over = document.get("finished", False) or len(history) >= epochs
        return Progress(epochs, history, document["best"], is_over, document.get("changes", []))


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
