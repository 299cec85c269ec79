"""Features chosen by patterns of their names: `B8_*`, `ndvi_2018*`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np

from toolkit.ground.errors import ParameterError


def select_features(names: Sequence[str], patterns: Sequence[str]) -> np.ndarray:
    """Positions of the names that match any pattern, int64, in the order of the names.

    Args:
        patterns: with `*`, `?` and `[abc]`; capitals make no difference.

    Raises:
        ParameterError: a pattern matches nothing; the message gives the nearest names.
    """
    lower = [name.lower() for name in names]
    keep = np.zeros(len(names), dtype=bool)
    for pattern in patterns:
        hits = [fnmatchcase(name, pattern.lower()) for name in lower]
        if not any(hits):
            near = ", ".join(_nearest(pattern, names))
            raise ParameterError(
                f"features.select: {pattern!r} matches none of the {len(names)} features; near: {near}"
            )
        keep |= hits
    return np.flatnonzero(keep)


def _nearest(pattern: str, names: Sequence[str]) -> list[str]:
    """Patterns of whole series and names of single features that look like this one, or the first of them."""
    known = {f"{name.rpartition('_')[0]}_*".lower(): f"{name.rpartition('_')[0]}_*" for name in names if "_" in name}
    known |= {name.lower(): name for name in names}
    near = get_close_matches(pattern.lower(), known, n=3, cutoff=0.5) or list(known)[:3]
    return [known[one] for one in near]
