"""Widgets for notebooks: forms that edit an experiment, live curves of a training, the map of a classification.

    widgets.form(experiment, "learning")
    train(experiment, callbacks=[widgets.LiveCurves()])
    widgets.ClassMap(experiment)

Widgets edit the experiment or look at its results. They hold no state of their own, and no verb reads one.
"""

from __future__ import annotations

from toolkit.widgets.forms import Form, form
from toolkit.widgets.live import LiveCurves
from toolkit.widgets.maps import ClassMap

__all__ = ["ClassMap", "Form", "LiveCurves", "form"]
