"""What the experiment's surroundings suggest for a parameter: the catalog's sources, the tiles, the fields of a file.

A suggestion never forbids another value. Each is declared once, in `AT_ONCE` or `FROM_FILES`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from toolkit.experiment.stages import ground_truth_file
from toolkit.features.indices import INDICES
from toolkit.features.loading import SHIPPED, shipped_function
from toolkit.ground.bands import Band
from toolkit.ground.errors import LandcoverError
from toolkit.ground.nomenclature import shipped_names
from toolkit.ground.params import plain
from toolkit.ground_truth.vector_files import fields_of, layers_of
from toolkit.learning.models import OwnParams
from toolkit.learning.models.own import meaning_of, own_networks
from toolkit.products.catalog import RasterSource, VectorSource
from toolkit.widgets.background import Background
from toolkit.widgets.picking import Suggestion

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

Finder = Callable[["Experiment"], Sequence[Suggestion]]

AWAY = "does not exist yet"


def _names(words: Collection[Any]) -> list[Suggestion]:
    return [Suggestion(str(word)) for word in words]


def _sources(experiment: Experiment, kind: type) -> list[Suggestion]:
    """The catalog's sources of one kind."""
    found = experiment.data.sources.items()
    return [Suggestion(name, one.metadata.category or "") for name, one in found if isinstance(one, kind)]


def _about(band: Band) -> str:
    """What a band measures, and its pixels."""
    return ", ".join(filter(None, (band.meaning, f"{band.resolution} m" if band.resolution else "")))


def _with_bands(experiment: Experiment) -> list[Suggestion]:
    """The sources of images, with their bands."""
    catalog = experiment.data
    return [
        Suggestion(name, ", ".join(one.name for one in catalog.bands(name)))
        for name, source in catalog.sources.items()
        if isinstance(source, RasterSource)
    ]


def _files_beside(experiment: Experiment, suffixes: Collection[str], but: Collection[str] = ()) -> list[Suggestion]:
    """The files of these kinds in the experiment's folder."""
    entries = sorted(experiment.path.parent.iterdir())
    return _names([one.name for one in entries if one.suffix.lower() in suffixes and one.name not in but])


def _polygons(experiment: Experiment) -> list[Suggestion]:
    return [*_sources(experiment, VectorSource), *_files_beside(experiment, {".gpkg", ".shp", ".geojson", ".fgb"})]


def _class_fields(experiment: Experiment) -> list[Suggestion]:
    """The fields of the ground truth that may hold a class code, those of whole numbers first."""
    fields = fields_of(ground_truth_file(experiment), experiment.ground_truth.layer)
    whole = {name for name, kind in fields.items() if kind.startswith(("int", "uint"))}
    return _names([*(name for name in fields if name in whole), *(name for name in fields if name not in whole)])


def _functions(experiment: Experiment) -> list[Suggestion]:
    """What external features would be with one more of those that ship, all its parameters written out."""
    params = experiment.params
    middle = params.series.start + (params.series.end - params.series.start) / 2
    found = []
    for name in SHIPPED:
        function = shipped_function(name)
        fields = function.params.model_fields.items()
        values = {key: middle if one.is_required() else one.default for key, one in fields}
        entries = [*plain(params.features.external), {"name": name, "params": plain(values)}]
        text = yaml.safe_dump(entries, default_flow_style=True, sort_keys=False, width=10_000)
        found.append(Suggestion(text.strip(), function.meaning))
    return found


def _own_networks(experiment: Experiment) -> list[Suggestion]:
    """The networks in a person's own file, which is imported for that."""
    network = experiment.learning_with_code.network
    found = own_networks(network.code) if isinstance(network, OwnParams) else {}
    return [Suggestion(name, meaning_of(one)) for name, one in found.items() if name != one.__name__]


def _own_params(experiment: Experiment) -> list[Suggestion]:
    """All the parameters of a network of a person's own, written out."""
    network = experiment.learning_with_code.network
    if not isinstance(network, OwnParams) or not network.declared_params.model_fields:
        return []
    fields = network.declared_params.model_fields.items()
    values = {name: None if one.is_required() else plain(one.default) for name, one in fields}
    text = yaml.safe_dump(values, default_flow_style=True, sort_keys=False, width=10_000)
    return [
        Suggestion(text.strip(), "; ".join(f"{name}: {one.description}" for name, one in fields if one.description))
    ]


