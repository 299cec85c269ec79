from pathlib import Path

import numpy as np
import pytest

from toolkit.products.product import BandFile


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", ">u2", "int32", "float32"])
@pytest.mark.parametrize(("scale", "offset", "nodata"), [(1e-4, -0.1, 0), (1 / 5000, 0.0, -1), (2.75e-5, -0.2, 0)])
def test_reflectance_of_any_type_is_scaled_rounded_and_held_in_bounds(
    dtype: str, scale: float, offset: float, nodata: float
) -> None:
    """Whether it is computed or looked up; the last scale is Landsat's."""
    kind = np.dtype(dtype)
    limits = np.iinfo(kind) if kind.kind in "iu" else np.iinfo(np.int16)
    whole = np.linspace(max(limits.min, -40000), min(limits.max, 70000), 999).astype(kind)
    values = np.concatenate([whole, np.array([0, 1], dtype=kind)])[::-1]
    found = BandFile(Path("band"), scale, offset, nodata).to_reflectance(values)
    for value, one in zip(values.tolist(), found.tolist(), strict=True):
        exact = min(32767, max(-32768, round((value * scale + offset) * 10000)))
        assert one == (-10000 if value == nodata else pytest.approx(exact, abs=1)), value
    assert found.dtype == np.int16
