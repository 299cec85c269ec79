"""Post-processing of a class map: smoothing of probabilities, rules, majority filter, sieve; each only where asked for.

The order is fixed. Smoothing comes first, for it makes classes of probabilities; then the rules, which mend what is
known better; the filters come last, so that a map leaves without a region below the unit, whatever made it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from odc.geo.geobox import GeoBox
from pydantic import AfterValidator, Field, field_validator

from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.ground.grid import Block, crs_name, resolution
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import FrozenTable, Params, Table, param
from toolkit.ground.streaming import Progress, no_progress
from toolkit.mapping.majority import majority
from toolkit.mapping.passes import Chain, FilterBlock, Pass
from toolkit.mapping.probabilities import Probabilities, SmoothBlock
from toolkit.mapping.rasters import NO_CLASS
from toolkit.mapping.reclassify import Condition, RuleParams, reclassify
from toolkit.mapping.sieve import OSO, OSO_GROUPS, Allowed, absorption, padding_of, sieve, within_groups
from toolkit.mapping.smoothing import LARGEST_WINDOW
from toolkit.products.handles import close_rasters
from toolkit.products.raster import grid_of

LARGEST_UNIT = 1000
"""Pixels of a minimal mapping unit at most: blocks have twice as many around them."""

ROUNDS_WITHIN = 128
"""Pixels of padding up to which a pass over the map makes several rounds of the sieve at once."""

Absorbers = Annotated[dict[int, tuple[int, ...]], AfterValidator(FrozenTable)]


class SmoothingParams(Params):
    """Bayesian smoothing of the probabilities of all classes (Camara et al. 2024)."""

    window: int = param(
        0, "Side of the square neighbourhood, odd. 0: no smoothing.", unit="pixels", ge=0, le=LARGEST_WINDOW
    )
    share: float = param(0.5, "Share of the neighbourhood, where a class is most probable, that counts.", gt=0, le=1)
    smoothness: float = param(20.0, "The larger, the more the neighbours count.", gt=0, le=1000)
    smoothness_of: Table = param({}, "Another smoothness for some classes, by code.")

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window and window % 2 == 0:
            raise ValueError(f"an odd number is needed, such as {window + 1}, so that a pixel is in the middle")
        return window

    @field_validator("smoothness_of")
    @classmethod
    def _positive(cls, table: Table) -> Table:
        wrong = next((code for code, value in table.items() if value <= 0), None)
        if wrong is not None:
            raise ValueError(f"class {wrong}: {table[wrong]} is not above 0")
        return table


class SieveParams(Params):
    """Regions smaller than a minimal mapping unit are absorbed by a neighbour."""

    min_area_m2: float = param(0.0, "Minimal mapping unit; smaller regions are absorbed. 0: none.", unit="m²", ge=0)
    min_pixels: int = param(
        0, "The same as a number of pixels; the larger of both counts.", unit="pixels", ge=0, le=LARGEST_UNIT
    )
    connectivity: Literal[4, 8] = param(4, "Whether pixels hang together by their sides (4), or by corners too (8).")
    preset: Literal["plain", "oso"] = param(
        "plain",
        "`oso` sieves first within groups of alike classes of oso_23 (crops, forests, built-up land, grass and heath, "
        "rock and sand, orchards and vineyards), with 8 and then with 4 neighbours, and then the whole.",
    )
    absorbed_by: Absorbers = param(
        {}, "Classes that may absorb a class, by its code, such as {4: [], 17: [16, 18]}; none: it is never absorbed."
    )


class PostprocessParams(Params):
    """What is done to the map after the mosaic, in this order: smoothing, rules, majority filter, sieve."""

    smoothing: SmoothingParams = Field(SmoothingParams(), description="Bayesian smoothing of probabilities.")
    rules: tuple[RuleParams, ...] = param(
        (), "Classes that become others, such as {change: {16: 17}, where: slope, above: 30}; in their order."
    )
    majority_radius: int = param(
        0, "Each pixel becomes the most frequent class within this radius. 0: no filter.", unit="pixels", ge=0, le=50
    )
    majority_undecided: int | None = param(
        None,
        "Class of a pixel around which several are the most frequent; 0 is no class. Empty: it keeps its own.",
        ge=0,
        le=255,
    )
    sieve: SieveParams = Field(SieveParams(), description="Minimal mapping unit.")

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to do."""
        unit = self.sieve.min_area_m2 > 0 or self.sieve.min_pixels > 1
        return bool(self.smoothing.window or self.rules or self.majority_radius or unit)

    def check_codes(self, nomenclature: Nomenclature) -> None:
        """Refuse a class that is none of the nomenclature, and groups of classes that are another's.

        Raises:
            ParameterError: there is one.
        """
        if self.sieve.preset == "oso" and nomenclature.name != OSO:
            raise ParameterError(
                f"postprocess.sieve.preset = oso is of the classes of {OSO}, and the map's are of {nomenclature.name}; "
                "say with absorbed_by which may absorb which"
            )
        named = {
            "majority_undecided": [] if self.majority_undecided is None else [self.majority_undecided],
            "rules": [code for rule in self.rules for code in (*rule.change, *rule.change.values())],
            "sieve.absorbed_by": [code for own, by in self.sieve.absorbed_by.items() for code in (own, *by)],
            "smoothing.smoothness_of": list(self.smoothing.smoothness_of),
        }
        for place, codes in named.items():
            wrong = next((code for code in codes if code not in nomenclature and code != NO_CLASS), None)
            if wrong is not None:
                known = ", ".join(map(str, nomenclature.codes))
                raise ParameterError(
                    f"postprocess.{place}: class {wrong} is not in nomenclature {nomenclature.name}; "
                    f"its codes are {known}"
                )


