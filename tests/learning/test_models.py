"""The registry of networks, the published MLP, and the form of a network for maps."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import nn

from toolkit.ground.errors import ParameterError
from toolkit.ground.params import build, param
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import (
    Mlp,
    MlpParams,
    NetworkParams,
    build_network,
    known_networks,
    network_params,
    register,
)
from toolkit.learning.models.columns import Columnwise, Transposed, for_maps
from toolkit.learning.parameters import LearningParams


def widths(net: nn.Module) -> list[int]:
    linear = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    return [linear[0].in_features, *(layer.out_features for layer in linear)]


def test_published_network() -> None:
    net = build_network(MlpParams(), InputLayout.unnamed(481), 23)
    assert widths(net) == [481, 240, 69, 69, 23]
    assert sum(weights.numel() for weights in net.parameters()) == 138_749
    kinds = [type(layer) for layer in net.layers]  # type: ignore[union-attr]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]


def test_rule_follows_features_and_classes() -> None:
    assert widths(build_network(MlpParams(), InputLayout.unnamed(100), 5)) == [100, 50, 15, 15, 5]
    assert widths(build_network(MlpParams(), InputLayout.unnamed(1), 2)) == [1, 1, 6, 6, 2]


def test_chosen_widths() -> None:
    assert widths(build_network(MlpParams(hidden=(7, 3)), InputLayout.unnamed(10), 4)) == [10, 7, 3, 4]
    assert widths(build_network(MlpParams(hidden=()), InputLayout.unnamed(10), 4)) == [10, 4]


def test_dropout_and_batch_norm_stand_between_the_layers() -> None:
    net = build_network(MlpParams(hidden=(6,), dropout=0.5, batch_norm=True), InputLayout.unnamed(10), 4)
    kinds = [type(layer) for layer in net.layers]  # type: ignore[union-attr]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout, nn.Linear]


@pytest.mark.parametrize("wrong", [{"hidden": [0]}, {"dropout": 1.0}, {"hiden": [3]}, {"dropout": -0.1}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=f"network.{next(iter(wrong))}"):
        build(LearningParams, {"network": {"name": "mlp", **wrong}}, "experiment.yml")


def test_parameters_survive_json() -> None:
    params = MlpParams(hidden=(5, 4), dropout=0.2)
    assert network_params(params.model_dump(mode="json"), "here") == params


def test_unknown_network_is_named() -> None:
    with pytest.raises(ParameterError, match=r"model\.json: network 'mpl' is not known; did you mean 'mlp'"):
        network_params({"name": "mpl"}, "model.json")


def test_a_network_registers_with_its_parameters(registered: dict[str, Any]) -> None:
    class TinyParams(NetworkParams):
        name: Literal["tiny"] = "tiny"
        width: int = param(3, "Width.", ge=1)

    @register(TinyParams)
    class Tiny(nn.Module):
        def __init__(self, params: TinyParams, inputs: InputLayout, n_classes: int) -> None:
            super().__init__()
            self.shape = (inputs.width, params.width, n_classes)

    assert "tiny" in known_networks()
    built = build_network(network_params({"name": "tiny", "width": 4}, "here"), InputLayout.unnamed(10), 2)
    assert isinstance(built, Tiny)
    assert built.shape == (10, 4, 2)
    register(TinyParams)(Tiny)  # a cell that runs again


def test_a_name_is_not_taken_from_another_network(registered: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=r"network mlp is already .*Mlp; choose another name"):
        register(MlpParams)(nn.Identity)


def test_parameters_without_a_name_do_not_register() -> None:
    class Nameless(NetworkParams):
        pass

    with pytest.raises(ParameterError, match="Nameless has no name"):
        register(Nameless)


@pytest.mark.parametrize(
    "params",
    [
        MlpParams(),
        MlpParams(hidden=()),
        MlpParams(hidden=(16, 8), batch_norm=True),
        MlpParams(hidden=(16,), dropout=0.4),
    ],
)
def test_form_for_maps_equals_standardise_then_network(params: MlpParams) -> None:
    torch.manual_seed(0)
    net = build_network(params, InputLayout.unnamed(30), 5)
    features = 3000 + 800 * torch.randn(200, 30)
    mean, std = features.double().mean(0), features.double().std(0)
    net.train()
    net((features - mean.float()) / std.float())  # statistics of the batch normalisation that are not 0 and 1
    net.eval()
    expected = net(((features.double() - mean) / std).float())
    columns = for_maps(net, mean, std)
    assert isinstance(net, Columnwise)
    assert not isinstance(columns, Transposed)
    torch.testing.assert_close(columns(features.T).T, expected, rtol=1e-4, atol=1e-4)


def test_form_for_maps_leaves_the_network_as_it_was() -> None:
    net = build_network(MlpParams(), InputLayout.unnamed(10), 3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for_maps(net, torch.full((10,), 5.0, dtype=torch.float64), torch.full((10,), 2.0, dtype=torch.float64))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(weights.requires_grad for weights in net.parameters())


def test_any_network_is_wrapped_for_maps() -> None:
    net = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    features = 100 + 10 * torch.randn(50, 6)
    mean, std = torch.full((6,), 100.0, dtype=torch.float64), torch.full((6,), 10.0, dtype=torch.float64)
    wrapped = for_maps(net, mean, std)
    assert isinstance(wrapped, Transposed)
    torch.testing.assert_close(wrapped(features.T), net((features - 100) / 10).T)


def test_mlp_is_a_plain_module() -> None:
    assert Mlp.__mro__[1] is nn.Module
