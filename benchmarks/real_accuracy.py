"""Every network on real samples that are apart in space, beside a random forest: `make real`, second part.

Five sets (`real_sets.py`), cut into folds of whole polygons, blocks or patches. For each fold a network learns from
the other folds; which of its few settings it gets, and how many epochs, is chosen on valid polygons inside these. The
left-out samples of all folds are pooled, and mean and spread over the seeds are told. The forest sees the same folds.

    python benchmarks/real_accuracy.py                        # all sets, all networks, 3 seeds
    python benchmarks/real_accuracy.py --sets corsica --networks ltae --seeds 1
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from real_sets import RealSet, Table, real_sets

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.ground.params import build
from toolkit.learning.checkpoint import Model
from toolkit.learning.parameters import LearningParams
from toolkit.learning.training import train_network

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LANDCOVER_REAL_DATA", ROOT.parent / "shared" / "data"))

USUAL: dict[str, Any] = {"batch_size": 128, "valid_ratio": 0.25, "threads": 1, "select_by": "f_score"}


@dataclass(frozen=True)
class Entry:
    """A network with the settings that are tried."""

    tries: Sequence[Mapping[str, Any]]
    raw: bool = False
    """Whether it is given the dates as they were acquired."""


def at_rates(network: Mapping[str, Any], epochs: int, *rates: float, **more: Any) -> list[dict[str, Any]]:
    """The same network with several learning rates."""
    return [{"network": network, "epochs": epochs, "learning_rate": rate, **more} for rate in rates]


ENTRIES: dict[str, Entry] = {
    "mlp": Entry(
        at_rates({"name": "mlp", "hidden": [240, 69, 69], "batch_norm": True, "dropout": 0.3}, 40, 3e-4, 2e-3)
    ),
}


def fold_prediction(one: RealSet, table: Table, entry: Entry, fold: int, seed: int, folder: Path) -> np.ndarray:
    """Codes of the samples of a fold, by a network that learnt from the others; settings chosen on valid polygons."""
    learnt, tested = one.folds != fold, one.folds == fold
    best: tuple[float, Path] | None = None
    for number, settings in enumerate(entry.tries):
        params = build(LearningParams, {**USUAL, **settings}, "real_accuracy")
        result = train_network(
            one.samples(table, np.flatnonzero(learnt)),
            params,
            seed=seed,
            nomenclature=nomenclature_of(one),
            feature_names=table.names,
            dates=table.dates,
            folder=folder / f"{fold}_{number}",
            key="",
        )
        assert result.best is not None
        if best is None or result.best["f_score"] > best[0]:
            best = result.best["f_score"], result.model_folder
    assert best is not None
    model = Model.load(best[1])
    return model.predict(np.ascontiguousarray(table.features[tested].T))[0]


def forest_prediction(one: RealSet, table: Table, fold: int, seed: int) -> np.ndarray:
    """The same by scikit-learn's random forest, 300 trees, untuned."""
    from sklearn.ensemble import RandomForestClassifier

    learnt, tested = one.folds != fold, one.folds == fold
    forest = RandomForestClassifier(300, n_jobs=-1, random_state=seed)
    return forest.fit(table.features[learnt], one.codes[learnt]).predict(table.features[tested])


def nomenclature_of(one: RealSet) -> Nomenclature:
    """The classes of a set, by number."""
    codes = np.unique(one.codes).tolist()
    return Nomenclature("real", tuple(LandCoverClass(code, f"class {code}", "#808080") for code in codes))


def pooled(one: RealSet, name: str, seed: int) -> ConfusionMatrix:
    """All left-out samples against what was predicted of them."""
    predicted = np.zeros_like(one.codes)
    entry = ENTRIES.get(name)
    table = one.raw if entry and entry.raw else one.regular
    assert table is not None
    with tempfile.TemporaryDirectory() as folder:
        for fold in np.unique(one.folds):
            predicted[one.folds == fold] = (
                fold_prediction(one, table, entry, int(fold), seed, Path(folder))
                if entry
                else forest_prediction(one, table, int(fold), seed)
            )
    return ConfusionMatrix.of(one.codes, predicted, np.unique(one.codes).tolist())


def rows(options: argparse.Namespace) -> Iterator[str]:
    """A line of the table for each set and network, as it is known."""
    by_seed = [list(real_sets(DATA, seed)) for seed in range(options.seeds)]
    for number, one in enumerate(by_seed[0]):
        if options.sets and not any(word in one.name for word in options.sets):
            continue
        for name in ("random forest", *ENTRIES):
            skipped = name in ENTRIES and ENTRIES[name].raw and one.raw is None
            if skipped or (options.networks and name not in (*options.networks, "random forest")):
                continue
            start = time.perf_counter()
            found = [pooled(sets[number], name, seed) for seed, sets in enumerate(by_seed)]
            told = " | ".join(_spread([getattr(matrix, metric) for matrix in found]) for metric in METRICS)
            yield f"| {one.name} | {name} | {told} | {time.perf_counter() - start:.0f} s |"


METRICS = ("oa", "kappa", "f_score")


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def main() -> int:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of folds and networks (default: 3)")
    parser.add_argument("--sets", nargs="*", help="words of the names of the sets to run (default: all)")
    parser.add_argument("--networks", nargs="*", help="networks to run (default: all)")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"The real images are not at {DATA}. Set LANDCOVER_REAL_DATA to their folder.")
        return 1
    print("| set | network | OA | Kappa | F-score | time |\n|---|---|--:|--:|--:|--:|", flush=True)
    for row in rows(options):
        print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
