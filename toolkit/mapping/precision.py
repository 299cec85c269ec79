"""In which numbers the network classifies: float32, or bfloat16 where the processor has units for it.

bfloat16 halves what a network reads and, on a processor or GPU made for it, doubles its speed and more; on another it
is many times slower. A class changes where two are nearly alike. So both are tried on pieces of the tile itself before
its first block, and what is settled stands in the key of its blocks: a run that goes on keeps to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from toolkit.features.reading import TileFeatures
from toolkit.features.stack import FeatureStack
from toolkit.ground.errors import ParameterError
from toolkit.ground.grid import Block
from toolkit.learning.devices import torch_threads
from toolkit.learning.ensemble import AnyModel
from toolkit.learning.precision import Precision, Stored
from toolkit.series.matrix import PLAIN, MatrixForm
from toolkit.series.timeseries import TileSeries

MOST_CHANGED = 0.002
"""Share of pixels of another class from which bfloat16 is not chosen."""
SIDE = 128
"""Pixels a side of each of the two pieces that are tried: within one tile of each file, so that they are soon read."""
MANY_BLOCKS = 16
"""Blocks of a tile from which the pieces are in two of them, apart; of fewer, reading both would cost too much."""
ROUNDS = 2
"""Turns of each precision where the quicker is chosen; the quickest counts."""
FEW = 4096
"""Pixels of the turn before, which makes the network ready."""


@dataclass(frozen=True)
class Trial:
    """Both precisions on the same pixels."""

    pixels: int
    changed: float
    """Share of the pixels that have another class in bfloat16."""
    faster: float
    """How many times as fast the network is in bfloat16."""

    @property
    def worth(self) -> bool:
        """Whether bfloat16 is faster, and changes few pixels."""
        return self.faster > 1 and self.changed <= MOST_CHANGED

    def __str__(self) -> str:
        return (
            f"bfloat16 changes the class of {self.changed:.2%} of {self.pixels:,} pixels, "
            f"with the network {self.faster:.1f} times as fast"
        )


def form_of(model: AnyModel, precision: Stored) -> MatrixForm:
    """The form of features that the network is given."""
    return model.form(bfloat16=True) if precision == "bfloat16" else PLAIN


def settle_precision(
    wanted: Precision,
    series: TileSeries,
    stack: FeatureStack,
    model: AnyModel,
    cover: Sequence[Block],
    say: Callable[[str], None] = lambda _: None,
) -> Stored:
    """The precision of a tile's map.

    Args:
        cover: the blocks of the tile; pieces of some are tried.
        say: is told what was found.

    Raises:
        ParameterError: bfloat16 is wanted, and the network cannot be run in it.
        ProductError: a file cannot be read. FeatureError: an external feature fails.
    """
    if wanted == "float32":
        return "float32"
    try:
        if stack.raw:
            raise ParameterError("its features are raw dates, whose days bfloat16 cannot tell apart")
        found = try_both(series, stack, model, cover, ROUNDS if wanted == "auto" else 1)
    except ParameterError as error:
        if wanted == "bfloat16":
            raise ParameterError(
                f"mapping.precision = bfloat16 does not go with this model: {error}; set float32"
            ) from None
        say(f"float32: {error}")
        return "float32"
    chosen: Stored = "bfloat16" if wanted == "bfloat16" or found.worth else "float32"
    say(f"{chosen}: {found}")
    return chosen


def try_both(
    series: TileSeries, stack: FeatureStack, model: AnyModel, cover: Sequence[Block], rounds: int = ROUNDS
) -> Trial:
    """Classify pieces in both precisions, so many times.

    Raises:
        ParameterError: the network cannot be run in bfloat16. ProductError, FeatureError: as of `TileFeatures`.
    """
    form = model.form(bfloat16=True)
    features, seen = _pieces(TileFeatures(series, stack), cover)
    narrow = form.of(features)
    try:
        with torch_threads(1):
            plain, slow = _quickest(lambda some: model.predict(some)[0], features, rounds)
            other, quick = _quickest(lambda some: model.predict(some, standardised=True)[0], narrow, rounds)
    except RuntimeError as error:
        raise ParameterError(f"the network does not run in it ({str(error).splitlines()[0]})") from None
    changed = (plain != other)[seen]
    return Trial(int(seen.sum()), float(changed.mean()) if seen.any() else 0.0, slow / quick)


def _pieces(tile: TileFeatures, cover: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
    """Features (feature, pixel) of two pieces, and which pixels get a class (pixel,)."""
    blocks = _places(cover)
    with ThreadPoolExecutor(len(blocks)) as pool:
        read = list(pool.map(tile.read_for_map, blocks))
    features = np.concatenate([one.reshape(len(one), -1) for one, *_ in read], axis=1)
    return features, np.concatenate([seen.ravel() for _, _, seen, _ in read])


def _places(cover: Sequence[Block]) -> list[Block]:
    """Where the pieces lie: a third and two thirds through many blocks; side by side in one of few, where a tile of a
    file is decoded for both."""
    count = len(cover)
    if count >= MANY_BLOCKS:
        return [_piece(cover[place], SIDE) for place in (count // 3, 2 * count // 3)]
    return [_piece(cover[count // 2], 2 * SIDE)]


def _piece(block: Block, width: int) -> Block:
    return Block(block.row, block.col, min(SIDE, block.height), min(width, block.width))


def _quickest(run: Callable[[np.ndarray], np.ndarray], features: np.ndarray, rounds: int) -> tuple[np.ndarray, float]:
    """What it gives of features (feature, pixel), and its seconds at best of some rounds."""
    run(features[:, :FEW])
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        found = run(features)
        seconds.append(time.perf_counter() - begun)
    return found, min(seconds)
