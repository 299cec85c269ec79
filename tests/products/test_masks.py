from pathlib import Path

import numpy as np

from toolkit.products.masks import MaskFile


def test_any_bit_masks() -> None:
    mask = np.array([0, 1, 64, 128], dtype=np.uint8)
    assert MaskFile(Path("CLM")).is_clear(mask).tolist() == [True, False, False, False]


def test_chosen_bits_mask() -> None:
    mask = np.array([0, 1, 2, 3, 16], dtype=np.uint8)
    assert MaskFile(Path("CLM"), bits=0b10).is_clear(mask).tolist() == [True, True, False, False, True]


def test_chosen_values_mask() -> None:
    mask = np.array([0, 4, 8, 11], dtype=np.uint8)
    assert MaskFile(Path("SCL"), values=frozenset({0, 8})).is_clear(mask).tolist() == [False, True, False, True]
