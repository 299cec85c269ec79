"""Other networks than the perceptron through the verbs, and the list of them all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from toolkit import Experiment, classify, cross_validate, networks, run, sample, train
from toolkit.cli import main
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.rates import find_rate
from toolkit.ground.errors import ModelError, RunFolderError
from toolkit.learning import cost
from toolkit.learning.checkpoint import Model
from toolkit.learning.models import known_networks

OWN = '''
from torch import nn
from toolkit import network


@network
class MyNet(nn.Module):
    """A hidden layer and its rectifier."""

    def __init__(self, inputs, n_classes, *, width: int = 64):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs.width, width), nn.ReLU(), nn.Linear(width, n_classes))

    def forward(self, features):
        return self.layers(features)
'''


@pytest.fixture
def experiment(sampled_demo: Path) -> Experiment:
    (sampled_demo.parent / "my_networks.py").write_text(OWN)
    return Experiment.load(sampled_demo)


@pytest.fixture
def short_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(cost, "GROWN_FROM", 60)
    monkeypatch.setattr(cost, "FEW_TREES", 1)


def test_a_forest_is_trained_and_makes_a_map(experiment: Experiment) -> None:
    experiment.set({"learning.network": {"name": "random_forest", "trees": 20}})
    result = train(experiment)
    assert len(result.history) == 1 and not result.stopped
    assert train(experiment).history == result.history
    folder = RunFolder(experiment.folder)
    tile = experiment.series.tiles[0]
    classify(experiment)
    with rasterio.open(folder.tile(tile) / "classes.tif") as file:
        classes = file.read(1)
    assert len(np.unique(classes[classes > 0])) > 3


def test_a_network_that_reads_series_is_trained(experiment: Experiment) -> None:
    experiment.set({"learning.network": {"name": "ltae", "width": 32, "heads": 4, "mlp": 16}})
    experiment.set({"learning.epochs": 1})
    train(experiment)
    model = Model.load(RunFolder(experiment.folder).model)
    assert model.inputs.channels[0] == "B2" and len(model.inputs.dates) == len(experiment.stack.days)


def test_ones_own_network_is_part_of_the_record(experiment: Experiment) -> None:
    folder, file = RunFolder(experiment.folder), experiment.path.parent / "my_networks.py"
    experiment.set({"learning.network": {"name": "my_net", "file": "my_networks.py", "params": {"width": 16}}})
    train(experiment)
    record = json.loads(folder.manifest.read_text())["steps"]["train"]["params"]
    document = json.loads((folder.model / "model.json").read_text())
    assert record["learning.network, sha256 of its file"] == document["network_sha256"]
    file.write_text(OWN + "# another\n")
    with pytest.raises(RunFolderError, match="sha256 of its file"):
        train(experiment)
    with pytest.raises(ModelError, match="is not the file that the model was trained with"):
        classify(experiment)
    file.write_text(OWN)
    train(experiment)
    assert sample(experiment) is not None, "samples are no matter of the network"


def test_ones_own_network_through_the_whole_chain_and_across_tiles(experiment: Experiment) -> None:
    experiment.set({"learning.network": {"name": "my_net", "file": "my_networks.py", "params": {"width": 16}}})
    experiment.set({"learning.epochs": 1})
    assert find_rate(experiment, updates=10).suggestion > 0
    assert run(experiment).matrix.total > 0
    assert len(cross_validate(experiment).metrics["folds"]) == len(experiment.series.tiles)


def test_all_are_listed_for_an_experiment(
    experiment: Experiment, short_probe: None, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.set({"learning.network": {"name": "my_net", "file": "my_networks.py", "params": {"width": 16}}})
    table = networks(experiment)
    assert {*table["name"]} == {*known_networks()} - {"own"} | {"my_net"}
    assert (table["microseconds"] > 0).all()
    own = table.set_index("name").loc["my_net"]
    features, classes = len(experiment.stack), len(experiment.nomenclature)
    assert own["parameters"] == 17 * classes + 16 * (features + 1)
    assert own["what"].startswith("A hidden layer and its rectifier. (my_net of my_networks.py")
    experiment.save()
    assert main(["networks", str(experiment.path)]) == 0
    text = capsys.readouterr().out
    assert f"{classes} classes:" in text and f"my_net {own['parameters']:,}" in " ".join(text.split())
    assert "  width: (N, default 64)\n" in text


def test_the_published_input(short_probe: None) -> None:
    table = networks().set_index("name")
    assert table.loc["mlp", "parameters"] == 138_749
    assert table.loc["tempcnn", "parameters"] == 658_583
    assert "own" not in table.index


def test_what_cannot_read_the_features_says_so(experiment: Experiment, short_probe: None) -> None:
    experiment.set({"features.select": [experiment.stack.names[0]]})
    table = networks(experiment).set_index("name")
    assert np.isnan(table.loc["ltae", "microseconds"]) and "reads series" in table.loc["ltae", "what"]
    assert table.loc["mlp", "microseconds"] > 0
