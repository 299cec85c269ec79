"""How a network is trained, as parameters: what `training`, `fitting` and the callbacks obey."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import field_validator

from toolkit.ground.params import Params, param
from toolkit.learning.devices import DeviceName
from toolkit.learning.models import MlpParams, NetworkChoice, TreeParams

Criterion = Literal["f_score", "oa", "kappa", "loss"]
OptimizerName = Literal["adam", "adamw", "sgd"]


class LearningParams(Params):
    """How the network is trained."""

    network: NetworkChoice = param(MlpParams(), "The network and its parameters.")
    epochs: int = param(200, "Passes over the train samples.", unit="epochs", ge=1)
    batch_size: int = param(4096, "Samples between two updates of the weights.", unit="samples", ge=1, log=(16, 65_536))
    optimizer: OptimizerName = param(
        "adam",
        "How the weights are updated: adam; adamw, which also draws them towards zero (weight decay 0.01); or sgd, "
        "plain descent with momentum 0.9, which needs a learning rate about a hundred times larger.",
    )
    learning_rate: float = param(1e-5, "Step size of the optimiser.", gt=0, log=(1e-6, 0.1))
    valid_ratio: float = param(0.2, "Share of each class set apart to watch the training.", gt=0, lt=1)
    valid_by: Literal["polygon", "sample"] = param(
        "polygon",
        "What is set apart: whole polygons, or samples of any polygon (the way of iota2: metrics during training are "
        "then too good, for neighbours of the train samples are among them).",
    )
    select_by: Criterion = param("f_score", "Metric on the valid samples by which the best epoch is kept.")
    weighted_classes: bool = param(False, "Weigh each class by the inverse of its number of train samples.")
    threads: int | None = param(
        None, "Threads to train with. Empty: one for batches below 2048 samples, else one a core.", unit="threads", ge=1
    )
    device: DeviceName = param("auto", "Where to train: auto takes a GPU where there is one.")

    @field_validator("network", mode="before")
    @classmethod
    def _usual_or_own(cls, section: Any) -> Any:
        """A section that names no network is of the usual one; a name with a file is that of a person's own."""
        if not isinstance(section, Mapping):
            return section
        name = section.get("name", MlpParams().name)
        if "file" in section and "network" not in section and name != "own":
            return {**section, "name": "own", "network": name}
        return {"name": name, **section}

    @property
    def as_trained(self) -> LearningParams:
        """These; of trees with a single epoch, for they grow once."""
        return self.model_copy(update={"epochs": 1}) if isinstance(self.network, TreeParams) else self

    @property
    def select_column(self) -> str:
        """The column of the history that `select_by` means."""
        return "valid_loss" if self.select_by == "loss" else self.select_by
