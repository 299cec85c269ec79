"""Static figures, by subject; a notebook shows one by itself. Loaded on first use, for matplotlib takes its time."""

from __future__ import annotations

from toolkit.ground.first_use import loaded_on_first_use

_HOME = {
    "acquisitions_figure": "acquisitions",
    "class_counts_figure": "classes",
    "class_map": "maps",
    "confusion_figure": "confusion",
    "curves_figure": "curves",
    "folds_figure": "folds",
    "map_before_after": "maps",
    "map_beside_truth": "maps",
    "png": "style",
    "rate_figure": "training",
    "reliability_figure": "training",
    "series_figure": "pixel",
    "svg": "style",
    "tuning_figure": "tuning",
    "view_figure": "view",
}

__all__ = sorted(_HOME)


__getattr__ = loaded_on_first_use(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
