"""Several sensors: how their columns are told apart, and networks with an encoder for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.learning.by_heart import learn_by_heart
from tests.learning.test_networks import CLASSES, READ_RAW, SMALL, count, regular
from toolkit.ground.errors import ModelError, ParameterError
from toolkit.ground.nomenclature import Nomenclature
from toolkit.ground.raw_rows import RawRow
from toolkit.learning.batches import Standardiser
from toolkit.learning.checkpoint import Model
from toolkit.learning.cost import network_cost, network_shape
from toolkit.learning.inputs import DAY, VALID, InputLayout
from toolkit.learning.models import AttentionParams, build_network, network_behind
from toolkit.learning.models.columns import chunk_of, for_maps
from toolkit.learning.models.sensors import SensorNetwork
from toolkit.learning.parameters import LearningParams
from toolkit.learning.periods import for_period

SERIES = [name for name in SMALL if name != "mlp"]
RADAR_DAYS = ["20180103", "20180115", "20180127", "20180208"]
RADAR = [f"radar/{channel}_{day}" for day in RADAR_DAYS for channel in ("VV", "VH")]
NAMES = [*regular().names[:20], *RADAR, "radar/odd_20180115", *regular().names[20:]]
DAYS = np.array(regular().dates, "M8[D]")
BOTH = InputLayout.of(NAMES, DAYS)
"""Three channels of nine dates and something of no date; amid them two channels of four other dates, and one of one."""
FIRST = torch.tensor([column for column, name in enumerate(NAMES) if "/" not in name])
SECOND = torch.tensor([column for column, name in enumerate(NAMES) if "/" in name])
RAW_BOTH = InputLayout.of([*RADAR, "static0", "C0_*", "C1_*", DAY, VALID], DAYS)


def made(name: str, inputs: InputLayout = BOTH) -> SensorNetwork:
    torch.manual_seed(0)
    network = build_network(SMALL[name], inputs, CLASSES).eval()
    assert isinstance(network, SensorNetwork)
    return network


def encoded(network: SensorNetwork, rows: torch.Tensor) -> list[torch.Tensor]:
    parts = zip(network.encoders, network.sensors.values(), strict=True)
    return [encoder.encode(one.inputs.series(one.of(rows))) for encoder, one in parts]  # type: ignore[operator]


def test_each_sensor_has_its_own_dates_and_channels() -> None:
    assert list(BOTH.sensors) == ["", "radar"]
    first, radar = (one.inputs for one in BOTH.sensors.values())
    assert first == regular()
    assert radar.channels == ("VV", "VH") and len(radar.static) == 1
    assert radar.dates == ("2018-01-03", "2018-01-15", "2018-01-27", "2018-02-08")
    rows = torch.arange(2.0 * len(NAMES)).reshape(2, -1)
    series = radar.series(BOTH.sensors["radar"].of(rows))
    place = {name: column for column, name in enumerate(NAMES)}
    assert series.values[0, 2].tolist() == [place["radar/VV_20180127"], place["radar/VH_20180127"]]
    assert series.days.tolist() == [[2, 14, 26, 38]]
    assert series.static[:, 0].tolist() == [place["radar/odd_20180115"], place["radar/odd_20180115"] + len(NAMES)]
    assert torch.equal(BOTH.sensors[""].of(rows), rows[:, FIRST])


def test_to_whom_does_not_ask_a_further_sensor_is_static() -> None:
    assert BOTH.channels == ("C0", "C1", "C2") and len(BOTH.static) == 1 + len(SECOND)
    same_days = InputLayout.of([*regular().names, *(f"other/{name}" for name in regular().names[:9])], DAYS)
    assert same_days.channels == regular().channels


def test_one_sensor_is_as_before() -> None:
    layout = regular()
    assert list(layout.sensors) == [""] and layout.sensors[""].inputs == layout
    rows = torch.randn(3, layout.width or 0)
    assert layout.sensors[""].of(rows) is rows
    assert not any(isinstance(build_network(params, layout, CLASSES), SensorNetwork) for params in SMALL.values())


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(len(NAMES))))
def test_the_order_of_the_columns_is_of_no_matter(order: list[int]) -> None:
    rows = torch.randn(2, len(NAMES))
    shuffled = InputLayout.of([NAMES[column] for column in order], DAYS)
    for name, one in BOTH.sensors.items():
        other = shuffled.sensors[name]
        mine = one.inputs.series(one.of(rows))
        theirs = other.inputs.series(other.of(rows[:, order]))
        channels = [other.inputs.channels.index(channel) for channel in one.inputs.channels]
        assert torch.equal(mine.values, theirs.values[:, :, channels])


@pytest.mark.parametrize("name", SERIES)
def test_encoders_are_of_one_kind_with_weights_of_their_own(name: str) -> None:
    network = made(name)
    alone = [build_network(SMALL[name], one.inputs, CLASSES) for one in BOTH.sensors.values()]
    for encoder, whole in zip(network.encoders, alone, strict=True):
        shapes = {key: value.shape for key, value in whole.state_dict().items()}
        assert encoder.state_dict().items() and type(encoder) is type(whole)
        assert all(shapes[key] == value.shape for key, value in encoder.state_dict().items())
    first, second = ({id(one) for one in encoder.parameters()} for encoder in network.encoders)
    assert not first & second
    assert count(network) == sum(map(count, [*network.encoders, network.head]))


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize(("changed", "kept"), [(FIRST, 1), (SECOND, 0)])
def test_what_one_sensor_shows_is_nothing_to_the_encoding_of_the_other(
    name: str, changed: torch.Tensor, kept: int
) -> None:
    network, rows = made(name), torch.randn(6, len(NAMES))
    other = rows.clone()
    other[:, changed] = torch.randn(6, len(changed))
    before, after = encoded(network, rows), encoded(network, other)
    assert torch.equal(before[kept], after[kept])
    assert (before[1 - kept] - after[1 - kept]).abs().max() > 1e-4
    assert (network(rows) - network(other)).abs().max() > 1e-4


@pytest.mark.parametrize("name", SERIES)
def test_a_gradient_reaches_every_weight_of_both(name: str) -> None:
    network = made(name).train()
    nn.functional.cross_entropy(network(torch.randn(32, len(NAMES))), torch.randint(CLASSES, (32,))).backward()
    for encoder in network.encoders:
        reached = [one.grad is not None and bool(one.grad.abs().sum() > 0) for one in encoder.parameters()]
        assert sum(reached) >= 0.8 * len(reached)  # a bias before a normalisation has none, by right


@pytest.mark.parametrize("name", SERIES)
def test_it_learns_64_samples_that_neither_sensor_tells_alone(name: str) -> None:
    """The class is whether the signs of the two sensors agree; what else the columns hold is noise."""
    torch.manual_seed(0)
    params = SMALL[name]
    silent = {one: 0.0 for one in type(params).model_fields if "dropout" in one}
    network = build_network(params.model_copy(update=silent), BOTH, 2)
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]).repeat(16, 1)
    rows, labels = 0.3 * torch.randn(64, len(NAMES)), (signs[:, 0] == signs[:, 1]).long()
    rows[:, FIRST] += signs[:, :1]
    rows[:, SECOND] += signs[:, 1:]
    learn_by_heart(network, rows, labels, 200)
    assert (network(rows).argmax(1) == labels).all()


@pytest.mark.parametrize("name", READ_RAW)
def test_raw_dates_of_the_first_beside_a_regular_sensor(name: str) -> None:
    network = made(name, RAW_BOTH)
    dated = torch.randn(5, 3, 4)
    dated[:, :, 2], dated[:, :, 3] = torch.tensor([3.0, 40, 90]), 1
    rows = torch.cat([torch.randn(5, len(RADAR) + 1), dated.flatten(1)], 1)
    padding = torch.cat([rows, torch.randn(5, 3), torch.zeros(5, 1)], 1)
    torch.testing.assert_close(network(rows), network(padding), rtol=1e-4, atol=1e-5)
    later = rows.clone()
    later[:, : len(RADAR)] += 1
    assert torch.equal(encoded(network, rows)[0], encoded(network, later)[0])
    assert not torch.equal(network(rows), network(later))


@pytest.mark.parametrize("inputs", [BOTH, RAW_BOTH])
def test_an_interpolator_stands_before_the_first_sensor(inputs: InputLayout) -> None:
    network = network_behind(AttentionParams(steps=5), SMALL["tempcnn"], inputs, CLASSES)
    behind = network.network
    assert isinstance(behind, SensorNetwork)
    assert [len(one.inputs.dates) for one in behind.sensors.values()] == [5, 4]
    row = RawRow.of(inputs.names)
    rows = torch.randn(4, row.width(3) if row else len(inputs.names))
    network(rows).pow(2).sum().backward()
    learnt = [network.query, *(next(encoder.parameters()) for encoder in behind.encoders)]
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in learnt)


def test_whoever_cannot_be_read_is_named() -> None:
    single = InputLayout.of([*regular().names, "radar/VV_20180103", "radar/VH_20180115"], DAYS)
    with pytest.raises(ParameterError, match=r"series\.sensors, radar: network ltae reads series"):
        build_network(SMALL["ltae"], single, CLASSES)
    only = InputLayout.of(RADAR, DAYS)
    with pytest.raises(ParameterError, match=r"^network ltae reads series"):
        build_network(SMALL["ltae"], only, CLASSES)
    with pytest.raises(ParameterError, match=r"^network tempcnn slides over dates"):
        build_network(SMALL["tempcnn"], RAW_BOTH, CLASSES)


class Own(nn.Module):
    """A person's own, with the lines that docs/networks.md gives."""

    def __init__(self, inputs: InputLayout, n_classes: int) -> None:
        super().__init__()
        self.sensors = inputs.sensors
        self.classes = nn.Linear(sum(len(one.inputs.channels) for one in self.sensors.values()), n_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        series = [one.inputs.series(one.of(features)) for one in self.sensors.values()]
        return self.classes(torch.cat([one.values.mean(1) for one in series], 1))


def test_a_network_of_ones_own_reads_each_sensor() -> None:
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
    for line in (
        "self.sensors = inputs.sensors",
        "[one.inputs.series(one.of(features)) for one in self.sensors.values()]",
    ):
        assert line in page
    assert Own(BOTH, CLASSES)(torch.randn(3, len(NAMES))).shape == (3, CLASSES)


def test_its_cost_is_told(nomenclature: Nomenclature) -> None:
    shape = network_shape(SMALL["ltae"], BOTH, CLASSES)
    assert shape.parameters == count(made("ltae")) and shape.widths[0] == len(NAMES)
    assert shape.widths[-1] == CLASSES
    params = LearningParams(network=SMALL["ltae"], batch_size=64)
    assert (network_cost(params, BOTH, CLASSES, 128).seconds_an_epoch or 0) > 0
    assert chunk_of(made("ltae")) == 256


def saved(name: str, network: nn.Module, mean: np.ndarray, std: np.ndarray, nomenclature: Nomenclature) -> Model:
    """A model of both sensors."""
    return Model(
        params=SMALL[name],
        weights={key: value.detach().clone() for key, value in network.state_dict().items()},
        standardiser=Standardiser(mean, std),
        feature_names=tuple(NAMES),
        nomenclature=nomenclature,
        dates=DAYS,
        seed=0,
        best={"epoch": 1, "f_score": 1.0},
    )


@pytest.mark.parametrize("name", SERIES)
def test_it_travels_and_has_a_form_for_maps(name: str, nomenclature: Nomenclature, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network(SMALL[name], BOTH, len(nomenclature)).eval()
    features = 3000 + 800 * torch.randn(70, len(NAMES))
    mean, std = features.double().mean(0), features.double().std(0)
    expected = network(((features.double() - mean) / std).float())
    torch.testing.assert_close(for_maps(network, mean, std)(features.T).T, expected, rtol=1e-3, atol=1e-4)
    saved(name, network, mean.numpy(), std.numpy(), nomenclature).save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    found = again.predict_probabilities(features.numpy().T.copy())
    torch.testing.assert_close(torch.from_numpy(found.T), expected.softmax(1), rtol=1e-3, atol=1e-4)


def test_another_period_moves_the_days_of_each_sensor(nomenclature: Nomenclature) -> None:
    ones = np.ones(len(NAMES))
    model = saved("gru", build_network(SMALL["gru"], BOTH, len(nomenclature)), ones, ones, nomenclature)
    assert for_period(model, DAYS, names=NAMES) is model
    year = np.timedelta64(365, "D")
    later = [name.replace("2018", "2019") for name in NAMES]
    moved = for_period(model, DAYS + year, names=later)
    assert moved.feature_names == tuple(later)
    assert moved.inputs.sensors["radar"].inputs.dates[0] == "2019-01-03"
    radar_only = [name.replace("2018", "2019") if "/" in name else name for name in NAMES]
    assert for_period(model, DAYS, names=radar_only).feature_names == tuple(radar_only)
    other = [name.replace("20190127", "20190128") for name in later]
    with pytest.raises(ModelError, match=r"sensor radar has 13 days from 2019-01-15 to 2019-01-28, .* with 12"):
        for_period(model, DAYS + year, names=other)
    with pytest.raises(ModelError, match="trained with sensor radar besides"):
        for_period(model, DAYS, names=regular().names)


@pytest.mark.parametrize("name", SERIES)
def test_graphics_processors_agree(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    network, rows = made(name), torch.randn(33, len(NAMES))
    with torch.no_grad():
        expected = network(rows)
        torch.testing.assert_close(network.cuda()(rows.cuda()).cpu(), expected, rtol=1e-2, atol=1e-3)
