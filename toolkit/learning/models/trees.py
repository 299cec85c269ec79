"""Grown trees as plain arrays, and the way of a sample through them.

Trees are kept in a model as numbers, like the weights of a network: nothing of scikit-learn, which grows them, is
needed to classify, and nothing is unpickled. Every node is a place in a few arrays; a sample goes to `low` where its
feature `column` is at most `threshold`, else to `high`, until `column` is -1: `low` is then a row of `leaves`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import nn

from toolkit.learning.inputs import InputLayout
from toolkit.learning.models.registry import NetworkParams

GoOn = Callable[[int, int], bool]
"""Asked before each part with (trees grown, trees); false ends the growth there."""

SIDE_BY_SIDE = 128
"""Samples that go through a tree one after the other, so that tree and samples stay in the processor's cache."""


class TreeParams(NetworkParams):
    """Base of the parameters of trees, which are grown once, not trained in epochs."""


@dataclass(frozen=True)
class Growth:
    """What trees grow from."""

    features: np.ndarray
    """float32 of shape (sample, feature), as extracted."""
    labels: np.ndarray
    """Index of the class of each sample, int64 (sample,)."""
    weights: np.ndarray | None
    """Weight of each sample, float64 (sample,); None for equal ones."""
    seed: int
    """Below 2 ** 32."""
    threads: int | None
    """None for one a core."""


class Trees(nn.Module):
    """Trees as a network: (sample, feature), not standardised, to logits (sample, class).

    Softmax of the logits gives the probabilities of the trees; of a class that had no sample the logit is -inf.
    """

    chunk = 1024
    widths: tuple[int, ...] = ()

    def __init__(self, inputs: InputLayout, n_classes: int) -> None:
        super().__init__()
        self.n_features, self.n_classes = len(inputs.names), n_classes
        self.classes: torch.Tensor
        self.roots: torch.Tensor
        self.leaves: torch.Tensor
        kinds = dict.fromkeys(("classes", "roots", "column", "low", "high"), torch.int32)
        for name, kind in {**kinds, "threshold": torch.float32}.items():
            self.register_buffer(name, torch.zeros(0, dtype=kind))
        self.register_buffer("leaves", torch.zeros(0, 0))
        self.register_load_state_dict_pre_hook(_make_room)
        self.register_load_state_dict_post_hook(lambda module, _: module.check())

    def take(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Become these trees."""
        self.load_state_dict({name: torch.from_numpy(values) for name, values in arrays.items()})

    def check(self) -> None:
        """Hold every number against what it is a place in, so that no file leads astray who follows it.

        Raises:
            ValueError: it leads out of the trees, or in a circle.
        """
        column, low, high, roots, classes, threshold = (
            getattr(self, name).cpu().numpy() for name in ("column", "low", "high", "roots", "classes", "threshold")
        )
        node, inner = np.arange(len(column)), column >= 0
        sizes = {len(column), len(low), len(high), len(threshold)}
        inside = (
            len(sizes) == 1
            and _within(roots, 0, len(node))
            and _within(classes, 0, self.n_classes)
            and _within(column, -1, self.n_features)
            and _within(low[inner], node[inner] + 1, len(node))  # whoever only goes forward arrives
            and _within(high[inner], node[inner] + 1, len(node))
            and _within(low[~inner], 0, len(self.leaves))
        )
        if not inside:
            raise ValueError("its trees lead nowhere")

    def sums(self, features: torch.Tensor, width: int, each: np.ndarray) -> np.ndarray:
        """The sum of what a sample finds in all trees, float64 (sample, width).

        Args:
            each: first of the columns of the sum that each tree adds to, int32 (tree,).
        """
        values = np.ascontiguousarray(features.detach().cpu().numpy(), dtype=np.float32)
        found = np.zeros((len(values), width))
        names = ("roots", "column", "threshold", "low", "high", "leaves")
        arrays = [getattr(self, name).cpu().numpy() for name in names]
        if len(each) and each.max() + self.leaves.shape[1] > width:
            raise ValueError(f"leaves of {self.leaves.shape[1]} numbers do not fit {width} classes")
        _add_leaves(values, each, *arrays, found)
        return found

    def logits(self, present: np.ndarray, features: torch.Tensor) -> torch.Tensor:
        """Logits of all classes from those of the classes that had samples, (sample, class)."""
        result = torch.full((len(present), self.n_classes), -torch.inf, device=features.device)
        result[:, self.classes.long()] = torch.from_numpy(present.astype(np.float32)).to(features.device)
        return result


def _make_room(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Trees are as large as they grew: take the sizes of what is loaded."""
    for name, buffer in module.named_buffers(recurse=False):
        if prefix + name in state:
            setattr(module, name, torch.empty_like(state[prefix + name], dtype=buffer.dtype))


def _within(places: np.ndarray, least: np.ndarray | int, below: int) -> bool:
    return bool(((places >= least) & (places < below)).all())


def joined(trees: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of all trees, one after the other; the places in each are counted from its own first node.

    Args:
        trees: `column`, `threshold` (float64), `low`, `high` (node,) and `leaves` (row, number) of each.
    """
    nodes = np.cumsum([0, *(len(tree["column"]) for tree in trees)])
    rows = np.cumsum([0, *(len(tree["leaves"]) for tree in trees)])
    low = [
        tree["low"] + np.where(tree["column"] < 0, row, node)
        for tree, node, row in zip(trees, nodes[:-1], rows[:-1], strict=True)
    ]
    high = [tree["high"] + node for tree, node in zip(trees, nodes[:-1], strict=True)]
    return {
        "roots": nodes[:-1].astype(np.int32),
        "column": np.concatenate([tree["column"] for tree in trees]).astype(np.int32),
        "threshold": _at_most(np.concatenate([tree["threshold"] for tree in trees])),
        "low": np.concatenate(low).astype(np.int32),
        "high": np.concatenate(high).astype(np.int32),
        "leaves": np.concatenate([tree["leaves"] for tree in trees]).astype(np.float32),
    }


def _at_most(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 that is not above: for a float32, to be at most one or the other is the same."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


@njit(nogil=True, cache=True)
def _add_leaves(features, each, roots, column, threshold, low, high, leaves, sums):  # type: ignore[no-untyped-def]
    width = leaves.shape[1]
    for start in range(0, len(features), SIDE_BY_SIDE):
        stop = min(start + SIDE_BY_SIDE, len(features))
        for tree in range(len(roots)):
            for sample in range(start, stop):
                node = roots[tree]
                while column[node] >= 0:
                    node = low[node] if features[sample, column[node]] <= threshold[node] else high[node]
                for number in range(width):
                    sums[sample, each[tree] + number] += leaves[low[node], number]
