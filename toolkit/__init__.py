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

from toolkit.ground.first_use import loaded_on_first_use

__version__ = "0.1.0"

_HOME = {
    "Catalog": "products.catalog",
    "Experiment": "experiment.config",
    "GroundTruth": "ground_truth.polygons",
    "Job": "experiment.jobs",
    "LandcoverError": "ground.errors",
    "Nomenclature": "ground.nomenclature",
    "apply_model": "experiment.recipes",
    "classify": "experiment.verbs",
    "clean": "experiment.verbs",
    "cross_validate": "experiment.crossval",
    "demo": "demo",
    "external_feature": "features.external",
    "figures": "figures",
    "fuse": "experiment.fusing",
    "mosaic": "experiment.verbs",
    "network": "learning.models.own",
    "networks": "experiment.network_list",
    "plan": "experiment.plan",
    "postprocess": "experiment.map_products",
    "prepare": "experiment.preparing",
    "run": "experiment.verbs",
    "sample": "experiment.verbs",
    "train": "experiment.verbs",
    "tune": "experiment.tuning",
    "validate": "experiment.verbs",
    "vectorise": "experiment.map_products",
    "widgets": "widgets",
}

__all__ = sorted(_HOME)


__getattr__ = loaded_on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
