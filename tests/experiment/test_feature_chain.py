"""The chain with features of a person's own: from the experiment file to the map, again and again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.conftest import write_tif
from toolkit import Experiment, classify, clean, sample, train
from toolkit.cli import main
from toolkit.experiment.events import Event
from toolkit.experiment.inspection import PixelReader
from toolkit.experiment.provenance import Manifest
from toolkit.experiment.stages import stages
from toolkit.experiment.tiles import open_series
from toolkit.features.reading import TileFeatures
from toolkit.ground.errors import CatalogError, FeatureError, ModelError, ParameterError, RunFolderError
from toolkit.ground.grid import Block
from toolkit.learning.checkpoint import Model
from toolkit.samples.store import SampleStore
from toolkit.series.tiling import FileTiling

CODE = '''
import numpy as np
from toolkit import external_feature
from toolkit.ground.params import param


@external_feature(padding=lambda params: params.radius, outputs=["above_{band}_{radius}", "height"])
def relief(block, band: str = "B8", radius: int = param(2, "Pixels.", ge=1, le=9)):
    """How far a pixel stands above the highest neighbour to its left, and a raster."""
    image = block.filled(band)[block.nearest("2018-07-01")]
    left = np.pad(image, [(0, 0), (radius, 0)])[:, : image.shape[1]]
    return image - left, np.nan_to_num(block.raster("dem"))
'''

CATALOG = """
dem:
  data_type: RasterDataset
  uri: dem.tif
  driver: {name: rasterio}
  metadata: {license: none, reference: none}
