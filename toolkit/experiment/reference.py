"""The page of the documentation that lists every parameter, made from their declarations."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic.fields import FieldInfo

from toolkit.experiment.parameters import SECTIONS, ExperimentParams
from toolkit.ground.params import bounds_of, default_of, kind_of, leaves

HEAD = """\
# Every parameter of an experiment

Made by `make docs` from the declarations in the code; do not edit. In the experiment file a parameter stands in its
section, `learning: {epochs: 50}`; on the command line it is an option, `--learning.epochs 50`; in Python,
`experiment.set({"learning.epochs": 50})`; in a notebook, a field of `widgets.form(experiment, "learning")`.

`N` is a whole number, `X` any number. A `LIST` is written `[a, b]`, on the command line `a,b`; a `TABLE` of numbers
`{11: 500, 12: 2000}`, on the command line `11=500,12=2000`.
"""


def parameters_page() -> str:
    """The page, as Markdown."""
    top = [(name, field) for name, field in ExperimentParams.model_fields.items() if name not in SECTIONS]
    parts = [HEAD, _table("The experiment itself", top)]
    for section in SECTIONS:
        field = ExperimentParams.model_fields[section]
        parts.append(_table(f"`{section}`: {field.description}", list(leaves(field.annotation, section))))
    return "\n".join(parts)


def _value(field: FieldInfo) -> str:
    return ", ".join(filter(None, (kind_of(field.annotation).replace(",", ", "), bounds_of(field))))


def _table(title: str, rows: Sequence[tuple[str, FieldInfo]]) -> str:
    lines = [
        f"| `{path}` | {_value(field)} | {default_of(field) or '**required**'} | {field.description} |"
        for path, field in rows
    ]
    return "\n".join(
        [f"## {title}", "", "| parameter | value | default | what it does |", "|---|---|---|---|", *lines, ""]
    )
