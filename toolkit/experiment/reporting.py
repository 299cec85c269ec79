"""The validation report of an experiment: its figures drawn, its parameters and provenance gathered."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import PACKAGES, git_commit, version_of
from toolkit.figures.classes import class_counts_figure
from toolkit.figures.confusion import confusion_figure
from toolkit.figures.curves import curves_figure
from toolkit.figures.maps import class_map
from toolkit.figures.style import png, svg
from toolkit.ground_truth.cleaning_report import CleaningReport
from toolkit.learning.callbacks import read_history
from toolkit.series.sensors import series_of
from toolkit.series.timeseries import SeriesParams
from toolkit.validation.metrics import Assessment
from toolkit.validation.report import Picture, Report, write_report


def report_validation(experiment: Experiment, found: Mapping[str, Assessment]) -> None:
    """Write `validation/report.html`.

    Args:
        found: role -> assessment: `test`, and where there are such `left_out` and `postprocessed`.
    """
    folder = RunFolder(experiment.folder)
    cleaning = folder.cleaning_report
    report = Report(
        name=experiment.name,
        assessment=found["test"],
        left_out=found.get("left_out"),
        postprocessed=found.get("postprocessed"),
        nomenclature=experiment.nomenclature,
        pictures=_pictures(experiment, folder, found),
        parameters=experiment.to_yaml(),
        cleaning=CleaningReport.from_json(cleaning.read_text(encoding="utf-8")) if cleaning.exists() else None,
        provenance=_provenance(experiment),
    )
    write_report(folder.report, report)


def _pictures(experiment: Experiment, folder: RunFolder, found: Mapping[str, Assessment]) -> list[Picture]:
    names = experiment.nomenclature
    rows = pd.read_csv(folder.class_counts).to_dict("records")
    confusion = {
        "test": "Confusion matrix",
        "left_out": "Confusion matrix of what was left out",
        "postprocessed": "Confusion matrix of the post-processed map",
        "postprocessed_left_out": "Confusion matrix of the post-processed map, of what was left out",
    }
    maps = {"Map": folder.map()} | ({"Map, post-processed": folder.postprocessed} if "postprocessed" in found else {})
    return [
        *(
            Picture(title, png(class_map(path, names, attribution=attribution(experiment))))
            for title, path in maps.items()
        ),
        *(
            Picture(
                confusion[role],
                svg(confusion_figure(one.matrix, names)),
                "Percent of each row's reference pixels; a dot is less than 1 %.",
            )
            for role, one in found.items()
        ),
        Picture(
            "Training",
            svg(curves_figure(read_history(folder.history), experiment.learning.select_column)),
            "Valid samples watch the training; the test polygons never do.",
        ),
        Picture("Samples", svg(class_counts_figure(rows, names)), "Pixels drawn for training, by class."),
    ]


def attribution(experiment: Experiment) -> str:
    """What the catalog says of the images, for the foot of a map."""
    series, sources = experiment.series, experiment.data.sources
    names = dict.fromkeys([series.source, *(one.source for one in series.sensors)])
    said = (sources[name].metadata.category for name in names if name in sources)
    return "; ".join(dict.fromkeys(filter(None, said)))


def _provenance(experiment: Experiment) -> dict[str, str]:
    series = experiment.series
    return {
        "tiles": ", ".join(series.tiles),
        "period": _period(series),
        **{f"sensor {one.name}": _period(series_of(one, series)) for one in series.sensors},
        "seed": str(experiment.seed),
        "toolkit": version_of("landcover-toolkit"),
        "commit": git_commit() or "installed without one",
        "packages": ", ".join(f"{name} {version_of(name)}" for name in PACKAGES),
    }


def _period(series: SeriesParams) -> str:
    return "; ".join(f"{start} to {end}, every {step} days" for start, end, step in series.periods)
