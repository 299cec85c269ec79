"""`@network`: a network of a person's own, from its file to a model and back."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import toolkit
from toolkit.experiment.config import Experiment
from toolkit.experiment.parameters import ExperimentParams
from toolkit.experiment.stages import network_sources
from toolkit.ground import code_files
from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import ModelError, NetworkError, ParameterError
from toolkit.ground.params import build
from toolkit.learning.checkpoint import Model
from toolkit.learning.cost import network_cost, network_shape
from toolkit.learning.inputs import InputLayout
from toolkit.learning.models import MlpParams, OwnParams, build_network
from toolkit.learning.models.own import own_networks
from toolkit.learning.parameters import LearningParams

CODE = '''
import torch
from torch import nn

from toolkit import network
from toolkit.ground.params import param


@network
class MyNet(nn.Module):
    """A hidden layer."""

    def __init__(self, inputs, n_classes, *, width: int = 64, dropout: float = param(0.1, "Share.", ge=0, lt=1)):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs.width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, n_classes)
        )

    def forward(self, features):
        return self.layers(features)
'''
INPUTS = InputLayout.unnamed(20)


def own(text: str = CODE, name: str = "my_net", **params: Any) -> OwnParams:
    source = SourceFile("/somewhere/my_networks.py", text)
    return OwnParams(network=name, file="my_networks.py", params=params).with_code(source)


def broken(line: str, where: str) -> str:
    """The code with this line in place of another."""
    assert where in CODE
    return CODE.replace(where, line)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_networks.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def experiment(file: Path) -> Experiment:
    (file.parent / "experiment.yml").write_text(
        "name: trial\n"
        "series: {source: s2, tiles: [31TCJ], start: 2018-01-01, end: 2018-12-27}\n"
        "ground_truth: {source: polygons}\n"
        "learning: {network: {name: my_net, file: my_networks.py, params: {width: 32}}}  # mine\n"
    )
    return Experiment.load(file.parent / "experiment.yml")


@pytest.mark.parametrize("name", ["my_net", "MyNet"])
def test_its_arguments_are_its_parameters(name: str) -> None:
    network = build_network(own(name=name, width=8, dropout=0.5), INPUTS, 5)
    shapes = [tuple(weights.shape) for weights in network.parameters()]
    assert shapes == [(8, 20), (8,), (5, 8), (5,)]
    assert [one.p for one in network.modules() if isinstance(one, nn.Dropout)] == [0.5]
    assert own().values.model_dump() == {"width": 64, "dropout": 0.1}


def test_the_class_stays_a_class() -> None:
    made = own().declared(INPUTS, 3, width=2, dropout=0.0)
    assert isinstance(made, nn.Module)
    assert made(torch.zeros(4, 20)).shape == (4, 3)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"wide": 3}, "wide is not a parameter; did you mean 'width'"),
        ({"dropout": 1.5}, "dropout = 1.5: .*less than 1"),
        ({"width": "many"}, "width = 'many'"),
    ],
)
def test_parameters_are_held_against_the_annotations(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=rf"learning\.network, my_net of my_networks\.py: .*{words}"):
        build_network(own(**params), INPUTS, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CODE.replace("width: int = 64", "width=64"), "MyNet: argument 'width' needs an annotation"),
        (CODE.replace("width: int = 64", "width: Integer = 64"), r"my_networks\.py, line 13: NameError"),
        (CODE.replace("inputs, n_classes, *,", "inputs, *,"), r"its constructor is __init__\(self, inputs, n_classes"),
        (CODE.replace("nn.Module", "object"), "MyNet is no torch.nn.Module"),
        ("from toolkit import network\n@network\ndef my_net(x):\n    return x\n", "my_net is no torch.nn.Module"),
        ("import absent_package\n", r"my_networks\.py, line 1: ModuleNotFoundError: .*absent_package"),
        ("x = (\n", r"my_networks\.py, line 1: SyntaxError"),
        (CODE.replace("@network\n", ""), "no network 'my_net'; a class is one when @network stands above it"),
        (CODE.replace("MyNet", "MyNets"), "no network 'my_net'; did you mean 'my_nets'"),
    ],
)
def test_a_declaration_that_is_not_complete_is_told(text: str, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        build_network(own(text), INPUTS, 3)


@pytest.mark.parametrize(
    ("line", "where", "words"),
    [
        ("        super().__init__()\n        1 / 0\n", "        super().__init__()\n", "line 15: ZeroDivisionError"),
        ("return self.layers(features[:, 1:])", "return self.layers(features)", "line 20: RuntimeError"),
        ("return self.layers(features)[:, 1:]", "return self.layers(features)", r"\(7, 2\); logits.*\(7, 3\)"),
        ("return self.layers(features).argmax(1)", "return self.layers(features)", r"int64 of shape \(7,\); logits"),
        ("return None", "return self.layers(features)", "NoneType.*logits"),
    ],
)
def test_what_fails_in_it_is_told_with_its_own_line(line: str, where: str, words: str) -> None:
    with pytest.raises(NetworkError, match=f"network my_net of my_networks.py.*{words}"):
        build_network(own(broken(line, where)), INPUTS, 3)(torch.zeros(7, 20))


def test_a_network_without_weights_is_refused() -> None:
    text = CODE.replace("self.layers = nn.Sequential(", "self.layers = lambda _: (")
    with pytest.raises(NetworkError, match="has no weight that could be learnt"):
        build_network(own(text), INPUTS, 3)


def test_a_subclass_is_declared_for_itself() -> None:
    text = CODE + "\n\nclass Other(MyNet):\n    pass\n"
    assert sorted(own_networks(SourceFile("a.py", text))) == ["MyNet", "my_net"]


def test_it_has_a_size_and_a_cost() -> None:
    assert network_shape(own(width=8), INPUTS, 5).widths == (20, 8, 5)
    found = network_cost(LearningParams().model_copy(update={"network": own(width=8)}), INPUTS, 5, 200)
    assert found.seconds_an_epoch is not None and found.seconds_an_epoch > 0


def test_a_file_may_look_at_its_weights_while_it_makes_them() -> None:
    text = broken("        self.first = self.layers[0].weight.sum().item()\n\n    def forward", "\n    def forward")
    assert network_shape(own(text, width=8), INPUTS, 5).parameters == 21 * 8 + 9 * 5


def test_an_experiment_names_it_and_reading_it_runs_nothing(experiment: Experiment, file: Path) -> None:
    file.write_text("raise SystemError('I was run')\n")
    again = Experiment.load(experiment.path)
    assert again.learning.network == OwnParams(network="my_net", file="my_networks.py", params={"width": 32})
    assert again.learning_with_code.network.code.text == file.read_text()  # type: ignore[union-attr]
    again.save()
    assert "name: my_net, file: my_networks.py, params: {width: 32}}}  # mine" in experiment.path.read_text()
    again.set({"learning.network.params": {"width": 16}})
    again.save()
    assert Experiment.load(experiment.path).params == again.params


def test_whole_yaml_means_the_same(experiment: Experiment, file: Path) -> None:
    other = file.parent / "other.yml"
    experiment.save(other)
    assert Experiment.load(other).params == experiment.params
    executed: dict[str, Any] = {}
    exec(experiment.to_python(), executed)
    assert executed["experiment"].params == experiment.params


def test_an_absent_file_is_named(experiment: Experiment, file: Path) -> None:
    file.unlink()
    with pytest.raises(ParameterError, match=r"learning\.network\.file: .*my_networks\.py cannot be read"):
        _ = experiment.learning_with_code
    experiment.set({"learning.network.file": None})
    with pytest.raises(ParameterError, match=r"learning\.network\.file: .* is no Python file"):
        _ = experiment.learning_with_code


def test_the_hash_of_the_file_is_part_of_the_record(experiment: Experiment, file: Path) -> None:
    before = network_sources(experiment)
    assert list(before.values()) == [SourceFile.read(file).sha256]
    file.write_text(CODE + "# another\n")
    assert network_sources(experiment) != before
    experiment.set({"learning.network.name": "mlp"})
    assert experiment.learning.network == MlpParams()
    assert network_sources(experiment) == {}


def test_parameters_without_their_file_say_so() -> None:
    with pytest.raises(ParameterError, match=r"network my_net is code of my_networks\.py, which was not read"):
        build_network(OwnParams(network="my_net", file="my_networks.py"), INPUTS, 3)


@pytest.fixture
def trained(train: Callable[..., Any], file: Path) -> Path:
    """The folder of a model of it."""
    params = OwnParams(network="my_net", file="my_networks.py", params={"width": 8})
    result = train(network=params.with_code(SourceFile.read(file)), epochs=8, learning_rate=0.01)
    assert result.best["f_score"] > 0.5
    return result.model_folder


def test_it_trains_and_is_loaded_with_its_file(trained: Path, file: Path) -> None:
    document = json.loads((trained / "model.json").read_text())
    assert document["network"] == {"name": "own", "network": "my_net", "file": "my_networks.py", "params": {"width": 8}}
    assert document["network_sha256"] == SourceFile.read(file).sha256
    assert "class" not in "".join(document["network"]), "no code in a model"
    model = Model.load(trained, network_file=file)
    features = np.random.default_rng(0).normal(2500, 400, (20, 90)).astype(np.float32)
    np.testing.assert_allclose(model.predict_probabilities(features).sum(0), 1, rtol=1e-5)


def test_a_model_runs_no_code_that_is_not_named(trained: Path, file: Path) -> None:
    (trained / "my_networks.py").write_text("raise SystemError('I was run')\n")
    with pytest.raises(ModelError, match=r"network my_net of my_networks\.py, code that a person wrote.*name the file"):
        Model.load(trained)


def test_another_file_is_refused_before_it_runs(trained: Path, file: Path) -> None:
    file.write_text("raise SystemError('I was run')\n")
    with pytest.raises(ModelError, match=r"is not the file that the model was trained with .*bring it back"):
        Model.load(trained, network_file=file)
    file.unlink()
    with pytest.raises(ModelError, match=r"my_networks\.py cannot be read"):
        Model.load(trained, network_file=file)


def test_it_travels_to_a_worker_as_text(trained: Path, file: Path) -> None:
    model = Model.load(trained, network_file=file)
    features = np.random.default_rng(0).normal(2500, 400, (20, 90)).astype(np.float32)
    expected, sent = model.predict_probabilities(features), pickle.dumps(model)
    file.unlink()
    for name in [name for name in sys.modules if name.startswith("landcover_external_")]:
        del sys.modules[name]
    code_files._modules.clear()
    np.testing.assert_array_equal(pickle.loads(sent).predict_probabilities(features), expected)  # noqa: S301


def test_the_public_name_is_the_decorator() -> None:
    from toolkit.learning.models.own import network

    assert toolkit.network is network


def test_a_short_form_is_that_of_a_file_only() -> None:
    with pytest.raises(ParameterError, match=r"network\.name = 'my_net': must be one of"):
        build(LearningParams, {"network": {"name": "my_net"}}, "experiment.yml")
    sections = {
        "series": {"source": "s2", "tiles": ["31TCJ"], "start": "2018-01-01", "end": "2018-12-27"},
        "ground_truth": {"source": "polygons"},
    }
    assert ExperimentParams(name="x", **sections).learning.network == MlpParams()