def postprocess_map(
    source: Path,
    path: Path,
    nomenclature: Nomenclature,
    params: PostprocessParams,
    *,
    key: str,
    conditions: Sequence[Condition] = (),
    probabilities: Path | None = None,
    memory_gb: float = 4.0,
    workers: int | None = None,
    tags: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
) -> str:
    """Post-process a class map into another, a cloud-optimised GeoTIFF with the same colours and names.

    Args:
        source: class map, uint8; 0 is no class.
        path: of the result.
        key: fingerprint of everything the result depends on.
        conditions: of each of `params.rules`.
        probabilities: raster with a band a class on the grid of the map; needed for smoothing.
        tags: provenance written into the file.

    Returns:
        What was done, in words.

    Raises:
        ParameterError: a minimal area of a map in degrees, or too large a unit.
        ProductError: a raster cannot be read, or does not fit the map.
        RunFolderError: there are no probabilities, or the disk is full.
    """
    close_rasters()  # a handle of before may lie on a map that has been made again since
    try:
        passes = list(_passes(grid_of(source), nomenclature, params, conditions, probabilities))
        chain = Chain(source, path, nomenclature, key, memory_gb, workers, tags or {})
        changed = chain.run(passes, progress)
    finally:
        close_rasters()
    return f"{', '.join(one.words for one in passes)}: {changed:.1%} of the pixels changed"


def _passes(
    grid: GeoBox,
    nomenclature: Nomenclature,
    params: PostprocessParams,
    conditions: Sequence[Condition],
    probabilities: Path | None,
) -> Iterator[Pass]:
    if params.smoothing.window:
        yield _smoothing(grid, nomenclature, params.smoothing, probabilities)
    if params.rules:
        rules, conditions = params.rules, tuple(conditions)
        yield Pass(
            "1 rule" if len(rules) == 1 else f"{len(rules)} rules",
            lambda source: FilterBlock(source, 0, partial(_by_rules, rules=rules, conditions=conditions)),
        )
    if params.majority_radius:
        side = 2 * params.majority_radius + 1
        step = partial(_by_majority, radius=params.majority_radius, undecided=params.majority_undecided)
        yield Pass(
            f"majority of {side} x {side}",
            lambda source: FilterBlock(source, params.majority_radius, step),
            params.majority_radius,
        )
    yield from _sieves(params.sieve, unit_pixels(params.sieve, grid))


def _smoothing(grid: GeoBox, nomenclature: Nomenclature, params: SmoothingParams, path: Path | None) -> Pass:
    if path is None or not path.exists():
        raise RunFolderError(
            f"postprocess.smoothing.window = {params.window} needs the probabilities of all classes, and "
            f"{path or 'their raster'} does not exist; make it, or set the window to 0"
        )
    found = Probabilities.open(path, grid, nomenclature)
    each = tuple(float(params.smoothness_of.get(code, params.smoothness)) for code in found.codes)
    return Pass(
        f"smoothing over {params.window} x {params.window}",
        lambda source: SmoothBlock(source, found, params.window, params.share, each),
        params.window // 2,
        bytes_a_pixel=2 * len(found.codes) + 24,
    )


def _sieves(params: SieveParams, pixels: int) -> Iterator[Pass]:
    """The sieve; within groups first, where that is asked for."""
    if pixels < 2:
        return
    rules = absorption(params.absorbed_by)
    if params.preset == "oso":
        groups = within_groups(OSO_GROUPS) & rules
        for connectivity in (8, 4):
            yield _sieve(f"sieve within groups ({connectivity} neighbours)", pixels, connectivity, groups)
    yield _sieve(f"sieve of {pixels} pixels", pixels, params.connectivity, rules)


def _sieve(words: str, pixels: int, connectivity: int, allowed: Allowed) -> Pass:
    rounds = max(1, ROUNDS_WITHIN // padding_of(pixels))
    padding = padding_of(pixels, rounds)
    step = partial(_by_sieve, pixels=pixels, connectivity=connectivity, allowed=allowed, rounds=rounds)
    return Pass(words, lambda source: FilterBlock(source, padding, step), padding, repeats=True)


def unit_pixels(params: SieveParams, grid: GeoBox) -> int:
    """The minimal mapping unit in pixels of a map.

    Raises:
        ParameterError: an area is given and the map is in degrees, or it is more than `LARGEST_UNIT` pixels.
    """
    if params.min_area_m2 == 0:
        return params.min_pixels
    if grid.crs is None or grid.crs.geographic:
        raise ParameterError(
            f"postprocess.sieve.min_area_m2 = {params.min_area_m2:g} needs a map in metres, not in "
            f"{crs_name(grid.crs)}; give min_pixels, or another mapping.crs"
        )
    pixels = max(params.min_pixels, math.ceil(params.min_area_m2 / resolution(grid) ** 2 - 1e-9))
    if pixels > LARGEST_UNIT:
        raise ParameterError(
            f"postprocess.sieve.min_area_m2 = {params.min_area_m2:g} are {pixels:,} pixels; {LARGEST_UNIT:,} are the "
            "most: lower it"
        )
    return pixels


def _by_rules(
    window: np.ndarray, block: Block, rules: Sequence[RuleParams], conditions: Sequence[Condition]
) -> np.ndarray:
    return reclassify(window, rules, conditions, block)


def _by_majority(window: np.ndarray, block: Block, radius: int, undecided: int | None) -> np.ndarray:
    return majority(window, radius, undecided=undecided)


def _by_sieve(
    window: np.ndarray, block: Block, pixels: int, connectivity: int, allowed: Allowed, rounds: int
) -> np.ndarray:
    return sieve(window, pixels, connectivity, allowed, rounds)
