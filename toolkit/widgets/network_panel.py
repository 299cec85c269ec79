"""`NetworkPanel`: network and training of an experiment, with what they cost beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ipywidgets as W
import pandas as pd

from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import Manifest
from toolkit.experiment.sampling_preview import shared_preview
from toolkit.experiment.stages import sample_step
from toolkit.experiment.steps import standing
from toolkit.learning.cost import Cost, network_cost, network_shape
from toolkit.learning.inputs import InputLayout
from toolkit.widgets.background import Background
from toolkit.widgets.guard import ErrorBox
from toolkit.widgets.network_facts import Known, facts_html, layers_html
from toolkit.widgets.panel import Panel
from toolkit.widgets.panel_parts import beside, forms_of


class NetworkPanel(Panel):
    """Network, optimiser, epochs, validation and selection: `NetworkPanel(experiment)`.

    Beside them the layers, the number of parameters, and the time of an epoch by a short trial in a thread.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.problem, self.unread = ErrorBox(), ErrorBox()
        self.forms = forms_of(experiment, ["learning"])
        self.layers, self.facts = W.HTML(), W.HTML()
        self._preview = shared_preview(experiment)
        self._refreshed = 0
        self._counted: tuple[Any, int, bool] = (None, 0, False)
        self._tried: tuple[Any, Cost | None] = (None, None)
        self._background = Background(self._look, lambda _: self.unread.clear(), self.unread.tell)
        super().__init__(beside([*self.forms, self.problem], [self.layers, self.facts, self.unread]))
        self.add_class("lc-panel")
        self._end_with(experiment.observe(self.problem.guard(lambda _: self._follow())), self._background.close)
        self._follow()

    def refresh(self) -> None:
        """Count the samples and time an epoch again, as after an extraction; returns at once."""
        self._refreshed += 1
        self._follow()

    def settle(self, seconds: float = 60) -> bool:
        """Wait until what is shown is that of the parameters; whether that came within `seconds`."""
        return self._background.settle(seconds)

    def _follow(self) -> None:
        self._background.ask(Experiment(self.experiment.params, self.experiment.path))

    def _look(self, experiment: Experiment) -> None:
        """In a thread: the layers at once, then the samples, then the time; what is known is not sought anew."""
        learning, stack, classes = (
            experiment.learning_with_code.as_trained,
            experiment.stack,
            len(experiment.nomenclature),
        )
        inputs = InputLayout.of(stack.names, stack.days)
        known = Known(network_shape(learning.network, inputs, classes, learning.interpolator))
        self.layers.value = layers_html(known.shape)

        refreshed = self._refreshed  # while we look it may be raised: what is found now is then not taken for new
        counted = (refreshed, experiment.path, experiment.params.model_dump(exclude={"learning", "mapping"}))
        if self._counted[0] != counted:
            self.facts.value = facts_html(known, learning)
            self._counted = (counted, *self._count(experiment))
        known = replace(known, samples=self._counted[1], extracted=self._counted[2])

        timed = learning.model_copy(update={"epochs": 1, "learning_rate": 1.0})  # neither changes the time of an epoch
        tried = (refreshed, known.samples, inputs, classes, timed)
        if self._tried[0] != tried:
            self.facts.value = facts_html(known, learning)
            train, valid = known.parts(learning.valid_ratio)
            self._tried = (tried, network_cost(learning, inputs, classes, train, valid))
        self.facts.value = facts_html(replace(known, cost=self._tried[1]), learning)

    def _count(self, experiment: Experiment) -> tuple[int, bool]:
        """Number of samples, and whether they are extracted."""
        folder = RunFolder(experiment.folder)
        state, _ = standing(experiment, sample_step(experiment), Manifest(folder.manifest).records())
        if state == "up to date":
            return int(pd.read_csv(folder.class_counts)["pixels"].sum()), True
        return int(self._preview.look().table["pixels"].sum()), False
