"""`@network`: a network that a person writes as an `nn.Module` in a file of their own.

    @network
    class Mine(nn.Module):
        def __init__(self, inputs, n_classes, *, width: int = 64, dropout: float = param(0.1, "Share.", ge=0, lt=1)):
            super().__init__()
            ...

        def forward(self, features):  # float32 (sample, feature), standardised
            ...
            return logits             # (sample, class)

In the experiment it stands as `network: {name: mine, file: my_networks.py, params: {width: 32}}`. The file is imported
when a verb or a form needs the network, and only then. A model holds its weights and the hash of the file, never the
code: to load it, the same file must be named again.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, Literal, TypeVar

import torch
from pydantic import PrivateAttr
from torch import nn

from toolkit.ground.code_files import SourceFile, place_of
from toolkit.ground.errors import LandcoverError, NetworkError, ParameterError, did_you_mean
from toolkit.ground.params import Params, build, param
from toolkit.ground.signatures import Values, annotations_of, params_of
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models.columns import chunk_of
from toolkit.learning.models.registry import NetworkParams, register

ModuleT = TypeVar("ModuleT", bound=type[nn.Module])

DECLARED = "_landcover_params"
"""Attribute of a declared class that holds the model of its parameters."""


class OwnParams(NetworkParams):
    """A network of a person's own, and its parameters."""

    name: Literal["own"] = param("own", "Your own: an nn.Module in a Python file, declared by @network.")
    network: str | None = param(None, "Name of the class, as it is or in small letters: MyNet or my_net.")
    file: str | None = param(None, "Python file that the class is in, relative to the experiment file.")
    params: Values = param({}, "Its parameters.")

    _code: SourceFile | None = PrivateAttr(None)

    def with_code(self, source: SourceFile) -> OwnParams:
        """The same with the file as it was read, by which the network can be made, on any worker."""
        read = self.model_copy()
        read._code = source
        return read

    @property
    def code(self) -> SourceFile:
        """The file as it was read.

        Raises:
            ParameterError: it was not.
        """
        if self._code is None:
            raise ParameterError(
                f"network {self.network} is code of {self.file}, which was not read: take the parameters from "
                "`experiment.learning_with_code`, or name the file to `Model.load`"
            )
        return self._code

    @property
    def declared(self) -> type[nn.Module]:
        """The class; the file is imported for it.

        Raises:
            NetworkError: the file cannot be imported, or has no such network.
        """
        found = own_networks(self.code)
        if self.network in found:
            return found[self.network]
        raise NetworkError(
            f"{self.code.path} has no network {self.network!r}{did_you_mean(self.network or '', found)}; a class is "
            "one when @network stands above it"
        )

    @property
    def values(self) -> Params:
        """All its parameters.

        Raises:
            ParameterError: one is not accepted. NetworkError: as `declared`.
        """
        return build(self.declared_params, self.params, f"learning.network, {self}")

    @property
    def declared_params(self) -> type[Params]:
        """The declaration of its parameters.

        Raises:
            NetworkError: as `declared`.
        """
        found: type[Params] = getattr(self.declared, DECLARED)
        return found

    def __str__(self) -> str:
        return f"{self.network} of {self.file}"


def network(cls: ModuleT) -> ModuleT:
    """Declare a class as a network that an experiment can name.

    Its constructor takes `inputs` (an `InputLayout`, which tells what the columns are) and the number of classes, then
    its parameters, each with an annotation; `param` adds help and bounds.

    Raises:
        NetworkError: the declaration is not complete.
    """
    name = getattr(cls, "__name__", repr(cls))
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise NetworkError(f"{name} is no torch.nn.Module; @network stands above a class that is one")
    constructor: Any = cls.__init__
    given = list(inspect.signature(constructor).parameters.values())[1:]
    if len(given) < 2 or any(one.kind is not one.POSITIONAL_OR_KEYWORD for one in given[:2]):
        raise NetworkError(f"{name}: its constructor is __init__(self, inputs, n_classes, *, width: int = 64, …)")
    hints = annotations_of(constructor, name, NetworkError)
    setattr(cls, DECLARED, params_of(given[2:], hints, name, NetworkError))
    return cls


def meaning_of(cls: type[nn.Module]) -> str:
    """The first line of the docstring of a class; empty where it has none of its own."""
    return inspect.cleandoc(vars(cls).get("__doc__") or "").partition("\n")[0]


def own_networks(source: SourceFile) -> dict[str, type[nn.Module]]:
    """The networks that a file declares, by the name of the class, and by that in small letters.

    Raises:
        NetworkError: the file cannot be imported.
    """
    members = source.members(NetworkError).items()
    found = {name: one for name, one in members if isinstance(one, type) and DECLARED in vars(one)}
    return {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower(): one for name, one in found.items()} | found


@register(OwnParams)
class OwnNetwork(nn.Module):
    """A person's network, watched: what fails in it is told with its own line, and its logits are looked at."""

    def __init__(self, params: OwnParams, inputs: InputLayout, n_classes: int) -> None:
        super().__init__()
        declared, values = params.declared, params.values
        self.params, self.n_classes = params, n_classes
        named = {one: getattr(values, one) for one in type(values).model_fields}
        try:
            self.network = declared(inputs, n_classes, **named)
        except LandcoverError:
            raise
        except Exception as error:
            raise self._told(error) from error
        self.chunk = chunk_of(self.network)
        if not any(weights.requires_grad for weights in self.network.parameters()):
            raise NetworkError(f"network {params} has no weight that could be learnt; make one in its constructor")

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        try:
            logits = self.network(features)
        except LandcoverError:
            raise
        except Exception as error:
            raise self._told(error) from error
        wanted = (len(features), self.n_classes)
        if not isinstance(logits, torch.Tensor) or logits.shape != wanted or not logits.is_floating_point():
            got = f"{logits.dtype} of shape {tuple(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits)
            raise NetworkError(
                f"network {self.params} gives {got}; logits, numbers of shape (sample, class) = {wanted}, are needed"
            )
        return logits

    def _told(self, error: Exception) -> NetworkError:
        return NetworkError(f"network {self.params}: {place_of(error, self.params.code.path)}")
