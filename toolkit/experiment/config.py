"""The experiment: every parameter of a workflow, in one file, and the folder its results go to.

The experiment is the state. Widgets edit it, verbs read it; nothing reads a widget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, model_validator

from toolkit.features.stack import FeatureParams, FeatureStack
from toolkit.ground.documents import read_yaml
from toolkit.ground.errors import ParameterError, did_you_mean
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import Params, build, param
from toolkit.ground.writing import write_text
from toolkit.ground_truth.polygons import GroundTruthParams
from toolkit.ground_truth.splits import SplitParams
from toolkit.learning.parameters import LearningParams
from toolkit.mapping.classify import MappingParams
from toolkit.products.catalog import Catalog
from toolkit.samples.sampling import SamplingParams
from toolkit.series.timeseries import SeriesParams


class ExperimentParams(Params):
    """Everything that an experiment file holds."""

    name: str = param(..., "Name of the experiment, and of its run folder.", pattern=r"^[A-Za-z0-9][\w.-]*$")
    catalog: Path = param(Path("data_catalog.yml"), "Data catalog, relative to the experiment file.")
    runs: Path = param(Path("runs"), "Folder of the run folders, relative to the experiment file.")
    seed: int = param(0, "Seed of every random choice.", ge=0, le=2**31 - 1)
    series: SeriesParams = Field(..., description="Images, period, grid of days.")
    features: FeatureParams = Field(FeatureParams(), description="Features of each pixel.")
    ground_truth: GroundTruthParams = Field(..., description="Polygons and classes.")
    split: SplitParams = Field(SplitParams(), description="Which polygons train and which test.")
    sampling: SamplingParams = Field(SamplingParams(), description="Pixels drawn from the polygons.")
    learning: LearningParams = Field(LearningParams(), description="Network and training.")
    mapping: MappingParams = Field(MappingParams(), description="Classification of whole tiles.")

    @model_validator(mode="after")
    def _left_out_tile_is_one_of_the_tiles(self) -> ExperimentParams:
        tile = self.split.leave_out_tile
        if tile is not None and tile not in self.series.tiles:
            tiles = ", ".join(self.series.tiles)
            raise ValueError(f"split.leave_out_tile = {tile} is none of series.tiles = {tiles}; name one of them")
        return self


SECTIONS = tuple(
    name
    for name, field in ExperimentParams.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Params)
)

Observer = Callable[["Experiment"], None]


class Experiment:
    """An experiment: always-valid parameters that can be changed, saved and watched.

    Every section is an attribute: `experiment.learning.epochs`. Change one with `set`.
    """

    def __init__(self, params: ExperimentParams, path: Path | str = "experiment.yml") -> None:
        self._params = params
        self._observers: list[Observer] = []
        self.path = Path(path).resolve()

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Read an experiment file.

        Raises:
            ParameterError: the file is absent, is not YAML, or holds an unknown key or a value out of bounds.
        """
        path = Path(path)
        return cls(_read(path), path)

    def reload(self, path: str | Path | None = None) -> None:
        """Take every parameter from a file, by default the experiment's own; observers are told.

        Raises:
            ParameterError: as `load`; the experiment is then unchanged.
        """
        self.replace(_read(Path(path) if path else self.path))

    def save(self, path: str | Path | None = None) -> Path:
        """Write the experiment file, by default where it was read from."""
        path = Path(path) if path else self.path
        write_text(path, self.to_yaml())
        return path

    def to_yaml(self) -> str:
        """The parameters as YAML."""
        return yaml.safe_dump(self._params.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)

    @property
    def params(self) -> ExperimentParams:
        """All parameters, frozen."""
        return self._params

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return getattr(self._params, name)
        except AttributeError:
            raise AttributeError(
                f"an experiment has no {name!r}{did_you_mean(name, ExperimentParams.model_fields)}"
            ) from None

    def get(self, path: str) -> Any:
        """One parameter by its dotted path, such as `"learning.network.dropout"`."""
        value: Any = self._params
        for part in path.split("."):
            if part not in type(value).model_fields:
                raise ParameterError(f"{path} is not a parameter{did_you_mean(part, type(value).model_fields)}")
            value = getattr(value, part)
        return value

    def set(self, changes: Mapping[str, Any] | None = None, **sections: Mapping[str, Any]) -> None:
        """Change parameters; all of them together must be valid, or none is changed.

        Args:
            changes: dotted path -> value, `{"learning.epochs": 20, "seed": 1}`.
            sections: the same by section, `learning={"epochs": 20}`.

        Raises:
            ParameterError: a path that is not a parameter, or a value that is not accepted.
        """
        content = self._params.model_dump()
        flat = dict(changes or {})
        flat.update(
            {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}
        )
        for path, value in flat.items():
            *parents, leaf = path.split(".")
            node = content
            for parent in parents:
                self.get(path)
                node = node[parent]
            node[leaf] = value
        self.replace(build(ExperimentParams, content, str(self.path)))

    def replace(self, params: ExperimentParams) -> None:
        """Take other parameters; observers are told if they differ."""
        if params != self._params:
            self._params = params
            for observer in list(self._observers):
                observer(self)

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call `observer(experiment)` after every change; the function returned ends that."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.path.parent / self._params.runs / self._params.name

    @property
    def data(self) -> Catalog:
        """The data catalog.

        Raises:
            CatalogError: absent or not valid.
        """
        return Catalog.load(self.path.parent / self._params.catalog)

    @property
    def nomenclature(self) -> Nomenclature:
        """The classes of the ground truth."""
        return Nomenclature.load(_beside(self.path, self._params.ground_truth.nomenclature))

    @property
    def stack(self) -> FeatureStack:
        """The features of each pixel."""
        return FeatureStack.of(self._params.series, self._params.features)

    def __repr__(self) -> str:
        tiles = ", ".join(self._params.series.tiles)
        return f"Experiment({self._params.name}: {tiles}, {self._params.series.start} to {self._params.series.end})"

    def _repr_html_(self) -> str:
        return f"<pre style='line-height:1.3'>{escape(self.to_yaml())}</pre>"


def _read(path: Path) -> ExperimentParams:
    hint = "`landcover demo FOLDER` writes one to start from"
    return build(ExperimentParams, read_yaml(path, ParameterError, "experiment file", hint), str(path))


def _beside(experiment: Path, name: str) -> str | Path:
    """A nomenclature file is relative to the experiment file; a shipped one is only a name."""
    return experiment.parent / name if name.endswith(".csv") else name
