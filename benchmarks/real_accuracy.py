"""Every network on real samples that are apart in space, beside a random forest: `make real`, second part.

Five sets (`real_sets.py`), cut into folds of whole polygons, blocks or patches. For each fold a network learns from the
other folds, several times, each time watched by other valid polygons among them. Those of its few settings are taken
that did best there; the mean of their probabilities classifies the fold. What is tested never has a say. The left-out
samples of all folds are pooled; mean and spread over the seeds of folds and networks are told. So is the forest.

    python benchmarks/real_accuracy.py                        # all sets, all networks, 3 seeds
    python benchmarks/real_accuracy.py --sets Corsica --networks ltae --seeds 1
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

USUAL: dict[str, Any] = {
    "batch_size": 64,
    "valid_ratio": 0.25,
    "threads": 1,
    "select_by": "loss",
    "calibrate": False,
    "loss": {"label_smoothing": 0.1},
    "schedule": {"kind": "cosine"},
}
BAGS = 3
"""How often a network learns from a fold's samples, watched by other polygons each time."""
MOST_SAMPLES = 1500
"""Samples that a network learns from at most, drawn from all: neighbours in a block are much alike."""


@dataclass(frozen=True)
class Entry:
    """A network with the settings that are tried."""

    tries: Sequence[Mapping[str, Any]]
    raw: bool = False
    """Whether it is given the dates as they were acquired."""


def at_rates(network: Mapping[str, Any], epochs: int, *rates: float, **more: Any) -> list[dict[str, Any]]:
    """The same network with several learning rates."""
    return [{"network": network, "epochs": epochs, "learning_rate": rate, **more} for rate in rates]


MLP = {"name": "mlp", "hidden": [128, 64], "batch_norm": True, "dropout": 0.5}

ENTRIES: dict[str, Entry] = {
    "mlp": Entry(at_rates(MLP, 40, 5e-4, 3e-3)),
    "tempcnn": Entry(at_rates({"name": "tempcnn", "filters": 32, "dense": 128}, 25, 1e-3, 5e-3)),
    "inceptiontime": Entry(at_rates({"name": "inceptiontime", "filters": 16, "layers": 3}, 25, 2e-3)),
    "ltae": Entry(at_rates({"name": "ltae", "width": 128}, 40, 1e-3, 5e-3)),
    "transformer": Entry(at_rates({"name": "transformer", "layers": 2}, 25, 1e-3)),
    "gru": Entry(at_rates({"name": "gru", "width": 64}, 25, 3e-3)),
    "attention + mlp, raw dates": Entry(at_rates(MLP, 40, 5e-4, 3e-3, interpolator="attention"), raw=True),
    "ltae, raw dates": Entry(at_rates({"name": "ltae", "width": 128}, 40, 1e-3, 5e-3), raw=True),
    "random_forest": Entry([{"network": {"name": "random_forest", "trees": 300}}]),
    "gradient_boosting": Entry([{"network": {"name": "gradient_boosting", "min_leaf": leaf}} for leaf in (5, 20)]),
}


def fold_prediction(one: RealSet, table: Table, entry: Entry, fold: int, seed: int, folder: Path) -> np.ndarray:
    """Codes of the samples of a fold, by networks that learnt from the others; settings chosen on valid polygons."""
    learnt, tested = np.flatnonzero(one.folds != fold), one.folds == fold
    learnt = np.random.default_rng(seed).permutation(learnt)[:MOST_SAMPLES]
    found: list[tuple[float, list[Model]]] = []
    for number, settings in enumerate(entry.tries):
        params, scores, models = build(LearningParams, {**USUAL, **settings}, "real_accuracy"), [], []
        for bag in range(BAGS):
            result = train_network(
                one.samples(table, np.sort(learnt)),
                params,
                seed=seed * BAGS + bag,
                nomenclature=nomenclature_of(one),
                feature_names=table.names,
                dates=table.dates,
                folder=folder / f"{fold}_{number}_{bag}",
                key="",
            )
            assert result.best is not None
            scores.append(result.best["f_score"])
            models.append(Model.load(result.model_folder))
        found.append((float(np.mean(scores)), models))
    features = np.ascontiguousarray(table.features[tested].T)
    _, models = max(found, key=lambda tried: tried[0])
    mean = np.mean([model.predict_probabilities(features) for model in models], axis=0)
    return nomenclature_of(one).codes[mean.argmax(axis=0)]


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
