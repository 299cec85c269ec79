"""Widgets for notebooks: panels that edit an experiment or look at its results. Each is loaded on first use.

    widgets.form(experiment, "learning")                       a form for any section
    widgets.TilesPanel, FeaturesPanel, SamplingPanel, NetworkPanel     what the form of a section cannot show
    widgets.MappingPanel(experiment)                           what classifying takes, its run, its blocks as they come
    widgets.TuningPanel(experiment)                            tries settings of the learning, applies the best
    widgets.RunPanel(experiment)                               runs steps beside the kernel, attaches to what runs
    train(experiment, callbacks=[widgets.LiveCurves()])        curves that grow
    widgets.ClassMap(experiment)                               the map, swiped, compared, clicked
    widgets.ResultPanel(experiment)                            how good the map is
    widgets.PixelInspector(experiment)                         one pixel: class, probabilities, series
    widgets.Workbench(experiment)                              all of it on one page

Widgets hold no state of their own, and no verb reads one: all of this works without a click, and without a display.
"""

from __future__ import annotations

from toolkit.ground.first_use import loaded_on_first_use

_HOME = {
    "ClassMap": "maps",
    "ExperimentBar": "form_tools",
    "FeaturesPanel": "features_panel",
    "Form": "forms",
    "LiveCurves": "live",
    "MappingPanel": "mapping_panel",
    "NetworkPanel": "network_panel",
    "PixelInspector": "inspector",
    "ResultPanel": "result_panel",
    "RunPanel": "run_panel",
    "SamplingPanel": "sampling_panel",
    "TilesPanel": "tiles_panel",
    "TuningPanel": "tuning_panel",
    "Workbench": "workbench",
    "form": "forms",
}

__all__ = sorted(_HOME)


__getattr__ = loaded_on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
