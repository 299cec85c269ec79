"""An experiment as text: the file that a person wrote, revised, and a cell of Python that makes the same experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from toolkit.experiment.parameters import ExperimentParams
from toolkit.ground.documents import parse_yaml
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import Params, build, differences, plain
from toolkit.ground.revising import revise_yaml


@dataclass(frozen=True)
class FileContent:
    """What an experiment file held when it was last read or written."""

    text: str
    params: ExperimentParams


def text_at(path: Path) -> str | None:
    """The text of a file, its line ends as they are; None where there is none."""
    return path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else None


def whole_yaml(params: Params) -> str:
    """Every parameter, as YAML."""
    return yaml.safe_dump(plain(params), sort_keys=False, allow_unicode=True, width=110)


def revised(text: str, params: Params, path: Path) -> str | None:
    """The text of an experiment file with these parameters; comments, order and layout of what is the same stay.

    Returns:
        None where the text holds no valid experiment, or shares values (by anchors) that would differ.
    """
    model = type(params)
    try:
        before = build(model, parse_yaml(text, path, ParameterError), str(path))
        changes = {name: plain(value) for name, value in differences(before, params).items()}
        new = revise_yaml(text, changes) if changes else text
        after = build(model, parse_yaml(new, path, ParameterError), str(path))
    except (ParameterError, yaml.YAMLError):
        return None
    return new if after == params else None


def setting_cell(path: Path, changes: Mapping[str, Any]) -> str:
    """A cell that loads an experiment file and sets what differs from it."""
    lines = ["from toolkit import Experiment", "", f"experiment = Experiment.load({_from_here(path)!r})"]
    if changes:
        rows = [f"        {name!r}: {_literal(value)}," for name, value in changes.items()]
        lines += ["experiment.set(", "    {", *rows, "    }", ")"]
    return "\n".join(lines) + "\n"


def making_cell(path: Path, given: Mapping[str, Any]) -> str:
    """A cell that makes an experiment which no file holds, from what differs from the defaults."""
    rows = [f"        {name}={_literal(value)}," for name, value in given.items()]
    return "\n".join(
        [
            "from toolkit import Experiment",
            "from toolkit.experiment.config import ExperimentParams",
            "",
            "experiment = Experiment(",
            "    ExperimentParams(",
            *rows,
            "    ),",
            f"    {_from_here(path)!r},",
            ")",
            "",
        ]
    )


def given_values(params: Params) -> dict[str, Any]:
    """What must be said to make these parameters: name -> value, defaults left out, sections as dict."""
    given: dict[str, Any] = {}
    for name, field in type(params).model_fields.items():
        value = getattr(params, name)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(value, Params):
            inner = given_values(value)
            if inner or field.is_required() or type(default) is not type(value):
                key = field.discriminator  # by what the model of the section is told
                given[name] = {key: getattr(value, key), **inner} if isinstance(key, str) else inner
        elif field.is_required() or value != default:
            given[name] = plain(value)
    return given


def _from_here(path: Path) -> str:
    """A path as a cell of a notebook that runs here would write it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _literal(value: Any) -> str:
    """A value as Python; days as text, so that nothing more is imported."""
    return repr(_days_as_text(plain(value)))


def _days_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _days_as_text(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_days_as_text(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value
