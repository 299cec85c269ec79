"""The table of `real_accuracy.py`: outcomes of networks on left-out folds, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit.ground.accuracy import ConfusionMatrix

FOREST = "random forest, the floor"
CHOSEN = "the best one on valid polygons"
VOTE = "the three best there, by vote"
VOTERS = 3
TREES = (FOREST, "random_forest", "gradient_boosting")
METRICS = {"OA": "oa", "Kappa": "kappa", "F-score": "f_score"}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a network makes of all samples of a set, each while its fold was left out."""

    set: str
    network: str
    seed: int
    codes: np.ndarray
    """(sample,) what is true."""
    folds: np.ndarray
    """(sample,)"""
    predicted: np.ndarray
    """(sample,)"""
    scores: np.ndarray
    """(fold,) on valid polygons, of the networks that were given the fold; not a number where there are none."""

    @property
    def matrix(self) -> ConfusionMatrix:
        """All left-out samples, pooled."""
        return ConfusionMatrix.of(self.codes, self.predicted, np.unique(self.codes).tolist())

    def __str__(self) -> str:
        return "  ".join(f"{name} {getattr(self.matrix, metric):.3f}" for name, metric in METRICS.items())


def best_on_valid(outcomes: Sequence[Outcome], count: int = 1) -> Outcome:
    """For each fold the networks with the best scores on valid polygons, of one set and seed. Trees are not asked.

    Args:
        count: how many classify, by vote; where none has most votes, the best of those with as many decides.
    """
    networks = [one for one in outcomes if one.network not in TREES]
    scores = np.array([one.scores for one in networks])
    predicted = np.zeros_like(networks[0].codes)
    for fold in np.unique(networks[0].folds):
        tested = networks[0].folds == fold
        best = np.argsort(-scores[:, fold], kind="stable")[:count]
        predicted[tested] = vote(np.array([networks[place].predicted[tested] for place in best]))
    return replace(networks[0], network=CHOSEN if count == 1 else VOTE, predicted=predicted, scores=scores.max(0))


def vote(codes: np.ndarray) -> np.ndarray:
    """The code that most voters give; of codes with as many votes that of the first voter.

    Args:
        codes: (voter, sample).
    """
    votes = (codes[:, None] == codes[None]).sum(axis=1)
    return codes[votes.argmax(axis=0), np.arange(codes.shape[1])]


def table_of(outcomes: Sequence[Outcome]) -> str:
    """A table with mean and spread over the seeds; bold is what is above the floor."""
    lines = [f"| set | network | {' | '.join(METRICS)} | on valid polygons |", "|---|---|--:|--:|--:|--:|"]
    for name, networks in by_set(outcomes).items():
        floor = {metric: _values(networks[FOREST], metric).mean() for metric in METRICS.values()}
        lines += [_line(name, network, found, floor) for network, found in networks.items()]
    return "\n".join(lines) + "\n"


def overview_of(outcomes: Sequence[Outcome]) -> str:
    """A line a network, a column a set: OA and F-score, means over the seeds; bold where both are above the floor."""
    sets = by_set(outcomes)
    lines = [f"| OA / F-score | {' | '.join(sets)} |", f"|---|{'--:|' * len(sets)}"]
    for network in dict.fromkeys(name for networks in sets.values() for name in networks):
        cells = [_cell(networks, network) for networks in sets.values()]
        lines.append(f"| {network} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(networks: dict[str, list[Outcome]], network: str) -> str:
    if network not in networks:
        return ""
    means = [_values(networks[network], metric).mean() for metric in ("oa", "f_score")]
    floor = [_values(networks[FOREST], metric).mean() for metric in ("oa", "f_score")]
    told = " / ".join(f"{mean:.3f}".removeprefix("0") for mean in means)
    return f"**{told}**" if all(mean > least for mean, least in zip(means, floor, strict=True)) else told


def by_set(outcomes: Sequence[Outcome]) -> dict[str, dict[str, list[Outcome]]]:
    """Set -> network -> outcomes, one a seed; with those that are chosen on valid polygons."""
    found: dict[str, dict[str, list[Outcome]]] = {}
    for name in dict.fromkeys(one.set for one in outcomes):
        here = [one for one in outcomes if one.set == name]
        seeds = sorted({one.seed for one in here})
        counts = Counter(one.network for one in here)
        here = [one for one in here if counts[one.network] == len(seeds)]  # what has not run with all seeds waits
        by_seed = [[one for one in here if one.seed == seed] for seed in seeds]
        asked = len({one.network for one in here} - set(TREES))
        here += [best_on_valid(some, count) for count in (1, VOTERS) if asked >= count for some in by_seed]
        found[name] = {}
        for one in here:
            found[name].setdefault(one.network, []).append(one)
    return found


def _line(name: str, network: str, found: Sequence[Outcome], floor: dict[str, float]) -> str:
    cells = []
    for metric, least in floor.items():
        values = _values(found, metric)
        told = f"{values.mean():.3f} ± {values.std():.3f}"
        cells.append(f"**{told}**" if network != FOREST and values.mean() > least else told)
    valid = np.mean([one.scores for one in found])
    return f"| {name} | {network} | {' | '.join(cells)} | {'' if np.isnan(valid) else f'{valid:.3f}'} |"


def _values(found: Sequence[Outcome], metric: str) -> np.ndarray:
    return np.array([getattr(one.matrix, metric) for one in found])
