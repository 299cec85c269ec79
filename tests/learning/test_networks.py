"""Each network against its paper, and what all that read series have in common."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from tests.learning.by_heart import learn_by_heart
from toolkit.ground.errors import ParameterError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.learning.batches import Standardiser
from toolkit.learning.checkpoint import Model
from toolkit.learning.cost import network_shape
from toolkit.learning.inputs import DAY, VALID, InputLayout
from toolkit.learning.models import (
    GruParams,
    InceptionTimeParams,
    LtaeParams,
    MlpParams,
    NetworkParams,
    TempCnnParams,
    TransformerParams,
    build_network,
)
from toolkit.learning.models.columns import chunk_of, for_maps
from toolkit.learning.models.ltae import QueryAttention
from toolkit.learning.models.series import DayEncoding, largest_over_time

SMALL: dict[str, NetworkParams] = {
    "mlp": MlpParams(hidden=(32,)),
    "tempcnn": TempCnnParams(filters=8, kernel=4, dense=16),
    "inceptiontime": InceptionTimeParams(filters=4, longest=8, layers=4),
    "ltae": LtaeParams(width=16, heads=4, mlp=12, decoder=(8,)),
    "transformer": TransformerParams(width=16, heads=2, layers=2, inner=24),
    "gru": GruParams(width=9),
    "lstm": GruParams(cell="lstm", width=7, layers=2, both_ways=False),
}
"""One of each network, small."""
ATTENTION = ("ltae", "transformer")
READ_RAW = (*ATTENTION, "gru", "lstm")


def regular(dates: int = 9, channels: int = 3, static: int = 1) -> InputLayout:
    grid = np.datetime64("2018-01-01") + 10 * np.arange(dates)
    days = [str(day).replace("-", "") for day in grid]
    names = [f"C{channel}_{day}" for channel in range(channels) for day in days]
    return InputLayout.of([*names, *(f"static{number}" for number in range(static))], grid)


RAW = InputLayout.of(["static0", "C0_*", "C1_*", "C2_*", DAY, VALID], np.array([], "datetime64[D]"))
CLASSES = 4
READ = [(name, layout) for layout in (regular(), RAW) for name in (READ_RAW if layout.raw else SMALL)]
"""Each network with the rows that it reads."""


def made(name: str, inputs: InputLayout, seed: int = 0) -> nn.Module:
    """The small network of this name, its statistics not those of a new one."""
    torch.manual_seed(seed)
    network = build_network(SMALL[name], inputs, CLASSES)
    rows = raw_rows(64, 6, seed) if inputs.raw else torch.randn(64, inputs.width or 0)
    for _ in range(20):
        network(rows)
    return network.eval()


def raw_rows(samples: int, dates: int, seed: int = 0, missing: float = 0.3) -> torch.Tensor:
    """Rows of raw dates: static, then on each date three channels, the day, and whether it is valid."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randn((samples, dates, 5), generator=generator)
    days = torch.rand((samples, dates), generator=generator).mul(365).round()
    blocks[:, :, 3] = days.sort(1).values
    blocks[:, :, 4] = torch.rand((samples, dates), generator=generator) > missing
    blocks[:, 0, 4] = 1
    return torch.cat([torch.randn((samples, 1), generator=generator), blocks.flatten(1)], 1)


def count(network: nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters())


def series_of(dates: int, channels: int) -> InputLayout:
    return regular(dates, channels, static=0)


def test_tempcnn_has_the_layers_of_its_paper() -> None:
    """By hand from the paper's list: 3 convolutions of 64 filters over 5 dates, 256 neurons, each normalised."""
    network = build_network(TempCnnParams(), series_of(37, 13), 23)
    convolutions = (13 * 5 * 64 + 64) + 2 * (64 * 5 * 64 + 64) + 3 * 2 * 64
    assert count(network) == convolutions + (37 * 64 * 256 + 256) + 2 * 256 + (256 * 23 + 23) == 658_583
    kinds = [type(layer).__name__ for layer in network.convolutions]  # type: ignore[union-attr]
    assert kinds == 3 * ["ConstantPad1d", "Conv1d", "BatchNorm1d", "ReLU", "Dropout"]
    assert {layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)} == {0.5}


def test_tempcnn_of_the_breizhcrops_benchmark() -> None:
    """Its setting there (128 filters over 7 dates, 512 neurons; 45 dates, 13 bands, 9 classes), counted by hand."""
    network = build_network(TempCnnParams(filters=128, kernel=7, dense=512), series_of(45, 13), 9)
    convolutions = 13 * 7 * 128 + 128 + 2 * (128 * 7 * 128 + 128) + 3 * 2 * 128
    assert count(network) == convolutions + (45 * 128 * 512 + 512) + 2 * 512 + 512 * 9 + 9 == 3_197_449


