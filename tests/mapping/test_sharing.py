"""Threads that share a block, where there are fewer blocks than processor cores or memory for fewer."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.mapping.conftest import STACK
from tests.mapping.test_mapping import PUBLISHED, published, theia_tiling
from toolkit.features import reading
from toolkit.learning.checkpoint import Model
from toolkit.mapping.classify import classify_tile
from toolkit.mapping.memory import MappingParams, allot, speed_of
from toolkit.series.prepared import with_prepared
from toolkit.series.preparing import prepare_tile
from toolkit.series.store_plan import StorePlan
from toolkit.series.tiling import FileTiling
from toolkit.series.timeseries import TileSeries


@pytest.mark.parametrize("source", ["files", "prepared series"])
def test_the_threads_of_a_small_tile_share_its_block(
    series: TileSeries, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    if source == "prepared series":
        prepare_tile(series, StorePlan.of(series), tmp_path / "a.zarr", 1)
        series = with_prepared(series, tmp_path / "a.zarr")
        assert series.prepared is not None
    monkeypatch.setattr(reading, "STRIP_BYTES", 4 * len(STACK) * 40 * 16)  # strips of sixteen rows
    alone = classify_tile(series, STACK, model, tmp_path / "a", MappingParams(workers=1), key="k")
    together, at_work, predict = threading.Barrier(2), set(), Model.predict_outputs

    def predict_together(self: Model, *arguments: Any, **named: Any) -> Any:
        if threading.current_thread() is not threading.main_thread() and len(at_work) < 2:
            at_work.add(threading.get_ident())
            together.wait(20)  # only two threads at once get through
        return predict(self, *arguments, **named)

    monkeypatch.setattr(Model, "predict_outputs", predict_together)
    shared = classify_tile(series, STACK, model, tmp_path / "b", MappingParams(workers=2), key="k")
    assert len(at_work) == 2
    for layer in alone:
        assert alone[layer].read_bytes() == shared[layer].read_bytes()


def test_threads_share_blocks_where_these_or_memory_are_few(series: TileSeries) -> None:
    many, small = published(series), replace(theia_tiling(), shape=(1024, 1024))

    def chosen(tiling: FileTiling, gb: float, cores: int, *, sharing: bool = True) -> tuple[int, int]:
        one = allot(many, PUBLISHED, tiling, int(gb * 1e9), 350_000_000, cores, sharing=sharing)
        assert one.bytes + 350e6 <= gb * 1e9
        return one.workers, one.threads

    assert chosen(small, 4, 4) == (1, 4)
    assert chosen(replace(small, shape=(2048, 1024)), 8, 8) == (2, 4)
    assert chosen(replace(small, shape=(3072, 1024)), 8, 2) == (1, 2), "one of two would wait while the third is done"
    assert chosen(theia_tiling(), 8, 4) == (4, 1), "workers that wait for nobody, where there is work for all"
    assert chosen(theia_tiling(), 1.2, 2) == (1, 2), "two on a large part, and not each on a small one"
    assert chosen(small, 4, 4, sharing=False) == (1, 1)


def test_external_features_see_a_part_as_a_whole_and_have_one_thread(series: TileSeries) -> None:
    texture: Any = SimpleNamespace(padding=2, names=lambda days: ["texture"])
    stack, small = (
        replace(PUBLISHED, indices=("ndvi",), external=(texture,)),
        replace(theia_tiling(), shape=(1024, 1024)),
    )
    found = allot(published(series), stack, small, 16 * 10**9, 350_000_000, 4)
    assert (found.workers, found.threads) == (1, 1)


def test_what_threads_bring_falls_short_of_their_number() -> None:
    speeds = [speed_of(threads) for threads in range(1, 65)]
    assert speeds[0] == 1 and speeds == sorted(speeds)
    assert 1.9 < speeds[1] < 2 and speeds[15] < 14
