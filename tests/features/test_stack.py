import numpy as np
import pytest

from toolkit.features.stack import FeatureParams, FeatureStack
from toolkit.ground.errors import ParameterError
from toolkit.series.timeseries import SeriesParams


def series(**changes: object) -> SeriesParams:
    values = {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-12-27", **changes}
    return SeriesParams.model_validate(values)


def pixels(dates: list[str], count: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = rng.integers(100, 6000, (len(dates), 10, count)).astype(np.int16)
    validity = rng.random((len(dates), count)) < 0.7
    return values, validity, np.array(dates, dtype="datetime64[D]")


DATES = ["2018-01-04", "2018-02-01", "2018-05-20", "2018-08-01", "2018-11-11"]


def test_the_published_stack_has_481_features_in_iota2_s_order() -> None:
    stack = FeatureStack.of(series(), FeatureParams())
    assert len(stack) == len(stack.names) == 481
    assert stack.names[:11] == (
        *("B2_20180101", "B3_20180101", "B4_20180101", "B5_20180101", "B6_20180101"),
        *("B7_20180101", "B8_20180101", "B8A_20180101", "B11_20180101", "B12_20180101"),
        "B2_20180111",
    )
    assert stack.names[370] == "NDVI_20180101"
    assert stack.names[370 + 37] == "NDWI_20180101"
    assert stack.names[-1] == "Brightness_20181227"


def test_values_stand_under_their_names() -> None:
    stack = FeatureStack.of(series(), FeatureParams())
    values, validity, dates = pixels(DATES)
    validity[:] = True
    features, clear = stack.compute(values, validity, dates)
    at = stack.names.index("B8_20180521")
    share = 1 / 73
    wanted = values[2, 6] + share * (values[3, 6] - values[2, 6].astype(float))
    assert features[at] == pytest.approx(wanted, abs=0.01)
    nir, red = features[at], features[stack.names.index("B4_20180521")]
    assert features[stack.names.index("NDVI_20180521")] == pytest.approx(1000 * (nir - red) / (nir + red), abs=0.01)
    assert clear.tolist() == [5] * 6


def test_block_and_scattered_pixels_have_the_same_features() -> None:
    """Mapping computes whole blocks, sampling single pixels: they cannot differ."""
    stack = FeatureStack.of(series(), FeatureParams())
    values, validity, dates = pixels(DATES, 30 * 20)
    block, clear = stack.compute(values.reshape(5, 10, 30, 20), validity.reshape(5, 30, 20), dates)
    chosen = np.array([3, 77, 599, 78])
    some, some_clear = stack.compute(values[:, :, chosen], validity[:, chosen], dates)
    assert np.array_equal(block.reshape(481, -1)[:, chosen], some)
    assert np.array_equal(clear.ravel()[chosen], some_clear)


def test_pixel_never_seen_is_zero_with_no_clear_date() -> None:
    stack = FeatureStack.of(series(), FeatureParams())
    values, validity, dates = pixels(DATES)
    validity[:, 2] = False
    features, clear = stack.compute(values, validity, dates)
    assert not features[:, 2].any()
    assert clear[2] == 0


def test_gaps_are_filled_by_the_method_of_the_experiment() -> None:
    values, validity, dates = pixels(DATES)
    validity[:] = True
    plain = FeatureStack.of(series(), FeatureParams())
    stack = FeatureStack.of(series(gap_filling={"method": "previous"}), FeatureParams())
    assert stack.names == plain.names
    features, _ = stack.compute(values, validity, dates)
    at = stack.names.index("B8_20180730")
    assert np.array_equal(features[at], values[2, 6])
    assert not np.array_equal(plain.compute(values, validity, dates)[0][at], values[2, 6])


def test_pixel_of_which_no_day_is_left_counts_as_never_seen() -> None:
    values, validity, dates = pixels(DATES)
    validity[:] = True
    validity[1:, 2] = False
    stack = FeatureStack.of(series(gap_filling={"method": "linear", "max_gap_days": 120}), FeatureParams())
    features, clear = stack.compute(values.reshape(5, 10, 2, 3), validity.reshape(5, 2, 3), dates)
    assert clear.ravel().tolist() == [5, 5, 1, 5, 5, 5]  # the day before its only date is left
    assert np.flatnonzero(features.reshape(481, -1)[: 37 * 10, 2]).tolist() == list(range(10))
    validity[0, 2], validity[1, 2] = False, True
    strict = FeatureStack.of(series(gap_filling={"method": "linear", "max_gap_days": 20}), FeatureParams())
    features, clear = strict.compute(values, validity, dates)
    assert clear[2] == 0 and not features[:, 2].any()


def test_iota2_compatibility_cuts_to_whole_numbers() -> None:
    stack = FeatureStack.of(series(), FeatureParams(compatibility="iota2"))
    values, validity, dates = pixels(DATES, 50)
    features, _ = stack.compute(values, validity, dates)
    assert np.array_equal(features, np.trunc(features))
    plain, _ = FeatureStack.of(series(), FeatureParams()).compute(values, validity, dates)
    assert np.abs(features[:370] - plain[:370]).max() < 1.01
    nir, red = (features[stack.names.index(f"{band}_20180521")] for band in ("B8", "B4"))
    ndvi = features[stack.names.index("NDVI_20180521")]
    assert np.array_equal(ndvi, np.trunc(1000 * (nir - red) / (nir + red)))


def test_interpolated_whole_numbers_stay_whole_in_iota2_compatibility() -> None:
    """A weight such as 1/3 is not exact in float32; 200 must not become 199."""
    stack = FeatureStack(("B4",), ("2018-01-02",), (), "iota2")
    for gap in range(2, 120):
        dates = np.array(["2018-01-01", np.datetime64("2018-01-01") + gap], dtype="datetime64[D]")
        values = np.array([0, 200 * gap], dtype=np.int16)[:, None, None]
        features, _ = stack.compute(values, np.ones((2, 1), dtype=bool), dates)
        assert features[0, 0] == 200, gap


def test_iota2_compatibility_needs_its_gap_filling() -> None:
    for other in ({"method": "akima"}, {"method": "linear", "max_gap_days": 60}):
        with pytest.raises(ParameterError, match=r"needs series\.gap_filling = \{method: linear\}"):
            FeatureStack.of(series(gap_filling=other), FeatureParams(compatibility="iota2"))


def test_indices_may_be_left_out() -> None:
    assert len(FeatureStack.of(series(), FeatureParams(indices=()))) == 370


def test_index_without_its_band_is_refused() -> None:
    with pytest.raises(ParameterError, match="B11"):
        FeatureStack.of(series(bands=["B2", "B4", "B8"]), FeatureParams())
    greenest = {"method": "composite", "statistic": "max_ndvi"}
    with pytest.raises(ParameterError, match="max_ndvi needs B4"):
        FeatureStack.of(series(bands=["B2", "B3"], gap_filling=greenest), FeatureParams(indices=()))
    with pytest.raises(ValueError, match="did you mean 'ndwi'"):
        FeatureParams(indices=("ndw",))
