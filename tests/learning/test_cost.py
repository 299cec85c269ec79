"""What a training would cost, before it begins."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from toolkit.ground.errors import ParameterError
from toolkit.ground.params import param
from toolkit.learning import cost
from toolkit.learning.callbacks import Callback
from toolkit.learning.cost import network_cost, network_shape
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import MlpParams, NetworkParams, register
from toolkit.learning.parameters import LearningParams


@pytest.fixture(autouse=True)
def short_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PROBE_SECONDS", 0.02)


def test_the_published_network() -> None:
    shape = network_shape(MlpParams(), InputLayout.unnamed(481), 23)
    assert shape.widths == (481, 240, 69, 69, 23)
    assert shape.parameters == 482 * 240 + 241 * 69 + 70 * 69 + 70 * 23


def test_parameters_are_those_that_a_training_tells(train: Callable[..., Any], dropout: MlpParams) -> None:
    told = []

    class Ear(Callback):
        def on_train_begin(self, run: Any) -> None:
            told.append(run.n_parameters)

    train(network=dropout, epochs=1, callbacks=[Ear()])
    assert told == [network_shape(dropout, InputLayout.unnamed(20), 5).parameters]


def test_no_weight_of_a_huge_network_is_made() -> None:
    params = LearningParams(network=MlpParams(hidden=(1_000_000, 1_000_000)))
    found = network_cost(params, InputLayout.unnamed(481), 23, 100_000)
    assert found.shape.parameters > 10**12
    assert found.seconds_an_epoch is None


def test_any_registered_network_has_a_cost(registered: dict[str, Any]) -> None:
    class OwnParams(NetworkParams):
        name: Literal["bilinear"] = "bilinear"
        width: int = param(4, "Width.")

    @register(OwnParams)
    class Own(nn.Module):
        def __init__(self, params: OwnParams, inputs: InputLayout, n_classes: int) -> None:
            super().__init__()
            self.frozen = nn.Parameter(torch.zeros(1000), requires_grad=False)
            self.bilinear = nn.Bilinear(inputs.width, inputs.width, params.width)
            self.last = nn.Linear(params.width, n_classes)

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return self.last(self.bilinear(features, features))

    params = LearningParams().model_copy(update={"network": OwnParams()})
    found = network_cost(params, InputLayout.unnamed(6), 3, n_train=500, n_valid=50)
    assert found.shape.parameters == 6 * 6 * 4 + 4 + 4 * 3 + 3
    assert found.shape.widths == (6, 3)
    assert found.seconds_an_epoch is not None and found.seconds_an_epoch > 0


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("batch", [1, 7, 300, 100_000])
def test_every_batch_and_optimizer_can_be_tried(optimizer: str, batch: int) -> None:
    params = LearningParams(batch_size=batch, optimizer=optimizer, network=MlpParams(batch_norm=batch > 1))
    found = network_cost(params, InputLayout.unnamed(12), 4, n_train=200, n_valid=20)
    assert found.seconds_an_epoch is not None and found.seconds_an_epoch > 0
    assert found.device == "cpu"


def test_time_is_scaled_to_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sample of a round takes a millisecond, each that is only looked at a tenth, whatever the machine does."""
    monkeypatch.setattr(cost.Fitting, "train_epoch", lambda one, *_: time.sleep(0.001 * one.batches.count))
    monkeypatch.setattr(cost.Fitting, "evaluate", lambda one: time.sleep(0.0001 * one.valid.count))
    found = network_cost(LearningParams(batch_size=8), InputLayout.unnamed(12), 4, n_train=10_000, n_valid=5_000)
    assert found.seconds_an_epoch is not None
    assert 10.5 <= found.seconds_an_epoch < 60


def test_no_sample_takes_no_time() -> None:
    assert network_cost(LearningParams(), InputLayout.unnamed(12), 4, 0).seconds_an_epoch == 0


def test_random_numbers_and_threads_are_left_as_they_were() -> None:
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    network_cost(LearningParams(network=MlpParams(dropout=0.5), threads=2), InputLayout.unnamed(12), 4, 200)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_training_meanwhile_is_not_disturbed(train: Callable[..., Any], dropout: MlpParams) -> None:
    """Dropout draws from a generator that all threads share."""
    alone = train("alone", network=dropout, epochs=30)
    done = threading.Event()

    def probe() -> None:
        while not done.is_set():
            network_cost(LearningParams(network=dropout, threads=1), InputLayout.unnamed(20), 5, 100)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        beside = train("beside", network=dropout, epochs=30)
    finally:
        done.set()
        thread.join()
    assert [row["valid_loss"] for row in alone.history] == [row["valid_loss"] for row in beside.history]
    assert np.isfinite([row["train_loss"] for row in beside.history]).all()


def test_a_device_that_is_not_there_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ParameterError, match="device 'cuda' is not present"):
        network_cost(LearningParams(device="cuda"), InputLayout.unnamed(12), 4, 100)


def test_memory_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise RuntimeError("not enough memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(cost.Fitting, "train_epoch", full)
    with pytest.raises(
        ParameterError, match=r"cannot be trained on cpu .* make the batch or learning\.network smaller"
    ):
        network_cost(LearningParams(), InputLayout.unnamed(12), 4, 100)
