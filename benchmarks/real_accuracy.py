"""Every network on real samples that are apart in space, beside a random forest: `make real`, second part.

Five sets (`real_sets.py`), cut into folds of whole polygons, blocks or patches. For each fold the settings of a network
are tried on the other folds alone: a third of their polygons is held out in turn, as the verb `tune` does. With the
settings that did best there it learns from all of the other folds, a few times, and the mean of the probabilities
classifies the fold. What is tested never has a say, neither in the settings nor in which network is the best one of a
set, or the three that vote. The left-out samples of all folds are pooled.

    python benchmarks/real_accuracy.py                        # all sets, all networks, 3 seeds
    python benchmarks/real_accuracy.py --sets Corsica --networks ltae --seeds 1

What is done is kept in the folder of results, and a run that was broken off goes on. The table is `table.md` there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
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
from real_table import FOREST, Outcome, overview_of, table_of

from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.ground.params import build
from toolkit.ground.writing import aside, write_text
from toolkit.learning.batches import derived_seed
from toolkit.learning.checkpoint import Model
from toolkit.learning.folds import deal_polygons
from toolkit.learning.parameters import LearningParams
from toolkit.learning.training import train_network

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LANDCOVER_REAL_DATA", ROOT.parent / "shared" / "data"))

USUAL: dict[str, Any] = {
    "optimizer": "adamw",
    # All polygons are learnt from, for there are few; what is set apart only tells one epoch from the next.
    "valid_by": "sample",
    "valid_ratio": 0.1,
    "threads": 1,
    "select_by": "loss",
    "calibrate": False,
    "loss": {"label_smoothing": 0.1},
    "schedule": {"kind": "cosine"},
}
MILD = {"weighted_classes": True, "weight_power": 0.3}
"""Small classes count for more, but far from as much as large ones."""
HELD = 3
"""Parts of the polygons to learn from that are held out in turn, to choose settings."""
FEW = 1000
"""Samples that are few: they are gone through in smaller batches, and more often."""


@dataclass(frozen=True)
class Try:
    """Settings of a network."""

    settings: Mapping[str, Any]
    updates: tuple[int, int] = (0, 0)
    """Of the weights in a training, from few samples and from many; 0 for trees."""

    def params(self, samples: int) -> LearningParams:
        """How it is trained from so many samples."""
        return build(LearningParams, {**USUAL, **pace(samples, self.updates[samples >= FEW]), **self.settings}, "real")


@dataclass(frozen=True)
class Entry:
    """A network with the settings that are tried."""

    tries: Sequence[Try]
    raw: bool = False
    """Whether it is given the dates as they were acquired."""
    bags: int = 3
    """How often it learns with the chosen settings."""

    def table(self, one: RealSet) -> Table | None:
        """What it reads of a set; None where the set has no such thing."""
        if self.raw:
            return one.raw
        return (one.few if self.tries[0].updates[0] else None) or one.regular


def three(network: Mapping[str, Any], rate: float, few: int, many: int, **more: Any) -> list[Try]:
    """A network that learns long, or long with small classes counting for more, or for a moment only."""
    plain = {"network": network, "learning_rate": rate, **more}
    return [Try(plain, (few, many)), Try({**plain, **MILD}, (few, many)), Try(plain, (few // 5, many // 5))]


MLP = {"name": "mlp", "hidden": [256, 128], "batch_norm": True, "dropout": 0.3}
LTAE = {"name": "ltae", "width": 64, "heads": 8, "mlp": 64, "decoder": [32]}
SMALL = {"name": "transformer", "layers": 1, "width": 32}

ENTRIES: dict[str, Entry] = {
    "mlp": Entry(three(MLP, 2e-3, 600, 300)),
    "ltae": Entry(three(LTAE, 4e-3, 400, 200)),
    "attention + mlp, raw dates": Entry(three(MLP, 2e-3, 600, 300, interpolator="attention"), raw=True),
    "ltae, raw dates": Entry(three(LTAE, 4e-3, 400, 200), raw=True),
    "tempcnn": Entry(three({"name": "tempcnn", "filters": 32, "dense": 128}, 2e-3, 400, 200)),
    "inceptiontime": Entry(three({"name": "inceptiontime", "filters": 8, "layers": 3}, 4e-3, 300, 150)),
    "gru": Entry(three({"name": "gru", "width": 32}, 5e-3, 300, 150)),
    "transformer": Entry(three(SMALL, 3e-3, 300, 150)),
    "random_forest": Entry([Try({"network": {"name": "random_forest", "trees": 300}})], bags=1),
    "gradient_boosting": Entry([Try({"network": {"name": "gradient_boosting", "min_leaf": 5}})], bags=1),
}


def pace(samples: int, updates: int) -> dict[str, int]:
    """Batch size and epochs that make so many updates: small batches of few samples, few epochs of many."""
    batch = 2 ** int(np.clip(round(np.log2(samples / 10)), 4, 6))
    learnt = samples * (1 - USUAL["valid_ratio"])
    return {"batch_size": batch, "epochs": max(round(updates * batch / learnt), 1)} if updates else {}


def learn(one: RealSet, table: Table, params: LearningParams, rows: np.ndarray, seed: int) -> Model:
    """A network that learnt from these rows."""
    with tempfile.TemporaryDirectory() as folder:
        result = train_network(
            one.samples(table, rows), params, seed=seed, nomenclature=nomenclature_of(one), feature_names=table.names,
            dates=table.dates, folder=Path(folder), key="",
        )  # fmt: skip
        return Model.load(result.model_folder)


def score_of(one: RealSet, table: Table, tried: Try, rows: np.ndarray, seed: int) -> float:
    """What settings come to on polygons held out of these rows: the mean of OA and F-score, all parts pooled."""
    parts = deal_polygons(one.polygons[rows], one.codes[rows], HELD, np.random.default_rng(seed))
    predicted = np.zeros_like(one.codes)
    for part in range(HELD):
        learnt, held = rows[parts != part], rows[parts == part]
        model = learn(one, table, tried.params(len(rows)), learnt, derived_seed(seed, part) % 2**32)
        predicted[held], _ = model.predict(np.ascontiguousarray(table.features[held].T))
    matrix = ConfusionMatrix.of(one.codes[rows], predicted[rows], np.unique(one.codes).tolist())
    return (matrix.oa + matrix.f_score) / 2


def classify_fold(one: RealSet, entry: Entry, fold: int, seed: int) -> tuple[np.ndarray, float]:
    """Codes of the samples of a fold by networks that learnt from the others, and their score on valid polygons."""
    table = entry.table(one)
    assert table is not None
    rows, tested, seed = np.flatnonzero(one.folds != fold), one.folds == fold, derived_seed(seed, fold) % 2**32
    scores = [score_of(one, table, tried, rows, seed) for tried in entry.tries]
    params = entry.tries[int(np.argmax(scores))].params(len(rows))
    features = np.ascontiguousarray(table.features[tested].T)
    models = [learn(one, table, params, rows, derived_seed(seed, HELD + bag) % 2**32) for bag in range(entry.bags)]
    mean = np.mean([model.predict_probabilities(features) for model in models], axis=0)
    return nomenclature_of(one).codes[mean.argmax(axis=0)], max(scores)


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
    if found := kept_outcome(one, name, seed, folder):
        return found
    start = time.perf_counter()
    predicted, scores = np.zeros_like(one.codes), np.full(one.folds.max() + 1, np.nan)
    for fold in np.unique(one.folds):
        if name == FOREST:
            predicted[one.folds == fold] = forest_of_fold(one, int(fold), seed)
        else:
            predicted[one.folds == fold], scores[fold] = classify_fold(one, ENTRIES[name], int(fold), seed)
    found = Outcome(one.name, name, seed, one.codes, one.folds, predicted, scores)
    with aside(_file(one, name, seed, folder)) as part, part.open("wb") as file:
        np.savez(file, predicted=predicted, scores=scores, recipe=recipe_of(one, name))
    print(f"{one.name} | {name} | seed {seed} | {found} | {time.perf_counter() - start:.0f} s", flush=True)
    return found


def kept_outcome(one: RealSet, name: str, seed: int, folder: Path) -> Outcome | None:
    """What an earlier run left, if it was of the same samples and settings."""
    path = _file(one, name, seed, folder)
    if not path.exists():
        return None
    with np.load(path) as kept:
        if str(kept["recipe"]) != recipe_of(one, name):
            return None
        return Outcome(one.name, name, seed, one.codes, one.folds, kept["predicted"], kept["scores"])


def _file(one: RealSet, name: str, seed: int, folder: Path) -> Path:
    return folder / f"{one.name} {name} {seed}.npz".replace(" ", "_").replace(",", "")


def recipe_of(one: RealSet, name: str) -> str:
    """All that an outcome depends on but the code, as text."""
    entry = ENTRIES.get(name)
    table = (entry.table(one) if entry else None) or one.regular
    parts = (table.features, one.codes, one.folds, one.polygons)
    data = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
    return json.dumps([data, [asdict(entry), USUAL, HELD] if entry else name])


def outcomes(options: argparse.Namespace) -> Iterator[Outcome]:
    """Of every set, network and seed that was asked for."""
    by_seed = [list(real_sets(DATA, seed)) for seed in range(options.seeds)]
    for name in (FOREST, *ENTRIES):
        if options.networks and name not in (*options.networks, FOREST):
            continue
        for seed, sets in enumerate(by_seed):
            for one in sets:
                asked = not options.sets or any(word in one.name for word in options.sets)
                if not asked or (name != FOREST and ENTRIES[name].table(one) is None):
                    continue
                if options.kept:
                    yield from filter(None, [kept_outcome(one, name, seed, options.folder)])
                else:
                    yield outcome(one, name, seed, options.folder)


def main() -> int:
    """Print the table, and leave it in the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of folds and networks (default: 3)")
    parser.add_argument("--sets", nargs="*", help="words of the names of the sets to run (default: all)")
    parser.add_argument("--networks", nargs="*", help="networks to run (default: all)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "real_accuracy", help="where results are kept")
    parser.add_argument("--kept", action="store_true", help="only make the table of what is kept there")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"The real images are not at {DATA}. Set LANDCOVER_REAL_DATA to their folder.")
        return 1
    logging.getLogger("toolkit.learning.fitting").setLevel(logging.ERROR)  # a valid set by sample is meant here
    options.folder.mkdir(parents=True, exist_ok=True)
    found = list(outcomes(options))
    table = f"{overview_of(found)}\n{table_of(found)}"
    write_text(options.folder / "table.md", table)
    print(f"\n{table}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
