"""The matrix that a network eats, (feature, pixel): standardised or not, and in which numbers.

bfloat16 is kept as its bits, uint16, since NumPy has no such type: the upper half of a float32, rounded to the nearest
of two, to the even one where both are as near.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit


@dataclass(frozen=True, eq=False)
class MatrixForm:
    """How features are written: `(x - mean) / std`, as float32 or as the bits of bfloat16."""

    mean: np.ndarray | None = None
    """(feature,), of the features that are kept; None for values as they are."""
    std: np.ndarray | None = None
    """(feature,)."""
    bfloat16: bool = False

    @property
    def dtype(self) -> np.dtype:
        """Of the matrix: float32, or uint16 for the bits of bfloat16."""
        return np.dtype(np.uint16 if self.bfloat16 else np.float32)

    def scaling(self, features: int) -> tuple[np.ndarray, np.ndarray]:
        """What is taken from each feature, and what the rest is multiplied by: float32 of shape (feature,)."""
        if self.mean is None or self.std is None:
            return np.zeros(features, np.float32), np.ones(features, np.float32)
        if len(self.mean) != features or len(self.std) != features:
            raise ValueError(f"{len(self.mean)} means and {len(self.std)} deviations do not fit {features} features")
        return self.mean.astype(np.float32), (1 / self.std).astype(np.float32)

    @cached_property
    def plain(self) -> bool:
        """Whether values are written as they are."""
        return self.mean is None and not self.bfloat16

    def of(self, features: np.ndarray) -> np.ndarray:
        """Features (feature, …) float32 in this form."""
        if self.plain:
            return features
        mean, inverse = (one.reshape(-1, *[1] * (features.ndim - 1)) for one in self.scaling(len(features)))
        result = (features - mean) * inverse
        return bfloat16_bits(result) if self.bfloat16 else result


PLAIN = MatrixForm()


def bfloat16_bits(values: np.ndarray) -> np.ndarray:
    """float32 as the bits of bfloat16, uint16; the largest relative error is 1/256 (values that are not subnormal)."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The bits of bfloat16, uint16, as float32: exactly."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


@njit(nogil=True, cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def rounded_bits(value):  # type: ignore[no-untyped-def]
    """As `bfloat16_bits`, of one number."""
    bits = np.float32(value).view(np.uint32)
    return np.uint16(
        np.uint32(np.uint32(bits + np.uint32(0x7FFF)) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    )