"""

ENTRY = {"name": "relief", "file": "my_features.py", "params": {"radius": 4}, "rasters": {"dem": "dem"}}


@pytest.fixture
def experiment(tiny_demo: Path) -> Experiment:
    """A tiny demo of two tiles with a feature function, a raster and a shipped feature."""
    folder = tiny_demo.parent
    (folder / "my_features.py").write_text(CODE, encoding="utf-8")
    experiment = Experiment.load(tiny_demo)
    catalog = folder / experiment.catalog
    catalog.write_text(catalog.read_text(encoding="utf-8") + CATALOG, encoding="utf-8")
    (opened,) = open_series(experiment, tiles=["31TCJ"])
    left, _, _, top = opened.grid.boundingbox
    heights = np.random.default_rng(0).uniform(100, 300, (200, 200)).astype(np.float32)
    write_tif(folder / "dem.tif", heights, (left - 500, top + 500), 30, str(opened.grid.crs))
    phenology = {"name": "phenology", "params": {"threshold": 0.3}}
    experiment.set({"features.external": [ENTRY, phenology], "series.tiles": ["31TCJ", "31TDJ"]})
    return experiment


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def test_chain_with_features_of_one_s_own(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    clean(experiment)
    sample(experiment)
    train(experiment)
    monkeypatch.setattr(FileTiling, "block_size", (32, 32))
    folders = classify(experiment)
    names = SampleStore(experiment.folder / "samples").names
    assert names[-5:] == ["above_B8_4", "height", "peak_day_NDVI", "amplitude_NDVI", "season_start_NDVI"]

    (opened,) = open_series(experiment, tiles=["31TCJ"])
    store = SampleStore(experiment.folder / "samples")
    features = TileFeatures(opened, experiment.stack)
    whole, _ = features.read(Block(0, 0, *opened.grid.shape))
    pixels = store.pixels("31TCJ")
    stored = np.load(store.folder / "31TCJ" / "features.npy", allow_pickle=False)
    assert np.array_equal(stored, whole[:, pixels["row"], pixels["col"]].T)
    assert len(np.unique(stored[:, -4])) > 20, "the raster was read"

    in_blocks = read(folders["31TCJ"] / "classes.tif")
    monkeypatch.setattr(FileTiling, "block_size", (512, 512))
    classify(experiment, overwrite=True)
    assert np.array_equal(read(folders["31TCJ"] / "classes.tif"), in_blocks)

    reader = PixelReader(experiment)
    report = reader.read(*_place(folders["31TCJ"] / "classes.tif", 40, 7))
    assert report.probabilities and report.mapped and not report.notes
    assert next(iter(report.probabilities)) == report.mapped.code == in_blocks[40, 7]


def _place(path: Path, row: int, col: int) -> tuple[float, float]:
    from pyproj import Transformer

    with rasterio.open(path) as dataset:
        x, y = dataset.transform * (col + 0.5, row + 0.5)
        return Transformer.from_crs(dataset.crs, 4326, always_xy=True).transform(x, y)


def test_a_changed_function_or_raster_makes_results_outdated(experiment: Experiment) -> None:
    clean(experiment)
    sample(experiment)
    events: list[Event] = []
    sample(experiment, observer=events.append)
    assert [one.state for one in events] == ["up to date"]
    record = Manifest(experiment.folder / "manifest.json").records()["sample"]
    assert len(record.params["sha256 of my_features.py"]) == 64
    assert record.params["features.external"][0]["params"] == {"radius": 4}

    code = experiment.path.parent / "my_features.py"
    code.write_text(CODE.replace("image - left", "left - image"), encoding="utf-8")
    state = {one.name: one for one in stages(experiment)}
    assert state["clean"].state == "up to date"
    assert state["sample"].state == "outdated" and "sha256 of my_features.py" in state["sample"].message
    with pytest.raises(RunFolderError, match=r"sha256 of my_features\.py"):
        sample(experiment)
    code.write_text(CODE, encoding="utf-8")
    assert {one.name: one.state for one in stages(experiment)}["sample"] == "up to date"
    (experiment.path.parent / "dem.tif").touch()
    assert {one.name: one.state for one in stages(experiment)}["sample"] == "outdated"


def test_results_without_external_features_are_as_before(tiny_demo: Path) -> None:
    """The record of a step says nothing of features that are not there."""
    experiment = Experiment.load(tiny_demo)
    clean(experiment)
    sample(experiment)
    params = Manifest(experiment.folder / "manifest.json").records()["sample"].params
    assert "features.external" not in params and not any("sha256" in name for name in params)


def test_what_a_person_did_wrong_is_said_without_traceback(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    code = experiment.path.parent / "my_features.py"
    experiment.save()
    clean(experiment)
    code.write_text(CODE.replace("return image - left", "return image - lefd"), encoding="utf-8")
    with pytest.raises(FeatureError, match=r"relief of my_features\.py.*line 12: NameError.*tile 31TCJ, block of rows"):
        sample(experiment)
    assert main(["sample", str(experiment.path)]) == 2
    said = capsys.readouterr().err
    assert "line 12" in said and "Traceback" not in said
    code.unlink()
    assert main(["sample", str(experiment.path)]) == 2
    assert "relative to the experiment file" in capsys.readouterr().err
    code.write_text(CODE, encoding="utf-8")
    (experiment.path.parent / "dem.tif").unlink()
    with pytest.raises(CatalogError, match="'dem'"):
        sample(experiment)


def test_an_image_source_is_no_raster_for_features(experiment: Experiment) -> None:
    experiment.set({"features.external": [{**ENTRY, "rasters": {"dem": experiment.series.source}}]})
    with pytest.raises(CatalogError, match=r"theia\).*driver rasterio"):
        _ = experiment.stack


def test_the_command_line_takes_external_features(tiny_demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["sample", str(tiny_demo)]
    assert main([*base, "--features.external", "textur"]) == 2
    assert "did you mean 'texture'" in capsys.readouterr().err
    assert main(["clean", str(tiny_demo)]) == 0
    entry = "{name: texture, params: {day: 2018-07-01, band: NDVI, radius: 1}}"
    assert main([*base, "--features.external", f"phenology,{entry}"]) == 0
    folder = Experiment.load(tiny_demo).folder
    assert SampleStore(folder / "samples").names[-1] == "texture_NDVI_20180701_1"
    assert main([*base, "--features.external", "none", "--overwrite"]) == 0
    assert SampleStore(folder / "samples").names[-1].startswith("Brightness")


def test_the_command_line_lists_features(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features"]) == 0
    said = capsys.readouterr().out
    assert "savi" in said and "radius: Half the window" in said and "N, 1 to 50, default 3 pixels" in said
    experiment.save()
    assert main(["features", str(experiment.path)]) == 0
    said = capsys.readouterr().out
    assert "relief of my_features.py How far a pixel stands above" in said
    assert "gives above_{band}_{radius}, height" in said and "radius: Pixels. (N, 1 to 9, default 2)" in said
    assert (
        "Features of the experiment: 486" in said
        and "  above_B8_4\n" in said
        and "  NDVI            on 37 dates" in said
    )


def test_a_file_keeps_what_a_person_wrote(experiment: Experiment) -> None:
    experiment.save()
    again = Experiment.load(experiment.path)
    assert again.params == experiment.params
    assert again.features.external[0].params == {"radius": 4}
    again.set({"features.external": [ENTRY]})
    again.save()
    assert len(Experiment.load(experiment.path).features.external) == 1


def test_chain_with_a_formula_of_one_s_own(tiny_demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = Experiment.load(tiny_demo)
    mine = "features:\n  indices: [ndvi, EVI, my_index = (B8 - B4) / (B8 + B4 + 0.5)]  # my own"
    text = tiny_demo.read_text(encoding="utf-8")
    tiny_demo.write_text(text.replace("features: {indices: [ndvi, ndwi, brightness]}", mine), encoding="utf-8")
    assert main(["run", str(tiny_demo)]) == 0
    names = SampleStore(experiment.folder / "samples").names
    assert names[370] == "NDVI_20180101" and names[370 + 37] == "EVI_20180101" and names[-1] == "my_index_20181227"
    capsys.readouterr()
    assert main(["sample", str(tiny_demo)]) == 0
    assert "up to date" in capsys.readouterr().out
    experiment = Experiment.load(tiny_demo)
    report = PixelReader(experiment).read(*_place(experiment.folder / "mapping" / "31TCJ" / "classes.tif", 40, 7))
    assert report.series is not None and report.probabilities
    curve, nir, red = (report.series.curve(name) for name in ("my_index", "B8", "B4"))
    wanted = (nir.line_values - red.line_values) / (nir.line_values + red.line_values + 0.5)
    np.testing.assert_allclose(curve.line_values, wanted, atol=1e-5)
    experiment.set({"features.indices": ["ndvi", "mine = max(B8, B4)"]})
    experiment.save()
    assert Experiment.load(tiny_demo).features.indices == ("ndvi", "mine = max(B8, B4)")
    assert "# my own" in tiny_demo.read_text(encoding="utf-8")


def test_a_wrong_formula_is_pointed_at_on_the_command_line(tiny_demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(tiny_demo), "--features.indices", "ndvi,mine = (B8 - B44) / B8"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert any("did you mean 'B4'" in line for line in said)
    (formula,) = (line for line in said if line.startswith("    mine"))
    mark = said[said.index(formula) + 1]
    assert formula[mark.index("^") :].startswith("B44")
    assert main(["clean", str(tiny_demo)]) == 0
    assert main(["sample", str(tiny_demo), "--features.indices", "ndvi,'mine = max(B8, B4)'"]) == 0
    assert SampleStore(Experiment.load(tiny_demo).folder / "samples").names[-1] == "mine_20181227"


def test_a_selection_goes_to_the_map_and_a_changed_formula_is_noticed(tiny_demo: Path) -> None:
    experiment = Experiment.load(tiny_demo)
    experiment.set({
        "features.indices": ["mine = B8 / B4"],
        "features.select": ["b8_20180[5-8]*", "MINE_*"],
        "series.tiles": ["31TCJ"],
    })  # fmt: skip
    clean(experiment)
    sample(experiment)
    train(experiment)
    assert classify(experiment)["31TCJ"].is_dir()
    names = SampleStore(experiment.folder / "samples").names
    model = Model.load(experiment.folder / "learning" / "model")
    assert model.feature_names == tuple(names) and len(names) == 13 + 37 and names[0] == "B8_20180501"
    assert model.definitions["mine"] == "B8 / B4 x 1000"

    experiment.set({"features.indices": ["mine = B4 / B8"]})
    with pytest.raises(ModelError, match=r"another mine than .*: B4 / B8 x 1000; it was B8 / B4 x 1000.*train again"):
        classify(experiment, overwrite=True)
    experiment.set({"features.select": ["B9_*"]})
    with pytest.raises(ParameterError, match="'B9_\\*' matches none of the 407 features; near: B8_"):
        sample(experiment, overwrite=True)
