"""Static figures, by subject; a notebook shows one by itself. Loaded on first use, for matplotlib takes its time."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "acquisitions_figure": "acquisitions",
    "class_counts_figure": "classes",
    "class_map": "maps",
    "confusion_figure": "confusion",
    "curves_figure": "curves",
    "folds_figure": "folds",
    "map_beside_truth": "maps",
    "png": "style",
    "series_figure": "pixel",
    "svg": "style",
    "view_figure": "view",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'toolkit.figures' has no attribute {name!r}")
    return getattr(import_module(f"toolkit.figures.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
