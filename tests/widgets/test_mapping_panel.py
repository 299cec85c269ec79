"""What classifying takes is told beside the form, and each block is seen as it comes."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit import Experiment, plan
from toolkit.ground.block_map import BlockMap, BlockMaps
from toolkit.ground.grid import blocks
from toolkit.ground.ledger import Ledger, Record
from toolkit.ground.locking import FolderLock
from toolkit.widgets import MappingPanel, TuningPanel, Workbench, mapping_panel
from toolkit.widgets.block_picture import MOST_TILES, BlockPicture, headline, tiles_now

ENOUGH = 120.0
COVER = list(blocks((100, 200), 50))


@pytest.fixture
def experiment(finished_demo: Path, tmp_path: Path) -> Experiment:
    shutil.copytree(finished_demo.parent, tmp_path / "demo", symlinks=True, copy_function=shutil.copy2)
    experiment = Experiment.load(tmp_path / "demo" / finished_demo.name)
    (experiment.folder / "mapping" / "31TCJ" / "classes.tif").unlink()
    return experiment


@pytest.fixture
def panel(experiment: Experiment) -> Iterator[MappingPanel]:
    panel = MappingPanel(experiment)
    assert panel.settle()
    yield panel
    panel.close()


def begin_ledger(folder: Path) -> Path:
    ledger = Ledger.begin(folder, "k", COVER)
    ledger.add(Record(COVER[0], "done", 2.0, 10, "c", "host:1"))
    ledger.add(Record(COVER[1], "running"))
    ledger.add(Record(COVER[2], "failed", error="OSError: <gone>"))
    ledger.close()
    return folder


def seen(panel: MappingPanel) -> dict[str, tuple[str, ...]]:
    tiles = zip(panel.picture.tiles, panel.picture.state["tiles"], strict=True)
    return {tile["name"]: tuple(state["standings"]) for tile, state in tiles}


def test_the_plan_stands_beside_the_forms_and_follows_the_experiment(
    panel: MappingPanel, experiment: Experiment
) -> None:
    for word in ("31TCJ: 6,400 pixels", "up to date", "31TCK, 31TDJ, 31TDK", " dates", "4.0 GB at most"):
        assert word in panel.table.value
    assert "not probed" in panel.table.value and "lc-stale" not in panel.table._dom_classes
    assert panel.problem.value == panel.refused.value == panel.progress.value == ""
    fields = {path for form in panel.forms for path in form.fields}
    assert {"mapping.memory_gb", "cluster.kind", "postprocess.sieve.min_area_m2", "vectorise.outline"} <= fields
    experiment.set({"mapping.memory_gb": 8.0})  # more than before: what earlier tests left in memory is counted too
    assert panel.settle() and "8.0 GB at most" in panel.table.value, panel.refused.value


def test_the_time_is_told_when_asked_for_and_kept_while_it_holds(panel: MappingPanel, experiment: Experiment) -> None:
    panel.time_button.click()
    assert panel.settle()
    assert "not probed" not in panel.table.value and "about 1 s" in panel.table.value
    experiment.set({"postprocess.majority_radius": 1})
    assert panel.settle() and "about 1 s" in panel.table.value
    experiment.set({"mapping.workers": 1})
    assert panel.settle() and "not probed" in panel.table.value


def test_postprocessing_has_no_part_in_the_plan(
    panel: MappingPanel, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping_panel, "plan", lambda *_, **__: pytest.fail("planned anew"))
    experiment.set({"postprocess.majority_radius": 3, "vectorise.outline": "pixels"})
    assert panel.settle() and panel.refused.value == ""


def test_tiles_that_are_done_are_told_whichever_verb_is_chosen(panel: MappingPanel) -> None:
    panel.run.verb.value = "mosaic"
    assert panel.settle()
    assert panel.picture.state["headline"] == "3 of 4 tiles classified"


def test_without_a_model_the_time_is_not_known(panel: MappingPanel, experiment: Experiment) -> None:
    experiment.set({"name": "untrained"})
    panel.time_button.click()
    assert panel.settle()
    assert "no model yet" in panel.progress.value and "not probed" in panel.table.value
    assert panel.refused.value == "" and "0 of 4 tiles classified" in panel.picture.state["headline"]


def test_a_refusal_is_told_in_words_beside_the_plan_of_before(
    panel: MappingPanel, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.experiment.plan.free_memory", lambda: 1000)
    panel.refresh()
    assert panel.settle()
    assert "of memory are needed" in panel.refused.value and "lower mapping.memory_gb" in panel.refused.value
    assert "lc-stale" in panel.table._dom_classes and "31TCJ" in panel.table.value
    monkeypatch.undo()
    panel.refresh()
    assert panel.settle()
    assert panel.refused.value == "" and "lc-stale" not in panel.table._dom_classes


def test_classify_as_a_job_is_seen_to_its_end(panel: MappingPanel) -> None:
    assert seen(panel) == {"31TCJ": ("waiting",), "31TCK": ("done",), "31TDJ": ("done",), "31TDK": ("done",)}
    assert panel.picture.state["headline"] == "3 of 4 tiles classified"
    panel.run.overwrite.value = True
    panel.run.start()
    assert panel.run.job is not None and panel.run.job.verb == "classify"
    assert panel.run.job.wait(ENOUGH) and panel.run.job.state == "done", panel.run.job.error
    assert panel.settle()
    assert set(seen(panel).values()) == {("done",)}
    assert panel.picture.state["headline"] == "4 of 4 tiles classified"
    assert "nothing to do" in panel.table.value, "the plan is made anew at the end"
    assert panel.table.layout.min_height == f"{9 * mapping_panel.ROW}px", "what stands below does not move"
    assert not panel.time_button.disabled and panel.run.curves.layout.display == "none"


def test_blocks_are_read_from_the_run_folder_whoever_works_there(experiment: Experiment) -> None:
    begin_ledger(experiment.folder / "mapping" / "31TCJ" / ".blocks")
    with FolderLock.take(experiment.folder):
        panel = MappingPanel(experiment)
        panel._planning.settle()
        assert mapping_panel.BUSY in panel.progress.value and panel.table.value == ""
        panel._look()
        assert seen(panel)["31TCJ"] == ("done", "running", "failed", *["waiting"] * 5)
        assert panel.time_button.disabled and "a second, about" in panel.picture.state["headline"]
        assert panel.picture.state["tiles"][0]["error"] == "OSError: <gone>"
    assert panel.settle()
    assert "31TCJ" in panel.table.value and panel.progress.value == "", "the plan is told once it has ended"
    assert seen(panel)["31TCJ"] == ("done", "waiting", "failed", *["waiting"] * 5), "nothing runs any more"
    assert panel.picture.state["headline"] == "3 of 4 tiles classified; 1 of 8 blocks of 31TCJ"
    panel.close()


def test_before_anything_is_known_nothing_is_said_to_be_undone(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(mapping_panel, "plan", lambda *given, **more: go.wait(ENOUGH) and plan(*given, **more))
    panel = MappingPanel(experiment)
    panel._poller.settle()
    assert panel.picture.state["headline"] == mapping_panel.LOOKING
    go.set()
    assert panel.settle()
    assert panel.picture.state["headline"] == "3 of 4 tiles classified"
    panel.close()


def test_a_closed_panel_does_not_follow(experiment: Experiment) -> None:
    panel = MappingPanel(experiment)
    assert panel.settle()
    panel.close()
    before = panel.table.value
    experiment.set({"mapping.memory_gb": 3.0})
    assert panel.settle() and panel.table.value == before and not experiment._observers
    assert panel.run.comm is None


def test_the_time_left_counts_tiles_that_are_not_begun(tmp_path: Path) -> None:
    maps = BlockMaps((BlockMap.read(begin_ledger(tmp_path), "b"),))
    tiles = tiles_now(["a", "b", "c", "d"], maps, {"a": "up to date", "d": "outdated"}, alive=True)
    assert [one.words for one in tiles] == ["done", "1 of 8, 1 failed", "", "outdated"]
    assert headline(tiles, maps, alive=True) == (
        "1 of 4 tiles classified; 1 of 8 blocks of b; 0.5 blocks a second, about 46 s left"
    )
    assert "second" not in headline(tiles, maps, alive=False)


def test_of_many_tiles_those_at_work_are_drawn(tmp_path: Path) -> None:
    maps = BlockMaps((BlockMap.read(begin_ledger(tmp_path), "900"),))
    picture = BlockPicture()
    tiles = tiles_now([str(number) for number in range(1000)], maps, {}, alive=True)
    picture.show(tiles, "")
    assert [one["name"] for one in picture.tiles][:2] == ["900", "0"] and len(picture.tiles) == MOST_TILES
    assert picture.state["more"] == "and 976 more tiles"
    assert len(picture.tiles[0]["blocks"]) == 8
    changes: list[object] = []
    picture.observe(changes.append)
    picture.show(tiles, "")
    assert changes == [], "what is as before is not sent"
    picture.close()


def test_the_workbench_shows_a_job_of_one_panel_in_all(experiment: Experiment) -> None:
    page = Workbench(experiment)
    mapping, tuning = page.show_tab("Mapping"), page.show_tab("Tuning")
    assert isinstance(tuning, TuningPanel)
    assert isinstance(mapping, MappingPanel) and mapping.settle() and page.run.settle()
    mapping.run.overwrite.value = True
    mapping.run.start()
    assert mapping.run.job is not None and mapping.run.job.wait(ENOUGH)
    assert mapping.settle() and page.run.settle()
    for one in (page.run, tuning.run):
        assert one.settle() and one.job is not None and one.job.id == mapping.run.job.id
    page.close()
