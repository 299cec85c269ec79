"""The command line: help, options derived from parameters, and every bad input with status 2 and one message."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import yaml

from tests.conftest import write_tif
from toolkit.cli import main
from toolkit.experiment.config import Experiment
from toolkit.experiment.verb_help import SECTIONS

Capture = pytest.CaptureFixture[str]


def edit(path: Path, change: Callable[[dict], None]) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def own_products(experiment: Path) -> Path:
    """Instead of the shared images, a copy of the first tile's that may be damaged."""
    folder = experiment.parent
    source = (folder / "theia").resolve()
    (folder / "theia").unlink()
    shutil.copytree(source / "31TCJ", folder / "theia" / "31TCJ")
    edit(experiment, lambda content: content["series"].update(tiles=["31TCJ"]))
    return next(path for path in sorted((folder / "theia" / "31TCJ").iterdir()) if "_2018" in path.name)


def truncate_a_band(experiment: Path) -> None:
    path = next(own_products(experiment).glob("*_FRE_B3.tif"))
    path.write_bytes(path.read_bytes()[:3000])


def remove_a_band(experiment: Path) -> None:
    next(own_products(experiment).glob("*_FRE_B11.tif")).unlink()


def remove_a_mask(experiment: Path) -> None:
    for path in (own_products(experiment) / "MASKS").glob("*_CLM_*.tif"):
        path.unlink()


def shrink_a_mask(experiment: Path) -> None:
    path = next((own_products(experiment) / "MASKS").glob("*_CLM_R1.tif"))
    write_tif(path, np.zeros((33, 41), dtype=np.uint8), (300000, 4900020), 10)


def without_crs(experiment: Path) -> None:
    frame = gpd.read_file(experiment.parent / "ground_truth.gpkg").dropna(subset="geometry")
    frame[["code", "geometry"]].to_file(experiment.parent / "bare.shp")
    (experiment.parent / "bare.prj").unlink()
    edit(experiment, lambda content: content["ground_truth"].update(source="bare.shp"))


def with_unknown_class(experiment: Path) -> None:
    path = experiment.parent / "ground_truth.gpkg"
    frame = gpd.read_file(path)
    frame.loc[5:7, "code"] = 24
    frame.to_file(path)


def elsewhere(experiment: Path) -> None:
    path = experiment.parent / "ground_truth.gpkg"
    frame = gpd.read_file(path)
    frame.geometry = frame.translate(500_000, 0)
    frame.to_file(path)


