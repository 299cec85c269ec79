"""What docs/features.md says of features is so."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.features.conftest import ArraySeries
from toolkit.features.chosen import ChosenFeature
from toolkit.features.formula import FUNCTIONS
from toolkit.features.indices import INDICES, check_formula
from toolkit.features.loading import SHIPPED, shipped_function
from toolkit.ground.bands import BAND_NAMES
from toolkit.ground.code_files import SourceFile
from toolkit.ground.errors import ParameterError
from toolkit.ground.grid import Block

PAGE = (Path(__file__).parents[2] / "docs" / "features.md").read_text(encoding="utf-8")


def test_the_example_runs_and_is_seamless(scene: ArraySeries) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    source = SourceFile("my_features.py", code)
    features = scene.of(ChosenFeature("smooth", {}, source), ChosenFeature("gain", {"until": "2018-07-20"}, source))
    assert features.stack.names[-1] == "ndvi_gain_2018-04-01_2018-07-20"
    whole, clear = features.read(scene.whole)
    part, _ = features.read(Block(7, 9, 11, 5))
    assert np.array_equal(part, whole[:, 7:18, 9:14])
    names = features.stack.names
    band, smooth = (whole[names.index(name)][clear > 0] for name in ("B8_20180101", "smooth_B8_20180101"))
    assert smooth.std() < band.std() / 2


def test_every_index_and_function_is_in_its_table() -> None:
    for one in INDICES.values():
        assert f"| `{one.name}` | `{one.written}` | {one.meaning}; {one.source} |" in PAGE
    for name in FUNCTIONS:
        assert f"`{name}`" in PAGE
    for name in SHIPPED:
        for parameter, info in shipped_function(name).params.model_fields.items():
            assert re.search(rf"\| `{name}`: `{parameter}` \|.*{re.escape(info.description or '')} \|", PAGE)


def test_the_refusal_shown_is_the_one_given() -> None:
    with pytest.raises(ParameterError) as caught:
        check_formula("my = (B8 - B4) / (B8 + B44)", BAND_NAMES)
    for line in str(caught.value).splitlines():
        assert f"    {line}\n" in PAGE
