"""The experiment: every parameter of a workflow, in one file, and the folder its results go to.

The experiment is the state. Widgets edit it, verbs read it; nothing reads a widget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from toolkit.experiment.history import History
from toolkit.experiment.parameters import SECTIONS as SECTIONS
from toolkit.experiment.parameters import ExperimentParams
from toolkit.experiment.saving import (
    FileContent,
    given_values,
    making_cell,
    revised,
    setting_cell,
    text_at,
    whole_yaml,
)
from toolkit.experiment.sources import check_bands, known_catalog, source_bands
from toolkit.features.stack import FeatureStack
from toolkit.ground.bands import SENTINEL2, Band
from toolkit.ground.code_files import SourceFile
from toolkit.ground.documents import read_yaml
from toolkit.ground.errors import CatalogError, ParameterError, did_you_mean
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import build, differences, keep_what_fits, models_of
from toolkit.ground.writing import write_text
from toolkit.learning.card import ModelCard
from toolkit.learning.models import OwnParams
from toolkit.learning.parameters import LearningParams
from toolkit.products.catalog import Catalog

Observer = Callable[["Experiment"], None]


class Experiment:
    """An experiment: always-valid parameters that can be changed, undone, saved and watched.

    Every section is an attribute: `experiment.learning.epochs`. Change one with `set`.
    """

    def __init__(self, params: ExperimentParams, path: Path | str = "experiment.yml") -> None:
        self._params = params
        self._observers: list[Observer] = []
        self._history: History[tuple[ExperimentParams, Path]] = History()
        self._files: dict[Path, FileContent] = {}
        self.path = Path(path).resolve()
        self.replaced = 0
        """How often all parameters were taken at once: from a file, or by undo."""

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Read an experiment file.

        Raises:
            ParameterError: the file is absent, is not YAML, or holds an unknown key or a value out of bounds.
        """
        path = Path(path)
        found = _read(path)
        experiment = cls(found.params, path)
        experiment._files[experiment.path] = found
        return experiment

    def open(self, path: str | Path) -> None:
        """Become the experiment of another file; `undo` brings this one back. Observers are told.

        Raises:
            ParameterError: as `load`; the experiment is then unchanged.
        """
        self._take_file(Path(path).resolve(), Path(path).resolve())

    def reload(self, path: str | Path | None = None) -> None:
        """Take every parameter from a file, by default the experiment's own; observers are told.

        The experiment keeps its own file, to save to and to find its data by; `open` changes that too.

        Raises:
            ParameterError: as `load`; the experiment is then unchanged.
        """
        self._take_file(Path(path).resolve() if path else self.path, self.path)

    def save(self, path: str | Path | None = None, *, overwrite: bool = False) -> Path:
        """Write the experiment file, by default where it was read from; observers are told.

        What a person wrote stays: comments, order and layout of everything that is the same.

        Args:
            overwrite: write even where the file was changed by something else, or can only be written anew.

        Raises:
            ParameterError: the file was changed since it was read, there is another one at `path`, or values are
                shared in it (by anchors), so that it can only be written anew.
            RunFolderError: the file cannot be written.
        """
        path = Path(path).resolve() if path else self.path
        there, own = text_at(path), self._files.get(self.path)
        if there is not None and not overwrite and self._is_another(path, there):
            raise ParameterError(self._why_not_saved(path))
        base = there if there is not None else own.text if own else None
        text = revised(base, self._params, path) if base is not None else None
        if text is None and base is not None and not overwrite:
            raise ParameterError(
                f"{path} cannot be changed in place, for it shares values by anchors (&, *); write them out, save "
                "elsewhere, or write it anew without its comments: overwrite=True"
            )
        text = self.to_yaml() if text is None else text
        write_text(path, text)
        self._files[path] = FileContent(text, self._params)
        self._tell()
        return path

    @property
    def is_saved(self) -> bool:
        """Whether the experiment's file held these parameters when it was last read or written."""
        own = self._files.get(self.path)
        return own is not None and own.params == self._params

    @property
    def file_has_changed(self) -> bool:
        """Whether the experiment's file is another now than when it was last read or written; it is read for that."""
        there = text_at(self.path)
        return there is not None and self._is_another(self.path, there)

    def to_yaml(self) -> str:
        """All parameters as YAML."""
        return whole_yaml(self._params)

    def to_python(self) -> str:
        """A cell for a notebook that makes this experiment: it loads the file, and sets what differs from it."""
        own = self._files.get(self.path)
        if own is None:
            return making_cell(self.path, given_values(self._params))
        return setting_cell(self.path, differences(own.params, self._params))

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

    def set(self, changes: Mapping[str, Any] | None = None, **sections: Any) -> None:
        """Change parameters; all of them together must be valid, or none is changed.

        Args:
            changes: dotted path -> value, `{"learning.epochs": 20, "seed": 1}`.
            sections: the same by section, `learning={"epochs": 20}`; `seed=1` for what is in none.

        Raises:
            ParameterError: a path that is not a parameter, or a value that is not accepted.
        """
        content = self._params.model_dump()
        flat = dict(changes or {})
        for section, values in sections.items():
            is_section = isinstance(values, Mapping)
            flat.update(
                {f"{section}.{name}": value for name, value in values.items()} if is_section else {section: values}
            )
        for path in sorted(flat, key=lambda one: self._choice(one) is None):  # first what the others may depend on
            *parents, leaf = path.split(".")
            node = content
            for parent in parents:
                node = node[parent]
            node[leaf] = flat[path]
            choice = self._choice(path)
            if choice is not None:
                keep_what_fits(node, choice, before=self.get(path.rpartition(".")[0]))
        params = build(ExperimentParams, content, str(self.path))
        check_bands(params, self.path.parent, str(self.path))
        self._change(params, self.path)

    def _choice(self, path: str) -> FieldInfo | None:
        """The section whose model this parameter chooses; None for any other parameter.

        Raises:
            ParameterError: no such parameter.
        """
        section, _, name = path.rpartition(".")
        if not section:
            self.get(path)
            return None
        outer, _, last = section.rpartition(".")
        model = type(self.get(outer) if outer else self._params)
        field = model.model_fields.get(last)
        if field is None or all(name not in one.model_fields for one in models_of(field.annotation)):
            self.get(path)
        return field if field is not None and field.discriminator == name else None

    def replace(self, params: ExperimentParams) -> None:
        """Take other parameters; observers are told if they differ."""
        self.replaced += 1
        self._change(params, self.path)

    def undo(self) -> bool:
        """Go back to before the last change; whether there was one."""
        return self._go(self._history.back((self._params, self.path)))

    def redo(self) -> bool:
        """Take back the last `undo`; whether there was one."""
        return self._go(self._history.forward((self._params, self.path)))

    @property
    def can_undo(self) -> bool:
        return self._history.has_past

    @property
    def can_redo(self) -> bool:
        return self._history.has_future

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call `observer(experiment)` after every change and every save; the function returned ends that."""
        self._observers.append(observer)

        def end() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return end

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
    def bands(self) -> tuple[Band, ...]:
        """The bands that the first sensor's source may have; those of Sentinel-2 where the catalog does not tell."""
        try:
            return known_catalog(self.path.parent / self._params.catalog).bands(self._params.series.source)
        except CatalogError:
            return SENTINEL2

    @property
    def nomenclature(self) -> Nomenclature:
        """The classes of the ground truth, or of the saved model where there is none."""
        card = None if self._params.ground_truth.source else self.model_card
        if card is not None:
            return card.nomenclature
        return Nomenclature.load(_beside(self.path, self._params.ground_truth.nomenclature))

    @property
    def chosen_model(self) -> Path | None:
        """Folder of the saved model that classifies; None where that is the experiment's own."""
        model = self._params.mapping.model
        return self.path.parent / model if model is not None else None

    @property
    def model_card(self) -> ModelCard | None:
        """What that model says of itself.

        Raises:
            ModelError: it is absent or damaged.
        """
        return ModelCard.read(self.chosen_model) if self.chosen_model is not None else None

    @property
    def stack(self) -> FeatureStack:
        """The features of each pixel. Files of external features are read, and imported when their names are needed.

        Raises:
            ParameterError: an index needs a band that the series has not, or a file is absent.
            CatalogError: a raster for a feature is not in the catalog, or absent; or a source with bands of its own is.
        """
        params = self._params
        asked = {source for one in params.features.external for source in one.rasters.values()}
        rasters = {source: self.data.layer(source, params.series.tiles) for source in asked}
        sources = source_bands(params, self.path.parent)
        return FeatureStack.of(params.series, params.features, self.path.parent, rasters, sources)

    @property
    def learning_with_code(self) -> LearningParams:
        """`learning`; with the file of a network of one's own, as it is now. The file is read, and not imported.

        Raises:
            ParameterError: the file is absent.
        """
        learning = self._params.learning
        if not isinstance(learning.network, OwnParams):
            return learning
        source = SourceFile.read(self.path.parent / (learning.network.file or ""), "learning.network.file")
        return learning.model_copy(update={"network": learning.network.with_code(source)})

    @property
    def network_file(self) -> Path | None:
        """The file of a network of one's own; None for a network that ships."""
        network = self._params.learning.network
        return self.path.parent / (network.file or "") if isinstance(network, OwnParams) else None

    def _take_file(self, source: Path, path: Path) -> None:
        """Take the parameters of a file, and this path as the experiment's own."""
        found = _read(source)
        self._files[source] = found
        self.replaced += 1
        if not self._change(found.params, path):
            self._tell()

    def _change(self, params: ExperimentParams, path: Path) -> bool:
        """Take parameters and path, and tell; whether they differ."""
        if params == self._params and path == self.path:
            return False
        self._history.leave((self._params, self.path))
        self._params, self.path = params, path
        self._tell()
        return True

    def _go(self, state: tuple[ExperimentParams, Path] | None) -> bool:
        if state is None:
            return False
        self._params, self.path = state
        self.replaced += 1
        self._tell()
        return True

    def _tell(self) -> None:
        for observer in list(self._observers):
            observer(self)

    def _is_another(self, path: Path, text: str) -> bool:
        """Whether a file holds another text than when it was last read or written here."""
        return path not in self._files or self._files[path].text != text

    def _why_not_saved(self, path: Path) -> str:
        if path not in self._files:
            return f"{path} is there already; save under another name, or replace it: overwrite=True"
        return (
            f"{path} was changed by something else since it was read; take what it holds now: experiment.reload(), "
            "save under another name, or replace it: overwrite=True"
        )

    def __repr__(self) -> str:
        tiles = ", ".join(self._params.series.tiles)
        return f"Experiment({self._params.name}: {tiles}, {self._params.series.start} to {self._params.series.end})"

    def _repr_html_(self) -> str:
        return f"<pre style='line-height:1.3'>{escape(self.to_yaml())}</pre>"


def _read(path: Path) -> FileContent:
    hint = "`landcover demo FOLDER` writes one to start from"
    content = read_yaml(path, ParameterError, "experiment file", hint)
    params = build(ExperimentParams, content, str(path))
    check_bands(params, path.parent, str(path))
    return FileContent(text_at(path) or "", params)


def _beside(experiment: Path, name: str) -> str | Path:
    """A nomenclature file is relative to the experiment file; a shipped one is only a name."""
    return experiment.parent / name if name.endswith(".csv") else name
