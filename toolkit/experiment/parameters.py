"""Every parameter of an experiment: its sections, declared beside what obeys them, and the rule between two."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from toolkit.features.sensors import check_with_sensors
from toolkit.features.stack import FeatureParams
from toolkit.ground.clusters import ClusterParams
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import Params, param
from toolkit.ground_truth.polygons import GroundTruthParams
from toolkit.ground_truth.splits import SplitParams
from toolkit.learning.parameters import LearningParams
from toolkit.learning.tuning import TuningParams
from toolkit.mapping.memory import MappingParams
from toolkit.mapping.postprocess import PostprocessParams
from toolkit.mapping.vectorise import VectorParams
from toolkit.samples.sampling import SamplingParams
from toolkit.series.prepared import PrepareParams
from toolkit.series.timeseries import SeriesParams


class ExperimentParams(Params):
    """Everything that an experiment file holds."""

    name: str = param(
        ..., "Name of the experiment, and of its run folder.",
        pattern=r"^[A-Za-z0-9][\w.-]*$", form="letters, digits, `_`, `-` and `.`, a letter or a digit first",
    )  # fmt: skip
    catalog: Path = param(Path("data_catalog.yml"), "Data catalog, relative to the experiment file.")
    runs: Path = param(Path("runs"), "Folder of the run folders, relative to the experiment file.")
    seed: int = param(0, "Seed of every random choice.", ge=0, le=2**31 - 1)
    series: SeriesParams = Field(..., description="Images, period, grid of days.")
    prepare: PrepareParams = Field(PrepareParams(), description="A copy of the images that is quicker to read.")
    features: FeatureParams = Field(FeatureParams(), description="Features of each pixel.")
    ground_truth: GroundTruthParams = Field(GroundTruthParams(), description="Polygons and classes.")
    split: SplitParams = Field(SplitParams(), description="Which polygons train and which test.")
    sampling: SamplingParams = Field(SamplingParams(), description="Pixels drawn from the polygons.")
    learning: LearningParams = Field(LearningParams(), description="Network and training.")
    tuning: TuningParams = Field(TuningParams(), description="Parameters of the learning that are tried out.")
    mapping: MappingParams = Field(MappingParams(), description="Classification of whole tiles.")
    postprocess: PostprocessParams = Field(PostprocessParams(), description="What is done to the map after the mosaic.")
    vectorise: VectorParams = Field(VectorParams(), description="Polygons of the map.")
    cluster: ClusterParams = Field(ClusterParams(), description="Where tiles are classified.")

    @model_validator(mode="after")
    def _left_out_tile_is_one_of_the_tiles(self) -> ExperimentParams:
        tile = self.split.leave_out_tile
        if tile is not None and tile not in self.series.tiles:
            tiles = ", ".join(self.series.tiles)
            raise ValueError(f"split.leave_out_tile = {tile} is none of series.tiles = {tiles}; name one of them")
        return self

    @model_validator(mode="after")
    def _features_of_all_sensors(self) -> ExperimentParams:
        try:
            check_with_sensors(self.features, self.series.sensors)
        except ParameterError as error:
            raise ValueError(str(error)) from None
        return self


SECTIONS = tuple(
    name
    for name, field in ExperimentParams.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Params)
)
