"""The run folder: where every result of an experiment lies. This layout is a contract; other programs rely on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """The paths below `runs/<name>/`."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"

    @property
    def events(self) -> Path:
        return self.root / "events.jsonl"

    @property
    def experiment(self) -> Path:
        """The parameters, as the last verb saw them."""
        return self.root / "experiment.yml"

    @property
    def cleaning_report(self) -> Path:
        return self.root / "ground_truth" / "cleaning_report.json"

    def polygons(self, kind: str) -> Path:
        """`clean`, `train`, `test` or `left_out` polygons."""
        return self.root / "ground_truth" / f"{kind}.gpkg"

    @property
    def samples(self) -> Path:
        return self.root / "samples"

    @property
    def class_counts(self) -> Path:
        return self.samples / "class_counts.csv"

    @property
    def learning(self) -> Path:
        return self.root / "learning"

    @property
    def model(self) -> Path:
        return self.learning / "model"

    @property
    def history(self) -> Path:
        return self.learning / "history.csv"

    @property
    def control(self) -> Path:
        """What is asked of the training at work."""
        return self.root / "job" / "control.json"

    def training_at_work(self, verb: str, since: float = 0) -> Path:
        """Folder of the training that told last how it stands: of a fold, of one of several tries, or the one alone.

        Args:
            since: seconds of the epoch; what folds told before is of an earlier cross-validation.
        """
        if verb == "cross_validate":
            told = [one for one in self.cross_validation.glob("*/learning/live.json") if _time_of(one) >= since]
            return max(told, key=_time_of).parent if told else self.cross_validation
        told = [*self.learning.glob("live.json"), *self.learning.glob("tries/*/live.json")]
        return max(told, key=_time_of).parent if told else self.learning

    @property
    def mapping(self) -> Path:
        return self.root / "mapping"

    def tile(self, tile: str) -> Path:
        """Maps of one tile."""
        return self.mapping / tile

    def map(self, layer: str = "classes") -> Path:
        """The mosaic's `classes` or `confidence`."""
        return self.mapping / f"{layer}.tif"

    @property
    def postprocessed(self) -> Path:
        """The class map after post-processing."""
        return self.mapping / "postprocessed" / "classes.tif"

    def vector_map(self, format: str) -> Path:
        """The polygons of the map: `gpkg` or `parquet`."""
        return self.mapping / f"classes.{format}"

    @property
    def validation(self) -> Path:
        return self.root / "validation"

    @property
    def metrics(self) -> Path:
        return self.validation / "metrics.json"

    @property
    def report(self) -> Path:
        return self.validation / "report.html"

    @property
    def cross_validation(self) -> Path:
        return self.root / "cross_validation"

    @property
    def tuning(self) -> Path:
        return self.root / "tuning"


def _time_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # replaced just now
        return 0
