"""Every network on real samples that are apart in space, beside a random forest: `make real`, second part.

Five sets (`real_sets.py`), cut into folds of whole polygons, blocks or patches. For each fold a network learns from the
other folds, a few times, each time watched by other valid polygons among them. Of its settings that one is taken, or
all of them together, that did best on these valid polygons; the mean of the probabilities classifies the fold. What is
tested never has a say, neither in the settings nor in which network is the best one of a set. The left-out samples of
all folds are pooled.

    python benchmarks/real_accuracy.py                        # all sets, all networks, 3 seeds
    python benchmarks/real_accuracy.py --sets Corsica --networks ltae --seeds 1

What is done is kept in the folder of results, and a run that was broken off goes on. The table is `table.md` there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from real_sets import RealSet, Table, real_sets
from real_table import FOREST, Outcome, table_of

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.ground.params import build
from toolkit.ground.writing import aside, write_text
from toolkit.learning.batches import derived_seed, split_samples
from toolkit.learning.checkpoint import Model
from toolkit.learning.fitting import Purpose
from toolkit.learning.parameters import LearningParams
from toolkit.learning.training import train_network

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LANDCOVER_REAL_DATA", ROOT.parent / "shared" / "data"))

USUAL: dict[str, Any] = {
    "optimizer": "adamw",
    "valid_ratio": 0.2,
    "threads": 1,
    "select_by": "loss",
    "calibrate": False,
    "loss": {"label_smoothing": 0.1},
    "schedule": {"kind": "cosine"},
}
MILD = {"weighted_classes": True, "weight_power": 0.3}
"""Small classes count for more, but far from as much as large ones."""
FEW = 1000
"""Samples below which a training takes a second, and varies much: it is done more often."""


@dataclass(frozen=True)
class Entry:
    """A network with the settings that are tried."""

    tries: Sequence[Mapping[str, Any]]
    updates: int = 0
    """Of the weights in a training, whatever the number of samples; 0 for trees."""
    raw: bool = False
    """Whether it is given the dates as they were acquired."""
    bags: tuple[int, int] = (3, 2)
    """How often it learns, watched by other polygons each time: from fewer than `FEW` samples, and from more."""

    def table(self, one: RealSet) -> Table | None:
        """What it reads of a set; None where the set has no such thing."""
        if self.raw:
            return one.raw
        return (one.few if self.updates else None) or one.regular


def both(network: Mapping[str, Any], rate: float, **more: Any) -> list[dict[str, Any]]:
    """A network that takes all samples alike, and one that has small classes count for more."""
    plain = {"network": network, "learning_rate": rate, **more}
    return [plain, {**plain, **MILD}]


MLP = {"name": "mlp", "hidden": [128, 64], "batch_norm": True, "dropout": 0.5}
WIDE = {"name": "mlp", "hidden": [256, 128], "batch_norm": True, "dropout": 0.3}
LTAE = {"name": "ltae", "width": 64, "heads": 8, "mlp": 64, "decoder": [32]}

ENTRIES: dict[str, Entry] = {
    "mlp": Entry([{"network": WIDE, "learning_rate": 2e-3}, {"network": MLP, "learning_rate": 3e-3, **MILD}], 600),
    "ltae": Entry(both(LTAE, 4e-3), 300),
    "attention + mlp, raw dates": Entry(both(MLP, 2e-3, interpolator="attention"), 300, raw=True),
    "ltae, raw dates": Entry(both(LTAE, 4e-3)[1:], 300, raw=True),
    "tempcnn": Entry(both({"name": "tempcnn", "filters": 32, "dense": 128}, 2e-3), 250),
    "inceptiontime": Entry(both({"name": "inceptiontime", "filters": 8, "layers": 3}, 4e-3)[1:], 200, bags=(2, 1)),
    "gru": Entry(both({"name": "gru", "width": 32}, 5e-3)[1:], 200, bags=(2, 1)),
    "transformer": Entry(both({"name": "transformer", "layers": 1, "width": 32}, 3e-3)[1:], 200, bags=(2, 1)),
    "random_forest": Entry([{"network": {"name": "random_forest", "trees": 300}}], bags=(2, 1)),
    "gradient_boosting": Entry(
        [{"network": {"name": "gradient_boosting", "min_leaf": leaf}} for leaf in (5, 20)], bags=(2, 1)
    ),
}


def pace(samples: int, updates: int) -> dict[str, int]:
    """Batch size and epochs that make so many updates: small batches of few samples, few epochs of many."""
    batch = 2 ** int(np.clip(round(np.log2(samples / 10)), 4, 6))
    learnt = samples * (1 - USUAL["valid_ratio"])
    return {"batch_size": batch, "epochs": int(np.clip(round(updates * batch / learnt), 3, 100))} if updates else {}


@dataclass(frozen=True)
class Learnt:
    """Networks of one setting or of several, and what their mean came to on valid polygons."""

    truth: np.ndarray
    """(sample,) codes of the valid samples of all bags, one after the other."""
    valid: np.ndarray
    """Probabilities (class, sample) of these, each by the networks that they watched."""
    models: Sequence[Model]

    def score(self, nomenclature: Nomenclature) -> float:
        """What settings and networks are chosen by: the mean of OA and F-score."""
        codes = nomenclature.codes
        matrix = ConfusionMatrix.of(self.truth, codes[self.valid.argmax(0)], codes.tolist())
        return (matrix.oa + matrix.f_score) / 2


def learn(one: RealSet, table: Table, settings: Mapping[str, Any], entry: Entry, rows: np.ndarray, seed: int) -> Learnt:
    """Networks of one setting that learnt from these rows, each watched by other polygons."""
    samples, nomenclature = one.samples(table, rows), nomenclature_of(one)
    params = build(LearningParams, {**USUAL, **pace(len(rows), entry.updates), **settings}, "real_accuracy")
    models, truth, found = [], [], []
    for bag in range(entry.bags[len(rows) >= FEW]):
        own = derived_seed(seed, bag) % 2**32  # the same for every setting: they are watched by the same polygons
        with tempfile.TemporaryDirectory() as folder:
            result = train_network(
                samples, params, seed=own, nomenclature=nomenclature, feature_names=table.names, dates=table.dates,
                folder=Path(folder), key="",
            )  # fmt: skip
            models.append(Model.load(result.model_folder))
        valid = watching(one, rows, params, own)
        truth.append(one.codes[valid])
        found.append(models[-1].predict_probabilities(np.ascontiguousarray(table.features[valid].T)))
    return Learnt(np.concatenate(truth), np.concatenate(found, axis=1), models)


def together(tried: Sequence[Learnt]) -> Learnt:
    """The networks of all settings as one."""
    valid = np.mean([learnt.valid for learnt in tried], axis=0)
    return Learnt(tried[0].truth, valid, [model for learnt in tried for model in learnt.models])


def watching(one: RealSet, rows: np.ndarray, params: LearningParams, seed: int) -> np.ndarray:
    """The rows that a training of this seed sets apart to be watched by."""
    rng = np.random.default_rng(derived_seed(seed, Purpose.SPLIT))
    return rows[split_samples(one.codes[rows], one.polygons[rows], params.valid_ratio, params.valid_by, rng)[1]]


def classify_fold(one: RealSet, entry: Entry, fold: int, seed: int) -> tuple[np.ndarray, float]:
    """Codes of the samples of a fold by networks that learnt from the others, and their score on valid polygons."""
    table = entry.table(one)
    assert table is not None
    rows, tested = np.flatnonzero(one.folds != fold), one.folds == fold
    tried = [learn(one, table, settings, entry, rows, derived_seed(seed, fold)) for settings in entry.tries]
    nomenclature = nomenclature_of(one)
    scores = [learnt.score(nomenclature) for learnt in (*tried, together(tried))]
    chosen = (*tried, together(tried))[int(np.argmax(scores))]
    features = np.ascontiguousarray(table.features[tested].T)
    mean = np.mean([model.predict_probabilities(features) for model in chosen.models], axis=0)
    return nomenclature.codes[mean.argmax(axis=0)], max(scores)


def forest_of_fold(one: RealSet, fold: int, seed: int) -> np.ndarray:
    """Codes of the samples of a fold by scikit-learn's random forest, 300 trees, untuned."""
    from sklearn.ensemble import RandomForestClassifier

    learnt, tested = one.folds != fold, one.folds == fold
    forest = RandomForestClassifier(300, n_jobs=2, random_state=seed)
    return forest.fit(one.regular.features[learnt], one.codes[learnt]).predict(one.regular.features[tested])


