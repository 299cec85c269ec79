"""Several models as one, by the mean of their probabilities: images are read and features computed once for all.

Networks of other seeds err at other pixels, so that the mean errs less than most of them (Lakshminarayanan et al.,
2017, "Simple and scalable predictive uncertainty estimation using deep ensembles").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from toolkit.ground.errors import ModelError, ParameterError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.checkpoint import Model
from toolkit.learning.outputs import CLASS, outputs_of
from toolkit.series.matrix import PLAIN, MatrixForm


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Models of the same classes and features; to a map it is what one `Model` is."""

    members: tuple[Model, ...]

    def __post_init__(self) -> None:
        """Hold the classes of all against those of the first.

        Raises:
            ModelError: they differ.
        """
        for place, one in enumerate(self.members[1:], start=2):
            if one.nomenclature.classes != self.nomenclature.classes:
                raise ModelError(
                    f"model {place} of the ensemble has other classes ({one.nomenclature.name}) than the first "
                    f"({self.nomenclature.name}); take models of the same nomenclature"
                )

    @property
    def nomenclature(self) -> Nomenclature:
        """The classes of all members."""
        return self.members[0].nomenclature

    def check_features(
        self, names: Sequence[str], place: str = "the feature stack", definitions: Mapping[str, str] | None = None
    ) -> None:
        """As `Model.check_features`, of every member.

        Raises:
            ModelError: they differ from one's.
        """
        for one in self.members:
            one.check_features(names, place, definitions)

    def form(self, *, bfloat16: bool = False) -> MatrixForm:
        """Features as they are: each member standardises them by itself.

        Raises:
            ParameterError: bfloat16 is wanted.
        """
        if bfloat16:
            raise ParameterError("the models of an ensemble each standardise features by themselves, in float32")
        return PLAIN

    def predict(self, features: np.ndarray, *, standardised: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """As `Model.predict`."""
        found = self.predict_outputs(features, (CLASS, "confidence"), standardised=standardised)
        return found[CLASS], found["confidence"]

    def predict_outputs(
        self, features: np.ndarray, wanted: Collection[str], *, standardised: bool = False
    ) -> dict[str, np.ndarray]:
        """As `Model.predict_outputs`, of the mean probabilities."""
        mean = torch.from_numpy(self.predict_probabilities(features, standardised=standardised))
        found = {name: value.numpy() for name, value in outputs_of(mean.log_(), wanted).items()}
        return {name: self.nomenclature.codes[one] if name == CLASS else one for name, one in found.items()}

    def predict_probabilities(self, features: np.ndarray, *, standardised: bool = False) -> np.ndarray:
        """The mean of the members' probabilities, each calibrated by its own temperature: (class, pixel) float32."""
        total = self.members[0].predict_probabilities(features, standardised=standardised)
        for one in self.members[1:]:
            total += one.predict_probabilities(features, standardised=standardised)
        total /= len(self.members)
        return total


AnyModel = Model | Ensemble
"""What classifies pixels."""
