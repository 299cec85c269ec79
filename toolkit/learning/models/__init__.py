"""The networks, one a file. `@register` registers one, `build_network` makes one from its parameters.

`network_behind` makes one as it is trained, behind the interpolator that the experiment chooses.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from toolkit.learning.models.gradient_boosting import GradientBoosting, GradientBoostingParams
from toolkit.learning.models.inceptiontime import InceptionTimeParams
from toolkit.learning.models.interpolator import (
    NO_INTERPOLATOR,
    AttentionInterpolator,
    AttentionParams,
    InterpolatorChoice,
    inputs_behind,
    interpolator_params,
    network_behind,
)
from toolkit.learning.models.ltae import LtaeParams
from toolkit.learning.models.mlp import Mlp, MlpParams
from toolkit.learning.models.own import OwnParams, network
from toolkit.learning.models.random_forest import RandomForest, RandomForestParams
from toolkit.learning.models.recurrent import GruParams
from toolkit.learning.models.registry import (
    NetworkParams,
    build_network,
    known_networks,
    network_params,
    register,
)
from toolkit.learning.models.tempcnn import TempCnnParams
from toolkit.learning.models.transformer import TransformerParams
from toolkit.learning.models.trees import TreeParams

NetworkChoice = Annotated[
    MlpParams
    | TempCnnParams
    | InceptionTimeParams
    | LtaeParams
    | TransformerParams
    | GruParams
    | RandomForestParams
    | GradientBoostingParams
    | OwnParams,
    Field(discriminator="name"),
]
"""The parameters of one network, told apart by its name."""

__all__ = [
    "NO_INTERPOLATOR",
    "AttentionInterpolator",
    "AttentionParams",
    "GradientBoosting",
    "GradientBoostingParams",
    "GruParams",
    "InceptionTimeParams",
    "InterpolatorChoice",
    "LtaeParams",
    "Mlp",
    "MlpParams",
    "NetworkChoice",
    "NetworkParams",
    "OwnParams",
    "RandomForest",
    "RandomForestParams",
    "TempCnnParams",
    "TransformerParams",
    "TreeParams",
    "build_network",
    "inputs_behind",
    "interpolator_params",
    "known_networks",
    "network",
    "network_behind",
    "network_params",
    "register",
]
