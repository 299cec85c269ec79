"""What the panels have in common: fields of several sections in a column, and what they decide about beside it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from toolkit.widgets.forms import Form

if TYPE_CHECKING:
    from toolkit.experiment.config import Experiment

STYLE = (resources.files("toolkit.widgets") / "panels.css").read_text(encoding="utf-8")


def forms_of(experiment: Experiment, paths: Sequence[str]) -> list[Form]:
    """A form for each of these sections or parameters, dotted paths."""
    return [Form(experiment, path) for path in paths]


def beside(left: Sequence[Any], right: Sequence[Any]) -> list[Any]:
    """Two columns with the look of a panel; one below the other where there is no room."""
    columns = W.HBox([W.VBox(list(left)), W.VBox(list(right))])
    columns.add_class("lc-columns")
    for column, name in zip(columns.children, ("lc-left", "lc-right"), strict=True):
        column.add_class(name)
    return [W.HTML(f"<style>{STYLE}</style>"), columns]
