"""What a saved model says of itself, read without its weights: its classes, its features, and how they are made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.ground.errors import ModelError
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature

DOCUMENT = "model.json"


@dataclass(frozen=True)
class ModelCard:
    """The document of a saved model."""

    nomenclature: Nomenclature
    feature_names: tuple[str, ...]
    dates: tuple[str, ...]
    """Days of the regular grid, ISO format."""
    network: Mapping[str, Any]
    recipe: Mapping[str, Any]
    """How its features are made: sections `series` and `features` of an experiment; empty in earlier models."""
    sha256: str
    """Of the document, which holds the hash of the weights."""

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """Look at a model.

        Raises:
            ModelError: it is absent or damaged.
        """
        path = folder / DOCUMENT
        try:
            data = path.read_bytes()
            found = json.loads(data)
            classes = tuple(LandCoverClass(*one) for one in found["nomenclature"]["classes"])
            names = Nomenclature(found["nomenclature"]["name"], classes)
            given = (tuple(found["feature_names"]), tuple(found["dates"]), found["network"], found.get("recipe", {}))
        except OSError as error:
            raise ModelError(f"{path}: {error.strerror}; name the folder of a saved model, that has it") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is damaged or not a model ({error}); copy the folder again") from None
        return cls(names, *given, hashlib.sha256(data).hexdigest())
