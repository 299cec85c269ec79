"""In which numbers a tile is classified: what is settled, reported, and kept to by a run that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError

from tests.mapping.conftest import STACK
from tests.mapping.test_mapping import read
from toolkit.features.stack import FeatureStack
from toolkit.ground.errors import ParameterError
from toolkit.learning.checkpoint import Model
from toolkit.mapping import precision
from toolkit.mapping.classify import classify_tile, precision_of
from toolkit.mapping.memory import MappingParams
from toolkit.mapping.precision import Trial, form_of, settle_precision, try_both
from toolkit.series.images import Strip
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries

BFLOAT16, AUTO = MappingParams(precision="bfloat16"), MappingParams(precision="auto")


def trial_of(monkeypatch: pytest.MonkeyPatch, changed: float, faster: float) -> list[Trial]:
    """Let every trial find this; the list receives one for each."""
    made: list[Trial] = []

    def found(*_: object) -> Trial:
        made.append(Trial(1000, changed, faster))
        return made[-1]

    monkeypatch.setattr(precision, "try_both", found)
    return made


@pytest.mark.parametrize(
    ("changed", "faster", "chosen"),
    [(0.0, 1.9, "bfloat16"), (0.002, 1.1, "bfloat16"), (0.0021, 3.0, "float32"), (0.0, 0.2, "float32")],
)
def test_auto_takes_bfloat16_where_it_is_faster_and_changes_little(
    series: TileSeries, model: Model, monkeypatch: pytest.MonkeyPatch, changed: float, faster: float, chosen: str
) -> None:
    trial_of(monkeypatch, changed, faster)
    said: list[str] = []
    assert settle_precision("auto", series, STACK, model, FileTiling.of(series).cover(), said.append) == chosen
    assert len(said) == 1 and said[0].startswith(f"{chosen}: bfloat16 changes the class of {changed:.2%} of 1,000")


def test_the_share_is_that_of_the_maps(series: TileSeries, model: Model, tmp_path: Path) -> None:
    # Weights so small that every pixel is nearly undecided, for some class to change.
    weights = {name: value * 1e-3 for name, value in model.weights.items()}
    undecided = replace(model, weights=weights)
    plain = read(classify_tile(series, STACK, undecided, tmp_path / "a", MappingParams(), key="k")["classes"])
    narrow = read(classify_tile(series, STACK, undecided, tmp_path / "b", BFLOAT16, key="k")["classes"])
    assert np.array_equal(plain == 0, narrow == 0), "what is never seen has no class in either"
    found = try_both(series, STACK, undecided, FileTiling.of(series).cover())
    assert found.pixels == (plain > 0).sum()
    assert found.changed == pytest.approx((plain != narrow)[plain > 0].mean())


def test_maps_in_bfloat16_say_so_and_are_those_of_float32_where_the_network_is_sure(
    series: TileSeries, model: Model, tmp_path: Path
) -> None:
    said: list[str] = []
    plain = classify_tile(series, STACK, model, tmp_path / "a", MappingParams(), key="k", say=said.append)
    assert not said, "nothing is tried that nobody asked for"
    narrow = classify_tile(series, STACK, model, tmp_path / "b", BFLOAT16, key="k", say=said.append)
    assert said and said[0].startswith("bfloat16: ")
    sure = read(plain["confidence"]) > 60
    assert sure.mean() > 0.5 and np.array_equal(read(plain["classes"])[sure], read(narrow["classes"])[sure])
    for paths, wanted in ((plain, None), (narrow, "bfloat16")):
        with rasterio.open(paths["classes"]) as source:
            assert source.tags().get("PRECISION") == wanted


def test_a_run_that_goes_on_keeps_to_what_was_settled(
    series: TileSeries, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileTiling, "block_size", (16, 16))
    made = trial_of(monkeypatch, 0.0, 2.0)
    whole = classify_tile(series, STACK, model, tmp_path / "a", AUTO, key="k")
    assert len(made) == 1
    killed = stopped_at(5, series, model, tmp_path / "b", monkeypatch)
    assert len(made) == 2
    trial_of(monkeypatch, 0.0, 0.1)  # as on another machine
    on = classify_tile(series, STACK, model, killed, AUTO, key="k")
    for layer, path in whole.items():
        assert path.read_bytes() == on[layer].read_bytes()


def test_blocks_of_another_precision_are_not_gone_on_with(
    series: TileSeries, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileTiling, "block_size", (16, 16))
    trial_of(monkeypatch, 0.0, 2.0)
    killed = stopped_at(5, series, model, tmp_path / "a", monkeypatch)
    found = classify_tile(series, STACK, model, killed, MappingParams(), key="k")
    wanted = classify_tile(series, STACK, model, tmp_path / "b", MappingParams(), key="k")
    for layer, path in wanted.items():
        assert path.read_bytes() == found[layer].read_bytes()


def stopped_at(block: int, series: TileSeries, model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run in bfloat16 that ended in its block of this number."""
    calls: list[None] = []
    read_block = TileSeries.strips

    def stops(self: TileSeries, *arguments: object) -> Iterator[Strip]:
        calls.append(None)
        if len(calls) == block:
            raise KeyboardInterrupt
        return read_block(self, *arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(TileSeries, "strips", stops)
        classify_tile(series, STACK, model, folder, AUTO.model_copy(update={"workers": 1}), key="k")
    assert (folder / ".blocks").exists()
    return folder


def test_raw_dates_stay_in_float32(series: TileSeries, model: Model, tmp_path: Path) -> None:
    raw = FeatureStack(STACK.bands, STACK.dates, representation="raw")
    said: list[str] = []
    tiling = FileTiling.of(series)
    assert precision_of("auto", series, raw, model, tmp_path, tiling, key="k", say=said.append) == "float32"
    assert said == ["float32: its features are raw dates, whose days bfloat16 cannot tell apart"]
    with pytest.raises(ParameterError, match=r"mapping\.precision = bfloat16 does not go with this model"):
        precision_of("bfloat16", series, raw, model, tmp_path, tiling, key="k")


def test_the_network_is_given_features_in_its_numbers(model: Model) -> None:
    assert form_of(model, "float32").plain
    assert form_of(model, "bfloat16").dtype == np.uint16


def test_another_precision_is_refused() -> None:
    with pytest.raises(ValidationError, match="float32"):
        MappingParams(precision="float16")
