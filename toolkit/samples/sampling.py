"""Draw samples: how many pixels of each class, and which. Pure arrays.

The periodic rule is the Orfeo ToolBox's (`SampleSelection -sampler periodic`, no jitter): of `count` candidates of
which `wanted` are taken, candidate i (from 1) is taken when ceil(i * wanted / count) exceeds the number taken so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import field_validator

from toolkit.ground.errors import ParameterError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import Params, Table, param


class SamplingParams(Params):
    """How many pixels are drawn, and how."""

    sampler: Literal["periodic", "random"] = param(
        "periodic", "Periodic: spread evenly over the polygons. Random: any pixel as likely as any other."
    )
    max_per_class: int = param(
        100_000, "Pixels drawn for each class at most, over all tiles.", unit="pixels", ge=1, log=(100, 1_000_000)
    )
    class_caps: Table = param(
        {},
        "Pixels at most for single classes, instead of `max_per_class`: class code and pixels, such as `11: 500`.",
        unit="pixels",
    )
    min_clear_dates: int = param(1, "Drawn pixels with fewer clear dates are left out.", unit="dates", ge=1)

    @field_validator("class_caps")
    @classmethod
    def _possible(cls, caps: Table) -> Table:
        for code, cap in caps.items():
            if not 1 <= code <= 255:
                raise ValueError(f"{code} is no class code; codes go from 1 to 255")
            if cap < 1:
                raise ValueError(
                    f"class {code} cannot have {cap} pixels; give it 1 at least. A class that is to be left out is "
                    "taken out of the nomenclature, with ground_truth.drop_unknown"
                )
        return caps

    def cap(self, code: int) -> int:
        """Pixels drawn at most for a class, over all tiles."""
        return self.class_caps.get(code, self.max_per_class)

    def check_codes(self, nomenclature: Nomenclature) -> None:
        """Refuse a cap for a class that is none of the nomenclature.

        Raises:
            ParameterError: there is one.
        """
        for code in self.class_caps:
            if code not in nomenclature:
                codes = ", ".join(map(str, nomenclature.codes))
                place = f"is not in nomenclature {nomenclature.name}; its codes are {codes}"
                raise ParameterError(f"sampling.class_caps: class {code} {place}")


def draw(codes: np.ndarray, params: SamplingParams, seed: int) -> np.ndarray:
    """Which candidates are drawn.

    Args:
        codes: (candidate,) class code of each, in a fixed order: tile by tile, polygon by polygon, row by row.
        seed: only the random sampler uses it; each class has a stream of its own.

    Returns:
        (candidate,) bool; every candidate of a class with no more than its cap.
    """
    drawn = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        candidates = np.flatnonzero(codes == code)
        wanted = min(params.cap(int(code)), len(candidates))
        if params.sampler == "periodic":
            drawn[candidates] = periodic(len(candidates), wanted)
        else:
            rng = np.random.default_rng([seed, int(code)])
            drawn[rng.choice(candidates, wanted, replace=False)] = True
    return drawn


def draw_over_tiles(codes: Mapping[str, np.ndarray], params: SamplingParams, seed: int) -> dict[str, np.ndarray]:
    """Which candidates of each tile are drawn; the cap of a class holds over all tiles together.

    Args:
        codes: tile -> (candidate,) class codes.

    Returns:
        Tile -> (candidate,) bool.
    """
    if not codes:
        return {}
    drawn = draw(np.concatenate(list(codes.values())), params, seed)
    ends = np.cumsum([len(one) for one in codes.values()])[:-1]
    return dict(zip(codes, np.split(drawn, ends), strict=True))


def periodic(count: int, wanted: int) -> np.ndarray:
    """The periodic rule, bool of shape (count,). Whole numbers only, so that no rounding moves a choice.

    18 candidates of which 10 are wanted: positions 1, 2, 4, 6, 8, 10, 11, 13, 15, 17 (counted from 1).
    """
    position = np.arange(count + 1, dtype=np.int64)
    taken = -(-position * wanted // max(count, 1))
    return np.diff(taken) > 0
