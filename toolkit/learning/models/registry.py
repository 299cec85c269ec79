"""The registry of the networks that ship. (One of a person's own is declared by `@network`: see `own`.)

A network is an `nn.Module` made as `Network(params, inputs, n_classes)`; it takes float32 of shape
(sample, feature), whose columns `inputs` tells of, and gives logits of shape (sample, class). One that reads series in
time begins with `inputs.series(features)`. Its parameters are a `NetworkParams` whose `name` is a `Literal` with a
default:

    class TinyParams(NetworkParams):
        name: Literal["tiny"] = "tiny"
        width: int = param(8, "Neurons of the hidden layer.", ge=1)

    @register(TinyParams)
    class Tiny(nn.Module):
        def __init__(self, params: TinyParams, inputs: InputLayout, n_classes: int) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from toolkit.ground.errors import ParameterError, did_you_mean
from toolkit.ground.params import Params, build
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models.sensors import SensorNetwork
from toolkit.learning.models.series import SeriesNetwork

NetworkT = TypeVar("NetworkT", bound=type[nn.Module])


class NetworkParams(Params):
    """Base of the parameters of a network."""

    name: str


_NETWORKS: dict[str, tuple[type[NetworkParams], type[nn.Module]]] = {}


def register(params_model: type[NetworkParams]) -> Callable[[NetworkT], NetworkT]:
    """Register a network under the name which its parameters carry. The same class may register again.

    Raises:
        ParameterError: the name belongs to another network, or the parameters have no default name.
    """
    name = params_model.model_fields["name"].default
    if not isinstance(name, str):
        raise ParameterError(f'{params_model.__name__} has no name: declare `name: Literal["mine"] = "mine"`')

    def enter(cls: NetworkT) -> NetworkT:
        owner = _NETWORKS[name][1] if name in _NETWORKS else cls
        if (owner.__module__, owner.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ParameterError(
                f"network {name} is already {owner.__module__}.{owner.__qualname__}; choose another name"
            )
        _NETWORKS[name] = (params_model, cls)
        return cls

    return enter


def known_networks() -> tuple[str, ...]:
    """Names of the registered networks, sorted."""
    return tuple(sorted(_NETWORKS))


def network_params(data: Mapping[str, Any], place: str) -> NetworkParams:
    """The parameters of a registered network from plain data with a `name`.

    Raises:
        ParameterError: an unknown network, or a parameter that it does not take.
    """
    return build(_entry(str(data.get("name")), place)[0], data, place)


def build_network(params: NetworkParams, inputs: InputLayout, n_classes: int) -> nn.Module:
    """A new network on the CPU, its weights drawn from torch's global generator.

    One that reads series has an encoder for each sensor of its inputs.

    Raises:
        ParameterError: no network of this name is registered, or it cannot read such inputs.
    """
    network = _entry(params.name, "network")[1]
    if issubclass(network, SeriesNetwork) and len(inputs.sensors) > 1:
        return SensorNetwork(network, params, inputs, n_classes)
    return network(params, inputs, n_classes)


def _entry(name: str, place: str) -> tuple[type[NetworkParams], type[nn.Module]]:
    if name not in _NETWORKS:
        raise ParameterError(f"{place}: network {name!r} is not known{did_you_mean(name, _NETWORKS)}")
    return _NETWORKS[name]
