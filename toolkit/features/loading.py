"""From the text of a Python file to the feature function in it, in whichever process needs it.

The file is the person's own, named in their experiment, and is imported when a verb or a form needs it: never because
an experiment was loaded. It travels to workers as text, so that a block is computed from the text whose hash stands in
the manifest.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import traceback
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import ExecutionLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from toolkit.features.external import ExternalFunction
from toolkit.ground.errors import FeatureError, ParameterError, did_you_mean

SHIPPED = {
    "texture": "toolkit.features.texture",
    "phenology": "toolkit.features.phenology",
}
"""Feature functions that ship with the toolkit, and their modules."""

_modules: dict[str, ModuleType] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class SourceFile:
    """A Python file as it was read."""

    path: str
    text: str

    @classmethod
    def read(cls, path: Path) -> SourceFile:
        """Read a file; nothing in it is run.

        Raises:
            ParameterError: it is absent, no Python file, or not UTF-8.
        """
        place = "features.external"
        if path.suffix != ".py":
            raise ParameterError(f"{place}: {path} is no Python file; name one that ends in .py")
        try:
            return cls(str(path), path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as problem:
            raise ParameterError(f"{place}: {path} is not UTF-8 text ({problem.reason}); save it as UTF-8") from None
        except OSError as problem:
            raise ParameterError(
                f"{place}: {path} cannot be read ({problem.strerror}); a `file` is relative to the experiment file"
            ) from None

    @property
    def sha256(self) -> str:
        """Hash of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def function(self, name: str) -> ExternalFunction:
        """The feature function of this name; the file is imported for it, once in a process.

        Raises:
            FeatureError: the file cannot be imported, or has no such function.
        """
        found = self.functions()
        if name in found:
            return found[name]
        if callable(getattr(self._module(), name, None)):
            raise FeatureError(f"{self.path}: {name} is not declared as a feature; write @external_feature() above it")
        raise FeatureError(f"{self.path} has no feature function {name!r}{did_you_mean(name, found)}")

    def functions(self) -> dict[str, ExternalFunction]:
        """Every feature function in the file by its name; the file is imported for it, once in a process.

        Raises:
            FeatureError: the file cannot be imported.
        """
        return {key: one for key, one in vars(self._module()).items() if isinstance(one, ExternalFunction)}

    @property
    def is_imported(self) -> bool:
        """Whether the file was imported in this process already, by whoever asked for it."""
        return self._key in _modules

    @property
    def _key(self) -> str:
        return f"{self.path} {self.sha256}"

    def _module(self) -> ModuleType:
        with _lock:
            if self._key not in _modules:
                _modules[self._key] = _import(self)
            return _modules[self._key]


def shipped_function(name: str) -> ExternalFunction:
    """A feature function that ships with the toolkit.

    Raises:
        ParameterError: there is none of this name.
    """
    if name not in SHIPPED:
        raise ParameterError(
            f"features.external: no feature function {name!r} ships with the toolkit{did_you_mean(name, SHIPPED)}; "
            "name your own with the `file` that it is in"
        )
    function = getattr(import_module(SHIPPED[name]), name)
    assert isinstance(function, ExternalFunction)
    return function


def place_of(error: BaseException, path: str) -> str:
    """`my_features.py, line 12: …`: what went wrong, and the line of this file where it did."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines.append(error.lineno)
    place = f"{Path(path).name}, line {lines[-1]}" if lines else Path(path).name
    return f"{place}: {type(error).__name__}: {getattr(error, 'msg', None) or error}"


class _TextLoader(ExecutionLoader):
    """Makes a module from a text that was read before."""

    def __init__(self, source: SourceFile) -> None:
        self._source = source

    def is_package(self, fullname: str) -> bool:
        return False

    def get_source(self, fullname: str) -> str:
        return self._source.text

    def get_filename(self, fullname: str) -> str:
        return self._source.path


def _import(source: SourceFile) -> ModuleType:
    spec = spec_from_loader(f"landcover_external_{source.sha256[:16]}", _TextLoader(source), origin=source.path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # annotations of classes in it are looked up there
    try:
        spec.loader.exec_module(module)
    except FeatureError as error:
        raise FeatureError(f"{source.path}: {error}") from None
    except Exception as error:
        raise FeatureError(f"{source.path} cannot be imported: {place_of(error, source.path)}") from error
    return module
