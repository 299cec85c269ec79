"""Where a result comes from: the manifest of a run folder, and the fingerprints by which a step is up to date."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from toolkit import __version__
from toolkit.ground.errors import RunFolderError
from toolkit.ground.writing import write_text

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

PACKAGES = ("numpy", "numba", "torch", "rasterio", "geopandas", "shapely", "pyproj", "pydantic")


def fingerprint(content: Any) -> str:
    """Short hash of anything that JSON can hold."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def fingerprint_files(paths: Iterable[Path], base: Path) -> str:
    """Hash of names, sizes and times of change: noticing another file without reading gigabytes.

    Args:
        base: folder that names are relative to, so that a run folder may be moved together with its data.
    """
    found = ((os.path.relpath(path.resolve(), base.resolve()), path.stat()) for path in paths)
    return fingerprint(sorted((path, stat.st_size, stat.st_mtime_ns) for path, stat in found))


@dataclass(frozen=True)
class Record:
    """What a finished step was made from."""

    params: Mapping[str, Any]
    """Dotted path -> value of every parameter that the step depends on."""
    inputs: str
    """Fingerprint of the input files."""
    after: Mapping[str, str]
    """Fingerprint of each step it builds on."""
    version: str = __version__

    @property
    def key(self) -> str:
        return fingerprint([self.params, self.inputs, self.after, self.version])

    def without(self, names: Iterable[str]) -> Record:
        """The same, whatever these parameters are."""
        dropped = set(names)
        return replace(self, params={name: value for name, value in self.params.items() if name not in dropped})

    def differences(self, other: Record) -> list[str]:
        """In words, how `other` (wanted now) differs from this (made then)."""
        names = sorted({*self.params, *other.params})
        words = [
            f"{name} = {_value(self.params, name)} (now {_value(other.params, name)})"
            for name in names
            if self.params.get(name) != other.params.get(name)
        ]
        if self.inputs != other.inputs:
            words.append("other input files")
        words += [f"another result of {step}" for step in other.after if self.after.get(step) != other.after[step]]
        words += [f"a result of {step} besides" for step in self.after if step not in other.after]
        if self.version != other.version:
            words.append(f"version {self.version} of the toolkit (now {other.version})")
        return words


def _value(params: Mapping[str, Any], name: str) -> str:
    """A parameter in words; one that was not given, or is as before there was such a one, is not in a record."""
    return repr(params[name]) if name in params else "not given"


class Manifest:
    """`manifest.json`: versions, host, commit, and a record for each finished step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def records(self) -> dict[str, Record]:
        """The record of each finished step.

        Raises:
            RunFolderError: the file is damaged.
        """
        if not self.path.exists():
            return {}
        try:
            steps = json.loads(self.path.read_text(encoding="utf-8"))["steps"]
            return TypeAdapter(dict[str, Record]).validate_python(steps)
        except (ValueError, KeyError, TypeError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise RunFolderError(f"{self.path} is damaged ({why}); delete it to start this run again") from None

    def write(self, records: Mapping[str, Record], seed: int) -> None:
        """Write the manifest, whole."""
        content = {
            "toolkit": __version__,
            "seed": seed,
            "host": socket.gethostname(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "packages": {name: version_of(name) for name in PACKAGES},
            "git_commit": git_commit(),
            "steps": {name: {**vars(record), "key": record.key} for name, record in records.items()},
        }
        write_text(self.path, json.dumps(content, indent=1, default=str))

    def drop(self, name: str, seed: int) -> None:
        """Forget a step whose result is about to be replaced."""
        records = self.records()
        if records.pop(name, None):
            self.write(records, seed)

    def add(self, name: str, record: Record, seed: int) -> None:
        """Note that a step is finished."""
        self.write({**self.records(), name: record}, seed)


def version_of(package: str) -> str:
    """Version of an installed distribution."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def git_commit() -> str | None:
    """Commit of the toolkit's checkout; None where it is installed without one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def provenance_tags(experiment: Experiment, record: Record) -> dict[str, str]:
    """What a map says of its making."""
    learning = experiment.learning.model_dump(mode="json", exclude={"tensorboard"})  # no result depends on it
    return {
        "EXPERIMENT": experiment.name,
        "TOOLKIT_VERSION": record.version,
        "PARAMETERS": fingerprint([record.params, learning]),
    }
