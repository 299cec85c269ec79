"""How a network is trained, as parameters: what `training`, `fitting` and the callbacks obey."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import field_validator

from toolkit.ground.params import Params, param
from toolkit.learning.criteria import Criterion, column_of
from toolkit.learning.devices import DeviceName
from toolkit.learning.early_stop import EarlyStopParams
from toolkit.learning.losses import LossParams
from toolkit.learning.models import NO_INTERPOLATOR, InterpolatorChoice, MlpParams, NetworkChoice, TreeParams
from toolkit.learning.precision import Precision
from toolkit.learning.schedule import ScheduleParams
from toolkit.learning.tries import TriesParams
from toolkit.learning.updates import OptimizerName, UpdateParams


class LearningParams(Params):
    """How the network is trained."""

    network: NetworkChoice = param(MlpParams(), "The network and its parameters.")
    interpolator: InterpolatorChoice = param(
        NO_INTERPOLATOR,
        "What stands before the network: none, or attention, which learns with it to make a regular series of "
        "irregular dates, so that any network takes features.representation: raw.",
    )
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
    weight_power: float = param(
        1.0,
        "Of weighted classes: 1 weighs by the inverse of the number of samples, 0.5 by that of its root, which gains "
        "on small classes and loses less on large ones.",
        gt=0,
        le=1,
    )
    loss: LossParams = param(LossParams(), "What is minimised.")
    schedule: ScheduleParams = param(ScheduleParams(), "The learning rate over the training.")
    updates: UpdateParams = param(UpdateParams(), "What stands between a batch and the weights.")
    early_stop: EarlyStopParams = param(EarlyStopParams(), "Ending a training before its last epoch.")
    tries: TriesParams = param(TriesParams(), "Several trainings in one call; the best one is kept.")
    tensorboard: bool = param(
        False, "Write event files for TensorBoard into learning/tensorboard, from the next epoch that is trained."
    )
    calibrate: bool = param(
        True,
        "After the last epoch, scale the confidence on the valid samples, so that of pixels with confidence 80 about "
        "80 % are right; the classes stay as they are.",
    )
    start_from: str | None = param(
        None,
        "Folder of a trained model, such as runs/other/learning, whose weights and normalisation to begin with. A path "
        "from the experiment file. Empty: random weights.",
    )
    statistics_share: float = param(
        1.0, "Share of the train samples from which mean and deviation of each feature are computed.", gt=0, le=1
    )
    threads: int | None = param(
        None, "Threads to train with. Empty: one for batches below 2048 samples, else one a core.", unit="threads", ge=1
    )
    probe_threads: bool = param(
        False,
        "Where threads is empty: choose them by a trial of a fraction of a second. Bits may differ from run to run.",
    )
    precision: Precision = param(
        "float32",
        "Of the arithmetic: float32; bfloat16, for matrix products only, faster on processors and GPUs made for it and "
        "ten times slower on others; auto, the faster one by a trial, so that bits may differ from run to run.",
    )
    device: DeviceName = param("auto", "Where to train: auto takes a GPU where there is one.")
    processes: int = param(
        1, "Processes that share each batch, each on a GPU of its own where there are several.", unit="processes", ge=1
    )
    memory_gb: float | None = param(
        None,
        "Memory that the samples may take; more are read from disk while training. Empty: half of the machine's.",
        unit="GB",
        gt=0,
    )

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
        """These; of trees without what means nothing to them, which grow once, here, from samples in memory."""
        if not isinstance(self.network, TreeParams):
            return self
        once = {"epochs": 1, "processes": 1, "precision": "float32", "probe_threads": False, "start_from": None}
        return self.model_copy(update={**once, "tries": TriesParams(seeds=self.tries.seeds)})

    @property
    def select_column(self) -> str:
        """The column of the history that `select_by` means."""
        return column_of(self.select_by)
