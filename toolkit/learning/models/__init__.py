"""The networks, one a file. `@network` registers one, `build_network` makes one from its parameters."""

from __future__ import annotations

from toolkit.learning.models.mlp import Mlp, MlpParams
from toolkit.learning.models.registry import (
    NetworkParams,
    build_network,
    known_networks,
    network,
    network_params,
)

__all__ = ["Mlp", "MlpParams", "NetworkParams", "build_network", "known_networks", "network", "network_params"]
