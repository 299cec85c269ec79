"""The verb `fuse`: the rules on real runs, what it refuses, and its maps held against the Orfeo ToolBox."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.mapping.test_fusion import NAMES, write_member
from tests.mapping.test_stac import check_item
from toolkit import Experiment, classify, fuse, mosaic, train, validate
from toolkit.cli import main
from toolkit.experiment.folder import RunFolder
from toolkit.experiment.provenance import Manifest
from toolkit.ground.accuracy import ConfusionMatrix
from toolkit.ground.errors import ParameterError, RunFolderError
from toolkit.mapping.fusion import Mass, fuse_maps, mean_probability

OTB = "otbcli_FusionOfClassifications"


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


@pytest.fixture(scope="module")
def runs(finished_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    """Three runs of other seeds of the learning, validated and with probabilities."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    shutil.copytree(finished_demo.parent, folder, symlinks=True, copy_function=shutil.copy2)
    experiment = Experiment.load(folder / finished_demo.name)
    first, found = experiment.folder, []
    for number in range(3):
        name = f"run{number}"
        shutil.copytree(first, first.parent / name, copy_function=shutil.copy2)
        experiment.set({"name": name, "learning.epochs": 3 + 2 * number, "mapping.probabilities": True})
        train(experiment, overwrite=True)
        for verb in (classify, mosaic, validate):
            verb(experiment, overwrite=True)
        found.append(RunFolder(experiment.folder))
    return found


def test_maps_of_runs_are_fused_with_their_provenance(runs: list[RunFolder], tmp_path: Path) -> None:
    paths = [run.root for run in runs]
    path = fuse(paths, tmp_path / "fused")
    maps = np.stack([read(run.map())[0] for run in runs])
    found = read(path)[0]
    same = (maps == maps[0]).all(axis=0)
    assert np.array_equal(found[same], maps[0][same]) and not same.all()
    counts = np.stack([(maps == code).sum(axis=0) for code in range(256)])
    most = np.take_along_axis(counts, found[None].astype(int), axis=0)[0]
    assert np.array_equal(most, counts.max(axis=0))
    with rasterio.open(path) as dataset, rasterio.open(runs[0].map()) as member:
        tags = dataset.tags()
        assert tags["FUSION_METHOD"] == "majority" and tags["FUSION_MEMBERS"].startswith("run0 ")
        assert Manifest(runs[0].manifest).records()["mosaic"].key in tags["FUSION_MEMBERS"]
        assert dataset.colormap(1) == member.colormap(1) and dataset.tags(1) == member.tags(1)
        assert (dataset.crs, dataset.transform) == (member.crs, member.transform)
    item = check_item(tmp_path / "fused" / "item.json")
    assert item["properties"]["landcover:fusion_method"] == "majority"
    assert item["properties"]["start_datetime"] == "2018-01-01T00:00:00Z"

    stamp = path.stat().st_mtime_ns
    assert fuse(paths, tmp_path / "fused") == path and path.stat().st_mtime_ns == stamp, "up to date"
    (tmp_path / "fused" / "item.json").unlink()
    fuse(paths, tmp_path / "fused")
    assert (tmp_path / "fused" / "item.json").exists(), "what lacks is made again"
    with pytest.raises(ParameterError, match="run0 is named twice"):
        fuse([*paths, paths[0]], tmp_path / "twice")
    assert not (tmp_path / "twice").exists()
    manifest = Manifest(runs[1].manifest)
    mosaic = manifest.records()["mosaic"]
    manifest.add("mosaic", replace(mosaic, params={**mosaic.params, "mapping.crs": "EPSG:2154"}), seed=0)
    with pytest.raises(RunFolderError, match="was made otherwise"):
        fuse(paths, tmp_path / "fused")
    with pytest.raises(RunFolderError, match=r"run1: the result of `validate`, .* another .*`mosaic`.*run `validate`"):
        fuse(paths, tmp_path / "stale", method="dempster_shafer")
    manifest.add("mosaic", replace(mosaic, after={**mosaic.after, "classify 31TCJ": "of another model"}), seed=0)
    with pytest.raises(RunFolderError, match=r"`mosaic`, .* another .*`classify 31TCJ`.*run `mosaic` again"):
        fuse(paths, tmp_path / "stale")
    manifest.add("mosaic", mosaic, seed=0)
    with pytest.raises(RunFolderError, match="was made otherwise"):
        fuse(paths, tmp_path / "fused", method="dempster_shafer")
    fuse(paths, tmp_path / "fused", method="dempster_shafer", mass="kappa", overwrite=True)
    with rasterio.open(path) as dataset:
        assert dataset.tags()["FUSION_MASS"] == "kappa"
    fuse(paths, tmp_path / "otb", compatibility="otb")
    with pytest.raises(RunFolderError, match="was made otherwise"):
        fuse(paths, tmp_path / "otb")


