"""Networks in a form: another name, other fields; one of a person's own, with what its file declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit import Experiment
from toolkit.learning.models import GruParams, LtaeParams, MlpParams, TempCnnParams
from toolkit.widgets.forms import form

CODE = '''
from torch import nn
from toolkit import network
from toolkit.ground.params import param

@network
class MyNet(nn.Module):
    """A hidden layer."""

    def __init__(self, inputs, n_classes, *, width: int = param(64, "Neurons."), deep: bool = False):
        super().__init__()
'''


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    found = Experiment.load(tiny_demo)
    found.set({"learning.network": {"name": "mlp"}})
    return found


def test_another_name_brings_other_fields_and_their_defaults(experiment: Experiment) -> None:
    opened = form(experiment, "learning.network")
    assert "learning.network.hidden" in opened.fields
    opened.fields["learning.network.dropout"].input.value = 0.25
    opened.fields["learning.network.name"].input.value = "tempcnn"
    assert experiment.learning.network == TempCnnParams()
    assert {"learning.network.filters", "learning.network.kernel"} <= set(opened.fields)
    assert "learning.network.hidden" not in opened.fields
    opened.fields["learning.network.name"].input.value = "gru"
    opened.fields["learning.network.cell"].input.value = "lstm"
    assert experiment.learning.network == GruParams(cell="lstm")
    experiment.undo()
    experiment.undo()
    assert opened.fields["learning.network.name"].input.value == "tempcnn"
    opened.close()


def test_two_values_that_go_together_wait_for_each_other(experiment: Experiment) -> None:
    experiment.set({"learning.network": {"name": "ltae"}})
    opened = form(experiment, "learning")
    opened.fields["learning.network.heads"].input.value = 12
    assert experiment.learning.network == LtaeParams()
    assert opened.fields["learning.network.heads"].is_waiting
    opened.fields["learning.network.width"].input.value = 96
    assert experiment.learning.network == LtaeParams(heads=12, width=96)
    opened.close()


def test_the_file_of_a_network_of_ones_own_offers_what_it_declares(experiment: Experiment) -> None:
    (experiment.path.parent / "my_networks.py").write_text(CODE)
    opened = form(experiment, "learning")
    opened.fields["learning.network.name"].input.value = "own"
    rows = opened.fields
    assert opened.hints.settle()
    files = [value for _, value in rows["learning.network.file"].input.pick.options]
    assert "my_networks.py" in files
    rows["learning.network.file"].input.value = "my_networks.py"
    assert opened.hints.settle()
    assert ("my_net", "my_net") in [
        (value, label.split()[0]) for label, value in rows["learning.network.network"].input.pick.options if value
    ]
    rows["learning.network.network"].input.value = "my_net"
    assert opened.hints.settle()
    (offered,) = [value for _, value in rows["learning.network.params"].input.pick.options if value]
    assert offered == "{width: 64, deep: false}"
    rows["learning.network.params"].input.value = "{width: 8, deep: true}"
    assert experiment.learning.network.params == {"width": 8, "deep": True}
    opened.close()


def test_a_form_of_another_network_runs_no_file(experiment: Experiment) -> None:
    mark = experiment.path.parent / "was_run"
    (experiment.path.parent / "my_networks.py").write_text(f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n")
    opened = form(experiment, "learning")
    assert opened.fields and opened.hints.settle()
    assert experiment.learning.network == MlpParams()
    assert not mark.exists()
    opened.close()
