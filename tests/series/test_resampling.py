import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import Resampling, reproject

from toolkit.series import resampling
from toolkit.series.resampling import REACH, find_holes, upsample_dates

NODATA = -10000


def upsample(
    coarse: np.ndarray, ratio: int, skip: tuple[int, int], shape: tuple[int, int], method: str, nodata: int
) -> np.ndarray:
    """One date of one band, (y, x)."""
    fine = np.empty((1, 1, *shape), dtype=np.int16)
    upsample_dates(coarse[None], ratio, skip, method, nodata, fine, 0)
    return fine[0, 0]


def up(coarse: np.ndarray, method: str, ratio: int = 2) -> np.ndarray:
    """The whole array upsampled, edges filled with nodata as at a file's border."""
    padded = np.pad(coarse, REACH[method], constant_values=NODATA)
    return upsample(padded, ratio, (0, 0), (coarse.shape[0] * ratio, coarse.shape[1] * ratio), method, NODATA)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_equals_gdal(method: str) -> None:
    coarse = np.random.default_rng(0).integers(100, 9000, (24, 20)).astype(np.int16)
    wanted = np.empty((48, 40), dtype=np.int16)
    crs = "EPSG:32631"
    reproject(
        coarse,
        wanted,
        src_transform=Affine(20, 0, 0, 0, -20, 480),
        dst_transform=Affine(10, 0, 0, 0, -10, 480),
        src_crs=crs,
        dst_crs=crs,
        resampling=Resampling[method],
    )
    inner = (slice(6, -6), slice(6, -6))
    assert np.abs(up(coarse, method)[inner].astype(int) - wanted[inner]).max() <= 1


def test_bilinear_weights() -> None:
    fine = up(np.array([[0, 100], [0, 100]], dtype=np.int16), "bilinear")
    assert fine[0].tolist() == [0, 25, 75, 100]


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_a_constant_stays_constant_beside_nodata(method: str) -> None:
    coarse = np.full((8, 8), 1234, dtype=np.int16)
    coarse[2:4, 3] = NODATA
    fine = up(coarse, method)
    assert set(np.unique(fine)) == {NODATA, 1234}
    assert np.array_equal(fine == NODATA, np.kron(coarse == NODATA, np.ones((2, 2), dtype=bool)))


@pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic"])
def test_a_window_equals_the_whole(method: str) -> None:
    coarse = np.random.default_rng(1).integers(0, 5000, (20, 20)).astype(np.int16)
    whole = up(coarse, method)
    reach = REACH[method]
    part = coarse[5 - reach : 12 + reach, 3 - reach : 9 + reach]
    assert np.array_equal(upsample(part, 2, (1, 0), (11, 9), method, NODATA), whole[11:22, 6:15])


def test_cubic_overshoot_is_clamped() -> None:
    coarse = np.full((8, 8), -32000, dtype=np.int16)
    coarse[:, 4:] = 32767
    fine = up(coarse, "cubic")
    assert fine[:, 9:].min() > 20000
    assert fine[:, :7].max() < -20000


@pytest.mark.parametrize("ratio", [2, 6])
@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_a_gap_elsewhere_changes_no_pixel(method: str, ratio: int) -> None:
    """A block beside the gap is read with it or without it: its pixels are the same, to the bit."""
    coarse = np.random.default_rng(2).integers(-2000, 12000, (300, 300)).astype(np.int16)
    holed, reach = coarse.copy(), REACH[method]
    holed[150, 150] = NODATA
    shape = ((300 - 2 * reach) * ratio,) * 2
    whole, around = (upsample(one, ratio, (0, 0), shape, method, NODATA) for one in (coarse, holed))
    changed = np.argwhere(whole != around) // ratio + reach
    assert len(changed)
    assert np.abs(changed - 150).max() <= reach


@pytest.mark.parametrize("method", ["bilinear", "cubic"])
def test_a_window_equals_the_whole_around_a_gap(method: str) -> None:
    coarse = np.random.default_rng(3).integers(-2000, 12000, (150, 150)).astype(np.int16)
    coarse[40:45, 60] = NODATA
    whole, reach = up(coarse, method, 6), REACH[method]
    for row, col in ((30, 50), (60, 80), (43, 60)):
        part = coarse[row - reach : row + 60 + reach, col - reach : col + 60 + reach]
        fine = upsample(part, 6, (5, 1), (350, 350), method, NODATA)
        rows, cols = slice(row * 6 + 5, row * 6 + 355), slice(col * 6 + 1, col * 6 + 351)
        assert np.array_equal(fine, whole[rows, cols])


def test_kernels_add_in_one_order() -> None:
    """With `fastmath` the compiler may exchange terms, and blocks of another width would differ in the last bit."""
    for kernel in (resampling._blend, resampling._mend_around_nodata, resampling._without_nodata, resampling._rounded):
        assert not kernel.targetoptions.get("fastmath")


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    skip=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    holes=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    seed=st.integers(0, 999),
)
def test_twice_as_fine_in_whole_numbers_is_the_same_blend(
    shape: tuple[int, int], skip: tuple[int, int], holes: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, cols = (-(-(length + first) // 2) + 2 for length, first in zip(shape, skip, strict=True))
    coarse = rng.integers(-32768, 32768, (2, rows, cols)).astype(np.int16)
    coarse[rng.random(coarse.shape) < holes] = NODATA
    fine = np.full((2, 3, *shape), 7, np.int16)
    upsample_dates(coarse, 2, skip, "bilinear", NODATA, fine, 1)
    assert (fine[:, [0, 2]] == 7).all()
    for date, made in zip(coarse, fine[:, 1], strict=True):
        blended = np.empty(shape, np.int16)
        *row_taps, own_row = resampling._taps(2, skip[0], shape[0], "bilinear")
        *col_taps, own_col = resampling._taps(2, skip[1], shape[1], "bilinear")
        taps, own = (*row_taps, *col_taps), (own_row, own_col)
        resampling._blend(date, *taps, blended)
        resampling._mend_around_nodata(date, *taps, *own, NODATA, blended, find_holes(date[None], NODATA)[0])
        assert np.array_equal(made, blended)
        assert (made[date[np.ix_(*own)] == NODATA] == NODATA).all()
