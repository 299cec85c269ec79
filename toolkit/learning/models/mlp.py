"""The multilayer perceptron of the published land-cover maps.

Source of the widths: the deep-learning release of the iota2 chain (CESBIO, 2022), 481-240-69-69-23 for 481 features
and 23 classes; the same network is the neural reference of Bellet et al. (2023), "Land cover classification with
Gaussian processes using spatio-spectro-temporal features", IEEE Transactions on Geoscience and Remote Sensing 61.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from toolkit.ground.errors import ParameterError
from toolkit.ground.params import param
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models.registry import NetworkParams, register


class MlpParams(NetworkParams):
    """Parameters of the multilayer perceptron."""

    name: Literal["mlp"] = param(
        "mlp", "Multilayer perceptron: all features of a pixel at once, without order in time."
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] | None = param(
        None,
        "Widths of the hidden layers. Empty: the published rule, half the features, then twice 3 times the classes.",
        unit="neurons",
    )
    dropout: float = param(0.0, "Share of the neurons of each hidden layer silenced at each step.", ge=0, lt=1)
    batch_norm: bool = param(False, "Normalise the input of each activation over the batch.")


@register(MlpParams)
class Mlp(nn.Module):
    """Linear layers with rectifiers between: (sample, feature) to logits (sample, class)."""

    def __init__(self, params: MlpParams, inputs: InputLayout, n_classes: int) -> None:
        super().__init__()
        n_features = inputs.width
        if n_features is None:
            raise ParameterError(
                "network mlp has a weight for each feature and cannot read raw dates, whose number varies; set "
                "learning.interpolator: attention, or features.representation: gap_filled, or choose a network that "
                "reads series"
            )
        hidden = published_widths(n_features, n_classes) if params.hidden is None else params.hidden
        layers: list[nn.Module] = []
        width = n_features
        for wider in hidden:
            layers.append(nn.Linear(width, wider))
            layers += [nn.BatchNorm1d(wider)] if params.batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            layers += [nn.Dropout(params.dropout)] if params.dropout else []
            width = wider
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_classes))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layers(features)

    @torch.no_grad()
    def columnwise(self, mean: torch.Tensor, std: torch.Tensor) -> nn.Module:
        """The same network for columns of pixels; normalisation of the features and of the batches is in its weights.

        Args:
            mean, std: normalisation of the features, float64 of shape (feature,).
        """
        affine: list[tuple[torch.Tensor, torch.Tensor]] = []
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                affine.append((layer.weight.double(), layer.bias.double()))
            elif isinstance(layer, nn.BatchNorm1d):
                affine[-1] = _after_batch_norm(*affine[-1], layer)
        weight, bias = affine[0]
        affine[0] = weight / std, bias - weight @ (mean / std)
        return ColumnMlp(affine)


class ColumnMlp(nn.Module):
    """Linear layers with rectifiers between: (feature, pixel) to logits (class, pixel), without a transposition."""

    def __init__(self, affine: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """
        Args:
            affine: weight (output, input) and bias (output,) of each layer.
        """
        super().__init__()
        self.weights = nn.ParameterList([weight.float() for weight, _ in affine])
        self.biases = nn.ParameterList([bias.float()[:, None] for _, bias in affine])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            features = torch.addmm(bias, weight, features)
            if layer < last:
                features = features.relu_()
        return features


def _after_batch_norm(
    weight: torch.Tensor, bias: torch.Tensor, norm: nn.BatchNorm1d
) -> tuple[torch.Tensor, torch.Tensor]:
    """The linear layer that equals this one and the batch normalisation after it, as it is once trained."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return weight * scale[:, None], (bias - norm.running_mean) * scale + norm.bias


def published_widths(n_features: int, n_classes: int) -> tuple[int, int, int]:
    """Hidden widths of the published network: n_features // 2, 3 n_classes, 3 n_classes."""
    return max(1, n_features // 2), 3 * n_classes, 3 * n_classes
