"""The whole chain on a tiny demo: from Theia folders to a validated map, again and again."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely

from toolkit import Experiment, classify, clean, cross_validate, mosaic, run, sample, train, validate
from toolkit.experiment.crossval import file_name
from toolkit.experiment.drawing import sources_of
from toolkit.experiment.events import Event
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.tiles import open_series
from toolkit.ground.errors import LandcoverError, RunFolderError
from toolkit.ground.locking import FolderLock
from toolkit.learning.callbacks import Callback, TrainingRun

CONTRACT = (
    "experiment.yml",
    "manifest.json",
    "events.jsonl",
    "ground_truth/clean.gpkg",
    "ground_truth/train.gpkg",
    "ground_truth/test.gpkg",
    "ground_truth/cleaning_report.json",
    "samples/class_counts.csv",
    "learning/history.csv",
    "learning/model/model.json",
    "learning/model/weights.safetensors",
    *(f"mapping/{t}/{layer}.tif" for t in ("31TCJ", "31TDK") for layer in ("classes", "confidence", "validity")),
    "mapping/classes.tif",
    "mapping/confidence.tif",
    "validation/confusion_matrix.csv",
    "validation/metrics.json",
    "validation/report.html",
)


SAME_BYTES = (
    "ground_truth/clean.gpkg",
    "samples/31TCJ/features.npy",
    "samples/class_counts.csv",
    "learning/model/weights.safetensors",
    "mapping/31TCJ/classes.tif",
    "mapping/31TCJ/confidence.tif",
    "mapping/classes.tif",
    "mapping/confidence.tif",
    "validation/confusion_matrix.csv",
    "validation/metrics.json",
)


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    return Experiment.load(tiny_demo)


def history(path: Path) -> list[list[str]]:
    """Rows of a history.csv, times aside."""
    rows = csv.DictReader(path.read_text().splitlines())
    return [[value for name, value in row.items() if name != "seconds"] for row in rows]


def test_run_folder_is_the_contract_and_a_second_run_does_nothing(experiment: Experiment) -> None:
    events: list[Event] = []
    result = run(experiment, observer=events.append)
    folder = experiment.folder
    for name in CONTRACT:
        assert (folder / name).is_file(), name
    assert 0.1 < result.matrix.oa <= 1
    metrics = json.loads((folder / "validation" / "metrics.json").read_text())
    assert metrics["oa"] == pytest.approx(result.matrix.oa)
    assert {"oa", "kappa", "f_score", "per_class"} <= set(metrics)
    with rasterio.open(folder / "mapping" / "classes.tif") as source:
        classes = source.read(1)
    assert set(np.unique(classes)) <= {0, *experiment.nomenclature.codes.tolist()}
    assert (classes > 0).mean() > 0.9
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again: list[Event] = []
    run(experiment, observer=again.append)
    assert {event.state for event in again} == {"up to date"}
    now = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert {path for path in now if now[path] != written.get(path)} == {folder / "events.jsonl"}


def test_the_same_seed_gives_the_same_bytes(experiment: Experiment) -> None:
    run(experiment)
    first = experiment.folder
    experiment.set({"runs": "again"})
    run(experiment)
    second = experiment.folder
    assert first != second
    for name in SAME_BYTES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert history(first / "learning" / "history.csv") == history(second / "learning" / "history.csv")


def test_samples_come_from_train_polygons_and_their_own_tile(experiment: Experiment) -> None:
    clean(experiment)
    counts = sample(experiment)
    folder = experiment.folder
    train_ids = set(gpd.read_file(folder / "ground_truth" / "train.gpkg")["polygon"])
    test_ids = set(gpd.read_file(folder / "ground_truth" / "test.gpkg")["polygon"])
    assert not train_ids & test_ids
    total = 0
    for tile in experiment.series.tiles:
        pixels = np.load(folder / "samples" / tile / "pixels.npy")
        assert set(pixels["polygon"]) <= train_ids
        total += len(pixels)
    assert counts["pixels"].sum() <= total
    assert counts["pixels"].max() <= experiment.sampling.max_per_class
    assert list(counts.columns[:4]) == ["code", "label", "polygons", "pixels"]
    assert set(experiment.series.tiles) <= set(counts.columns)


def test_other_parameters_are_refused_and_nothing_is_lost(experiment: Experiment) -> None:
    clean(experiment)
    sample(experiment)
    before = (experiment.folder / "samples" / "class_counts.csv").read_bytes()
    experiment.set({"sampling.max_per_class": 20})
    with pytest.raises(RunFolderError, match=r"sampling\.max_per_class = 150 \(now 20\).*`name`.*overwrite"):
        sample(experiment)
    assert (experiment.folder / "samples" / "class_counts.csv").read_bytes() == before
    counts = sample(experiment, overwrite=True)
    assert counts["pixels"].max() == 20


def test_a_verb_that_lacks_its_input_says_which_verb_makes_it(experiment: Experiment) -> None:
    with pytest.raises(RunFolderError, match="no result of `clean`, which `sample` needs"):
        sample(experiment)
    with pytest.raises(RunFolderError, match="no result of `sample`"):
        train(experiment)
    with pytest.raises(RunFolderError, match="no result of `train`"):
        classify(experiment)
    with pytest.raises(RunFolderError, match="classify 31TCJ"):
        mosaic(experiment)
    with pytest.raises(RunFolderError, match="mosaic"):
        validate(experiment)


def test_training_goes_on_when_epochs_are_raised(experiment: Experiment) -> None:
    clean(experiment)
    sample(experiment)
    assert len(train(experiment).history) == 3
    experiment.set({"learning.epochs": 5})
    result = train(experiment)
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4, 5]
    experiment.set({"name": "at_once"})
    clean(experiment)
    sample(experiment)
    assert history(train(experiment).folder / "history.csv") == history(result.folder / "history.csv")


def test_callbacks_see_a_training_that_is_up_to_date(experiment: Experiment) -> None:
    class Watch(Callback):
        begun: list[int]
        ended: list[int]

        def __init__(self) -> None:
            self.begun, self.ended = [], []

        def on_train_begin(self, run: TrainingRun) -> None:
            self.begun.append(len(run.history))

        def on_train_end(self, run: TrainingRun) -> None:
            self.ended.append(len(run.history))

    clean(experiment)
    sample(experiment)
    first, second = Watch(), Watch()
    train(experiment, callbacks=[first])
    train(experiment, callbacks=[second])
    assert (first.begun, first.ended) == ([0], [3])
    assert (second.begun, second.ended) == ([3], [3])


def test_stopped_training_is_not_finished_and_goes_on(experiment: Experiment) -> None:
    clean(experiment)
    sample(experiment)
    seen: list[int] = []

    def stop() -> bool:
        path = experiment.folder / "learning" / "history.csv"
        seen.append(len(history(path)) if path.exists() else 0)
        return seen[-1] >= 1

    events: list[Event] = []
    train(experiment, stop=stop, observer=events.append)
    assert events[-1].state == "stopped"
    assert set(classify(experiment)) == set(experiment.series.tiles), "the best epoch so far serves"
    again: list[Event] = []
    assert len(train(experiment, observer=again.append).history) == 3
    assert again[-1].state == "done"
    with pytest.raises(RunFolderError, match="another result of train"):
        classify(experiment)


def test_result_replaced_half_way_is_not_up_to_date(experiment: Experiment) -> None:
    class Interrupt(Callback):
        def on_epoch_end(self, run: TrainingRun, row: dict) -> None:
            raise KeyboardInterrupt

    clean(experiment)
    sample(experiment)
    train(experiment)
    wanted = (experiment.folder / "learning" / "model" / "weights.safetensors").read_bytes()
    experiment.set({"learning.learning_rate": 0.5})
    with pytest.raises(KeyboardInterrupt):
        train(experiment, overwrite=True, callbacks=[Interrupt()])
    events: list[Event] = []
    assert len(train(experiment, overwrite=True, observer=events.append).history) == 3
    assert next(event.message for event in events if event.total) == "epoch 2 of 3", "goes on after the first epoch"
    experiment.set({"learning.learning_rate": 1e-3})
    with pytest.raises(RunFolderError, match="learning_rate"):
        train(experiment)
    train(experiment, overwrite=True)
    assert (experiment.folder / "learning" / "model" / "weights.safetensors").read_bytes() == wanted


def test_interrupted_extraction_keeps_finished_tiles(experiment: Experiment) -> None:
    clean(experiment)

    def interrupt(event: Event) -> None:
        if event.message == "extracting 31TDJ":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(experiment, observer=interrupt)
    done = experiment.folder / "samples" / "31TCJ" / "features.npy"
    before = done.stat().st_mtime_ns
    seen: list[Event] = []
    sample(experiment, observer=seen.append)
    assert done.stat().st_mtime_ns == before
    assert {event.message for event in seen if "extracting" in event.message} == {
        "extracting 31TDJ",
        "extracting 31TDK",
    }


def test_no_train_pixel_lies_in_a_test_polygon(experiment: Experiment) -> None:
    """Every parcel is drawn twice, the copy moved by half a parcel: train and test polygons overlap."""
    path = experiment.path.parent / "ground_truth.gpkg"
    frame = gpd.read_file(path).dropna(subset="geometry")
    frame = frame[frame.is_valid & ~frame.is_empty]
    frame = frame.set_geometry(frame.geometry.translate(15, 15)).pipe(lambda moved: pd.concat([frame, moved]))
    frame.to_file(path)
    clean(experiment)
    sample(experiment)
    test = gpd.read_file(experiment.folder / "ground_truth" / "test.gpkg")
    clean_polygons = gpd.read_file(experiment.folder / "ground_truth" / "clean.gpkg")
    for tile in experiment.series.tiles:
        pixels = np.load(experiment.folder / "samples" / tile / "pixels.npy")
        (series,) = open_series(experiment, tiles=[tile])
        x, y = series.grid.affine * (pixels["col"] + 0.5, pixels["row"] + 0.5)
        tested = shapely.STRtree(test.geometry.to_numpy())
        inside = tested.query(shapely.points(x, y), predicate="within")
        assert inside.shape[1] == 0
    assert set(test["polygon"]) <= set(clean_polygons["polygon"])


def test_parts_of_a_multipolygon_stay_together_in_the_valid_set(experiment: Experiment) -> None:
    clean(experiment)
    frame = gpd.read_file(experiment.folder / "ground_truth" / "clean.gpkg")
    shared = frame[frame.duplicated("source", keep=False)]
    assert len(shared), "the demo has multipolygons"
    sources = sources_of(RunFolder(experiment.folder), shared["polygon"].to_numpy())
    assert sources.tolist() == shared["source"].tolist()


def test_cross_validation_by_something_else_is_noticed_and_replaces(experiment: Experiment) -> None:
    cross_validate(experiment)
    with pytest.raises(RunFolderError, match=r"by = 'tile' \(now 'label'\)|no field"):
        cross_validate(experiment, by="label")
    frame = gpd.read_file(experiment.path.parent / "ground_truth.gpkg")
    assert "tile" not in frame.columns
    experiment.set({"series.tiles": ["31TCJ", "31TDJ"]})
    cross_validate(experiment, overwrite=True)
    folder = experiment.folder / "cross_validation"
    assert sorted(path.parents[1].name for path in folder.glob("*/validation/metrics.json")) == ["31TCJ", "31TDJ"]


def test_left_out_tile_trains_nothing_and_is_tested_apart(experiment: Experiment) -> None:
    experiment.set({"split.leave_out_tile": "31TDK"})
    run(experiment)
    folder = experiment.folder
    assert set(gpd.read_file(folder / "ground_truth" / "left_out.gpkg")["tile"]) == {"31TDK"}
    assert "31TDK" not in set(gpd.read_file(folder / "ground_truth" / "train.gpkg")["tile"])
    metrics = json.loads((folder / "validation" / "metrics.json").read_text())
    assert metrics["left_out"]["pixels"] > 0


def test_cross_validation_by_tile(experiment: Experiment) -> None:
    result = cross_validate(experiment)
    metrics = result.metrics
    assert [fold["name"] for fold in metrics["folds"]] == ["31TCJ", "31TCK", "31TDJ", "31TDK"]
    mean = np.mean([fold["left_out"]["f_score"] for fold in metrics["folds"]])
    assert metrics["mean"]["left_out"]["f_score"] == pytest.approx(mean)
    assert metrics["pooled_left_out"]["pixels"] == sum(fold["left_out"]["pixels"] for fold in metrics["folds"])
    assert {"same_area", "left_out"} == set(metrics["std"])
    folder = experiment.folder / "cross_validation"
    assert (folder / "folds.png").stat().st_size > 5000
    assert (folder / "31TCJ" / "learning" / "model" / "model.json").is_file()
    events: list[Event] = []
    cross_validate(experiment, observer=events.append)
    assert {event.state for event in events} == {"up to date"}
    lines = (experiment.folder / "events.jsonl").read_text().splitlines()
    messages = [json.loads(line).get("message", "") for line in lines]
    extracted = {message for message in messages if message.startswith("extracting")}
    assert extracted == {f"extracting {tile}" for tile in experiment.series.tiles}


def test_cross_validation_by_a_field_that_is_not_there(experiment: Experiment) -> None:
    with pytest.raises(LandcoverError, match="no field 'fold'"):
        cross_validate(experiment, by="fold")


def test_killed_run_ends_with_the_same_bytes(experiment: Experiment, tiny_demo: Path) -> None:
    """SIGKILL at several moments, then the same command again."""
    run(experiment)
    unbroken = experiment.folder
    command = [sys.executable, "-m", "toolkit.cli", "run", str(tiny_demo), "--runs", "killed"]
    for wait in (2.5, 4.5, 6.5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    killed = tiny_demo.parent / "killed" / experiment.name
    assert history(killed / "learning" / "history.csv") == history(unbroken / "learning" / "history.csv")
    for name in SAME_BYTES:
        assert (killed / name).read_bytes() == (unbroken / name).read_bytes(), name
    assert not [path for path in killed.rglob("*") if ".part" in path.name or path.name == ".blocks"]


def test_two_processes_in_one_run_folder(experiment: Experiment) -> None:
    words = rf"in use by process {os.getpid()} on .*wait for it"
    lock = FolderLock.take(experiment.folder)
    with pytest.raises(RunFolderError, match=words):
        clean(experiment)
    lock.release()
    clean(experiment)


def test_changed_nomenclature_is_noticed(experiment: Experiment) -> None:
    text = "code,label,colour\n" + "".join(
        f"{one.code},{one.label},{one.colour}\n" for one in experiment.nomenclature.classes
    )
    path = experiment.path.parent / "mine.csv"
    path.write_text(text)
    experiment.set({"ground_truth.nomenclature": "mine.csv"})
    clean(experiment)
    path.write_text(text.replace("#0000ff", "#0000fe"))
    with pytest.raises(RunFolderError, match="other input files"):
        clean(experiment)


def test_polygons_of_an_earlier_split_do_not_stay(experiment: Experiment) -> None:
    experiment.set({"split.leave_out_tile": "31TDK"})
    clean(experiment)
    sample(experiment)
    assert (experiment.folder / "ground_truth" / "left_out.gpkg").exists()
    experiment.set({"split.leave_out_tile": None})
    sample(experiment, overwrite=True)
    assert not (experiment.folder / "ground_truth" / "left_out.gpkg").exists()


@pytest.mark.parametrize("value", ["31TCJ", "fold 1", "../../etc", ".hidden", "a/b"])
def test_folder_of_a_fold_stays_in_its_place(value: str, tmp_path: Path) -> None:
    name = file_name(value)
    assert (tmp_path / name).parent == tmp_path
    assert name and not name.startswith(".")
    assert file_name("a/b") != file_name("a_b")