BAD = {
    "no product": (
        lambda e: edit(e, lambda c: c["series"].update(start="2010-01-01", end="2010-12-31")),
        "no product of tile",
    ),
    "tile without images": (lambda e: edit(e, lambda c: c["series"].update(tiles=["31TDH"])), "31TDH"),
    "truncated band": (truncate_a_band, "FRE_B3.tif cannot be read"),
    "missing band": (remove_a_band, "B11 was not delivered"),
    "no cloud mask on one date": (remove_a_mask, "mask CLM was not delivered"),
    "mask of the wrong size": (shrink_a_mask, "CLM_R1.tif"),
    "ground truth without CRS": (without_crs, "bare.shp"),
    "no class field": (lambda e: edit(e, lambda c: c["ground_truth"].update(class_field="klass")), "klass"),
    "class not in the nomenclature": (with_unknown_class, "24"),
    "ground truth outside": (elsewhere, "ground_truth.gpkg"),
    "unknown key": (lambda e: edit(e, lambda c: c["learning"].update(epoch=3)), "did you mean 'epochs'"),
    "value out of bounds": (lambda e: edit(e, lambda c: c["learning"].update(batch_size=-1)), "batch_size = -1"),
    "unknown source": (lambda e: edit(e, lambda c: c["series"].update(source="s2_dem")), "did you mean 's2_demo'"),
    "no experiment file": (lambda e: e.unlink(), "does not exist"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_one_message_and_status_2(case: str, tiny_demo: Path, capsys: Capture) -> None:
    spoil, words = BAD[case]
    spoil(tiny_demo)
    files = {path: path.read_bytes() for path in tiny_demo.parent.iterdir() if path.is_file()}
    assert main(["run", str(tiny_demo)]) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("landcover: ")
    assert words in message
    assert "\n" not in message, "one message"
    assert "Traceback" not in message
    assert files == {path: path.read_bytes() for path in tiny_demo.parent.iterdir() if path.is_file()}
    assert not list((tiny_demo.parent / "runs").rglob("*.gpkg")), "nothing half made"


def test_run_folder_made_with_other_parameters(tiny_demo: Path, capsys: Capture) -> None:
    assert main(["clean", str(tiny_demo)]) == 0
    assert main(["clean", str(tiny_demo), "--ground_truth.min_area_m2", "500"]) == 2
    message = capsys.readouterr().err
    assert "ground_truth.min_area_m2 = 0.0 (now 500.0)" in message
    assert main(["clean", str(tiny_demo), "--ground_truth.min_area_m2", "500", "--overwrite"]) == 0


def test_a_file_where_the_run_folder_goes(tiny_demo: Path, capsys: Capture) -> None:
    (tiny_demo.parent / "runs").write_text("mine")
    assert main(["clean", str(tiny_demo)]) == 2
    assert "runs" in capsys.readouterr().err
    assert (tiny_demo.parent / "runs").read_text() == "mine"


def test_mistyped_option_is_not_taken_for_another(tiny_demo: Path, capsys: Capture) -> None:
    assert main(["train", str(tiny_demo), "--learning.epoch", "5"]) == 2
    said = capsys.readouterr().err
    assert "--learning.epoch is not an option of `landcover train`; did you mean --learning.epochs?" in said
    assert main(["plan", str(tiny_demo), "other.yml"]) == 2
    assert "'other.yml' is one word too many for `landcover plan`" in capsys.readouterr().err


@pytest.mark.parametrize("day", ["2018-13-01", "2018-02-30"])
def test_a_day_that_is_in_no_calendar_is_told_with_its_parameter(tiny_demo: Path, capsys: Capture, day: str) -> None:
    for given in (["--series.start", day], [f"--series.seasons={{start: {day}, end: 2018-05-31}}"]):
        assert main(["run", str(tiny_demo), *given]) == 2
        said = capsys.readouterr().err
        assert f"start = '{day}': input should be a valid date" in said
    edit(tiny_demo, lambda content: content["series"].update(start=day))
    assert main(["plan", str(tiny_demo)]) == 2
    assert f"series.start = '{day}': input should be a valid date" in capsys.readouterr().err


def test_a_name_that_cannot_be_a_folder_is_told_in_words(tiny_demo: Path, capsys: Capture) -> None:
    assert main(["plan", str(tiny_demo), "--name", "../x"]) == 2
    assert "name = '../x': write letters, digits, `_`, `-` and `.`" in capsys.readouterr().err


def test_full_disk(tiny_demo: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(Path, "replace", full)
    assert main(["clean", str(tiny_demo)]) == 2
    assert "the disk is full" in capsys.readouterr().err


def test_options_are_the_experiment_s_parameters(tiny_demo: Path, capsys: Capture) -> None:
    assert main(["clean", str(tiny_demo), "--runs", "elsewhere", "--seed", "3"]) == 0
    assert (tiny_demo.parent / "elsewhere" / "demo" / "ground_truth" / "clean.gpkg").is_file()
    saved = Experiment.load(tiny_demo.parent / "elsewhere" / "demo" / "experiment.yml")
    assert saved.seed == 3
    assert "polygons kept" in capsys.readouterr().out


def test_lists_are_written_with_commas(tiny_demo: Path) -> None:
    arguments = ["--series.tiles", "31TCJ,31TCK", "--series.bands", "B2,B4,B8,B11", "--runs", "two"]
    assert main(["clean", str(tiny_demo), *arguments]) == 0
    saved = Experiment.load(tiny_demo.parent / "two" / "demo" / "experiment.yml")
    assert saved.series.tiles == ("31TCJ", "31TCK")
    assert saved.series.bands == ("B2", "B4", "B8", "B11")


def test_a_list_may_have_one_value(tiny_demo: Path) -> None:
    arguments = ["--series.tiles", "T31TCJ", "--series.bands", "[B2, B4]", "--runs", "one"]
    assert main(["clean", str(tiny_demo), *arguments]) == 0
    saved = Experiment.load(tiny_demo.parent / "one" / "demo" / "experiment.yml")
    assert (saved.series.tiles, saved.series.bands) == (("31TCJ",), ("B2", "B4"))


def test_texts_stay_texts_though_they_look_like_numbers(tiny_demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Experiment] = []
    monkeypatch.setattr("toolkit.classify", lambda experiment, **_: taken.append(experiment) or {})
    lines = "0, 1e3, yes, 'module load a, b', [c, d], echo x: y"
    arguments = ["--cluster.prologue", lines, "--cluster.account", "012", "--mapping.ensemble", "2018"]
    assert main(["classify", str(tiny_demo), *arguments]) == 0
    cluster, mapping = taken[0].cluster, taken[0].mapping
    assert cluster.prologue == ("0", "1e3", "yes", "'module load a", "b'", "[c", "d]", "echo x: y")
    assert (cluster.account, mapping.ensemble) == ("012", ("2018",))
    assert main(["classify", str(tiny_demo), "--cluster.prologue", "0, yes, 'module load a, b'"]) == 0
    assert taken[1].cluster.prologue == ("0", "yes", "module load a, b")


def test_none_takes_an_optional_value_away(tiny_demo: Path) -> None:
    edit(tiny_demo, lambda content: content["series"].update(area=[0, 40, 5, 45]))
    edit(tiny_demo, lambda content: content["ground_truth"].update(layer="nowhere"))
    arguments = ["--series.area", "none", "--ground_truth.layer", "None", "--runs", "all"]
    assert main(["clean", str(tiny_demo), *arguments]) == 0
    saved = Experiment.load(tiny_demo.parent / "all" / "demo" / "experiment.yml")
    assert (saved.series.area, saved.ground_truth.layer) == (None, None)


def test_none_is_a_word_where_a_value_is_needed(tiny_demo: Path, capsys: Capture) -> None:
    assert main(["clean", str(tiny_demo), "--ground_truth.class_field", "none"]) == 2
    assert "no field 'none'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [*SECTIONS, "demo"])
def test_every_command_explains_itself(verb: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert len(text) > 200
    if "learning" in SECTIONS.get(verb, ()):
        assert "--learning.learning_rate" in text and "Step size of the optimiser" in text


def test_tune(sampled_demo: Path, capsys: Capture) -> None:
    quick = ["--tuning.folds", "2", "--learning.epochs", "1", "--trials"]
    space = "{learning.learning_rate: [1e-4, 1e-2]}"
    assert main(["tune", str(sampled_demo), "--tuning.space", space, *quick, "2"]) == 0
    said = capsys.readouterr().out
    assert "best of 2 trials: F-score 0." in said and "learning.learning_rate = " in said
    assert "trials  " in said and said.rstrip().endswith("trials.csv")
    assert main(["tune", str(sampled_demo), "--tuning.space", "{learning.rate: [1, 2]}", *quick, "2"]) == 2
    assert "learning.rate is not a parameter" in capsys.readouterr().err


def test_help_shows_how_to_start(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "landcover run data/demo/experiment.yml" in capsys.readouterr().out


def test_a_verb_in_the_background(tiny_demo: Path, capsys: Capture) -> None:
    assert main(["jobs", str(tiny_demo)]) == 2
    assert "no job was started" in capsys.readouterr().err
    assert main(["clean", str(tiny_demo), "--runs", "elsewhere", "--background"]) == 0
    folder = tiny_demo.parent / "elsewhere" / "demo"
    assert f"landcover jobs {folder} --follow" in capsys.readouterr().out
    assert main(["jobs", str(folder), "--follow"]) == 0
    followed = capsys.readouterr().out
    assert "polygons kept" in followed and "job clean done" in followed
    assert main(["jobs", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("clean            done")
    assert main(["stop", str(folder)]) == 0
    assert "job clean done" in capsys.readouterr().out


def test_failed_job_ends_with_its_message_and_status_2(tiny_demo: Path, capsys: Capture) -> None:
    assert main(["train", str(tiny_demo), "--background"]) == 0
    assert main(["jobs", str(tiny_demo), "--follow"]) == 2
    assert "no result of `sample`, which `train` needs" in capsys.readouterr().err


def test_demo_is_written_and_not_over_something_else(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert main(["demo", str(tmp_path / "mine"), "--size", "40"]) == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert "landcover: " in capsys.readouterr().err