def test_ltae_adds_up_to_the_number_that_its_paper_publishes() -> None:
    """The paper gives 143 k for the pixel-set encoder, L-TAE and the decoder of 20 classes, on 24 dates of 10 bands.

    What is otherwise here, as its docstring says, is added; the pixel-set encoder (10-32-64, 132-128) is by hand.
    """
    ours = count(build_network(LtaeParams(), series_of(24, 128), 20))
    normalised_input, normalised_dates, bias_of_keys = 2 * 128, 2 * 256 * 24 - 2 * 256, 16 * 8
    encoder = (10 * 32 + 32 + 2 * 32) + (32 * 64 + 64 + 2 * 64) + (132 * 128 + 128 + 2 * 128)
    total = ours + normalised_input + normalised_dates + bias_of_keys + encoder
    assert total == 143_124
    assert round(total, -3) == 143_000


def test_inceptiontime_has_the_modules_of_its_paper() -> None:
    """By hand: six modules of a bottleneck, three lengths and a pooling; a shortcut around every three."""
    network = build_network(InceptionTimeParams(), series_of(37, 13), 23)
    lengths = 39 + 19 + 9
    first, later = 13, 128

    def module(width: int) -> int:
        return width * 32 + 32 * 32 * lengths + width * 32 + 2 * 128

    shortcuts = (first * 128 + 2 * 128) + (later * 128 + 2 * 128)
    assert count(network) == module(first) + 5 * module(later) + shortcuts + 128 * 23 + 23


def test_transformer_has_the_layers_of_vaswani() -> None:
    params = TransformerParams()
    layer = 4 * (64 * 64 + 64) + (64 * 128 + 128) + (128 * 64 + 64) + 2 * 2 * 64
    assert count(build_network(params, series_of(37, 13), 23)) == 13 * 64 + 64 + 2 * 64 + 3 * layer + 64 * 23 + 23
    reference = nn.TransformerEncoderLayer(64, 4, 128)
    assert sum(weights.numel() for weights in reference.parameters()) == layer


def test_an_encoder_layer_is_that_of_torch() -> None:
    """The same weights give the same numbers as `nn.TransformerEncoderLayer`, which was written from the paper too."""
    torch.manual_seed(1)
    ours = build_network(TransformerParams(width=16, heads=4, inner=24), series_of(5, 2), 3).encoder[0].eval()  # type: ignore[index,union-attr]
    theirs = nn.TransformerEncoderLayer(16, 4, 24, dropout=0.0, batch_first=True).eval()
    pairs = {
        "self_attn.in_proj_weight": ours.attention.weight,
        "self_attn.in_proj_bias": ours.attention.bias,
        "self_attn.out_proj.weight": ours.joined.weight,
        "self_attn.out_proj.bias": ours.joined.bias,
        "linear1.weight": ours.inner[0].weight,
        "linear1.bias": ours.inner[0].bias,
        "linear2.weight": ours.inner[3].weight,
        "linear2.bias": ours.inner[3].bias,
        "norm1.weight": ours.norms[0].weight,
        "norm1.bias": ours.norms[0].bias,
        "norm2.weight": ours.norms[1].weight,
        "norm2.bias": ours.norms[1].bias,
    }
    theirs.load_state_dict(pairs)
    dates = torch.randn(7, 5, 16)
    valid = torch.rand(7, 5) > 0.4
    valid[:, 2] = True
    torch.testing.assert_close(ours(dates, None), theirs(dates), rtol=1e-5, atol=1e-5)
    masked = theirs.train()(dates, src_key_padding_mask=~valid)  # in its training form, which takes no shortcut
    torch.testing.assert_close(ours(dates, valid[:, None, None, :]), masked, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("cell", "gates"), [("gru", 3), ("lstm", 4)])
def test_recurrent_cells_have_their_gates(cell: str, gates: int) -> None:
    network = build_network(GruParams(cell=cell), series_of(37, 13), 23)
    one_way = gates * 128 * (14 + 128 + 2)
    assert count(network) == 2 * one_way + 256 * 23 + 23


def test_the_query_in_the_key_changes_nothing() -> None:
    """Against attention as the paper writes it: keys with a bias, scores, softmax, each head its part."""
    torch.manual_seed(0)
    attention = QueryAttention(12, 3, 5, 0.0).double()
    dates, bias = torch.randn(6, 7, 12).double(), torch.randn(3, 5).double()
    keys = torch.einsum("hkc,ntc->nthk", attention.key, dates) + bias
    weights = torch.softmax((keys * attention.query).sum(3) / math.sqrt(5), 1)
    expected = torch.einsum("nth,nthc->nhc", weights, dates.reshape(6, 7, 3, 4)).reshape(6, 12)
    torch.testing.assert_close(attention(dates, None), expected)


