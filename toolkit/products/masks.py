"""Masks of a product as rules: which values of which file make a pixel unusable.

Sources: MUSCATE product format (CNES/CESBIO, "Le format Sentinel-2 Muscate"): CLM, SAT, EDG bit masks; Sentinel-2
Products Specification Document (ESA, S2-PDGS-TAS-DI-PSD): the scene classification of Sen2Cor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

ANY_BIT = 0xFFFF


@dataclass(frozen=True)
class MaskFile:
    """A mask band. A pixel is unusable where one of `bits` is set, or where the value is one of `values`."""

    path: Path
    bits: int = ANY_BIT
    values: frozenset[int] = frozenset()

    def is_clear(self, mask: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Usable pixels of a mask array of any shape, bool; in `out`, where that is given."""
        if self.values:
            return np.logical_not(np.isin(mask, list(self.values)), out=out)
        most = np.iinfo(mask.dtype).max
        some = mask if self.bits & most == most else mask & mask.dtype.type(self.bits & most)
        return np.equal(some, 0, out=out)


THEIA_MASKS = {
    "CLM": "clouds and their shadows; any bit, so the thinnest cirrus too",
    "SAT": "saturated in any band; R1 holds the bits of the 10 m bands, R2 those of the 20 m bands",
    "EDG": "outside of the swath",
}
"""The masks of a Theia product that decide about validity; MG2 (snow, water, relief) does not."""

SCL_CLASSES = (
    "no data",
    "saturated or defective",
    "dark area or shadow of relief",
    "shadow of a cloud",
    "vegetation",
    "bare",
    "water",
    "unclassified",
    "cloud, medium probability",
    "cloud, high probability",
    "thin cirrus",
    "snow or ice",
)
"""Classes of the scene classification (SCL) of a Sen2Cor product, by their number."""

SCL_UNUSABLE = (0, 1, 3, 8, 9, 10)
"""Those that make a pixel unusable, as iota2 has them: dark areas, the unclassified and snow stay."""
