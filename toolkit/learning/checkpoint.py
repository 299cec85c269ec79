"""The travel document from training to map: a folder with `weights.safetensors` and `model.json`.

It holds the network and its parameters, its weights, the names of the features in order, their normalisation, the
nomenclature, the time grid, the versions of the software, the seed, the best epoch with its metrics, and the
temperature of its confidence. Nothing in it is code, and nothing is loaded with pickle.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from toolkit.ground.errors import ModelError, ParameterError
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.ground.writing import aside, write_text
from toolkit.learning.batches import Standardiser
from toolkit.learning.devices import DeviceName, choose_device
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import NetworkParams, build_network, network_params
from toolkit.learning.models.columns import for_maps

WEIGHTS, DOCUMENT = "weights.safetensors", "model.json"
FORMAT = 1
PIXELS = 4096
"""Pixels that go through the network at once."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with all that is needed to classify pixels."""

    params: NetworkParams
    weights: dict[str, torch.Tensor]
    """Weights of the network by their names, on the CPU."""
    standardiser: Standardiser
    feature_names: tuple[str, ...]
    """In the order of the network's input."""
    nomenclature: Nomenclature
    """Its classes in the order of the network's output."""
    dates: np.ndarray
    """Time grid, datetime64[D] of shape (date,)."""
    seed: int
    best: dict[str, Any]
    """`epoch` of the weights, and the metrics of that epoch on the valid samples."""
    definitions: dict[str, str] = field(default_factory=dict)
    """What the features are (unit, formula, function), in words; empty in models of earlier versions."""
    temperature: float = 1.0
    """What the logits are divided by, so that confidence means what it says: see `calibration`."""
    versions: dict[str, str] = field(default_factory=lambda: software_versions())
    device: torch.device = field(default_factory=lambda: torch.device("cpu"), repr=False)

    @classmethod
    def load(cls, folder: Path, *, device: DeviceName = "cpu") -> Model:
        """Read a model.

        Raises:
            ModelError: a file is absent, damaged, or of another version of the toolkit.
        """
        folder = _present(Path(folder))
        try:
            document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
            data = (folder / WEIGHTS).read_bytes()
        except OSError as error:
            raise ModelError(f"{error.filename}: {error.strerror}; train the model, or copy its folder whole") from None
        except ValueError as error:
            raise _damaged(folder / DOCUMENT, error) from None
        try:
            model = cls._of(document, data, choose_device(device))
            _ = model._network  # weights that do not fit the network are found here, not at the first pixel
            return model
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise _damaged(folder, error) from None
        except ParameterError as error:
            raise ModelError(f"{folder / DOCUMENT}: {error}; use the version of the toolkit that trained it") from None

    def save(self, folder: Path) -> None:
        """Write the model; the folder appears whole, or is left as it was.

        Raises:
            RunFolderError: it cannot be written.
        """
        data = safetensors.torch.save(self._tensors())
        part, before = folder.with_name(f".{folder.name}.part"), _previous(folder)
        with aside(part / WEIGHTS) as path:
            path.write_bytes(data)
        write_text(part / DOCUMENT, self._document(data))
        if folder.exists():
            shutil.rmtree(before, ignore_errors=True)
            folder.replace(before)
        part.replace(folder)
        shutil.rmtree(before, ignore_errors=True)

    def check_features(
        self,
        names: Sequence[str],
        place: str = "the feature stack",
        definitions: Mapping[str, str] | None = None,
    ) -> None:
        """Hold these names, and what they mean, against the model's.

        Args:
            definitions: what the features are: see `FeatureStack.definitions`.

        Raises:
            ModelError: they differ; the message names the first that are missing, unexpected, in another place, or
                computed otherwise.
        """
        if tuple(names) == self.feature_names:
            _check_definitions(self.definitions, definitions or {}, place)
            return
        missing = [name for name in self.feature_names if name not in set(names)]
        unexpected = [name for name in names if name not in set(self.feature_names)]
        parts = [f"missing {_first(missing)}"] if missing else []
        parts += [f"unexpected {_first(unexpected)}"] if unexpected else []
        raise ModelError(
            f"{place} has {len(names)} features, the model {len(self.feature_names)}: "
            f"{'; '.join(parts) or _disorder(self.feature_names, names)}. "
            "Use the series and features of the training, or train again"
        )

    @torch.inference_mode()
    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class and confidence of pixels.

        Args:
            features: float32 of shape (feature, pixel), not standardised.

        Returns:
            Class codes, uint8 (pixel,); confidence = the largest probability, uint8 (pixel,), percent, 0 to 100.

        Raises:
            ModelError: the number of features is not the model's.
        """
        indices = np.empty(features.shape[1], dtype=np.intp)
        confidence = np.empty(features.shape[1], dtype=np.uint8)
        for pixels, logits in self._logits(features):
            largest, index = logits.max(dim=0)
            probability = logits.sub_(largest).exp_().sum(dim=0).reciprocal_()
            indices[pixels] = index.cpu().numpy()
            confidence[pixels] = probability.mul_(100).round_().to(torch.uint8).cpu().numpy()
        return self.nomenclature.codes[indices], confidence

    @torch.inference_mode()
    def predict_probabilities(self, features: np.ndarray) -> np.ndarray:
        """Probability of each class.

        Args:
            features: float32 of shape (feature, pixel), not standardised.

        Returns:
            float32 of shape (class, pixel), in the order of the nomenclature; the sum over classes is 1.

        Raises:
            ModelError: the number of features is not the model's.
        """
        result = np.empty((len(self.nomenclature), features.shape[1]), dtype=np.float32)
        for pixels, logits in self._logits(features):
            result[:, pixels] = torch.softmax(logits, dim=0).cpu().numpy()
        return result

    def _logits(self, features: np.ndarray) -> Iterator[tuple[slice, torch.Tensor]]:
        """Logits (class, pixel) of each chunk of pixels."""
        if features.ndim != 2 or len(features) != len(self.feature_names):
            raise ModelError(
                f"features of shape {features.shape} do not fit the model's ({len(self.feature_names)}, pixel); "
                "use the series and features of the training, or train again"
            )
        for start in range(0, features.shape[1], PIXELS):
            pixels = slice(start, min(start + PIXELS, features.shape[1]))
            chunk = np.require(features[:, pixels], np.float32, "W")  # torch takes no read-only memory
            logits = self._network(torch.from_numpy(chunk).to(self.device))
            yield pixels, logits if self.temperature == 1 else logits.div_(self.temperature)

    @property
    def inputs(self) -> InputLayout:
        """What the network is given."""
        return InputLayout.of(self.feature_names, self.dates)

    @cached_property
    def _network(self) -> nn.Module:
        """The network for inference, its standardisation inside."""
        network = build_network(self.params, self.inputs, len(self.nomenclature))
        network.load_state_dict(self.weights)
        mean, std = torch.from_numpy(self.standardiser.mean), torch.from_numpy(self.standardiser.std)
        return for_maps(network, mean, std).to(self.device)

    def _tensors(self) -> dict[str, torch.Tensor]:
        normalisation = {"mean": self.standardiser.mean, "std": self.standardiser.std}
        tensors = {f"normalisation.{name}": torch.from_numpy(values) for name, values in normalisation.items()}
        return tensors | {f"network.{name}": value.contiguous() for name, value in self.weights.items()}

    def _document(self, weights: bytes) -> str:
        classes = [[one.code, one.label, one.colour] for one in self.nomenclature.classes]
        document = {
            "format": FORMAT,
            "network": self.params.model_dump(mode="json"),
            "feature_names": list(self.feature_names),
            "definitions": self.definitions,
            "nomenclature": {"name": self.nomenclature.name, "classes": classes},
            "dates": np.datetime_as_string(self.dates.astype("datetime64[D]")).tolist(),
            "seed": self.seed,
            "best": self.best,
            "temperature": self.temperature,
            "versions": self.versions,
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def _of(cls, document: dict[str, Any], data: bytes, device: torch.device) -> Model:
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']}, not {FORMAT}")
        if document["weights_sha256"] != hashlib.sha256(data).hexdigest():
            raise ValueError(f"{WEIGHTS} is not the file that {DOCUMENT} was written with")
        tensors = safetensors.torch.load(data)
        classes = tuple(LandCoverClass(*one) for one in document["nomenclature"]["classes"])
        return cls(
            params=network_params(document["network"], "network"),
            weights={name[8:]: value for name, value in tensors.items() if name.startswith("network.")},
            standardiser=Standardiser(tensors["normalisation.mean"].numpy(), tensors["normalisation.std"].numpy()),
            feature_names=tuple(document["feature_names"]),
            nomenclature=Nomenclature(document["nomenclature"]["name"], classes),
            dates=np.array(document["dates"], dtype="datetime64[D]"),
            seed=document["seed"],
            best=document["best"],
            definitions=document.get("definitions", {}),
            temperature=float(document.get("temperature", 1.0)),
            versions=document["versions"],
            device=device,
        )

    def __repr__(self) -> str:
        return (
            f"Model({self.params.name}: {len(self.feature_names)} features, {len(self.nomenclature)} classes, "
            f"epoch {self.best['epoch']}, F-score {self.best['f_score']:.3f})"
        )


def _check_definitions(then: Mapping[str, str], now: Mapping[str, str], place: str) -> None:
    for name in then.keys() & now.keys():
        if then[name] != now[name]:
            raise ModelError(
                f"{place} has another {name} than the model was trained with: {now[name]}; it was {then[name]}. "
                "Use the features of the training, or train again"
            )


def software_versions() -> dict[str, str]:
    """Versions of what a model depends on."""
    versions = {"python": platform.python_version()}
    for package in ("landcover-toolkit", "torch", "numpy", "safetensors"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # a checkout that is not installed
            continue
    return versions


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def _present(folder: Path) -> Path:
    """The folder, or the one before it where a save was killed between its two renames."""
    return _previous(folder) if not folder.exists() and _previous(folder).exists() else folder


def _damaged(path: Path, error: Exception) -> ModelError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ModelError(f"{path} is damaged or not a model ({reason}); copy the folder again, or train again")


def _first(names: Sequence[str], count: int = 3) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _disorder(expected: Sequence[str], names: Sequence[str]) -> str:
    if len(names) != len(expected):
        return "some stand twice"
    at = next(i for i, (one, other) in enumerate(zip(expected, names, strict=True)) if one != other)
    return f"same names in another order, feature {at + 1} is {names[at]} instead of {expected[at]}"
