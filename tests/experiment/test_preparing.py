"""The verb `prepare`, and what the other verbs make of what it leaves."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from toolkit import Experiment, Job, classify, plan, prepare, sample
from toolkit.cli import main
from toolkit.experiment import tiles
from toolkit.experiment.events import Event
from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.stages import stages
from toolkit.experiment.tiles import open_series, prepared_folder
from toolkit.ground.errors import ProductError, RunFolderError
from toolkit.ground.grid import Block
from toolkit.series import timeseries


@pytest.fixture(scope="module")
def prepared_source(finished_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment file of a finished demo with one tile prepared; do not write beside it."""
    path = own_copy(finished_demo, tmp_path_factory.mktemp("source") / "demo")
    experiment = Experiment.load(path)
    experiment.set({"series.tiles": ["31TCJ"]})
    assert prepare(experiment) == {"31TCJ": path.parent / "prepared" / "s2_demo_31TCJ.zarr"}
    return path


@pytest.fixture
def experiment(prepared_source: Path, tmp_path: Path) -> Experiment:
    """The tile that is prepared is that of the experiment's four that is looked at."""
    return Experiment.load(own_copy(prepared_source, tmp_path / "demo"))


@pytest.fixture
def only_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pixel of an image can be read."""
    monkeypatch.setattr(timeseries, "read_band", None)
    monkeypatch.setattr(timeseries, "read_mask", None)


def own_copy(source: Path, folder: Path) -> Path:
    shutil.copytree(source.parent, folder, symlinks=True, copy_function=shutil.copy2)
    return folder / source.name


def store_of(experiment: Experiment) -> Path:
    return prepared_folder(experiment, "31TCJ")


def rewrite(experiment: Experiment) -> None:
    """The images are others by their time of change, in a folder of their own."""
    theia = experiment.path.parent / "theia"
    if theia.is_symlink():
        images = theia.resolve()
        theia.unlink()
        shutil.copytree(images, theia, copy_function=shutil.copy2)
    os.utime(next(theia.rglob("*T31TCJ*_FRE_B5.tif")), ns=(10**18, 10**18))


def test_maps_have_the_same_bytes(experiment: Experiment, only_prepared: None) -> None:
    folder = experiment.folder / "mapping" / "31TCJ"
    made = {path.name: path.read_bytes() for path in folder.glob("*.tif")}
    assert {"classes.tif", "confidence.tif", "validity.tif"} <= set(made)
    for path in folder.glob("*.tif"):
        path.unlink()
    found = plan(experiment)
    assert found.tiles[0].prepared and found.tiles[0].files == 11 and "prepared: 31TCJ" in repr(found)
    told: list[Event] = []
    classify(experiment, observer=told.append)
    assert {path.name: path.read_bytes() for path in folder.glob("*.tif")} == made
    assert any(one.message.endswith("from the prepared series") for one in told if one.step == "classify 31TCJ")


def test_samples_and_pixels_are_the_same(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    features = experiment.folder / "samples" / "31TCJ" / "features.npy"
    made = np.load(features)
    experiment.folder.joinpath("samples", "class_counts.csv").unlink()
    sample(experiment)
    assert np.array_equal(np.load(features), made)
    readers = [PixelReader(experiment, classes=False), PixelReader(from_files(experiment), classes=False)]
    place = readers[0].middle("31TCJ")
    monkeypatch.setattr(readers[0], "_lanes", [])  # threads that read dates side by side are not needed
    one, other = (reader.read(*place).series for reader in readers)
    assert np.array_equal(one.values, other.values) and np.array_equal(one.validity, other.validity)
    readers[1].close()


def from_files(experiment: Experiment) -> Experiment:
    other = Experiment(experiment.params, experiment.path)
    other.set({"prepare.use": False})
    return other


def test_it_is_made_once_and_shared(experiment: Experiment, only_prepared: None) -> None:
    experiment.set({"series.tiles": ["31TCJ"]})
    told: list[Event] = []
    prepare(experiment, observer=told.append)
    assert [one.state for one in told] == ["up to date"]
    assert [(one.name, one.state) for one in stages(experiment, "prepare")] == [("prepare 31TCJ", "up to date")]
    experiment.set({"name": "other", "series.bands": ["B4", "B8"]})
    assert stages(experiment, "prepare")[0].state == "waiting"
    prepare(experiment, observer=told.append)
    assert told[-1].state == "done" and told[-1].message.endswith("was there already")
    assert stages(experiment, "prepare")[0].state == "up to date"
    assert open_series(experiment)[0].prepared is not None


def test_what_does_not_serve_is_not_read_and_not_replaced_unasked(
    experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    experiment.set({"series.tiles": ["31TCJ"]})
    assert open_series(from_files(experiment))[0].prepared is None
    rewrite(experiment)
    assert open_series(experiment)[0].prepared is None
    assert "was changed since; the images are read" in caplog.text
    assert stages(experiment, "prepare")[0].state == "waiting"
    with pytest.raises(RunFolderError, match=r"does not serve: .*prepare\.folder.*--overwrite"):
        prepare(experiment)
    told: list[Event] = []
    prepare(experiment, overwrite=True, observer=told.append)
    assert told[-1].state == "done" and told[-1].message.startswith("10 bands of")
    assert open_series(experiment)[0].prepared is not None
    assert sorted(path.name for path in store_of(experiment).parent.iterdir()) == [
        ".lock", ".s2_demo_31TCJ.zarr.serves", "s2_demo_31TCJ.zarr",
    ]  # fmt: skip
    assert len(list(store_of(experiment).parent.glob(".*serves/*"))) == 1, "whom the old one served is forgotten"


def test_a_damaged_one_is_replaced_when_asked(experiment: Experiment) -> None:
    experiment.set({"series.tiles": ["31TCJ"]})
    shard = max(store_of(experiment).glob("B4/c/0/*/*"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    (series,) = open_series(experiment)
    block = Block(0, 0, *series.grid.shape)
    with pytest.raises(ProductError, match=r"its checksum is not that of its content.*landcover prepare --overwrite"):
        series.read(block)
    prepare(experiment, overwrite=True)
    assert shard.read_bytes() == whole
    open_series(experiment)[0].read(block)


def test_a_place_of_ones_own(experiment: Experiment, tmp_path: Path) -> None:
    experiment.set({"series.tiles": ["31TCK"], "series.bands": ["B4", "B5"], "prepare.folder": str(tmp_path / "p")})
    store = prepare(experiment)["31TCK"]
    assert store.parent == tmp_path / "p" and (store / "zarr.json").exists()
    assert not tiles.prepared_folder(experiment, "31TCJ").exists()


def test_a_disk_without_room_is_refused(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(10, 9, 1)
    monkeypatch.setattr("toolkit.experiment.preparing.shutil.disk_usage", lambda _: usage)
    experiment.set({"series.tiles": ["31TDK"]})
    with pytest.raises(RunFolderError, match=r"MB of disk are needed at most .* set `prepare\.folder`"):
        prepare(experiment)
    assert not prepared_folder(experiment, "31TDK").exists()


def test_from_the_command_line_and_as_a_job(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--series.tiles", "31TCK", "--series.bands", "B4,B11"]
    assert main(["prepare", str(experiment.path), *options, "--prepare.level", "1"]) == 0
    out = capsys.readouterr().out
    assert "prepare 31TCK    done" in out and "2 bands of" in out and "s2_demo_31TCK.zarr" in out
    experiment.set({"series.tiles": ["31TCJ"]})
    job = Job.start(experiment, "prepare", thread=True)
    assert job.wait(60)
    assert job.state == "done" and [one.name for one in job.look().stages] == ["prepare 31TCJ"]
