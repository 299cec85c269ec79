"""The stages of an experiment: what each step is made from, and how its results stand to the experiment as it is now.

`stages(experiment)` tells, without running anything, what a run would do. It looks at every input file, which may be
thousands: never call it in a callback of a widget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.experiment.chosen_model import model_source
from toolkit.experiment.config import Experiment
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import Manifest, fingerprint, fingerprint_files
from toolkit.experiment.steps import Step, standing
from toolkit.experiment.tiles import input_files, prepared_folder, product_files, reading_of
from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import CatalogError, ParameterError, did_you_mean
from toolkit.ground.params import Params
from toolkit.ground_truth.vector_files import parts_of
from toolkit.learning.space import NETWORK
from toolkit.learning.training import start_fingerprint
from toolkit.mapping.classify import layers_of
from toolkit.products.catalog import TILE, VectorSource
from toolkit.series.prepared import known_to_serve

AREA = ("series.source", "series.tiles", "series.area", "series.bands")
SERIES = ("series", "features")
GROWING = ("learning.epochs",)
"""Parameters that may be raised to go on with a training."""

CROSS_VALIDATION = "cross-validate"

VERBS = (
    "run",
    "prepare",
    "clean",
    "sample",
    "train",
    "classify",
    "mosaic",
    "postprocess",
    "validate",
    "vectorise",
    "cross_validate",
    "tune",
)
"""The verbs, the whole chain first."""

StageState = Literal["up to date", "waiting", "outdated", "running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Stage:
    """A step of a run as a person follows it."""

    name: str
    state: StageState = "waiting"
    message: str = ""
    """What it does, what came of it, or why its results are outdated."""
    done: int = 0
    total: int = 0
    """Progress while it runs: `done` of `total`; 0 of 0 where that is not known."""
    seconds: float = 0.0
    """How long it took, once it is done."""
    left: float | None = None
    """Seconds left, about; None where that is not known."""


def stages(experiment: Experiment, verb: str = "run") -> list[Stage]:
    """How the results of each step of a verb stand to the experiment as it is now.

    Raises:
        CatalogError, ProductError, GroundTruthError: an input is not there.
        ParameterError: no such verb.
        RunFolderError: the manifest is damaged.
    """
    records = Manifest(RunFolder(experiment.folder).manifest).records()
    found: dict[str, Stage] = {}
    for step in steps_of(experiment, verb):
        state, message = standing(experiment, step, records)
        anew = [name for name in step.after if name in found and found[name].state != "up to date"]
        if state == "up to date" and anew:
            state, message = "outdated", f"{anew[0]} is to be made first"
        found[step.name] = Stage(step.name, state, message)
    return list(found.values())


def stage_names(experiment: Experiment, verb: str = "run") -> list[str]:
    """The steps of a verb, in their order; a run has post-processing where something is asked for.

    Raises:
        ParameterError: no such verb.
    """
    tiles = [f"classify {tile}" for tile in experiment.series.tiles]
    chain = {"clean": ["clean"], "sample": ["sample"], "train": ["train"], "classify": tiles}
    chain |= {"mosaic": ["mosaic"], "postprocess": ["postprocess"], "validate": ["validate"], "tune": ["tune"]}
    if verb == "run":
        left_out = {"tune"} if experiment.postprocess.is_asked else {"tune", "postprocess"}
        return [name for one, names in chain.items() if one not in left_out for name in names]
    if verb == "vectorise":
        return ["vectorise"]
    if verb == "prepare":
        return [f"prepare {tile}" for tile in experiment.series.tiles]
    if verb == "cross_validate":
        return ["clean", CROSS_VALIDATION]
    if verb not in chain:
        raise ParameterError(f"{verb!r} is not a verb{did_you_mean(verb, VERBS)}")
    return chain[verb]


def steps_of(experiment: Experiment, verb: str = "run") -> list[Step]:
    """The steps of a verb, in their order; looks at every input file."""
    return [step_of(experiment, name) for name in stage_names(experiment, verb)]


def step_of(experiment: Experiment, name: str) -> Step:
    """One step by its name, such as `clean` or `classify 31TCJ`."""
    verb, _, tile = name.partition(" ")
    if tile:
        return (prepare_step if verb == "prepare" else classify_step)(experiment, tile)
    makers = {
        "clean": clean_step,
        "sample": sample_step,
        "train": train_step,
        "mosaic": mosaic_step,
        "postprocess": postprocess_step,
        "validate": validate_step,
        "vectorise": vectorise_step,
        CROSS_VALIDATION: cross_validation_step,
        "tune": tune_step,
    }
    return makers[verb](experiment)


def prepare_step(experiment: Experiment, tile: str) -> Step:
    """A prepared series stands where other experiments may use or replace it: a note beside it says whom it serves."""
    folder = prepared_folder(experiment, tile)
    inputs = fingerprint_files(product_files(experiment, [tile]), experiment.path.parent)
    of = [inputs, experiment.series.area, experiment.series.bands, *reading_of(experiment).items()]
    note = known_to_serve(folder) / fingerprint(of)
    return Step(f"prepare {tile}", (), (folder / "zarr.json", note), inputs=inputs, is_shared=True)


def clean_step(experiment: Experiment) -> Step:
    """Cleaning depends on the polygons, and on where and when there are images."""
    folder = RunFolder(experiment.folder)
    files = [
        *parts_of(ground_truth_file(experiment)),
        *nomenclature_files(experiment),
        *product_files(experiment),
    ]
    return Step(
        "clean",
        ("ground_truth", *AREA, "series.start", "series.end", "series.seasons", "series.margin_days"),
        (folder.polygons("clean"), folder.cleaning_report),
        inputs=fingerprint_files(files, experiment.path.parent),
    )


def sample_step(experiment: Experiment) -> Step:
    """Sampling depends on the clean polygons, the split, and the features of the images."""
    folder = RunFolder(experiment.folder)
    return Step(
        "sample",
        (*SERIES, "split", "sampling", "seed"),
        (folder.class_counts, folder.samples / "stack.json", folder.polygons("train"), folder.polygons("test")),
        inputs=fingerprint_files(input_files(experiment), experiment.path.parent),
        after=("clean",),
        arguments={**feature_sources(experiment), **reading_of(experiment)},
    )


def train_step(experiment: Experiment) -> Step:
    """Training depends on the samples; it goes on where more epochs are asked for."""
    folder = RunFolder(experiment.folder)
    return Step(
        "train",
        ("learning", "seed", "sampling.min_clear_dates"),
        (folder.history, folder.model / "model.json"),
        after=("sample",),
        may_grow=GROWING,
        arguments={**network_sources(experiment), **start_of(experiment)},
    )


def classify_step(experiment: Experiment, tile: str) -> Step:
    """The classification of a tile depends on its images and the model.

    Which layers are asked for is in the outputs: another one is added to what is there, and the others stay the same.
    """
    folder = RunFolder(experiment.folder)
    return Step(
        f"classify {tile}",
        (*SERIES, "mapping.precision"),
        tuple(folder.tile(tile) / f"{layer}.tif" for layer in layers_of(experiment.mapping)),
        inputs=fingerprint_files(input_files(experiment, [tile]), experiment.path.parent),
        after=() if experiment.chosen_model else ("train",),
        besides=("series.tiles",),
        arguments={**feature_sources(experiment), **reading_of(experiment), **model_source(experiment)},
    )


def mosaic_step(experiment: Experiment) -> Step:
    """The mosaic depends on the maps of the tiles."""
    folder = RunFolder(experiment.folder)
    return Step(
        "mosaic",
        ("mapping.crs",),
        tuple(folder.map(layer) for layer in layers_of(experiment.mapping)),
        after=tuple(f"classify {tile}" for tile in experiment.series.tiles),
    )


def postprocess_step(experiment: Experiment) -> Step:
    """Post-processing depends on the mosaic, and on what its rules and its smoothing read."""
    folder = RunFolder(experiment.folder)
    files = [part for one in rule_files(experiment) if one is not None for part in parts_of(one)]
    if experiment.postprocess.smoothing.window and folder.map("probabilities").exists():
        files.append(folder.map("probabilities"))
    return Step(
        "postprocess",
        ("postprocess",),
        (folder.postprocessed,),
        inputs=fingerprint_files(files, experiment.path.parent),
        after=("mosaic",),
    )


def validate_step(experiment: Experiment) -> Step:
    """Validation depends on the map, the post-processed one too where it is asked for, and the test polygons."""
    folder = RunFolder(experiment.folder)
    return Step("validate", (), (folder.metrics, folder.report), after=(*_map_steps(experiment), "sample"))


def vectorise_step(experiment: Experiment) -> Step:
    """The polygons depend on the map."""
    output = RunFolder(experiment.folder).vector_map(experiment.vectorise.format)
    return Step("vectorise", ("vectorise",), (output,), after=_map_steps(experiment))


def _map_steps(experiment: Experiment) -> tuple[str, ...]:
    """The steps that make the maps as they are asked for."""
    return ("mosaic", "postprocess") if experiment.postprocess.is_asked else ("mosaic",)


def cross_validation_step(experiment: Experiment, by: str = "tile") -> Step:
    """Cross-validation samples and trains by itself, from the clean polygons."""
    folder = RunFolder(experiment.folder).cross_validation
    return Step(
        CROSS_VALIDATION,
        (*SERIES, "split", "sampling", "learning", "seed"),
        (folder / "metrics.json", folder / "folds.png"),
        inputs=fingerprint_files(input_files(experiment), experiment.path.parent),
        after=("clean",),
        may_grow=GROWING,
        arguments={
            "by": by,
            **feature_sources(experiment),
            **reading_of(experiment),
            **network_sources(experiment),
            **start_of(experiment),
        },
    )


def tune_step(experiment: Experiment) -> Step:
    """Tuning depends on the samples and the learning, but for the parameters that are tuned; trials may be added."""
    folder = RunFolder(experiment.folder).tuning
    tuned = tuple(experiment.tuning.space)
    if NETWORK in tuned:
        tuned += ("learning.network",)
    fixed = [path for path in _leaf_paths(experiment.learning, "learning") if not _is_within(path, tuned)]
    return Step(
        "tune",
        (*fixed, "seed", "sampling.min_clear_dates", "tuning"),
        (folder / "trials.csv", folder / "best.json"),
        after=("sample",),
        may_grow=("tuning.trials",),
    )


def _leaf_paths(section: Params, path: str) -> list[str]:
    """Dotted path of each parameter of a section as it is now."""
    paths: list[str] = []
    for name in type(section).model_fields:
        value, place = getattr(section, name), f"{path}.{name}"
        paths += _leaf_paths(value, place) if isinstance(value, Params) else [place]
    return paths


def _is_within(path: str, places: Sequence[str]) -> bool:
    return any(path == place or path.startswith(f"{place}.") for place in places)


def feature_sources(experiment: Experiment) -> dict[str, str]:
    """The hash of each file of external features, so that a changed function is noticed.

    Raises:
        ParameterError: a file is absent.
    """
    files = sorted({one.file for one in experiment.features.external if one.file})
    return {f"sha256 of {file}": SourceFile.read(experiment.path.parent / file).sha256 for file in files}


def network_sources(experiment: Experiment) -> dict[str, str]:
    """The hash of the file of a network of one's own, so that a changed network is noticed.

    Raises:
        ParameterError: the file is absent.
    """
    file = experiment.network_file
    if file is None:
        return {}
    return {"learning.network, sha256 of its file": SourceFile.read(file, "learning.network.file").sha256}


def start_of(experiment: Experiment) -> dict[str, str]:
    """The hash of the model that the training starts from, so that another one is noticed; nothing where there is none.

    Raises:
        ModelError: there is no such model.
    """
    found = start_fingerprint(experiment.learning, experiment.path.parent)
    return {"sha256 of learning.start_from": found} if found else {}


def ground_truth_file(experiment: Experiment) -> Path:
    """The file of the ground truth: an entry of the catalog, or a path beside the experiment file.

    Raises:
        CatalogError: neither, or the experiment has none.
    """
    source = experiment.ground_truth.source
    if not source:
        raise CatalogError(
            f"ground_truth.source of {experiment.name} is empty; name the polygons to learn from, or classify and "
            "mosaic with a saved model: mapping.model"
        )
    path = experiment.path.parent / source
    if path.is_file():
        return path
    if path.suffix and source not in experiment.data.sources:
        raise CatalogError(f"ground_truth.source = {source} is neither a file ({path}) nor in {experiment.data.path}")
    return experiment.data.vector(source)


def rule_files(experiment: Experiment) -> list[Path | None]:
    """The file that each rule of post-processing looks at; None for a rule that holds everywhere.

    Raises:
        CatalogError: it is neither in the catalog nor beside the experiment file.
    """
    return [rule.where and _file_or_source(experiment, rule.where) for rule in experiment.postprocess.rules]


def _file_or_source(experiment: Experiment, where: str) -> Path:
    path = experiment.path.parent / where
    if path.is_file():
        return path
    source = experiment.data.sources.get(where)
    if isinstance(source, VectorSource):
        return experiment.data.vector(where)
    if source is None and Path(where).suffix:
        raise CatalogError(f"postprocess.rules: {where} is neither a file ({path}) nor in {experiment.data.path}")
    file = experiment.data.layer(where, experiment.series.tiles)
    if TILE in file:
        raise CatalogError(f"postprocess.rules: source {where} has a file a tile; the mosaic needs one over all tiles")
    return Path(file)


def nomenclature_files(experiment: Experiment) -> list[Path]:
    """The nomenclature's file, where it is not one that ships with the toolkit."""
    path = experiment.path.parent / experiment.ground_truth.nomenclature
    return [path] if path.suffix == ".csv" and path.is_file() else []
