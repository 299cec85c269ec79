"""Gradient boosting over histograms, grown by scikit-learn.

Sources: Friedman (2001), "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29(5); the
histograms are those of Ke et al. (2017), "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS 30.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from toolkit.ground.params import param
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models.random_forest import check_columns
from toolkit.learning.models.registry import register
from toolkit.learning.models.trees import GoOn, Growth, TreeParams, Trees, joined

PART = 20
"""Rounds between two looks at whether to go on; each part sorts the features into histograms anew."""


class GradientBoostingParams(TreeParams):
    """Parameters of gradient boosting."""

    name: Literal["gradient_boosting"] = param(
        "gradient_boosting",
        "Gradient boosting over histograms (as LightGBM): a baseline, grown once, without epochs, batches and rates.",
    )
    rounds: int = param(100, "Rounds; each adds a tree for every class.", ge=1)
    shrinkage: float = param(0.1, "Share of each tree that is added.", gt=0, le=1, log=(0.001, 1))
    max_leaves: int = param(31, "Leaves of a tree at most.", unit="leaves", ge=2)
    max_depth: int | None = param(None, "Splits from the root to a leaf at most. Empty: no limit.", ge=1)
    min_leaf: int = param(20, "Samples in a leaf at least.", unit="samples", ge=1)


@register(GradientBoostingParams)
class GradientBoosting(Trees):
    """Trees that add up: the score of a class is the sum of what its trees say."""

    counted = "rounds"

    def __init__(self, params: GradientBoostingParams, inputs: InputLayout, n_classes: int) -> None:
        super().__init__(inputs, n_classes)
        check_columns(inputs, params.name)
        self.params, self.parts = params, params.rounds
        self.base: torch.Tensor
        self.register_buffer("base", torch.zeros(0, dtype=torch.float64))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        base = self.base.cpu().numpy()
        each = (np.arange(len(self.roots)) % max(len(base), 1)).astype(np.int32)
        scores = base + self.sums(features, len(base), each)
        if len(base) == 1:  # of two classes there is one score, that of the second against the first
            scores = np.concatenate([np.zeros_like(scores), scores], 1)
        return self.logits(scores, features)

    def grow(self, samples: Growth, go_on: GoOn) -> bool:
        """Grow the trees; whether `go_on` let them grow to the end."""
        from sklearn.ensemble import HistGradientBoostingClassifier  # a second to import, as for the random forest

        params = self.params
        boosting = HistGradientBoostingClassifier(
            learning_rate=params.shrinkage,
            max_leaf_nodes=params.max_leaves,
            max_depth=params.max_depth,
            min_samples_leaf=params.min_leaf,
            early_stopping=False,
            random_state=samples.seed,
            warm_start=True,
        )
        with threadpool_limits(samples.threads, "openmp"):
            for done in range(0, params.rounds, PART):
                if not go_on(done, params.rounds):
                    return False
                boosting.set_params(max_iter=min(done + PART, params.rounds))
                boosting.fit(samples.features, samples.labels, samples.weights)
        # scikit-learn has no public way to these two; a test holds what is made of them against its own answer.
        trees = [_arrays(tree.nodes) for rounds in boosting._predictors for tree in rounds]
        base = boosting._baseline_prediction.reshape(-1).astype(np.float64)
        self.take({**joined(trees), "base": base, "classes": boosting.classes_.astype(np.int32)})
        return True


def _arrays(nodes: Any) -> dict[str, np.ndarray]:
    """A tree of scikit-learn; each leaf is a row of one number."""
    is_leaf = nodes["is_leaf"].astype(bool)
    low = nodes["left"].astype(np.int64)
    low[is_leaf] = np.arange(is_leaf.sum())
    return {
        "column": np.where(is_leaf, -1, nodes["feature_idx"].astype(np.int64)),
        "threshold": nodes["num_threshold"].astype(np.float64),
        "low": low,
        "high": nodes["right"].astype(np.int64),
        "leaves": nodes["value"][is_leaf][:, None],
    }
