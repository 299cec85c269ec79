"""The one pass from a cloudy series to the matrix, against an obvious one in float64; its forms, and bfloat16."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.features.conftest import ArraySeries
from tests.series import obvious
from toolkit.features.chosen import ChosenFeature
from toolkit.features.stack import FeatureStack
from toolkit.series.matrix import MatrixForm, bfloat16_bits, from_bfloat16
from toolkit.series.methods import GapFilling

EPOCH = np.datetime64("2018-01-01")
BANDS = ("B4", "B8", "B11")
INDICES = ("ndvi", "savi", "brightness", "mine = sqrt(B8) - B4 / (B11 + 0.1)", "ndwi")
METHODS = {"linear": obvious.linear, "nearest": obvious.nearest, "previous": obvious.previous}
HALF = 1 / 256
"""Largest relative error of bfloat16."""


def chosen(**values: Any) -> Any:
    return TypeAdapter(GapFilling).validate_python(values)


def days(values: np.ndarray) -> np.ndarray:
    return EPOCH + values.astype("timedelta64[D]")


@st.composite
def cases(draw: st.DrawFn) -> tuple:
    """Dates (some twice, perhaps none), the grid's days, values (date, band, pixel), validity."""
    dates = np.array(sorted(draw(st.lists(st.integers(0, 200), max_size=12))), dtype=int)
    outputs = draw(st.integers(-20, 150)) + draw(st.integers(1, 30)) * np.arange(draw(st.integers(1, 8)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = draw(st.sampled_from([1, 3, 511, 512, 513, 1100]))
    values = rng.integers(0, 9000, (len(dates), 3, pixels)).astype(np.int16)
    return dates, outputs, values, rng.random((len(dates), pixels)) < draw(st.floats(0, 1))


def stack_of(outputs: np.ndarray, **more: Any) -> FeatureStack:
    return FeatureStack(BANDS, tuple(str(day) for day in days(outputs)), INDICES, **more)


def wanted_pixel(case: tuple, pixel: int, method: str, longest: int | None) -> np.ndarray:
    """The features of a pixel in float64, straight from the definitions."""
    dates, outputs, values, validity = case
    valid = validity[:, pixel]
    gaps = np.array([obvious.gap_at(dates, valid, day, outputs[0], outputs[-1]) for day in outputs])
    alive = gaps <= longest if longest else np.full(len(outputs), True)
    red, nir, swir = bands = [METHODS[method](dates, values[:, b, pixel], valid, outputs) * alive for b in range(3)]
    seen = valid.any() and alive.any()

    def quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.divide(1000 * a, b, out=np.zeros(len(a)), where=np.abs(b) > 1e-9)

    r, n, s = (one / 10000 for one in bands)
    indices = [
        quotient(nir - red, nir + red),
        1000 * 1.5 * (n - r) / (n + r + 0.5),
        np.sqrt(red**2 + nir**2 + swir**2),
        1000 * (np.sqrt(n) - r / (s + 0.1)),
        quotient(swir - nir, swir + nir),
    ]
    return np.concatenate([np.transpose(bands).ravel(), *(one * seen for one in indices)])


@settings(max_examples=120, deadline=None)
@given(cases(), st.sampled_from(sorted(METHODS)), st.none() | st.integers(1, 60))
def test_one_pass_equals_the_definitions(case: tuple, method: str, longest: int | None) -> None:
    dates, outputs, values, validity = case
    stack = stack_of(outputs, gap_filling=chosen(method=method, max_gap_days=longest))
    features, clear = stack.compute(values, validity, days(dates))
    assert features.dtype == np.float32 and features.shape == (len(stack), values.shape[2])
    for pixel in {0, values.shape[2] - 1, values.shape[2] // 2}:
        wanted = wanted_pixel(case, pixel, method, longest)
        assert np.allclose(features[:, pixel], wanted, rtol=1e-4, atol=2e-2)
        assert clear[pixel] == validity[:, pixel].sum() or not features[:, pixel].any()


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from(["linear", "previous", "akima", "composite"]), st.none() | st.integers(5, 60))
def test_standardised_and_bfloat16_are_what_is_made_of_the_plain_matrix(
    case: tuple, method: str, longest: int | None
) -> None:
    dates, outputs, values, validity = case
    stack = stack_of(outputs, gap_filling=chosen(method=method, max_gap_days=longest))
    given_ = (values, validity, days(dates))
    plain, clear = stack.compute(*given_)
    rng = np.random.default_rng(0)
    mean, std = rng.normal(2000, 800, len(stack)), rng.uniform(300, 900, len(stack))
    form = MatrixForm(mean, std)
    standardised, same = stack.compute(*given_, form=form)
    assert np.array_equal(clear, same)
    wanted = (plain - mean[:, None]) / std[:, None]
    assert np.allclose(standardised, wanted, rtol=1e-5, atol=1e-5)
    assert np.array_equal(standardised, form.of(plain))
    bits, _ = stack.compute(*given_, form=replace(form, bfloat16=True))
    assert bits.dtype == np.uint16 and np.array_equal(bits, bfloat16_bits(standardised))
    assert (np.abs(from_bfloat16(bits) - standardised) <= HALF * np.abs(standardised)).all()


def test_bfloat16_rounds_to_the_nearest_and_halves_to_even() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 3, 20_000), rng.normal(0, 1e30, 100), [0.0, -0.0, 1.0, -1.0]])
    values = values.astype(np.float32)
    halves = np.arange(0x3F808000, 0x3F908000, 0x10000, dtype=np.uint32).view(np.float32)  # between two
    values = np.concatenate(
        [values, halves, -halves, np.nextafter(halves, np.float32(2)), np.nextafter(halves, np.float32(0))]
    )
    theirs = torch.from_numpy(values).bfloat16().view(torch.uint16).numpy()
    assert np.array_equal(bfloat16_bits(values), theirs)
    big = values[np.abs(values) > 1e-30]
    error = np.abs(from_bfloat16(bfloat16_bits(big)) - big) / np.abs(big)
    assert 0.003 < error.max() <= HALF  # less than 0.4 %


