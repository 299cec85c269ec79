"""A random forest, grown by scikit-learn.

Source: Breiman (2001), "Random forests", Machine Learning 45, 5-32. For land cover from series of Sentinel-2 it is the
reference of Inglada et al. (2017), "Operational high resolution land cover map production at the country scale using
satellite image time series", Remote Sensing 9(1), 95.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
import torch

from toolkit.ground.errors import ParameterError
from toolkit.ground.params import param
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models.registry import register
from toolkit.learning.models.trees import GoOn, Growth, TreeParams, Trees, joined


class RandomForestParams(TreeParams):
    """Parameters of the random forest."""

    name: Literal["random_forest"] = param(
        "random_forest",
        "Random forest (Breiman 2001): a baseline, grown once, without epochs, batches and rates.",
    )
    trees: int = param(100, "Trees.", unit="trees", ge=1)
    max_depth: int | None = param(25, "Splits from the root to a leaf at most. Empty: no limit.", ge=1)
    min_leaf: int = param(1, "Samples in a leaf at least.", unit="samples", ge=1)
    tried: Literal["sqrt", "log2", "all"] = param(
        "sqrt", "Features tried at each split: the square root of their number, its logarithm, or all."
    )


@register(RandomForestParams)
class RandomForest(Trees):
    """Trees that vote: the probability of a class is the mean of its share in the leaves that a sample comes to."""

    counted = "trees"

    def __init__(self, params: RandomForestParams, inputs: InputLayout, n_classes: int) -> None:
        super().__init__(inputs, n_classes)
        check_columns(inputs, params.name)
        self.params, self.parts = params, params.trees

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        votes = self.sums(features, self.leaves.shape[1], np.zeros(len(self.roots), np.int32))
        with np.errstate(divide="ignore"):
            return self.logits(np.log(votes / max(len(self.roots), 1)), features)

    def grow(self, samples: Growth, go_on: GoOn) -> bool:
        """Grow the trees; whether `go_on` let them grow to the end."""
        from sklearn.ensemble import RandomForestClassifier  # a second to import, for those who grow trees only

        params, jobs = self.params, samples.threads or os.cpu_count() or 1
        forest = RandomForestClassifier(
            max_depth=params.max_depth,
            min_samples_leaf=params.min_leaf,
            max_features=None if params.tried == "all" else params.tried,
            random_state=samples.seed,
            n_jobs=jobs,
            warm_start=True,
        )
        part = max(jobs, -(-params.trees // 20))
        for grown in range(0, params.trees, part):
            if not go_on(grown, params.trees):
                return False
            forest.set_params(n_estimators=min(grown + part, params.trees))
            forest.fit(samples.features, samples.labels, samples.weights)
        arrays = joined([_arrays(tree.tree_) for tree in forest.estimators_])
        self.take({**arrays, "classes": forest.classes_.astype(np.int32)})
        return True


def check_columns(inputs: InputLayout, network: str) -> None:
    """Refuse rows whose number of columns varies.

    Raises:
        ParameterError: with the mend.
    """
    if inputs.raw:
        raise ParameterError(
            f"{network} splits by columns and cannot read raw dates, whose number varies; set "
            "features.representation: gap_filled"
        )


def _arrays(tree: Any) -> dict[str, np.ndarray]:
    """A tree of scikit-learn. Most leaves hold one class only: equal rows are kept once."""
    is_leaf = tree.children_left < 0
    shares = tree.value[is_leaf, 0]
    rows, row = np.unique((shares / shares.sum(1, keepdims=True)).astype(np.float32), axis=0, return_inverse=True)
    low = tree.children_left.astype(np.int64)
    low[is_leaf] = row.reshape(-1)
    column = np.where(is_leaf, -1, tree.feature)
    return {"column": column, "threshold": tree.threshold, "low": low, "high": tree.children_right, "leaves": rows}
