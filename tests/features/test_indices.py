import numpy as np
import pytest

from toolkit.features.compatibility import truncate_to_int16
from toolkit.features.computing import compute_indices
from toolkit.ground.bands import BAND_NAMES
from toolkit.ground.errors import ParameterError

NAMES = ("ndvi", "ndwi", "brightness")


def indices(values: list[float], bands: tuple[str, ...] = BAND_NAMES, names: tuple[str, ...] = NAMES) -> np.ndarray:
    """The indices of one pixel and date."""
    series = np.array(values, dtype=np.float32)[None, :, None]
    return compute_indices(series, bands, names)[:, 0, 0]


def truncated(values: list[float]) -> list[int]:
    array = np.array(values, dtype=np.float32)
    truncate_to_int16(array)
    return array.astype(int).tolist()


def test_published_pixel() -> None:
    # Appendix B of the reference, item 1: the NDWI is short-wave infrared minus near infrared.
    found = indices([500, 700, 600, 1200, 2500, 3000, 3200, 3400, 1800, 1000])
    assert found == pytest.approx([684.21, -280.0, 6620.42], abs=0.01)
    assert truncated(found.tolist()) == [684, -280, 6620]


def test_brightness_saturates_when_cast() -> None:
    found = indices([10500] * 10, names=("brightness",))
    assert found[0] == pytest.approx(33203.9, abs=0.1)
    assert truncated(found.tolist()) == [32767]


@pytest.mark.parametrize(("nir", "red", "exact", "cast"), [(300, 411, -156.118, -156), (300, 412, -157.303, -157)])
def test_negative_values_are_cut_towards_zero(nir: int, red: int, exact: float, cast: int) -> None:
    found = indices([0, 0, red, 0, 0, 0, nir, 0, 0, 0], names=("ndvi",))
    assert found[0] == pytest.approx(exact, abs=1e-3)
    assert truncated(found.tolist()) == [cast]


def test_sum_of_zero_gives_zero() -> None:
    assert indices([0, 0, -500, 0, 0, 0, 500, 0, 0, 0], names=("ndvi",))[0] == 0


def test_nodata_in_any_band_makes_the_date_s_indices_nodata() -> None:
    series = np.full((2, 10, 1), 1000, dtype=np.float32)
    series[0, 3] = -10000
    found = compute_indices(series, BAND_NAMES, NAMES)[:, :, 0]
    assert (found[:, 0] == -10000).all()
    assert (found[:, 1] > -10000).all()


def test_cast_is_the_orfeo_toolbox_s() -> None:
    given = [1.4, 1.5, 1.7, -1.4, -1.7, 40000, -40000, 0.999, 2.5, -2.5]
    assert truncated(given) == [1, 1, 1, -1, -1, 32767, -32768, 0, 2, -2]


def test_b8a_stands_in_for_b8() -> None:
    bands = ("B2", "B3", "B4", "B8A", "B11", "B12")
    assert indices([0, 0, 1000, 3000, 2000, 0], bands, ("ndvi", "ndwi")) == pytest.approx([500, -200])


def test_unknown_index_or_absent_band_is_refused() -> None:
    with pytest.raises(ParameterError, match="did you mean 'ndvi'"):
        indices([0] * 10, names=("ndv",))
    with pytest.raises(ParameterError, match=r"need B11 \(swir\).*B2, B4, B8"):
        indices([0, 0, 0], ("B2", "B4", "B8"), ("ndwi",))
