"""The attention interpolator: what it is given, and what must make no difference to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from toolkit.ground.errors import ModelError, ParameterError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.params import build
from toolkit.learning import checkpoint, cost
from toolkit.learning.batches import Standardiser, TrainingSamples
from toolkit.learning.checkpoint import Model
from toolkit.learning.cost import network_cost, network_shape
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import (
    NO_INTERPOLATOR,
    AttentionInterpolator,
    AttentionParams,
    MlpParams,
    NetworkParams,
    build_network,
    inputs_behind,
    interpolator_params,
    network_behind,
    register,
)
from toolkit.learning.parameters import LearningParams
from toolkit.learning.training import train_network

NAMES = ("slope", "B3_*", "B8_*", "day_*", "valid_*")
GRID = np.arange("2018-01-01", "2018-12-28", 10, dtype="datetime64[D]")
LAYOUT = InputLayout.of(NAMES, GRID)
SMALL = AttentionParams(steps=12, heads=2, dimension=16)


def interpolator(params: AttentionParams = SMALL, layout: InputLayout = LAYOUT, seed: int = 0) -> AttentionInterpolator:
    torch.manual_seed(seed)
    built = network_behind(params, MlpParams(hidden=(16,)), layout, 5)
    assert isinstance(built, AttentionInterpolator)
    return built


def rows(samples: int = 6, dates: int = 20, seed: int = 0, shared: bool = True) -> torch.Tensor:
    """Standardised raw rows: about half of the dates valid, of the last sample none."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.integers(-30, 390, (1 if shared else samples, dates)), axis=1)
    valid = rng.random((samples, dates)) < 0.5
    valid[0], valid[-1] = True, False
    values = rng.normal(size=(samples, dates, 2)) * valid[:, :, None]
    dated = np.dstack([values, np.broadcast_to(days, valid.shape), valid])
    return torch.from_numpy(np.hstack([rng.normal(size=(samples, 1)), dated.reshape(samples, -1)]).astype(np.float32))


def padded(features: torch.Tensor, dates: int) -> torch.Tensor:
    return torch.cat((features, torch.zeros(len(features), 4 * dates)), dim=1)


def test_the_network_behind_reads_a_regular_series() -> None:
    given = inputs_behind(AttentionParams(steps=3), LAYOUT)
    assert given.channels == ("B3", "B8") and not given.raw
    assert given.dates == ("2018-01-01", "2018-06-30", "2018-12-27")
    assert given.width == 7 and [given.names[place] for place in given.static] == ["slope"]
    assert inputs_behind(NO_INTERPOLATOR, LAYOUT) is LAYOUT


def explicit(net: AttentionInterpolator, features: torch.Tensor) -> np.ndarray:
    """Attention sample by sample, head by head, step by step, over the valid dates only: (sample, step, channel)."""
    series = net.inputs.series(features)
    state = {name: value.detach().double().numpy() for name, value in net.named_parameters()}

    def encode(head: int, day: float) -> np.ndarray:
        time = (day - net.first) / net.length
        linear = state["slope"][head] * time + state["offset"][head]
        return np.concatenate([linear, np.sin(state["frequencies"][head] * time + state["phases"][head])])

    found = np.zeros((len(features), len(net.days), 2))
    for sample in range(len(features)):
        valid = series.valid[sample].numpy()
        days = series.days[sample].numpy()[valid]
        values = series.values[sample].double().numpy()[valid]
        for step, day in enumerate(net.days.tolist()):
            for head in range(len(state["combine"])):
                query = encode(head, day) @ state["query"][head]
                scores = np.array([query @ (encode(head, one) @ state["key"][head]) for one in days])
                weights = np.exp(30 * np.tanh(scores / 30))
                if len(days):
                    found[sample, step] += (weights / weights.sum()) @ values @ state["combine"][head]
    return found


