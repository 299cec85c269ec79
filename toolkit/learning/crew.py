"""What processes that train one network together are told, in a folder: `Crew`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.ground.code_files import SourceFile
from toolkit.ground.nomenclature import LandCoverClass, Nomenclature
from toolkit.learning.batches import TrainingSamples
from toolkit.learning.fitting import Start
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import OwnParams
from toolkit.learning.parameters import LearningParams
from toolkit.samples.stored import StoredFeatures, StoredPart


@dataclass(frozen=True)
class Crew:
    """What the other processes need to know."""

    samples: TrainingSamples
    params: LearningParams
    seed: int
    nomenclature: Nomenclature
    inputs: InputLayout
    streamed: bool
    state: Path | None
    """The state to go on from; None begins anew."""
    key: str

    def write(self, folder: Path, start: Start | None) -> None:
        """Leave it in a folder."""
        features = self.samples.features
        parts: list[str] = []
        if isinstance(features, StoredFeatures):
            parts = [str(part.path.resolve()) for part in features.parts]
            for number, part in enumerate(features.parts):
                np.save(folder / f"rows_{number}.npy", part.rows)
        else:
            np.save(folder / "features.npy", features)
        np.save(folder / "codes.npy", self.samples.codes)
        np.save(folder / "polygons.npy", self.samples.polygons)
        if start:
            np.save(folder / "mean.npy", start.standardiser.mean)
            np.save(folder / "std.npy", start.standardiser.std)
        network = self.params.network
        plan = {
            "params": self.params.model_dump(mode="json"),
            "seed": self.seed,
            "nomenclature": [self.nomenclature.name, [[c.code, c.label, c.colour] for c in self.nomenclature.classes]],
            "inputs": [self.inputs.names, self.inputs.dates, self.inputs.period],
            "streamed": self.streamed,
            "state": str(self.state.resolve()) if self.state else None,
            "key": self.key,
            "parts": parts,
            "code": asdict(network.code) if isinstance(network, OwnParams) else None,
            "width": features.shape[1],
        }
        (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Crew:
        """What another process left in a folder."""
        plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        name, classes = plan["nomenclature"]
        return cls(
            _samples(folder, plan),
            _params(plan),
            plan["seed"],
            Nomenclature(name, tuple(LandCoverClass(*one) for one in classes)),
            InputLayout(*(one and tuple(one) for one in plan["inputs"])),
            plan["streamed"],
            Path(plan["state"]) if plan["state"] else None,
            plan["key"],
        )


def _params(plan: dict[str, Any]) -> LearningParams:
    params = LearningParams.model_validate(plan["params"])
    if not isinstance(params.network, OwnParams):
        return params
    return params.model_copy(update={"network": params.network.with_code(SourceFile(**plan["code"]))})


def _samples(folder: Path, plan: dict[str, Any]) -> TrainingSamples:
    features: np.ndarray | StoredFeatures
    if plan["parts"]:
        rows = [np.load(folder / f"rows_{number}.npy") for number in range(len(plan["parts"]))]
        parts = [StoredPart(Path(path), one) for path, one in zip(plan["parts"], rows, strict=True)]
        features = StoredFeatures(parts, plan["width"])
    else:
        features = np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False)
    return TrainingSamples(features, np.load(folder / "codes.npy"), np.load(folder / "polygons.npy"))
