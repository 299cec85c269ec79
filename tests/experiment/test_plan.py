"""What `classify` will take, told before it begins."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toolkit import Experiment, classify
from toolkit.cli import main
from toolkit.experiment.plan import Plan, plan
from toolkit.ground.errors import ParameterError, ProductError, RunFolderError
from toolkit.mapping.forecast import BLOCK_BYTES, TileForecast, probe
from toolkit.mapping.memory import Allotment


@pytest.fixture
def experiment(finished_demo: Path, tmp_path: Path) -> Experiment:
    shutil.copytree(finished_demo.parent, tmp_path / "demo", symlinks=True, copy_function=shutil.copy2)
    return Experiment.load(tmp_path / "demo" / finished_demo.name)


def forget(experiment: Experiment, tile: str) -> None:
    (experiment.folder / "mapping" / tile / "classes.tif").unlink()


def test_what_is_there_needs_nothing(experiment: Experiment) -> None:
    found = plan(experiment)
    assert not found.tiles and len(found.up_to_date) == 4
    assert "nothing to do" in repr(found)


def test_a_plan_says_files_memory_disk_and_time(experiment: Experiment) -> None:
    forget(experiment, "31TCJ")
    before = sorted(experiment.folder.rglob("*"))
    found = plan(experiment)
    assert sorted(experiment.folder.rglob("*")) == before, "a plan leaves nothing"
    (tile,) = found.tiles
    assert tile.tile == "31TCJ" and tile.pixels == 80 * 80 and tile.blocks == 1
    files = list((experiment.path.parent / "theia").rglob("*T31TCJ*FRE*.tif"))
    assert tile.files > len(files) > 0, "bands and masks"
    assert tile.read_bytes > sum(path.stat().st_size for path in files)
    assert found.disk >= BLOCK_BYTES * 6400
    assert found.seconds is not None and found.seconds > 0
    text = repr(found)
    for word in ("reads", "blocks", "workers", "memory", "disk", "time", "about", "up to date"):
        assert word in text
    assert found._repr_html_().count("<tr>") == len(found.rows())


def test_disk_and_memory_that_do_not_suffice_are_refused_before_anything_is_made(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(experiment, "31TCJ")
    with monkeypatch.context() as patch:
        patch.setattr("toolkit.experiment.plan.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
        for verb in (plan, classify):
            with pytest.raises(RunFolderError, match=r"of disk are needed .* free some, or set `runs`"):
                verb(experiment)  # type: ignore[operator]
    monkeypatch.setattr("toolkit.experiment.plan.free_memory", lambda: 1000)
    for verb in (plan, classify):
        with pytest.raises(ParameterError, match=r"of memory are needed .* lower mapping\.memory_gb"):
            verb(experiment)  # type: ignore[operator]
    assert not (experiment.folder / "mapping" / "31TCJ" / ".blocks").exists()


def test_a_process_that_has_trained_is_not_expected_to_grow_so_that_a_small_budget_would_be_refused(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(experiment, "31TCJ")
    experiment.set({"mapping.memory_gb": 1.0})
    monkeypatch.setattr("toolkit.experiment.plan.in_use", lambda: 850_000_000)
    assert plan(experiment, time=False).tiles
    monkeypatch.setattr("toolkit.experiment.plan.in_use", lambda: 980_000_000)
    with pytest.raises(ParameterError, match=r"mapping\.memory_gb = 1 is not enough.*0\.98 of which a process"):
        plan(experiment, time=False)


def test_a_plan_for_processes_where_all_is_there(experiment: Experiment) -> None:
    experiment.set({"cluster.kind": "local", "cluster.workers": 2})
    assert "nothing to do" in repr(plan(experiment)) and plan(experiment).disk == 0


def test_a_share_of_the_memory_that_is_not_enough_is_told_as_one(experiment: Experiment) -> None:
    forget(experiment, "31TCJ")
    experiment.set({"cluster.kind": "local", "cluster.workers": 8})
    with pytest.raises(ParameterError, match=r"cluster\.workers = 8 leaves 0\.5 GB to each.*take fewer"):
        plan(experiment, time=False)


def test_an_input_that_is_absent_is_told(experiment: Experiment) -> None:
    forget(experiment, "31TCJ")
    experiment.set({"series.start": "2031-01-01", "series.end": "2031-12-01"})
    with pytest.raises(ProductError, match="no product of tile"):
        plan(experiment)


def test_the_time_is_left_out_where_it_is_not_asked_for(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(experiment, "31TDK")
    assert main(["plan", str(experiment.path), "--no-time"]) == 0
    assert "not probed" in capsys.readouterr().out
    assert main(["plan", str(experiment.path)]) == 0
    assert "about" in capsys.readouterr().out


def test_why_there_is_no_time_is_told(experiment: Experiment) -> None:
    experiment.set({"runs": "elsewhere"})
    assert "not probed, for there is no model yet" in repr(plan(experiment))


def test_the_time_is_of_the_precision_that_the_map_will_be_in(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(experiment, "31TCJ")
    probed: list[str] = []
    once = probe

    def spy(*arguments: Any) -> float:
        probed.append(arguments[-1])
        return once(*arguments)

    monkeypatch.setattr("toolkit.experiment.plan.probe", spy)
    assert "bfloat16" not in repr(plan(experiment))
    experiment.set({"mapping.precision": "bfloat16"})
    assert repr(plan(experiment)).endswith(", in bfloat16")
    assert probed == ["float32", "bfloat16"]


def test_a_plan_may_be_asked_with_other_parameters(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    forget(experiment, "31TCJ")
    arguments = ["--no-time", "--mapping.memory_gb", "3", "--mapping.workers", "1"]
    assert main(["plan", str(experiment.path), *arguments]) == 0
    text = capsys.readouterr().out
    assert "3.0 GB at most" in text and "workers    1\n" in text


def test_tiles_of_a_block_each_keep_one_worker_busy() -> None:
    allotment = Allotment(4, (300, 300), True, 10**8, 0, 64, 1.0, 1e-5)
    tile = TileForecast("31TCJ", 91, 10**8, 1.0, 300 * 300, 70, 1, (300, 300), allotment)
    tiles = tuple(replace(tile, tile=str(number)) for number in range(6))
    here = Plan("demo", tiles, (), 1, 10**9, 10**12, 10**13, here=True, seconds_a_pixel=1e-5)
    assert here.seconds == pytest.approx(6 * 0.9), "threads work on one tile after the other"
    assert replace(here, processes=4).seconds == pytest.approx(6 * 0.9 / 6), "a cluster on all at once"
    five = replace(here, tiles=(replace(tile, pixels=5 * 90_000, blocks=5),))
    assert five.seconds == pytest.approx(2 * 0.9), "four blocks, then one"


def test_a_country_is_added_up() -> None:
    allotment = Allotment(32, (1024, 1024), True, 2_000_000_000, 0, 256, 1.0, 1e-5)
    tile = TileForecast("31TCJ", 910, 30_000_000_000, 1.0, 10980**2, 70, 121, (1024, 1024), allotment)
    country = Plan(
        "country", tuple(replace(tile, tile=str(number)) for number in range(1000)), (), 32, 10**12, 10**12, 10**13,
        here=False, seconds_a_pixel=4e-6,
    )  # fmt: skip
    assert country.workers == 1024
    assert country.pixels == 1000 * 10980**2
    assert country.seconds == pytest.approx(4e-6 * 1000 * 10980**2 / 1024)
    country.check()
    with pytest.raises(RunFolderError, match="1000 tile"):
        replace(country, disk_free=10**10).check()