@pytest.mark.parametrize("shared", [True, False])
def test_it_is_the_masked_softmax_of_the_paper(shared: bool) -> None:
    net, features = interpolator(), rows(shared=shared)
    with torch.no_grad():
        net.combine.normal_()
        found = net.interpolate(net.inputs.series(features))
    assert np.allclose(found, explicit(net, features), atol=2e-5)
    assert not found[-1].any(), "a sample without any valid date is 0"


@given(seed=st.integers(0, 1000), shared=st.booleans(), more=st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_padding_order_and_what_is_masked_make_no_difference(seed: int, shared: bool, more: int) -> None:
    net, features = interpolator(), rows(seed=seed, shared=shared)
    with torch.inference_mode():
        wanted = net(features)
        dated = features[:, 1:].unflatten(1, (20, 4))
        order = torch.from_numpy(np.random.default_rng(seed).permutation(20))
        permuted = torch.cat((features[:, :1], dated[:, order].flatten(1)), dim=1)
        garbage = dated.clone()
        masked = garbage[:, :, 3] == 0
        garbage[..., :2][masked] = 1e6
        noisy = torch.cat((features[:, :1], garbage.flatten(1)), dim=1)
        for changed in (padded(features, more), permuted, noisy):
            assert torch.allclose(net(changed), wanted, atol=1e-4)


def test_a_masked_date_is_a_date_that_is_absent() -> None:
    net, features = interpolator(), rows(samples=4)
    dated = features[:, 1:].unflatten(1, (20, 4)).clone()
    dated[:, 7] = 0
    without = torch.cat((dated[:, :7], dated[:, 8:]), dim=1)
    with torch.inference_mode():
        masked = net(torch.cat((features[:, :1], dated.flatten(1)), dim=1))
        assert torch.allclose(masked, net(torch.cat((features[:, :1], without.flatten(1)), dim=1)), atol=1e-4)
        assert not torch.allclose(masked, net(features), atol=1e-3), "the date did count"


def test_at_first_it_follows_the_series() -> None:
    """The first weights are a smoothing kernel: what is learnt begins from an interpolation."""
    net = interpolator(AttentionParams(steps=37, heads=2, dimension=64))
    days = torch.arange(-30, 395, 8).float()
    curve = torch.sin(days / 365 * 2 * torch.pi)
    dated = torch.stack((curve, 2 * curve, days, torch.ones_like(days)), dim=1)
    features = torch.cat((torch.zeros(1, 1), dated.reshape(1, -1)), dim=1)
    with torch.inference_mode():
        found = net.interpolate(net.inputs.series(features))[0]
    wanted = torch.sin(net.days / 365 * 2 * torch.pi)
    assert (found[:, 0] - wanted).abs().max() < 0.05
    assert torch.allclose(found[:, 1], 2 * found[:, 0], atol=1e-4)


def test_gradients_are_numbers_even_of_samples_without_a_date() -> None:
    net = interpolator()
    net(1e3 * rows()).square().sum().backward()
    for name, weights in net.named_parameters():
        assert weights.grad is not None and torch.isfinite(weights.grad).all(), name
        assert weights.grad.abs().sum() > 0, name


def test_dates_far_from_each_other_keep_their_weights() -> None:
    """However sharp attention becomes, the only valid date counts in full."""
    net = interpolator()
    dated = torch.tensor([[1.5, -2.0, 300.0, 1.0]])
    with torch.inference_mode():
        net.query.mul_(1e4)
        found = net.interpolate(net.inputs.series(torch.cat((torch.zeros(1, 1), dated), dim=1)))
    assert torch.allclose(found, torch.tensor([1.5, -2.0]).expand(1, 12, 2), atol=1e-5)


def test_a_regular_series_may_be_interpolated_too() -> None:
    days = [str(day).replace("-", "") for day in GRID]
    layout = InputLayout.of([*(f"{band}_{day}" for day in days for band in ("B3", "B8")), "slope"], GRID)
    net = interpolator(layout=layout)
    assert net(torch.randn(3, len(layout.names))).shape == (3, 5)


def test_what_cannot_be_is_refused_in_words() -> None:
    with pytest.raises(ParameterError, match=r"learning.interpolator = attention reads series, .* or set .*: none"):
        inputs_behind(SMALL, InputLayout.unnamed(7))
    week = np.array(["2018-01-01", "2018-01-07"], dtype="datetime64[D]")
    with pytest.raises(ParameterError, match=r"steps = 12 are more than the 7 days from 2018-01-01 to 2018-01-07"):
        inputs_behind(SMALL, InputLayout.of(NAMES, week))
    with pytest.raises(ParameterError, match=r"learning.interpolator: attention, or features.representation"):
        network_behind(NO_INTERPOLATOR, MlpParams(), LAYOUT, 5)
    with pytest.raises(ParameterError, match=r"interpolator.method = 'spline': must be one of 'none', 'attention'"):
        build(LearningParams, {"interpolator": "spline"}, "experiment.yml")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (None, NO_INTERPOLATOR),
        ("none", NO_INTERPOLATOR),
        ("attention", AttentionParams()),
        ({"steps": 24}, AttentionParams(steps=24)),
        ({"method": "attention", "heads": 4}, AttentionParams(heads=4)),
        ({"method": "none"}, NO_INTERPOLATOR),
    ],
)
def test_ways_to_write_it(written: Any, meant: Any) -> None:
    assert build(LearningParams, {"interpolator": written}, "experiment.yml").interpolator == meant
    assert interpolator_params(written) == meant


