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
from collections.abc import Collection, Iterator, Mapping, Sequence
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

from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import ModelError, ParameterError
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.ground.raw_rows import RawRow
from toolkit.ground.writing import aside, write_text
from toolkit.learning.batches import Standardiser
from toolkit.learning.card import DOCUMENT
from toolkit.learning.devices import DeviceName, choose_device
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import (
    NO_INTERPOLATOR,
    InterpolatorChoice,
    NetworkParams,
    OwnParams,
    interpolator_params,
    network_behind,
    network_params,
)
from toolkit.learning.models.columns import chunk_of, for_maps
from toolkit.learning.outputs import CLASS, CONFIDENCE, PROBABILITIES, outputs_of
from toolkit.series.matrix import MatrixForm

WEIGHTS = "weights.safetensors"
FORMAT = 1
RAW_PIXELS = 512
"""Pixels of raw dates that go through the network at once, at most: it makes many numbers of each."""


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
    interpolator: InterpolatorChoice = NO_INTERPOLATOR
    """What stands before the network."""
    definitions: dict[str, str] = field(default_factory=dict)
    """What the features are (unit, formula, function), in words; empty in models of earlier versions."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """How the features are made, as plain values; empty where that was not said."""
    temperature: float = 1.0
    """What the logits are divided by, so that confidence means what it says: see `calibration`."""
    versions: dict[str, str] = field(default_factory=lambda: software_versions())
    device: torch.device = field(default_factory=lambda: torch.device("cpu"), repr=False)

    @classmethod
    def load(cls, folder: Path, *, device: DeviceName = "cpu", network_file: Path | None = None) -> Model:
        """Read a model. No code is ever taken from its folder.

        Args:
            network_file: the Python file of a network of one's own, with which the model was trained.

        Raises:
            ModelError: a file is absent, damaged, or of another version of the toolkit; or the network is a person's
                own, and its file is not named, or another one than it was trained with.
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
            model = cls._of(document, data, choose_device(device), network_file)
            # Weights that do not fit the network are found here, not at the first pixel.
            model._network_of(standardised=False, bfloat16=False)
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

    def form(self, *, bfloat16: bool = False) -> MatrixForm:
        """The form of features that `predict` takes as standardised: see `FeatureStack.compute`."""
        return MatrixForm(self.standardiser.mean, self.standardiser.std, bfloat16)

    @torch.inference_mode()
    def predict(self, features: np.ndarray, *, standardised: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Class and confidence of pixels.

        Args:
            features: (feature, pixel) float32, raw dates: any number of them; or uint16, the bits of bfloat16, in which
                the network is then run.
            standardised: whether the features are so already: see `form`.

        Returns:
            Class codes, uint8 (pixel,); confidence = the largest probability, uint8 (pixel,), percent, 0 to 100.

        Raises:
            ModelError: the number of features is not the model's.
        """
        found = self.predict_outputs(features, (CLASS, CONFIDENCE), standardised=standardised)
        return found[CLASS], found[CONFIDENCE]

    @torch.inference_mode()
    def predict_outputs(
        self, features: np.ndarray | torch.Tensor, wanted: Collection[str], *, standardised: bool = False
    ) -> dict[str, np.ndarray]:
        """Whatever a map needs of pixels, from one pass of the network.

        Args:
            features, standardised: as in `predict`; or a tensor on the model's device, float32 or bfloat16.
            wanted: `class` (as code), `confidence`, `probabilities`, `margin`, `entropy`: see `outputs_of`.

        Returns:
            Each uint8 of shape (pixel,), `probabilities` (class, pixel) in the order of the nomenclature.

        Raises:
            ModelError: the number of features is not the model's.
        """
        pixels, classes = features.shape[1], len(self.nomenclature)
        shapes = {name: (classes, pixels) if name == PROBABILITIES else (pixels,) for name in wanted}
        found = {name: np.empty(shape, np.uint8) for name, shape in shapes.items()}
        for some, logits in self._logits(features, standardised):
            for name, value in outputs_of(logits, wanted).items():
                one = value.cpu().numpy()
                found[name][..., some] = self.nomenclature.codes[one] if name == CLASS else one
        return found

    @torch.inference_mode()
    def predict_probabilities(self, features: np.ndarray, *, standardised: bool = False) -> np.ndarray:
        """Probability of each class.

        Args:
            features, standardised: as in `predict`.

        Returns:
            float32 of shape (class, pixel), in the order of the nomenclature; the sum over classes is 1.

        Raises:
            ModelError: the number of features is not the model's.
        """
        result = np.empty((len(self.nomenclature), features.shape[1]), dtype=np.float32)
        for pixels, logits in self._logits(features, standardised):
            result[:, pixels] = torch.softmax(logits, dim=0).cpu().numpy()
        return result

    def _logits(self, features: np.ndarray | torch.Tensor, standardised: bool) -> Iterator[tuple[slice, torch.Tensor]]:
        """Logits (class, pixel), float32, of each chunk of pixels."""
        row, count = self.inputs.row, len(self.feature_names)
        if features.ndim != 2 or not (row.fits(len(features)) if row else len(features) == count):
            wanted = f"{row.static} + dates x {row.each}" if row else str(count)
            raise ModelError(
                f"features of shape {features.shape} do not fit the model's ({wanted}, pixel); "
                "use the series and features of the training, or train again"
            )
        narrow = features.dtype in (np.uint16, torch.bfloat16)
        if narrow and not standardised:
            raise ValueError("reflectances in bfloat16 lose their differences: standardise before, see Model.form")
        network = self._network_of(standardised, narrow)
        size = min(chunk_of(network), RAW_PIXELS) if row else chunk_of(network)
        for start in range(0, features.shape[1], size):
            pixels = slice(start, min(start + size, features.shape[1]))
            chunk: Any = features[:, pixels]
            if isinstance(chunk, np.ndarray):  # torch takes no read-only memory
                chunk = torch.from_numpy(np.require(chunk, np.uint16 if narrow else np.float32, "W")).to(self.device)
            logits = network(chunk.view(torch.bfloat16) if narrow else chunk).float()
            yield pixels, logits if self.temperature == 1 else logits.div_(self.temperature)

    @cached_property
    def inputs(self) -> InputLayout:
        """What the network is given."""
        return InputLayout.of(self.feature_names, self.dates)

    @cached_property
    def _networks(self) -> dict[tuple[bool, bool], nn.Module]:
        return {}

    def _network_of(self, standardised: bool, bfloat16: bool) -> nn.Module:
        """The network for inference, on the device; its standardisation inside, unless features have it already."""
        key = standardised, bfloat16
        if key not in self._networks:
            network = network_behind(self.interpolator, self.params, self.inputs, len(self.nomenclature))
            network.load_state_dict(self.weights)
            mean, std = torch.from_numpy(self.standardiser.mean), torch.from_numpy(self.standardiser.std)
            if standardised:
                mean, std = torch.zeros_like(mean), torch.ones_like(std)
            dtype = torch.bfloat16 if bfloat16 else torch.float32
            self._networks[key] = for_maps(network, mean, std, self.inputs.row).to(self.device, dtype)
        return self._networks[key]

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: the network is made there, from its weights (and the text of its file)."""
        return {name: value for name, value in vars(self).items() if name != "_networks"}

    def _tensors(self) -> dict[str, torch.Tensor]:
        normalisation = {"mean": self.standardiser.mean, "std": self.standardiser.std}
        tensors = {f"normalisation.{name}": torch.from_numpy(values) for name, values in normalisation.items()}
        return tensors | {f"network.{name}": value.contiguous() for name, value in self.weights.items()}

    def _document(self, weights: bytes) -> str:
        classes = [[one.code, one.label, one.colour] for one in self.nomenclature.classes]
        document = {
            "format": FORMAT,
            "network": self.params.model_dump(mode="json"),
            "interpolator": self.interpolator.model_dump(mode="json"),
            **({"network_sha256": self.params.code.sha256} if isinstance(self.params, OwnParams) else {}),
            "feature_names": list(self.feature_names),
            "definitions": self.definitions,
            "recipe": self.recipe,
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
    def _of(cls, document: dict[str, Any], data: bytes, device: torch.device, network_file: Path | None) -> Model:
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']}, not {FORMAT}")
        if document["weights_sha256"] != hashlib.sha256(data).hexdigest():
            raise ValueError(f"{WEIGHTS} is not the file that {DOCUMENT} was written with")
        tensors = safetensors.torch.load(data)
        classes = tuple(LandCoverClass(*one) for one in document["nomenclature"]["classes"])
        return cls(
            params=_with_code(network_params(document["network"], "network"), document, network_file),
            weights={name[8:]: value for name, value in tensors.items() if name.startswith("network.")},
            standardiser=Standardiser(
                tensors["normalisation.mean"].numpy(),
                tensors["normalisation.std"].numpy(),
                RawRow.of(document["feature_names"]),
            ),
            interpolator=interpolator_params(document.get("interpolator")),
            feature_names=tuple(document["feature_names"]),
            nomenclature=Nomenclature(document["nomenclature"]["name"], classes),
            dates=np.array(document["dates"], dtype="datetime64[D]"),
            seed=document["seed"],
            best=document["best"],
            definitions=document.get("definitions", {}),
            recipe=document.get("recipe", {}),
            temperature=float(document.get("temperature", 1.0)),
            versions=document["versions"],
            device=device,
        )

    def __repr__(self) -> str:
        return (
            f"Model({self.params.name}: {len(self.feature_names)} features, {len(self.nomenclature)} classes, "
            f"epoch {self.best['epoch']}, F-score {self.best['f_score']:.3f})"
        )


def _with_code(params: NetworkParams, document: Mapping[str, Any], file: Path | None) -> NetworkParams:
    """The parameters, those of a person's own network with its file, if that is the one it was trained with."""
    if not isinstance(params, OwnParams):
        return params
    if file is None:
        raise ModelError(
            f"the model is of network {params}, code that a person wrote and that no model holds: name the file, "
            "Model.load(…, network_file=…), or in the experiment, learning.network.file"
        )
    trained = document["network_sha256"]
    try:
        source = SourceFile.read(Path(file), f"the model is of network {params}")
    except ParameterError as error:
        raise ModelError(str(error)) from None
    if source.sha256 != trained:
        raise ModelError(
            f"{file} is not the file that the model was trained with (sha256 {source.sha256[:12]}…, then "
            f"{trained[:12]}…); bring it back as it was, or train again"
        )
    return params.with_code(source)


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
