"""The networks, one a file. `@network` registers one, `build_network` makes one from its parameters.

`network_behind` makes one as it is trained, behind the interpolator that the experiment chooses.
"""

from __future__ import annotations

from toolkit.learning.models.interpolator import (
    NO_INTERPOLATOR,
    AttentionInterpolator,
    AttentionParams,
    InterpolatorChoice,
    inputs_behind,
    interpolator_params,
    network_behind,
)
from toolkit.learning.models.mlp import Mlp, MlpParams
from toolkit.learning.models.registry import (
    NetworkParams,
    build_network,
    known_networks,
    network,
    network_params,
)

__all__ = [
    "NO_INTERPOLATOR",
    "AttentionInterpolator",
    "AttentionParams",
    "InterpolatorChoice",
    "Mlp",
    "MlpParams",
    "NetworkParams",
    "build_network",
    "inputs_behind",
    "interpolator_params",
    "known_networks",
    "network",
    "network_behind",
    "network_params",
]