def test_raw_values_are_standardised_over_what_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    features = rows(samples=50).numpy()
    row = LAYOUT.row
    assert row is not None
    monkeypatch.setattr("toolkit.learning.batches.CHUNK", 7)
    chosen = np.arange(0, 50, 2)
    found = Standardiser.fit(features, chosen, row)
    dated = row.dated(features[chosen])
    valid = dated[dated[:, :, 3] == 1]
    assert np.allclose(found.mean, [features[chosen, 0].mean(), *valid[:, :2].mean(0), 0, 0])
    assert np.allclose(found.std, [features[chosen, 0].std(), *valid[:, :2].std(0), 1, 1])
    result = torch.from_numpy(features.copy())
    found.apply(result)
    after, before = row.dated(result.numpy()), row.dated(features)
    assert np.array_equal(after[:, :, 2:], before[:, :, 2:]), "days and validity are as they were"
    assert not after[:, :, :2][before[:, :, 3] == 0].any()
    expected = (before[:, :, :2] - found.mean[1:3]) / found.std[1:3]
    assert np.allclose(after[:, :, :2], expected * before[:, :, 3:], atol=1e-5)


def test_nothing_valid_at_all_is_standardised_without_a_word() -> None:
    found = Standardiser.fit(rows(samples=3).numpy()[-1:], None, LAYOUT.row)
    assert found.mean[1:].tolist() == [0, 0, 0, 0] and found.std.tolist() == [1, 1, 1, 1, 1]


def raw_model(nomenclature: Nomenclature) -> Model:
    net = interpolator()
    with torch.no_grad():
        [*net.modules()][-1].weight.mul_(8)  # type: ignore[operator,union-attr]
    return Model(
        params=MlpParams(hidden=(16,)),
        interpolator=SMALL,
        weights=net.state_dict(),
        standardiser=Standardiser(np.array([10, 3000, 2000, 0, 0]), np.array([4, 500, 900, 1, 1]), LAYOUT.row),
        feature_names=NAMES,
        nomenclature=nomenclature,
        dates=GRID,
        seed=0,
        best={"epoch": 4, "f_score": 0.5, "oa": 0.6, "kappa": 0.4, "train_loss": 1.5, "valid_loss": 1.6},
    )


def measured(samples: int = 700, dates: int = 20) -> np.ndarray:
    """Raw pixels as the stack gives them, not standardised: (feature, pixel)."""
    features = rows(samples, dates).numpy()
    scale = np.tile([500, 900, 1, 1], dates)
    shift = np.tile([3000, 2000, 0, 0], dates)
    valid = np.repeat(features[:, 4::4], 4, axis=1)
    features[:, 1:] = features[:, 1:] * scale + shift * valid
    features[:, 0] = 10 + 4 * features[:, 0]
    return np.ascontiguousarray(features.T)


