"""A Python file that a person wrote and names: read as text, and imported in whichever process needs it.

It is imported when a verb or a form needs it: never because an experiment was loaded. It travels to workers as text, so
that what runs is the text whose hash stands in the manifest.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import traceback
from dataclasses import dataclass
from importlib.abc import ExecutionLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from toolkit.ground.errors import LandcoverError, ParameterError

_modules: dict[str, ModuleType] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class SourceFile:
    """A Python file as it was read."""

    path: str
    text: str

    @classmethod
    def read(cls, path: Path, place: str = "features.external") -> SourceFile:
        """Read a file; nothing in it is run.

        Args:
            place: the parameter that names it.

        Raises:
            ParameterError: it is absent, no Python file, or not UTF-8.
        """
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

    def members(self, error: type[LandcoverError]) -> dict[str, Any]:
        """What the file defines, by name; it is imported for that, once in a process.

        Raises:
            LandcoverError: of the kind `error`; the file cannot be imported.
        """
        with _lock:
            if self._key not in _modules:
                _modules[self._key] = _import(self, error)
            return vars(_modules[self._key])

    @property
    def is_imported(self) -> bool:
        """Whether the file was imported in this process already, by whoever asked for it."""
        return self._key in _modules

    @property
    def _key(self) -> str:
        return f"{self.path} {self.sha256}"


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


def _import(source: SourceFile, error: type[LandcoverError]) -> ModuleType:
    spec = spec_from_loader(f"landcover_external_{source.sha256[:16]}", _TextLoader(source), origin=source.path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # annotations of classes in it are looked up there
    try:
        spec.loader.exec_module(module)
    except error as problem:
        raise error(f"{source.path}: {problem}") from None
    except Exception as problem:
        raise error(f"{source.path} cannot be imported: {place_of(problem, source.path)}") from problem
    return module