def test_days_are_encoded_as_in_the_paper() -> None:
    encoded = DayEncoding(6, 1000.0, repeat=2)(torch.tensor([[0.0, 33.0]]))
    expected = [f(33 / 1000 ** (2 * (i // 2) / 6)) for i, f in enumerate([math.sin, math.cos] * 3)]
    torch.testing.assert_close(encoded[0, 1], torch.tensor(expected * 2))
    torch.testing.assert_close(encoded[0, 0], torch.tensor([0.0, 1.0] * 6))


def test_nothing_is_largest_where_nothing_is_valid() -> None:
    values, valid = torch.tensor([[[-3.0], [9.0]], [[1.0], [2.0]]]), torch.tensor([[True, False], [False, False]])
    assert largest_over_time(values, valid).tolist() == [[-3], [0]]


@pytest.mark.parametrize("name", READ_RAW)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), dates=st.integers(2, 8))
def test_a_masked_date_is_as_if_it_were_absent(name: str, seed: int, dates: int) -> None:
    network, row = made(name, RAW), raw_rows(1, dates, seed)
    blocks = row[:, 1:].reshape(dates, 5)
    valid = blocks[:, 4] > 0.5
    without = torch.cat([row[:, :1], blocks[valid].reshape(1, -1)], 1)
    torch.testing.assert_close(network(row), network(without), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", READ_RAW)
def test_what_stands_on_a_masked_date_changes_nothing(name: str) -> None:
    network, rows = made(name, RAW), raw_rows(20, 6)
    other = rows.clone()
    blocks = other[:, 1:].view(20, 6, 5)
    hidden = blocks[:, :, 4] < 0.5
    assert hidden.any()
    blocks[hidden] = torch.tensor([1e4, -1e4, 7.0, 999.0, 0.0])
    torch.testing.assert_close(network(rows), network(other), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ATTENTION)
def test_the_order_of_the_dates_changes_nothing_for_attention(name: str) -> None:
    network, rows = made(name, RAW), raw_rows(20, 6)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(5))
    other = torch.cat([rows[:, :1], rows[:, 1:].view(20, 6, 5)[:, order].flatten(1)], 1)
    torch.testing.assert_close(network(rows), network(other), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", READ_RAW)
def test_the_order_of_the_masked_dates_changes_nothing(name: str) -> None:
    """Padding at the end, or before the first clear date: all the same, as long as the clear ones keep their order."""
    network, rows = made(name, RAW), raw_rows(20, 4, missing=0.0)
    padding = torch.randn(20, 2, 5)
    padding[:, :, 4] = 0
    blocks = rows[:, 1:].view(20, 4, 5)
    at_end = torch.cat([blocks, padding], 1)
    spread = torch.cat([padding[:, 1:], blocks[:, :2], padding[:, :1], blocks[:, 2:]], 1)
    first, second = (network(torch.cat([rows[:, :1], one.flatten(1)], 1)) for one in (at_end, spread))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", READ_RAW)
def test_the_days_matter(name: str) -> None:
    network, rows = made(name, RAW), raw_rows(20, 6)
    later = rows.clone()
    later[:, 1:].view(20, 6, 5)[:, :, 3] += 90
    assert (network(rows) - network(later)).abs().max() > 1e-3


@pytest.mark.parametrize("name", READ_RAW)
def test_a_pixel_that_was_never_seen_gives_numbers_and_a_gradient(name: str) -> None:
    network, rows = made(name, RAW), raw_rows(5, 3)
    rows[0, 1:].view(3, 5)[:, 4] = 0
    logits = network(rows)
    assert torch.isfinite(logits).all()
    logits.sum().backward()
    assert all(torch.isfinite(one.grad).all() for one in network.parameters() if one.grad is not None)


@pytest.mark.parametrize("name", READ_RAW)
def test_regular_rows_are_raw_rows_without_a_gap(name: str) -> None:
    grid, raw = made(name, regular()), made(name, RAW)
    raw.load_state_dict(grid.state_dict())
    rows = torch.randn(10, 28)
    series = grid.inputs.series(rows)  # type: ignore[union-attr,operator]
    marks = torch.stack([series.days.expand(10, 9), torch.ones(10, 9)], 2)
    same = torch.cat([series.static, torch.cat([series.values, marks], 2).flatten(1)], 1)
    torch.testing.assert_close(grid(rows), raw(same), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "tempcnn", "inceptiontime"])
def test_raw_dates_are_refused_with_the_mend(name: str) -> None:
    with pytest.raises(ParameterError, match=rf"network {name} .* features\.representation: gap_filled"):
        build_network(SMALL[name], RAW, CLASSES)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "mlp"])
def test_features_without_a_series_are_refused(name: str) -> None:
    with pytest.raises(ParameterError, match=r"reads series.*learning\.network\.name: mlp"):
        build_network(SMALL[name], InputLayout.unnamed(8), CLASSES)


