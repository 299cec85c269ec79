"""The features in torch equal those of the kernel, on the processor always, on a GPU where there is one."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from toolkit.features.regular import RegularFeatures
from toolkit.features.stack import FeatureStack
from toolkit.ground.errors import ParameterError
from toolkit.learning import on_device
from toolkit.learning.on_device import FEWEST, PIXELS, DeviceStrips, bytes_on_device, features_on_device
from toolkit.series.matrix import MatrixForm, from_bfloat16
from toolkit.series.methods import GapFilling

EPOCH = np.datetime64("2018-01-01")
BANDS = ("B2", "B4", "B8", "B11")
INDICES = (
    "ndvi", "ndwi", "brightness", "savi", "a = min(B8, B4) + max(B2, B4) * 2 - abs(-B8)",
    "b = exp(B2) + log(B4) + B8 ** 1.3 + sqrt(B8) + B2 ** 2",
)  # fmt: skip


def regular(method: dict[str, Any], steps: int = 12, **more: Any) -> RegularFeatures:
    filling = TypeAdapter(GapFilling).validate_python(method)
    return RegularFeatures(BANDS, EPOCH + 15 * np.arange(steps), INDICES, filling, **more)


def assert_agrees(
    device: str, method: dict[str, Any], dates: np.ndarray, share: float, seed: int, pixels: int = 300
) -> None:
    """Both ways of all forms."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 9000, (len(dates), 4, pixels)).astype(np.int16)
    validity = rng.random((len(dates), pixels)) < share
    features, days = regular(method), EPOCH + dates.astype("timedelta64[D]")
    count = len(features)
    mean, std = rng.normal(2000, 500, count), rng.uniform(300, 900, count)
    kept = np.sort(rng.choice(count, count // 3, replace=False))
    for form, chosen in ((MatrixForm(), None), (MatrixForm(mean, std), None), (MatrixForm(mean, std, True), None),
                         (MatrixForm(mean[kept], std[kept]), kept)):  # fmt: skip
        wanted = np.empty((count if chosen is None else len(kept), pixels), form.dtype)
        clear = features.write(values, validity, days, form, wanted, chosen)
        given_ = torch.from_numpy(values).to(device), torch.from_numpy(validity).to(device)
        found, found_clear = features_on_device(features, *given_, days, form, chosen)
        assert found.device.type == device and np.array_equal(found_clear.cpu().numpy(), clear)
        if form.bfloat16:
            assert found.dtype == torch.bfloat16
            assert np.allclose(found.float().cpu().numpy(), from_bfloat16(wanted), rtol=1 / 128, atol=1e-3)
        else:
            assert np.allclose(found.cpu().numpy(), wanted, rtol=1e-4, atol=2e-2 if chosen is None else 1e-3)


METHODS = st.fixed_dictionaries(
    {"method": st.sampled_from(["linear", "nearest", "previous"]), "max_gap_days": st.none() | st.integers(1, 90)}
)
DATES = st.lists(st.integers(-10, 190), max_size=15).map(lambda dates: np.array(sorted(dates), dtype=int))


@settings(max_examples=60, deadline=None)
@given(METHODS, DATES, st.floats(0, 1), st.integers(0, 99))
def test_equals_the_kernel(method: dict[str, Any], dates: np.ndarray, share: float, seed: int) -> None:
    assert_agrees("cpu", method, dates, share, seed)


def test_parts_are_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_device, "PIXELS", 64)
    assert_agrees("cpu", {"method": "linear", "max_gap_days": 40}, np.arange(0, 190, 7), 0.5, 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch can use (cuda)")
@pytest.mark.parametrize("method", ["linear", "nearest", "previous"])
def test_equals_the_kernel_on_a_gpu(method: str) -> None:
    assert_agrees("cuda", {"method": method, "max_gap_days": 60}, np.arange(0, 190, 5), 0.5, 0, pixels=100_000)


def test_a_method_that_looks_further_than_neighbours_is_refused() -> None:
    given_ = torch.zeros((1, 4, 2), dtype=torch.int16), torch.ones((1, 2), dtype=torch.bool), EPOCH + np.arange(1)
    with pytest.raises(ParameterError, match="whittaker is computed on the processor only; choose linear, nearest"):
        features_on_device(regular({"method": "whittaker"}), *given_)
    with pytest.raises(ParameterError, match="linear as iota2 is computed on the processor only"):
        features_on_device(regular({"method": "linear"}, as_iota2=True), *given_)


def test_order_is_the_stack_s() -> None:
    features = regular({"method": "linear"})
    stack = FeatureStack(BANDS, tuple(str(day) for day in features.days), INDICES)
    rng = np.random.default_rng(0)
    values, validity = rng.integers(0, 9000, (5, 4, 6)).astype(np.int16), np.ones((5, 6), bool)
    dates = EPOCH + np.arange(0, 50, 10)
    found, _ = features_on_device(features, torch.from_numpy(values), torch.from_numpy(validity), dates)
    assert np.allclose(found.numpy(), stack.compute(values, validity, dates)[0], rtol=1e-4, atol=1e-2)


GPU, MB = torch.device("cuda"), 10**6
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore words")


def test_as_many_pixels_as_a_device_has_memory_for() -> None:
    free = [800 * MB]
    strips = DeviceStrips(lambda _: free[0])
    assert strips.pixels(GPU, 10_000) == 40_000, "half of what is free"
    free[0] = 20 * MB
    assert strips.pixels(GPU, 10_000) == FEWEST
    free[0] = 80_000 * MB
    assert strips.pixels(GPU, 10_000) == PIXELS
    assert DeviceStrips().pixels(torch.device("cpu"), 10_000) == PIXELS, "nobody tells"


def test_fewer_pixels_where_that_was_too_much() -> None:
    said: list[str] = []
    strips = DeviceStrips(lambda _: 800 * MB, said.append)
    assert strips.halve(40_000, FULL) and strips.pixels(GPU, 10_000) == 20_000
    assert strips.halve(40_000, FULL) and strips.pixels(GPU, 10_000) == 20_000, "another worker that failed with it"
    assert (
        "40,000 pixels (CUDA out of memory. Tried to allocate 2.00 GiB.): 20,000 at once" in said[0] and len(said) == 1
    )
    assert not strips.halve(20_000, MemoryError()), "that of the computer"
    assert strips.halve(1500, FULL) and strips.pixels(GPU, 10_000) == FEWEST
    assert not strips.halve(FEWEST, FULL), "nothing fits then"
    assert copy(strips).pixels(torch.device("cpu"), 10_000) == PIXELS, "another process, another GPU"


def test_bytes_of_a_pixel_on_a_device_are_those_of_the_arrays() -> None:
    """No less than images, filled bands and features; what torch takes in between is counted by its arrays."""
    stack = FeatureStack(BANDS, tuple(str(day) for day in regular({"method": "linear"}).days), INDICES)
    least = 30 * (2 * 4 + 1) + 4 * 12 * 4 + 2 * 4 * 12 * (4 + 6)
    assert least < bytes_on_device(stack, 30) < 8 * least