def test_mean_probability_of_runs(runs: list[RunFolder], tmp_path: Path) -> None:
    path = fuse([run.root for run in runs], tmp_path / "fused", method="mean_probability")
    with rasterio.open(runs[0].map("probabilities")) as dataset:
        codes = np.array([int(text.split()[0]) for text in dataset.descriptions], dtype=np.uint8)
    wanted = mean_probability(np.stack([read(run.map("probabilities")) for run in runs]), codes)
    assert np.array_equal(read(path)[0], wanted[0])
    assert np.array_equal(read(path.with_name("confidence.tif"))[0], wanted[1])


def test_command_and_what_it_refuses(runs: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = [str(run.root) for run in runs]
    assert main(["fuse", str(tmp_path / "f"), *members, "--method", "dempster_shafer"]) == 0
    assert (tmp_path / "f" / "classes.tif").exists()
    assert main(["fuse", str(tmp_path / "g"), members[0]]) == 2
    assert "two runs at least" in capsys.readouterr().err
    for place in (runs[0].mapping, runs[0].mapping / "fused", runs[0].root):
        with pytest.raises(ParameterError, match=r"is where the map of run .*run0 stands"):
            fuse(members, place, overwrite=True)
    with pytest.raises(ParameterError, match=r"method = 'vote': must be one of majority, "):
        fuse(members, tmp_path / "g", method="vote")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="two runs at least"):
        fuse(members[0], tmp_path / "g")
    bare = tmp_path / "bare"
    shutil.copytree(runs[0].root, bare)
    shutil.rmtree(bare / "validation")
    (bare / "mapping" / "probabilities.tif").unlink()
    with pytest.raises(RunFolderError, match=r"has no validation, which dempster_shafer needs; validate it first"):
        fuse([bare, members[0]], tmp_path / "g", method="dempster_shafer")
    with pytest.raises(RunFolderError, match=r"no mapping.probabilities\.tif.*set mapping\.probabilities"):
        fuse([bare, members[0]], tmp_path / "g", method="mean_probability")
    with rasterio.open(bare / "mapping" / "classes.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        names = json.loads(dataset.tags(1)["CLASS_NAMES"])
        names["1"] = "Something else"
        dataset.update_tags(1, CLASS_NAMES=json.dumps(names))
    with pytest.raises(ParameterError, match=r"other classes than .* \(codes 1\)"):
        fuse([members[0], bare], tmp_path / "g")
    shutil.rmtree(bare / "mapping")
    with pytest.raises(RunFolderError, match=r"no mapping.classes\.tif.*mosaic it first"):
        fuse([bare, members[0]], tmp_path / "g")
    assert not (tmp_path / "g").exists()


def by_otb(folder: Path, members: list[Path], *method: str) -> np.ndarray:
    if shutil.which(OTB) is None:
        pytest.skip(f"{OTB} is not installed (Debian: otb-bin)")
    files = [str(member / "classes.tif") for member in members]
    command = [OTB, "-il", *files, *method, "-nodatalabel", "0", "-undecidedlabel", "0"]
    subprocess.run([*command, "-out", str(folder / "otb.tif"), "uint8"], check=True, capture_output=True, timeout=120)
    return read(folder / "otb.tif")[0]


def members_of(folder: Path, count: int) -> list[Path]:
    rng = np.random.default_rng(count)
    maps = rng.choice(np.array([0, 1, 3, 7], dtype=np.uint8), (count, 60, 50), p=[0.1, 0.4, 0.3, 0.2])
    return [write_member(folder / str(number), one) for number, one in enumerate(maps)]


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_majority_is_that_of_the_orfeo_toolbox(tmp_path: Path, count: int) -> None:
    members = members_of(tmp_path, count)
    theirs = by_otb(tmp_path, members, "-method", "majorityvoting")
    ours = read(fuse_maps(members, tmp_path / "fused", NAMES, compatibility="otb")["classes"])[0]
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("mass", ["precision", "recall", "oa", "kappa"])
@pytest.mark.parametrize("count", [2, 4, 7])
def test_dempster_shafer_is_that_of_the_orfeo_toolbox(tmp_path: Path, count: int, mass: Mass) -> None:
    """Pixel by pixel, from matrices of good maps and of bad ones, whose masses are below a half."""
    members = members_of(tmp_path, count)
    rng = np.random.default_rng(count)
    matrices = [
        ConfusionMatrix(rng.integers(1, 60, (3, 3)) + np.diag(rng.integers(0, 200, 3)), (1, 3, 7)) for _ in members
    ]
    files = []
    for number, matrix in enumerate(matrices):
        head = "#Reference labels (rows):1,3,7\n#Produced labels (columns):1,3,7\n"
        rows = "\n".join(",".join(map(str, row)) for row in matrix.counts.tolist())
        files.append(tmp_path / f"matrix{number}.csv")
        files[-1].write_text(f"{head}{rows}\n", encoding="ascii")
    theirs = by_otb(
        tmp_path, members, "-method", "dempstershafer", "-method.dempstershafer.mob",
        "accuracy" if mass == "oa" else mass, "-method.dempstershafer.cmfl", *map(str, files),
    )  # fmt: skip
    how = {"method": "dempster_shafer", "matrices": matrices, "mass": mass}
    ours = read(fuse_maps(members, tmp_path / "fused", NAMES, compatibility="otb", **how)["classes"])[0]
    assert np.array_equal(ours, theirs)