def nomenclature_of(one: RealSet) -> Nomenclature:
    """The classes of a set, by number."""
    codes = np.unique(one.codes).tolist()
    return Nomenclature("real", tuple(LandCoverClass(code, f"class {code}", "#808080") for code in codes))


def outcome(one: RealSet, name: str, seed: int, folder: Path) -> Outcome:
    """What a network makes of a set with the folds of a seed; kept in a file, from which it is taken a second time."""
    path = folder / f"{one.name} {name} {seed}.npz".replace(" ", "_").replace(",", "")
    recipe = recipe_of(one, name)
    if path.exists():
        with np.load(path) as kept:
            if str(kept["recipe"]) == recipe:
                return Outcome(one.name, name, seed, one.codes, one.folds, kept["predicted"], kept["scores"])
    start = time.perf_counter()
    predicted, scores = np.zeros_like(one.codes), np.full(one.folds.max() + 1, np.nan)
    for fold in np.unique(one.folds):
        if name == FOREST:
            predicted[one.folds == fold] = forest_of_fold(one, int(fold), seed)
        else:
            predicted[one.folds == fold], scores[fold] = classify_fold(one, ENTRIES[name], int(fold), seed)
    found = Outcome(one.name, name, seed, one.codes, one.folds, predicted, scores)
    with aside(path) as part, part.open("wb") as file:
        np.savez(file, predicted=predicted, scores=scores, recipe=recipe)
    print(f"{one.name} | {name} | seed {seed} | {found} | {time.perf_counter() - start:.0f} s", flush=True)
    return found


