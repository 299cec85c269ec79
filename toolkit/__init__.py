"""Land-cover maps from satellite time series, in notebooks.

    from toolkit import Experiment, clean, sample, train, classify, mosaic, validate, widgets

    experiment = Experiment.load("experiment.yml")
    clean(experiment); sample(experiment)
    train(experiment, callbacks=[widgets.LiveCurves()])
    classify(experiment); mosaic(experiment)
    validate(experiment)

Names are loaded on first use, so that importing the package is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Catalog": "toolkit.products.catalog",
    "Experiment": "toolkit.experiment.config",
    "GroundTruth": "toolkit.ground_truth.polygons",
    "Job": "toolkit.experiment.jobs",
    "Nomenclature": "toolkit.ground.nomenclature",
    "classify": "toolkit.experiment.verbs",
    "clean": "toolkit.experiment.verbs",
    "cross_validate": "toolkit.experiment.crossval",
    "demo": "toolkit.demo",
    "external_feature": "toolkit.features.external",
    "figures": "toolkit.figures",
    "mosaic": "toolkit.experiment.verbs",
    "run": "toolkit.experiment.verbs",
    "sample": "toolkit.experiment.verbs",
    "train": "toolkit.experiment.verbs",
    "validate": "toolkit.experiment.verbs",
    "widgets": "toolkit.widgets",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
    module = import_module(_HOME[name])
    return module if _HOME[name] == f"toolkit.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