@pytest.mark.parametrize("params", [LtaeParams, TransformerParams])
def test_heads_share_the_width(params: type[NetworkParams]) -> None:
    with pytest.raises(ValidationError, match=r"width = 20 is no multiple of network\.heads = 16"):
        params(name=params.model_fields["name"].default, width=20, heads=16)


@pytest.mark.parametrize(("name", "layout"), READ)
def test_static_features_count(name: str, layout: InputLayout) -> None:
    network = made(name, layout)
    rows = raw_rows(6, 4) if layout.raw else torch.randn(6, 28)
    other = rows.clone()
    other[:, 0 if layout.raw else -1] += 3
    assert (network(rows) - network(other)).abs().max() > 1e-4


@pytest.mark.parametrize("name", SMALL)
def test_it_learns_64_samples_by_heart(name: str) -> None:
    torch.manual_seed(0)
    params = SMALL[name]
    silent = {one: 0.0 for one in type(params).model_fields if "dropout" in one}
    network = build_network(params.model_copy(update=silent), regular(), CLASSES)
    rows, labels = torch.randn(64, 28), torch.randint(CLASSES, (64,))
    learn_by_heart(network, rows, labels, 250)
    assert (network(rows).argmax(1) == labels).all()
    assert (network.eval()(rows).argmax(1) == labels).float().mean() > 0.9


@pytest.mark.parametrize("name", SMALL)
def test_form_for_maps_equals_standardise_then_network(name: str) -> None:
    network = made(name, regular())
    features = 3000 + 800 * torch.randn(70, 28)
    mean, std = features.double().mean(0), features.double().std(0)
    expected = network(((features.double() - mean) / std).float())
    torch.testing.assert_close(for_maps(network, mean, std)(features.T).T, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_it_travels(name: str, nomenclature: Nomenclature, tmp_path: Path) -> None:
    torch.manual_seed(2)
    layout = regular()
    network = build_network(SMALL[name], layout, len(nomenclature))
    rng = np.random.default_rng(0)
    model = Model(
        params=SMALL[name],
        weights={key: value.clone() for key, value in network.state_dict().items()},
        standardiser=Standardiser(rng.normal(size=28), rng.uniform(1, 2, 28)),
        feature_names=layout.names,
        nomenclature=nomenclature,
        dates=np.array(layout.dates, "datetime64[D]"),
        seed=0,
        best={"epoch": 1, "f_score": 0.5},
    )
    model.save(tmp_path / "model")
    loaded = Model.load(tmp_path / "model")
    assert loaded.params == SMALL[name]
    features = rng.normal(size=(28, chunk_of(network) + 9)).astype(np.float32)
    np.testing.assert_array_equal(loaded.predict_probabilities(features), model.predict_probabilities(features))
    rows = (torch.from_numpy(features.T).double() - torch.from_numpy(model.standardiser.mean)).div(
        torch.from_numpy(model.standardiser.std)
    )
    with torch.no_grad():
        expected = torch.softmax(network.eval()(rows.float()), 1)
    np.testing.assert_allclose(loaded.predict_probabilities(features).T, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(("name", "layout"), READ)
def test_graphics_processors_agree(name: str, layout: InputLayout) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    network = made(name, layout)
    rows = raw_rows(33, 5) if layout.raw else torch.randn(33, 28)
    with torch.no_grad():
        expected = network(rows)
        torch.testing.assert_close(network.cuda()(rows.cuda()).cpu(), expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_its_size_is_told_without_a_weight(name: str) -> None:
    shape = network_shape(SMALL[name], regular(), CLASSES)
    assert shape.parameters == count(build_network(SMALL[name], regular(), CLASSES))
    assert (shape.widths[0], shape.widths[-1]) == (28, CLASSES)
    assert all(isinstance(width, int) and width > 0 for width in shape.widths)


def test_another_network_takes_its_own_defaults(tmp_path: Path) -> None:
    from toolkit.experiment.config import Experiment
    from toolkit.experiment.parameters import ExperimentParams

    sections: dict[str, Any] = {
        "series": {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-12-27"},
        "ground_truth": {"source": "polygons"},
    }
    experiment = Experiment(ExperimentParams(name="trial", **sections), tmp_path / "experiment.yml")
    experiment.set({"learning.network.name": "tempcnn"})
    assert experiment.learning.network == TempCnnParams()
    experiment.set({"learning.network.name": "ltae", "learning.network.heads": 8})
    assert experiment.learning.network == LtaeParams(heads=8)
    experiment.set({"learning.network.dropout": 0.3})
    experiment.set({"learning.network.name": "gru"})
    assert experiment.learning.network == GruParams(dropout=0.3), "what a person chose is kept where it fits"
