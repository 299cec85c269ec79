"""What docs/networks.md says of networks is so."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from toolkit.experiment.network_list import CLASSES, DATES, published_input
from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import ParameterError
from toolkit.ground.params import models_of
from toolkit.learning.cost import network_shape
from toolkit.learning.inputs import DAY, VALID, InputLayout
from toolkit.learning.models import NetworkChoice, OwnParams, TreeParams, build_network
from toolkit.learning.models.columns import PIXELS

PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
RAW = InputLayout.of(["B2_*", DAY, VALID], DATES)


def test_the_table_has_every_network_its_size_and_whether_it_reads_raw_dates() -> None:
    inputs, classes = published_input(), CLASSES
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*\|[^|]*\|[^|]*)\|$", PAGE, re.M))
    models = [one for one in models_of(NetworkChoice) if one is not OwnParams]
    assert [*rows] == [one.model_fields["name"].default for one in models]
    for model, row in zip(models, rows.values(), strict=True):
        size, _, raw = (cell.strip() for cell in row.split("|"))
        assert size == (
            "" if issubclass(model, TreeParams) else f"{network_shape(model(), inputs, classes).parameters:,}"
        )
        assert (raw == "yes") == _reads_raw(model), model


def _reads_raw(model: type) -> bool:
    try:
        build_network(model(), RAW, 3)
    except ParameterError as error:
        assert "gap_filled" in str(error)
        return False
    return True


def test_the_example_is_a_network() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    params = OwnParams(network="last_year", file="my_networks.py", params={"width": 32})
    inputs, classes = published_input(), CLASSES
    network = build_network(params.with_code(SourceFile("my_networks.py", code)), inputs, classes)
    logits = network(torch.randn(9, inputs.width or 0))
    assert logits.shape == (9, classes)
    logits.sum().backward()
    assert f"({PIXELS} without it)" in PAGE
