"""What a tuning found: `TuningResult`, and the two files it is read from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import TypeAdapter

from toolkit.ground.errors import RunFolderError
from toolkit.ground.writing import write_text
from toolkit.learning.space import Axis, Setting, Space, apply_setting, label_of, word

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

TRIALS, BEST = "trials.csv", "best.json"

METRICS = {"oa": "OA", "kappa": "Kappa", "f_score": "F-score", "loss": "loss"}

SHOWN = 10
"""Trials that a result lists when a cell shows it."""


@dataclass(frozen=True)
class TuningResult:
    """The trials of a tuning and the best of them."""

    trials: pd.DataFrame
    """A row a trial, in their order: trial, state (complete, pruned, refused), score, spread, the tuned parameters by
    their paths, seconds, message. `spread` is the standard deviation over the folds (n - 1)."""
    best: Setting
    """Dotted path -> value of the best trial; empty where none is complete."""
    score: float | None
    """Its mean over the folds of `select_by`."""
    select_by: str
    importance: Mapping[str, float]
    """Share of each parameter in how much the scores differ (PED-ANOVA); empty before the end, and of few trials."""
    space: Space
    """What was tuned."""
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> TuningResult:
        """What is in this folder, finished or not.

        Raises:
            RunFolderError: nothing, or the files are damaged.
        """
        if not (folder / BEST).is_file():
            raise RunFolderError(f"{folder} holds no tuning; run `tune` first")
        try:
            found = json.loads((folder / BEST).read_text(encoding="utf-8"))
            return cls(
                trials=read_trials(folder),
                best=found["setting"],
                score=found["score"],
                select_by=found["select_by"],
                importance=found["importance"],
                space=Space(tuple(TypeAdapter(list[Axis]).validate_python(found["space"]))),
                folder=folder,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{folder / BEST} is damaged ({error}); tune again to write it anew") from None

    @property
    def ranking(self) -> pd.DataFrame:
        """The trials, the best first; then those that have no score, in their order."""
        return self.trials.sort_values("score", ascending=self.select_by == "loss", kind="stable", na_position="last")

    def apply(self, experiment: Experiment) -> None:
        """Put the best setting into the experiment; `experiment.undo()` takes it back.

        Raises:
            RunFolderError: no trial is complete.
        """
        if not self.best:
            raise RunFolderError(f"{self.folder} holds no complete trial; raise tuning.trials and tune again")
        learning = apply_setting(experiment.learning, self.best)
        experiment.set({"learning": learning.model_dump()})

    def __repr__(self) -> str:
        count = self.trials["state"].value_counts().to_dict()
        states = ", ".join(f"{number} {state}" for state, number in count.items()) or "no trials"
        if self.score is None:
            return f"TuningResult({states}; no best yet)"
        lines = [f"  {path} = {word(value)}{self._weight(path)}" for path, value in self.best.items()]
        return "\n".join([f"TuningResult({states}; best {METRICS[self.select_by]} {self.score:.4f})", *lines])

    def _weight(self, path: str) -> str:
        return f"   (importance {self.importance[path]:.0%})" if path in self.importance else ""

    def _repr_html_(self) -> str:
        paths = [name for name in self.trials.columns if name.startswith("learning.")]
        names = ["trial", METRICS[self.select_by], *(path.removeprefix("learning.") for path in paths), "state"]
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        rows = "".join(self._row_html(row, paths) for _, row in self.ranking.head(SHOWN).iterrows())
        more = f"<p>{len(self.trials) - SHOWN} more in <code>.trials</code></p>" if len(self.trials) > SHOWN else ""
        weights = "".join(
            f"<td>{self.importance[path]:.0%}</td>" if path in self.importance else "<td></td>" for path in paths
        )
        foot = f"<tr><td>importance</td><td></td>{weights}<td></td></tr>" if self.importance else ""
        return f"<table><caption>Tuning, the best trials</caption><tr>{head}</tr>{rows}{foot}</table>{more}"

    def _row_html(self, row: pd.Series, paths: Sequence[str]) -> str:
        score = "" if pd.isna(row["score"]) else f"{row['score']:.4f}"
        values = ["" if is_absent(row[path]) else word(row[path]) for path in paths]
        cells = [row["trial"], score, *values, row["state"]]
        return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"


def write_result(
    folder: Path, rows: Sequence[Mapping[str, Any]], space: Space, select_by: str, importance: Mapping[str, float]
) -> None:
    """Write `trials.csv` and `best.json`, each whole, from the rows of a study."""
    paths = [axis.path for axis in space]
    table = pd.DataFrame([_line(row, paths) for row in rows], columns=_columns(paths))
    write_text(folder / TRIALS, table.to_csv(index=False))
    best = best_row(rows, select_by)
    content = {
        "trial": best["trial"] if best else None,
        "score": best["score"] if best else None,
        "select_by": select_by,
        "setting": best["setting"] if best else {},
        "space": [asdict(axis) for axis in space],
        "importance": {path: round(float(share), 4) for path, share in importance.items()},
    }
    write_text(folder / BEST, json.dumps(content, indent=1))


def read_trials(folder: Path) -> pd.DataFrame:
    """The table of trials; a parameter that a trial has not is NaN."""
    text = (folder / TRIALS).read_text(encoding="utf-8")
    paths = [name for name in text.partition("\n")[0].split(",") if name.startswith("learning.")]
    table = pd.read_csv(StringIO(text), dtype=dict.fromkeys([*paths, "message"], str), keep_default_na=False,
                        na_values={"score": [""], "spread": [""]})  # fmt: skip
    for path in paths:
        values = [_read(cell) for cell in table[path]]
        numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
        table[path] = pd.Series(values, table.index, dtype=None if numbers else object)
    return table


def is_absent(value: Any) -> bool:
    """Whether a cell of the table says that the trial has not this parameter."""
    return isinstance(value, float) and math.isnan(value)


def _write(value: Any) -> str:
    """A value in the table: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else label_of(value)


def _read(cell: str) -> Any:
    try:
        return json.loads(cell) if cell else math.nan
    except ValueError:
        return cell


def best_row(rows: Sequence[Mapping[str, Any]], select_by: str) -> Mapping[str, Any] | None:
    """The complete trial with the best score, the first of equals; None where there is none."""
    complete = [row for row in rows if row["state"] == "complete"]
    sign = -1 if select_by == "loss" else 1
    return max(complete, key=lambda row: sign * row["score"], default=None)


def _columns(paths: Sequence[str]) -> list[str]:
    return ["trial", "state", "score", "spread", *paths, "seconds", "message"]


def _line(row: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    is_complete, scores = row["state"] == "complete", row["scores"]
    setting = {path: _write(row["setting"][path]) if path in row["setting"] else "" for path in paths}
    spread = round(float(pd.Series(scores).std()), 6) if is_complete and len(scores) > 1 else None
    return {**row, **setting, "score": round(row["score"], 6) if is_complete else None, "spread": spread}