def test_a_model_of_raw_dates_comes_back_as_it_was(nomenclature: Nomenclature, tmp_path: Path) -> None:
    model = raw_model(nomenclature)
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert again.interpolator == SMALL and again.standardiser.row == LAYOUT.row
    pixels = measured()
    for one, other in zip(model.predict(pixels), again.predict(pixels), strict=True):
        assert np.array_equal(one, other)


def test_maps_are_by_the_network_that_was_trained(nomenclature: Nomenclature) -> None:
    model, pixels = raw_model(nomenclature), measured()
    rows_of = torch.from_numpy(np.ascontiguousarray(pixels.T))
    model.standardiser.apply(rows_of)
    net = interpolator().eval()
    net.load_state_dict(model.weights)
    with torch.inference_mode():
        wanted = net(rows_of).softmax(1).T.numpy()
    assert np.allclose(model.predict_probabilities(pixels), wanted, atol=1e-4)


def test_a_model_takes_any_number_of_dates_in_blocks_of_any_size(
    nomenclature: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, pixels = raw_model(nomenclature), measured()
    wanted = model.predict_probabilities(pixels)
    longer = np.vstack([pixels, np.zeros((4 * 5, pixels.shape[1]), np.float32)])
    assert np.allclose(model.predict_probabilities(longer), wanted, atol=1e-4)
    monkeypatch.setattr(checkpoint, "RAW_PIXELS", 33)
    assert np.allclose(model.predict_probabilities(pixels), wanted, atol=1e-4)
    with pytest.raises(ModelError, match=r"shape \(80, 700\) do not fit the model's \(1 \+ dates x 4, pixel\)"):
        model.predict(pixels[:-1])
    with pytest.raises(ModelError, match="missing B3_"):
        model.check_features(["slope", "B8_*", "day_*", "valid_*"])


def test_a_model_of_before_there_were_interpolators_is_read(nomenclature: Nomenclature, tmp_path: Path) -> None:
    params, names = MlpParams(hidden=(4,)), ("B8_20180101", "B8_20181227")
    model = replace(
        raw_model(nomenclature),
        params=params,
        interpolator=NO_INTERPOLATOR,
        feature_names=names,
        standardiser=Standardiser(np.zeros(2), np.ones(2)),
        weights=build_network(params, InputLayout.of(names, GRID), len(nomenclature)).state_dict(),
    )
    model.save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document.pop("interpolator") == {"method": "none"}
    path.write_text(json.dumps(document), encoding="utf-8")
    again, pixels = Model.load(tmp_path / "model"), np.ones((2, 9), np.float32)
    assert again.interpolator == NO_INTERPOLATOR
    assert np.array_equal(again.predict_probabilities(pixels), model.predict_probabilities(pixels))


def test_size_and_cost_are_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PROBE_SECONDS", 0.02)
    shape = network_shape(MlpParams(hidden=(16,)), LAYOUT, 5, SMALL)
    inner = network_shape(MlpParams(hidden=(16,)), inputs_behind(SMALL, LAYOUT), 5)
    assert shape.widths == inner.widths == (25, 16, 5)
    own = 2 * (2 * 15 + 2 + 2 * 16 * 16 + 2 * 2)
    assert shape.parameters == inner.parameters + own == sum(one.numel() for one in interpolator().parameters())
    params = LearningParams(network=MlpParams(hidden=(16,)), interpolator=SMALL, batch_size=64)
    found = network_cost(params, LAYOUT, 5, 1000)
    assert found.shape == shape and found.seconds_an_epoch is not None and found.seconds_an_epoch > 0


def seasons(polygons: int = 12, pixels: int = 10, dates: int = 24, seed: int = 0) -> TrainingSamples:
    """Classes that differ by the day of their peak; each polygon is seen on days of its own, some of them cloudy."""
    rng = np.random.default_rng(seed)
    peaks = {2: 90, 5: 160, 9: 230, 200: 300}
    owner = np.repeat(np.arange(len(peaks) * polygons), pixels)
    code = np.repeat(np.array(list(peaks), dtype=np.uint8), polygons * pixels)
    days = np.sort(rng.integers(0, 365, (len(peaks) * polygons, dates)), axis=1)[owner]
    peak = np.array([peaks[one] for one in code])[:, None] + rng.normal(0, 12, (len(owner), 1))
    curve = 1500 + 3000 * np.exp(-(((days - peak) / 40) ** 2))
    valid = rng.random(days.shape) < 0.6
    values = np.dstack([curve / 3, curve]) + rng.normal(0, 150, (*days.shape, 2))
    dated = np.dstack([values * valid[:, :, None], days, valid])
    static = rng.normal(10, 4, (len(owner), 1))
    features = np.hstack([static, dated.reshape(len(owner), -1)]).astype(np.float32)
    return TrainingSamples(features, code, owner.astype(np.int64))


def test_training_on_raw_dates_learns_and_its_model_takes_other_dates(
    nomenclature: Nomenclature, tmp_path: Path
) -> None:
    params = LearningParams(
        network=MlpParams(hidden=(32,)), interpolator=SMALL, epochs=25, batch_size=64, learning_rate=3e-3, threads=1
    )
    result = train_network(
        seasons(), params, seed=0, nomenclature=nomenclature, feature_names=NAMES, dates=GRID, folder=tmp_path, key="k"
    )
    assert result.best is not None and result.best["f_score"] > 0.9
    others = seasons(dates=37, seed=1)
    model = Model.load(result.model_folder)
    classes, _ = model.predict(np.ascontiguousarray(others.features.T))
    assert (classes == others.codes).mean() > 0.9


def test_a_network_may_read_raw_dates_by_itself(
    registered: dict[str, Any], nomenclature: Nomenclature, tmp_path: Path
) -> None:
    class PeakParams(NetworkParams):
        name: Literal["peak"] = "peak"

    @register(PeakParams)
    class Peak(nn.Module):
        """Where in the year the sample is bright: a softmax over its valid dates."""

        def __init__(self, params: PeakParams, inputs: InputLayout, n_classes: int) -> None:
            super().__init__()
            self.inputs = inputs
            self.layers = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, n_classes))

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            series = self.inputs.series(features)
            bright = series.values[:, :, 1].masked_fill(~series.valid, -30).mul(3).softmax(1)
            phase = series.days / 365 * 2 * torch.pi
            return self.layers(torch.stack([(bright * one).sum(1) for one in (phase.sin(), phase.cos())], dim=1))

    samples = seasons()
    params = LearningParams(epochs=20, batch_size=64, learning_rate=1e-2, threads=1)
    params = params.model_copy(update={"network": PeakParams()})
    result = train_network(
        samples, params, seed=0, nomenclature=nomenclature, feature_names=NAMES, dates=GRID, folder=tmp_path, key="k"
    )
    assert result.best is not None and result.best["f_score"] > 0.9
    model, pixels = Model.load(result.model_folder), np.ascontiguousarray(samples.features.T)
    wanted = model.predict_probabilities(pixels)
    longer = np.vstack([pixels, np.zeros((4 * 3, pixels.shape[1]), np.float32)])
    assert np.allclose(model.predict_probabilities(longer), wanted, atol=1e-5)


def test_a_training_that_was_stopped_ends_with_the_same_weights(train: Callable[..., Any]) -> None:
    options: dict[str, Any] = {"samples": seasons(4, 6), "interpolator": SMALL, "network": MlpParams(hidden=(8,))}
    options |= {"feature_names": NAMES, "dates": GRID}
    whole = train("whole", epochs=4, **options)
    train("parts", epochs=2, **options)
    parts = train("parts", epochs=4, **options)
    files = [result.model_folder / "weights.safetensors" for result in (whole, parts)]
    assert files[0].read_bytes() == files[1].read_bytes()