@pytest.mark.parametrize("method", ["linear", "nearest", "whittaker", "composite"])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_selection_is_rows_of_the_whole(method: str, bfloat16: bool) -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 9000, (9, 3, 700)).astype(np.int16)
    validity = rng.random((9, 700)) < 0.5
    validity[:, 40:60] = False
    outputs, dates = np.arange(0, 90, 10), days(np.arange(0, 90, 10))
    whole = stack_of(outputs, gap_filling=chosen(method=method))
    some = replace(whole, select=("ndvi_*", "b8_201801*", "mine_201803*"))
    mean, std = np.linspace(0, 2000, len(whole)), np.linspace(1, 900, len(whole))
    features, _ = whole.compute(values, validity, dates, form=MatrixForm(mean, std, bfloat16))
    kept = [whole.names.index(name) for name in some.names]
    form = MatrixForm(mean[kept], std[kept], bfloat16)
    assert np.array_equal(some.compute(values, validity, dates, form=form)[0], features[kept])
    assert np.array_equal(some.compute(values, validity, dates)[0], whole.compute(values, validity, dates)[0][kept])


def test_normalisation_of_other_features_is_refused() -> None:
    stack = stack_of(np.arange(3))
    given_ = np.zeros((1, 3, 4), np.int16), np.ones((1, 4), bool), days(np.array([0]))
    with pytest.raises(ValueError, match="2 means and 2 deviations do not fit 24 features"):
        stack.compute(*given_, form=MatrixForm(np.zeros(2), np.ones(2)))


def test_bits_do_not_depend_on_the_place_of_a_pixel() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 9000, (20, 3, 2000)).astype(np.int16)
    validity = rng.random((20, 2000)) < 0.5
    stack, dates = stack_of(np.arange(0, 200, 10)), days(np.sort(rng.integers(0, 200, 20)))
    whole, clear = stack.compute(values, validity, dates)
    for part in (slice(0, 1), slice(511, 514), slice(700, 1300), slice(1488, 2000)):
        some, some_clear = stack.compute(values[:, :, part], validity[:, part], dates)
        assert np.array_equal(some, whole[:, part]) and np.array_equal(some_clear, clear[part])


@pytest.mark.parametrize(
    "external", [(), (ChosenFeature("texture", {"day": "2018-01-11", "band": "B8", "radius": 2}),)]
)
def test_a_map_is_given_its_features_in_the_form_of_its_network(
    scene: ArraySeries, external: tuple[ChosenFeature, ...]
) -> None:
    """With features of functions too, which are computed from the values as they are."""
    features = scene.of(*external)
    plain, clear, seen, _ = features.read_for_map(scene.whole)
    mean, std = np.linspace(0, 3000, len(plain)), np.linspace(100, 900, len(plain))
    form = MatrixForm(mean, std, bfloat16=True)
    bits, same_clear, same_seen, _ = features.read_for_map(scene.whole, form)
    assert np.array_equal(clear, same_clear) and np.array_equal(seen, same_seen)
    assert bits.shape == plain.shape and np.array_equal(bits, form.of(plain))
