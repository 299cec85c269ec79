"""The layers of a map: their types, what stands where a pixel was never seen, and what a value means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.ground.nomenclature import Nomenclature

CLASSES, CONFIDENCE, VALIDITY, LONGEST_GAP = "classes", "confidence", "validity", "longest_gap"
PROBABILITIES, MARGIN, ENTROPY = "probabilities", "margin", "entropy"

NOT_SEEN = 255
"""Of margin and entropy, where 0 is a value."""


@dataclass(frozen=True)
class Layer:
    """What a file of a layer holds."""

    dtype: str
    words: str
    unseen: int = 0
    """Value of a pixel that was never seen."""
    nodata: int | None = 0
    each_class: bool = False
    """Whether it has a band for each class of the nomenclature."""
    scale: float = 1.0
    """What a value is multiplied by to be what it means; noted in the bands."""

    def bands(self, nomenclature: Nomenclature) -> tuple[str, ...]:
        """Description of each band, `code label`; empty for the one band of a layer that needs none."""
        return tuple(f"{one.code} {one.label}" for one in nomenclature.classes) if self.each_class else ()

    def empty(self, shape: tuple[int, int], nomenclature: Nomenclature) -> np.ndarray:
        """Room for values, (y, x) or (class, y, x)."""
        return np.empty((len(nomenclature), *shape) if self.each_class else shape, self.dtype)

    def bytes_a_pixel(self, classes: int) -> int:
        """Bytes of a pixel, of a nomenclature of so many classes."""
        return np.dtype(self.dtype).itemsize * (classes if self.each_class else 1)


LAYERS: Mapping[str, Layer] = {
    CLASSES: Layer("uint8", "class code"),
    CONFIDENCE: Layer("uint8", "largest probability, percent"),
    VALIDITY: Layer("uint16", "clear dates"),
    LONGEST_GAP: Layer("uint16", "longest time between clear dates, days"),
    # No value is "no data": 0 is a probability too, and an overview averages it. All bands are 0 where never seen.
    PROBABILITIES: Layer("uint8", "probability of each class, percent", nodata=None, each_class=True, scale=0.01),
    MARGIN: Layer("uint8", "largest less second probability, percent", NOT_SEEN, NOT_SEEN),
    ENTROPY: Layer("uint8", "entropy of the probabilities, 100 where all are the same", NOT_SEEN, NOT_SEEN),
}
"""Every layer that there is."""


def layer_bytes(layers: Iterable[str], classes: int) -> int:
    """Bytes of a pixel in all of these layers."""
    return sum(LAYERS[layer].bytes_a_pixel(classes) for layer in layers)
