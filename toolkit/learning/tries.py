"""Trainings tried beside each other: batch sizes, learning rates, seeds. The best one is kept.

learning/
  tries.csv                        a row for each training, and the mean and spread of each couple over its seeds
  tries/batch_4096_rate_1e-05_seed_0/   a whole training: history.csv, model/, state
"""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from toolkit.ground.errors import RunFolderError
from toolkit.ground.params import Params, param
from toolkit.learning.criteria import Criterion, score

METRICS = ("valid_loss", "oa", "kappa", "f_score")
TRIED = ("batch_size", "learning_rate", "seed", "best_epoch", *METRICS)


class TriesParams(Params):
    """Several trainings in one call. Those of `batch_sizes`, `learning_rates` and seeds are all combined."""

    batch_sizes: tuple[Annotated[int, Field(ge=1)], ...] = param(
        (), "Batch sizes to try. Empty: learning.batch_size alone.", unit="samples"
    )
    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = param(
        (), "Learning rates to try. Empty: learning.learning_rate alone."
    )
    seeds: int = param(
        1, "Trainings of each couple, with the seeds seed, seed + 1, …: how much of a result is chance.", ge=1
    )

    @property
    def several(self) -> bool:
        """Whether there is more than one training."""
        return bool(self.batch_sizes or self.learning_rates) or self.seeds > 1


@dataclass(frozen=True)
class Try:
    """One training of several."""

    batch_size: int
    learning_rate: float
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"batch_{self.batch_size}_rate_{self.learning_rate:g}_seed_{self.seed}"


def tries_of(params: TriesParams, batch_size: int, learning_rate: float, seed: int) -> list[Try]:
    """The trainings to do, all seeds of a couple one after the other."""
    return [
        Try(size, rate, seed + more)
        for size in dict.fromkeys(params.batch_sizes or (batch_size,))
        for rate in dict.fromkeys(params.learning_rates or (learning_rate,))
        for more in range(params.seeds)
    ]


def tried(one: Try, best: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a training in the table."""
    about = {"batch_size": one.batch_size, "learning_rate": one.learning_rate, "seed": one.seed}
    return about | {"best_epoch": best["epoch"]} | {name: best[name] for name in METRICS}


def choose(rows: Sequence[Mapping[str, Any]], criterion: Criterion) -> int:
    """Index of the training to keep: the best one of the couple with the best mean over its seeds; the first of equals.

    A couple is judged by its mean, for the best of several seeds is partly luck.
    """
    means = {
        couple: statistics.fmean(score(row, criterion) for row in group) for couple, group in couples(rows).items()
    }
    best = max(means, key=lambda couple: means[couple])
    mine = [index for index, row in enumerate(rows) if _couple(row) == best]
    return max(mine, key=lambda index: score(rows[index], criterion))


def spread(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each couple: batch_size, learning_rate, seeds, and of each metric its mean and `*_std`.

    The standard deviation is that of a sample (n - 1); NaN for a single seed.
    """
    result = []
    for (size, rate), group in couples(rows).items():
        row: dict[str, Any] = {"batch_size": size, "learning_rate": rate, "seeds": len(group)}
        for name in METRICS:
            values = [float(one[name]) for one in group]
            row[name] = statistics.fmean(values)
            row[f"{name}_std"] = statistics.stdev(values) if len(values) > 1 else math.nan
        result.append(row)
    return result


def couples(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[int, float], list[Mapping[str, Any]]]:
    """Couple of batch size and learning rate -> its rows."""
    found: dict[tuple[int, float], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(_couple(row), []).append(row)
    return found


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, TRIED, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_tries(path: Path) -> list[dict[str, Any]]:
    """The rows of a `tries.csv`; none where there is no file.

    Raises:
        RunFolderError: the file is damaged.
    """
    if not path.is_file():
        return []
    whole = {"batch_size", "seed", "best_epoch"}
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        return [{name: (int if name in whole else float)(row[name]) for name in TRIED} for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{path} is damaged ({error}); delete it: training writes it anew") from None


def _couple(row: Mapping[str, Any]) -> tuple[int, float]:
    return row["batch_size"], row["learning_rate"]