def recipe_of(one: RealSet, name: str) -> str:
    """All that an outcome depends on but the code, as text."""
    entry = ENTRIES.get(name)
    table = (entry.table(one) if entry else None) or one.regular
    parts = (table.features, one.codes, one.folds, one.polygons)
    data = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
    return json.dumps([data, asdict(entry) if entry else name, USUAL])


def outcomes(options: argparse.Namespace) -> Iterator[Outcome]:
    """Of every set, network and seed that was asked for."""
    by_seed = [list(real_sets(DATA, seed)) for seed in range(options.seeds)]
    for name in (FOREST, *ENTRIES):
        if options.networks and name not in (*options.networks, FOREST):
            continue
        for seed, sets in enumerate(by_seed):
            for one in sets:
                asked = not options.sets or any(word in one.name for word in options.sets)
                if asked and (name == FOREST or ENTRIES[name].table(one)):
                    yield outcome(one, name, seed, options.folder)


def main() -> int:
    """Print the table, and leave it in the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of folds and networks (default: 3)")
    parser.add_argument("--sets", nargs="*", help="words of the names of the sets to run (default: all)")
    parser.add_argument("--networks", nargs="*", help="networks to run (default: all)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "real_accuracy", help="where results are kept")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"The real images are not at {DATA}. Set LANDCOVER_REAL_DATA to their folder.")
        return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    table = table_of(list(outcomes(options)))
    write_text(options.folder / "table.md", table)
    print(f"\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