AT_ONCE: Mapping[str, Finder] = {
    "series.bands": lambda experiment: [Suggestion(one.name, _about(one)) for one in experiment.bands],
    "features.indices": lambda _: [Suggestion(name, one.meaning) for name, one in INDICES.items()],
    "features.external": _functions,
    "split.leave_out_tile": lambda experiment: _names(experiment.series.tiles),
}
"""Dotted path -> what is suggested, known without a look at any file."""

FROM_FILES: Mapping[str, Finder] = {
    "catalog": lambda experiment: _files_beside(experiment, {".yml", ".yaml"}, {experiment.path.name}),
    "series.source": lambda experiment: _sources(experiment, RasterSource),
    "series.sensors": lambda experiment: _with_bands(experiment),
    "series.tiles": lambda experiment: _names(experiment.data.tiles(experiment.series.source)),
    "ground_truth.source": _polygons,
    "ground_truth.layer": lambda experiment: _names(layers_of(ground_truth_file(experiment))),
    "ground_truth.class_field": _class_fields,
    "ground_truth.nomenclature": lambda one: [*_names(shipped_names()), *_files_beside(one, {".csv"})],
    "learning.network.file": lambda one: _files_beside(one, {".py"}),
    "learning.network.network": _own_networks,
    "learning.network.params": _own_params,
    "sampling.class_caps": lambda one: [Suggestion(str(kind.code), kind.label) for kind in one.nomenclature.classes],
}
"""Dotted path -> what is suggested after a look at files; found in a thread."""

PATHS: Mapping[str, Callable[[Experiment], Path | None]] = {
    "catalog": lambda experiment: experiment.path.parent / experiment.catalog,
    "runs": lambda experiment: experiment.path.parent / experiment.runs,
    "ground_truth.source": lambda experiment: _as_file(experiment, experiment.ground_truth.source),
    "ground_truth.nomenclature": lambda experiment: _as_file(experiment, experiment.ground_truth.nomenclature),
    "learning.network.file": lambda experiment: experiment.network_file,
}
"""Dotted path -> the file or folder that the value means, of which it is noted that it does not exist yet."""

DEPENDS_ON = ("catalog", "runs", "series.source", "ground_truth", "learning.network")
"""Parameters by which what is suggested from files changes."""

HINTED = {*AT_ONCE, *FROM_FILES, *PATHS}

Show = Callable[[str, Sequence[Suggestion], str], None]
"""Called with a path, what is suggested, and a quiet note; for what is found in files, in a thread."""


class Hints:
    """Keeps the suggestions and notes of a form up to date; files are looked at beside the kernel.

    Args:
        failed: called with an error that is a defect.
    """

    def __init__(self, experiment: Experiment, show: Show, failed: Callable[[Exception], None]) -> None:
        self._experiment, self._show = experiment, show
        self._asked: Any = None
        self._background = Background(self._look, self._tell, failed)

    def refresh(self, paths: Collection[str]) -> None:
        """Bring these paths up to date."""
        for path in AT_ONCE.keys() & set(paths):
            self._show(path, _found(AT_ONCE[path], self._experiment), "")
        in_files = sorted((FROM_FILES.keys() | PATHS.keys()) & set(paths))
        if not in_files:
            return
        asked = (in_files, self._experiment.path, *(self._experiment.get(path) for path in DEPENDS_ON))
        if asked != self._asked:
            self._asked = asked
            self._background.ask(in_files)

    def settle(self, seconds: float = 10) -> bool:
        """Wait until all is up to date; whether that came within `seconds`."""
        return self._background.settle(seconds)

    def close(self) -> None:
        """Look no more."""
        self._background.close()

    def _look(self, paths: Sequence[str]) -> list[tuple[str, Sequence[Suggestion], str]]:
        return [(path, _found(FROM_FILES.get(path), self._experiment), self._note(path)) for path in paths]

    def _note(self, path: str) -> str:
        place = PATHS[path](self._experiment) if path in PATHS else None
        try:
            return "" if place is None or place.exists() else AWAY
        except OSError:  # a name that is too long, a folder that is closed
            return AWAY

    def _tell(self, found: Sequence[tuple[str, Sequence[Suggestion], str]]) -> None:
        for one in found:
            self._show(*one)


def _found(finder: Finder | None, experiment: Experiment) -> Sequence[Suggestion]:
    """What a finder finds; nothing where the file it looks at is absent or wrong, which the verbs tell of."""
    try:
        return finder(experiment) if finder else ()
    except (LandcoverError, OSError):
        return ()


def _as_file(experiment: Experiment, value: str) -> Path | None:
    """The file that a value means; None where it is the name of something known."""
    return experiment.path.parent / value if Path(value).suffix else None
